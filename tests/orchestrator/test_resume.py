"""What survives when processes die: kill -9 of a worker and of the driver, in mid-sweep."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest
import yaml
from safetensors.numpy import load_file

from orchestrator.records.ledger import Ledger
from orchestrator.records.workspace import Workspace, read_json
from tests.orchestrator.conftest import TINY

EPOCHS = 16
"""Enough for a run to be caught in its middle."""
SWEEP: dict[str, Any] = {
    **TINY,
    "grid": {"training.learning_rate": [0.01, 0.003], "training.epochs": [EPOCHS // 2, EPOCHS]},
    "seeds": [0],
    "ablations": {},
}


def start(home: Path, sweep: dict[str, Any] = SWEEP) -> subprocess.Popen[str]:
    path = home.parent / f"{home.name}.yaml"
    path.write_text(yaml.safe_dump(sweep))
    command = [sys.executable, "-m", "orchestrator.cli.main", "run", str(path), "--home", str(home), "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0, out
    return json.loads(out)


def wait_for_epochs(home: Path, process: subprocess.Popen[str]) -> None:
    """Wait until some training run is well under way, but none has been read for the first time."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, "the sweep ended before it could be disturbed"
        curves = list((home / "runs").glob("*/curve.json"))
        if any(len(read_json(curve)) >= 3 for curve in curves):
            return
        time.sleep(0.02)
    pytest.fail("no training run got under way")


def training_workers(driver: int) -> list[psutil.Process]:
    """The driver's Ray workers that hold a trial."""
    children = psutil.Process(driver).children(recursive=True)
    return [child for child in children if "ImplicitFunc" in " ".join(child.cmdline())]


def results(home: Path) -> dict[str, Any]:
    """Everything that a sweep yields: metrics, evaluation rows, weights, by trial."""
    found = {}
    for folder in sorted((home / "trials").iterdir()):
        rows = {path.name: pa.ipc.open_file(path).read_all() for path in folder.glob("*.arrow")}
        weights = folder / "model" / "model.safetensors"
        curve = folder / "curve.json"
        found[folder.name] = {
            "metrics": read_json(folder / "result.json")["metrics"],
            "rows": rows,
            "weights": load_file(weights) if weights.exists() else {},
            "curve": [point["metrics"] for point in read_json(curve)] if curve.exists() else [],
        }
    return found


def assert_same(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert left.keys() == right.keys()
    for trial, result in left.items():
        other = right[trial]
        assert result["metrics"] == other["metrics"], trial
        assert result["curve"] == other["curve"], trial
        assert result["rows"].keys() == other["rows"].keys()
        assert all(table.equals(other["rows"][name]) for name, table in result["rows"].items()), trial
        assert result["weights"].keys() == other["weights"].keys()
        assert all((value == other["weights"][name]).all() for name, value in result["weights"].items()), (
            trial
        )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    outcome = finish(start(home))
    assert (outcome["finished"], outcome["failed"], outcome["skipped"]) == (8, 0, 0)
    again = finish(start(home))
    assert (again["finished"], again["skipped"]) == (0, 8)
    assert again["best"] == outcome["best"]
    return results(home)


@pytest.mark.xdist_group("resume")
def test_a_killed_worker_costs_nothing_but_time(undisturbed: dict[str, Any], tmp_path: Path) -> None:
    home = tmp_path / "home"
    process = start(home)
    wait_for_epochs(home, process)
    workers = training_workers(process.pid)
    assert workers, "no worker holds a trial"
    workers[0].send_signal(signal.SIGKILL)
    outcome = finish(process)
    assert (outcome["finished"], outcome["failed"]) == (8, 0)
    assert_same(results(home), undisturbed)
    rows = Ledger(Workspace(home).ledger_url).trials().values()
    assert sum(row.attempts for row in rows) >= 1


@pytest.mark.xdist_group("resume")
def test_a_killed_driver_is_resumed_by_the_same_command(undisturbed: dict[str, Any], tmp_path: Path) -> None:
    home = tmp_path / "home"
    process = start(home)
    wait_for_epochs(home, process)
    workers = training_workers(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    psutil.wait_procs(workers, timeout=30)
    done = {path.parent.name: path.stat().st_mtime_ns for path in (home / "trials").glob("[!.]*/result.json")}
    outcome = finish(start(home))
    assert outcome["finished"] + outcome["skipped"] == 8 and outcome["failed"] == 0
    assert_same(results(home), undisturbed)
    now = {trial: (home / "trials" / trial / "result.json").stat().st_mtime_ns for trial in done}
    assert now == done, "a finished trial was repeated"
