"""What a GPU brings to the sweeps that ship: in half precision, shared by several trials, and beside the cores alone.

    ADAPTUNE_DATA=/path/to/data python -m benchmarks.gpu_presets [--sweeps recommendation …] [--cases shared-1 …]
        [--json FILE] [--seconds LIMIT] [--case-seconds LIMIT]

Every case is one `adaptune run` of a `sweeps/*-small.yaml`, in a process and a home folder of its own. All but
`whole` are of the model and the baseline with some seeds, for a few epochs, without ablations and controls:

- `shared-1`, `shared-2`, `shared-4`: the file's own model, so many trainings on the GPU at once;
- `larger`, `larger-half`: the larger model that the files name for a GPU, four at once, in 32 bits and in bf16-mixed;
- `cores`: the file's own model on the processor, a training on each core, as many trainings as cores, and no GPU;
- `whole`: all that the file asks for, with the larger model in bf16-mixed, four at once, and the comparison on the
  test part that comes of it, which goes into FILE.

Recommendation trains in batches of 256, not of 32 as its file says, so that a step has enough to do; so it does on
the cores, for comparison.

A row is printed after each case, and FILE is rewritten. `epoch s` is the median time of an epoch of the model with
its validation, without the first epoch of a training where there are others, as the first one also starts CUDA.
`epochs/min` is what all trainings that run at once would finish at this pace. `memory` is the most that the whole
card had in use. A case is interrupted, as by Ctrl-C, after `--case-seconds`: its wall time is marked with a `+`, and
metrics are those of the trials that were finished. No case begins that would end after `--seconds` if it took as long
as the longest of its task so far.

Without a GPU this ends with code 2, unless `--cases cores` asks for nothing else. `--device cpu --tiny` tries all
of it out on generated data, with cores in place of the GPU.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.data.store import prepare
from components.tasks import TASKS
from orchestrator.planning.plan import BASELINE_GRID, GRID, Planner
from orchestrator.records.workspace import read_curve, write_json
from orchestrator.spec.load import load_sweep
from orchestrator.sweep import Sweep

SWEEPS = Path(__file__).parents[1] / "sweeps"
BATCH = {"recommendation": ["training.batch_size=256"]}
LARGER = {
    "recommendation": ["model.embedding=128"],
    "question-answering": ["model.hidden=256", "model.embedding=200"],
    "captioning": ["model.hidden=384"],
}
"""The larger models of the lines on GPUs in the files; their larger pictures would need other data."""
EPOCHS = {"recommendation": 4, "question-answering": 2, "captioning": 2}
TINY = {
    "recommendation": ["data={source: synthetic, users: 60, items: 40, events: 12}"],
    "question-answering": ["data={source: synthetic, users: 60, articles: 8}"],
    "captioning": ["data={source: synthetic, users: 60, images: 60}"],
}
SEEDS = 2
"""Seeds of all cases but `cores`; each makes a training of the model and one of the baseline."""
HALF = ["training.precision=bf16-mixed"]
POLL = 0.5


@dataclass(frozen=True)
class Case:
    """One way to run a sweep."""

    name: str
    at_once: int
    """Trainings at once; 0 is one a core, without the GPU."""
    larger: bool = False
    half: bool = False
    whole: bool = False
    """All that the file asks for, and its comparison on the test part."""

    @property
    def precision(self) -> str:
        """What the sweep file calls it."""
        return "bf16-mixed" if self.half else "32-true"


CASES = (
    Case("shared-1", 1),
    Case("shared-4", 4),
    Case("larger-half", 4, larger=True, half=True),
    Case("larger", 4, larger=True),
    Case("cores", 0),
    Case("shared-2", 2),
    Case("whole", 4, larger=True, half=True, whole=True),
)
"""What matters most comes first, for a run that is cut off."""


def main() -> None:
    """Run the cases, print a row of each, and write all of them."""
    options = _options()
    gpu = _nvidia("name")
    needs_gpu = options.device == "gpu" and any(case.at_once for case in options.cases)
    if needs_gpu and not _cuda():
        print("no GPU that PyTorch can use; `--cases cores` needs none", file=sys.stderr)
        sys.exit(2)
    import torch

    document: dict[str, Any] = {
        "gpu": gpu[0] if gpu else None,
        "torch": torch.__version__,
        "cores": _cores(),
        "device": options.device,
        "tiny": options.tiny,
        "rows": [],
        "left_out": [],
    }
    print(f"{document['gpu'] or 'no GPU'}, torch {torch.__version__}, {_cores()} cores", flush=True)
    print(HEADER, flush=True)
    began, longest = time.monotonic(), {task: 0.0 for task in options.sweeps}
    with tempfile.TemporaryDirectory(prefix="gpu-presets-") as scratch:
        for case in options.cases:
            for task in options.sweeps:
                if time.monotonic() - began + longest[task] > options.seconds:
                    document["left_out"].append([task, case.name])
                    continue
                home = Path(scratch) / f"{task}-{case.name}"
                row = measure(task, case, home, options)
                longest[task] = max(longest[task], row["wall_seconds"])
                document["rows"].append(row)
                print(render(row), flush=True)
                if options.json:
                    write_json(options.json, document)
    if document["left_out"]:
        names = ", ".join(" ".join(pair) for pair in document["left_out"])
        print(f"left out for want of time: {names}", flush=True)
    if options.json:
        write_json(options.json, document)
    sys.exit(3 if any(row["failed"] for row in document["rows"]) else 0)


def measure(task: str, case: Case, home: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run one case and say what came of it."""
    file = SWEEPS / f"{task}-small.yaml"
    sets = overrides(task, case, options)
    spec = load_sweep(file, sets)
    shared = options.data or home / "data"
    prepare(spec.data, shared, TASKS[task].form)
    home.mkdir(parents=True, exist_ok=True)
    if options.data:
        (home / "data").symlink_to(options.data.resolve())
    code = "from orchestrator.cli.main import main; main()"
    command = [sys.executable, "-c", code, "run", str(file), "--home", str(home), "--json"]
    for each in sets:
        command += ["--set", each]
    started = time.perf_counter()
    with sampled_memory() as memory:
        stopped, error = _run(command, options.case_seconds)
    wall = time.perf_counter() - started
    if error:
        print(error, file=sys.stderr, flush=True)
    sweep = Sweep.load(file, sets, home=home)
    found = _found(sweep, spec.objective.metric)
    if case.whole and not (stopped or error):
        found["comparison"] = sweep.compare().to_json()
    at_once = min(case.at_once or _cores(), found["trainings"])
    epoch = found["epoch_seconds"]
    return {
        "task": task,
        "case": case.name,
        "precision": case.precision,
        "batch_size": spec.training.batch_size,
        "sets": sets,
        "gpu": spec.resources.gpu,
        "at_once": at_once,
        "wall_seconds": round(wall, 1),
        "epochs_a_minute": None if epoch is None else round(60 * at_once / epoch, 1),
        "gpu_memory_mib": max(memory, default=None),
        "interrupted": stopped,
        "failed": bool(error),
        **found,
    }


def overrides(task: str, case: Case, options: argparse.Namespace) -> list[str]:
    """What a case writes over the sweep's file."""
    sets = [f"name={task}-{case.name}", "tracking.enabled=false"]
    if not case.whole:
        seeds = list(range(_seeds(case, options)))
        sets += [f"seeds={seeds}", "ablations={}", "controls=[]", "grid={}"]
    if options.tiny or not case.whole:
        sets.append(f"training.epochs={1 if options.tiny else EPOCHS[task]}")
    sets += BATCH.get(task, []) + (LARGER[task] if case.larger else []) + (HALF if case.half else [])
    sets += TINY[task] if options.tiny else []
    if case.at_once and options.device == "gpu":
        sets.append(f"resources.gpu={1 / case.at_once:g}")
    elif case.at_once:
        sets.append(f"resources.cpu={max(1, _cores() // case.at_once)}")
    return sets


def _seeds(case: Case, options: argparse.Namespace) -> int:
    if options.tiny:
        return 1
    return SEEDS if case.at_once else max(1, _cores() // 2)


def _run(command: Sequence[str], limit: float) -> tuple[bool, str]:
    """Run `adaptune` for at most so many seconds: whether it had to be interrupted, and what went wrong."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command, stdout=said, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        stopped = False
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            stopped = True
            process.send_signal(signal.SIGINT)
            code = _ended(process)
        said.seek(0)
        expected = (0, 130) if stopped else (0,)
        return stopped, "" if code in expected else f"adaptune ended with code {code}:\n{said.read()[-4000:]}"


def _ended(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _found(sweep: Sweep, metric: str) -> dict[str, Any]:
    """Read the curves of all trainings, finished or not, and the metrics of the trials that are finished."""
    curves = {folder.name: read_curve(folder) for folder in sorted(sweep.workspace.runs.glob("*"))}
    points = [point for curve in curves.values() for point in curve]
    runs = {trial.run_id for trial in Planner(sweep.spec).grid().trials}
    models = [curve for name, curve in curves.items() if name.partition("-")[0] in runs]
    steady = [point for curve in models for point in curve[1:]] or [p for curve in models for p in curve]
    found: dict[str, Any] = {
        "trainings": len(curves),
        "epochs": len(points),
        "epoch_seconds": round(statistics.median(point["seconds"] for point in steady), 2)
        if steady
        else None,
        "metric": metric,
        "trials": {},
    }
    rows = sweep.ledger.trials()
    for phase, name in ((GRID, "model"), (BASELINE_GRID, "baseline")):
        members = sweep.ledger.members(sweep.spec.name, phase)
        done = [rows[member.trial_id] for member in members if member.trial_id in rows]
        values = [row.metrics for row in done if row.state == "finished" and row.metrics]
        found["trials"][name] = values
        mean = round(statistics.mean(one[metric] for one in values), 4) if values else None
        found[name] = mean
    return found


# The card, as its driver sees it


def _nvidia(field: str) -> list[str]:
    """Ask the driver for a field of each card; nothing where there is no driver."""
    command = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.split("\n")[:-1] if done.returncode == 0 else []


@contextmanager
def sampled_memory() -> Iterator[list[int]]:
    """Note twice a second how many MiB the first card has in use."""
    used: list[int] = []
    over = threading.Event()

    def sample() -> None:
        while not over.wait(POLL):
            said = _nvidia("memory.used")
            if not said:
                return
            if said[0].strip().isdigit():
                used.append(int(said[0]))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield used
    finally:
        over.set()
        thread.join()


def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _cores() -> int:
    return len(os.sched_getaffinity(0))


# What is printed

COLUMNS = ("task", "case", "precision", "at once", "trainings", "epochs", "epoch s", "epochs/min", "wall s",
           "memory MiB", "metric", "model", "baseline")  # fmt: skip
WIDTHS = (18, 12, 10, 7, 9, 6, 8, 10, 8, 10, 12, 7, 8)


def _line(values: Sequence[object]) -> str:
    return "  ".join(
        f"{'-' if value is None else value!s:{width}}" for value, width in zip(values, WIDTHS, strict=True)
    )


HEADER = _line(COLUMNS)


def render(row: dict[str, Any]) -> str:
    """Return a case's row."""
    wall = f"{row['wall_seconds']}{'+' if row['interrupted'] else ''}{' failed' if row['failed'] else ''}"
    values = [row[key] for key in ("task", "case", "precision", "at_once", "trainings", "epochs")]
    values += [row["epoch_seconds"], row["epochs_a_minute"], wall, row["gpu_memory_mib"]]
    return _line([*values, row["metric"], row["model"], row["baseline"]])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cases = {case.name: case for case in CASES}
    parser.add_argument("--sweeps", nargs="+", choices=EPOCHS, default=list(EPOCHS))
    parser.add_argument("--cases", nargs="+", choices=cases, default=list(cases))
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--tiny", action="store_true", help="generated data, one epoch, one seed")
    parser.add_argument("--data", type=Path, help="folder of prepared data sets, instead of preparing anew")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--case-seconds", type=float, default=100)
    options = parser.parse_args()
    options.cases = [case for name, case in cases.items() if name in options.cases]
    return options


if __name__ == "__main__":
    main()
