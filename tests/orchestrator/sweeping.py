"""Runs `adaptune` as a person does, and reads what it leaves behind."""

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from itertools import count
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pyarrow as pa
import sqlalchemy as sa
import yaml
from safetensors.numpy import load_file

from orchestrator.cli.main import main
from orchestrator.records.ledger import Ledger
from orchestrator.records.workspace import Workspace, read_json
from orchestrator.running.jobs import Progress
from orchestrator.running.queue import JobQueue
from orchestrator.running.worker import execute

Json = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Json:
        """The one JSON document on stdout."""
        return json.loads(self.out)


def adaptune(*arguments: str | Path) -> Call:
    """Run the console command's entry in this process."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    command = mock.patch.object(sys, "argv", ["adaptune", *map(str, arguments)])
    with command, redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return Call(code, out.getvalue(), err.getvalue())


def start(*arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
    """Start the command in a session of its own, as a shell would."""
    command = [sys.executable, "-m", "orchestrator.cli.main", *map(str, arguments)]
    pipe, surroundings = subprocess.PIPE, {**os.environ, **environment}
    return subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, env=surroundings, start_new_session=True
    )


def end(process: subprocess.Popen[str]) -> Call:
    """Wait for a started command."""
    out, err = process.communicate(timeout=240)
    return Call(process.returncode, out, err)


def write_sweep(folder: Path, values: Json) -> Path:
    """Write a sweep file."""
    path = folder / f"{values['name']}.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def wait_until(condition: Callable[[], Any], process: subprocess.Popen[str], seconds: float = 120) -> None:
    """Wait while `process` runs until `condition` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def ledger_of(home: Path) -> Ledger:
    return Ledger(Workspace(home).ledger_url, create=False)


def edit_ledger(home: Path, statement: str, **values: Any) -> None:
    """Change the ledger behind Adaptune's back."""
    engine = sa.create_engine(f"sqlite:///{home / 'ledger.db'}")
    with engine.begin() as connection:
        connection.execute(sa.text(statement), values)
    engine.dispose()


def edit_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**read_json(path), **values}))


def results(home: Path) -> dict[str, Json]:
    """Everything that a sweep yields, by trial: metrics, evaluation rows, weights and curve."""
    found = {}
    for folder in sorted((home / "trials").glob("[!.]*")):
        weights, curve = folder / "model" / "model.safetensors", folder / "curve.json"
        found[folder.name] = {
            "metrics": read_json(folder / "result.json")["metrics"],
            "rows": {
                path.name: pa.ipc.open_file(path).read_all().to_pydict() for path in folder.glob("*.arrow")
            },
            "weights": {name: value.tolist() for name, value in load_file(weights).items()}
            if weights.exists()
            else {},
            "curve": [point["metrics"] for point in read_json(curve)] if curve.exists() else [],
        }
    return found


@contextmanager
def without_ray(stop_after: float = inf) -> Iterator[None]:
    """Let sweeps of this process run their jobs one after another, without Ray.

    After so many epochs the sweep is interrupted, in the middle of a job.
    """

    def run_jobs(
        queue: JobQueue,
        around: Any,
        resources: Any,
        max_failures: int,
        scratch: Path,
        hearer: Any,
        heart: Any,
        keep_workers: bool,
    ) -> None:
        left = stop_after
        for key in map(str, count()):
            if (job := queue.take(key)) is None:
                break
            trial = SimpleNamespace(trial_id=key, config={"job": job})

            def report(progress: Progress, trial: Any = trial) -> None:
                nonlocal left
                result = progress.to_result()
                ends = hearer.ends(trial.trial_id, result)
                hearer.on_trial_result(0, [], trial, result)
                left -= 1
                if ends or left <= 0:
                    raise SystemExit(0)  # as a session of Ray Tune does

            hearer.on_trial_start(0, [], trial)
            with suppress(SystemExit):
                execute(job, around, report)
            if left <= 0:
                raise KeyboardInterrupt
            hearer.on_trial_complete(0, [], trial)
            queue.ended(key)

    with (
        mock.patch("orchestrator.running.cluster.ray_cluster", lambda address, home: nullcontext()),
        mock.patch("orchestrator.running.tuning.run_jobs", run_jobs),
    ):
        yield
