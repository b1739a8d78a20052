"""What a sweep costs beside the same trainings without Adaptune.

    python -m benchmarks.sweep_overhead [--seconds 5 15 45] [--points 8] [--cores 2] [--mirror] [--json FILE]

The trainings of a sweep (synthetic recommendation; the model and the baseline, each at as many points as the paper's
grid has, one seed) are run in four ways, each in a process of its own, timed from its start to its end:

- `adaptune`: `adaptune run`.
- `tune-reused`: a function for Ray Tune, with reused workers.
- `tune`: the same with Tune's defaults, a new process a trial.
- `loop`: one Lightning fit after the other.

All train through the same Lightning module and `fit`, evaluate on validation after every epoch, save weights and
rows, and evaluate the best model and the best baseline on the validation and the test part with all slices. Adaptune
also keeps its ledger and evaluates the trivial rows; the mirror for Weights & Biases, which the others do without, is
switched off, unless `--mirror` asks for it. The validation metrics of every trial must be equal in all four, and no
training is shared.

The speed of many machines drifts by more than the limits allow, so every way runs twice, there and back (adaptune,
tune-reused, tune, loop, loop, tune, tune-reused, adaptune); the mean of the two counts, in which an even drift
cancels.

A last comparison has the shape of the paper's grid, epochs in its ratio of 2:5 and trials of 15 s in the mean, where
Adaptune trains each run once and reads it twice; the Tune script trains every point.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from components.config import TrialConfig
from components.metrics.rows import macro, write_rows
from components.tasks import TASKS
from orchestrator.planning.plan import Planner
from orchestrator.spec.load import load_sweep
from orchestrator.sweep import Sweep

TASK = "recommendation"
GROUP = TASKS[TASK].main_group
METRIC = "accuracy"
PARTS = ("validation", "test")
WAYS = ("adaptune", "tune-reused", "tune", "loop")
LIMITS = {"tune-reused": 1.05, "loop": 0.6}
"""Largest share of another way's wall time that Adaptune may take."""
LOOP_FROM = 15
"""Seconds of a trial from which on the loop's limit counts: starting Ray takes its time."""
SHARED_LIMIT = 0.78
SHORT, LONG = 2, 5
"""The paper's 20 and 50 epochs, scaled down."""
GRID_SECONDS = 15
"""Mean length of its trials: it has as many users as make epochs long enough."""

SWEEP = """
name: {name}
task: recommendation
data: {{source: synthetic, users: {users}, items: 160, events: 40}}
model:
  personalization: {{layers: 1, hidden: 64, window: 20}}
  embedding: 32
training: {{epochs: {epochs}, batch_size: 32}}
grid:
  training.learning_rate: {rates}
{more}
seeds: [0]
tracking: {{enabled: {mirror}}}
"""


@dataclass(frozen=True)
class Case:
    """A sweep file, and the trials that are to be trained without it."""

    name: str
    file: Path
    trials: dict[str, TrialConfig]
    """By id."""
    baselines: frozenset[str]
    """Ids of those that are the baseline."""

    @classmethod
    def of(
        cls,
        name: str,
        folder: Path,
        users: int,
        epochs: int,
        points: int,
        grid: str = "",
        mirror: bool = False,
    ) -> "Case":
        """Write the sweep file with so many learning rates."""
        rates = json.dumps([round(3e-3 * 0.8**number, 6) for number in range(points)])
        file = folder / f"{name}.yaml"
        text = SWEEP.format(
            name=name, users=users, epochs=epochs, rates=rates, more=grid, mirror=json.dumps(mirror)
        )
        file.write_text(text, encoding="utf-8")
        planner = Planner(load_sweep(file))
        model, baseline = planner.grid().trials, planner.baseline_grid().trials
        trials = {trial.id: trial.config for trial in (*model, *baseline)}
        return cls(name, file, trials, frozenset(trial.id for trial in baseline))

    def to_json(self) -> dict[str, Any]:
        """Return what a rival's process is given."""
        trials = {key: config.model_dump(mode="json") for key, config in self.trials.items()}
        return {"trials": trials, "baselines": sorted(self.baselines)}


# What the rivals do


def train(config: TrialConfig, folder: Path, out: Path, report: Callable[[dict[str, float]], None]) -> float:
    """Train, evaluate on validation and save, as one would by hand; return the best model's criterion."""
    import safetensors.torch

    from components.training import EpochReport, fit

    task = TASKS[TASK].load()
    data = task.open_data(folder)
    module = task.build(config, data)
    last: list[pa.Table] = []

    def on_epoch(epoch: EpochReport, _: Any) -> None:
        last[:] = [epoch.rows]
        report(epoch.metrics)

    fit(
        task, module, data, config.training, config.training.epochs,
        group=GROUP, checkpoint_folder=out / "checkpoint", on_epoch=on_epoch,
    )  # fmt: skip
    rows = last[0]
    write_rows(rows, out / "validation.arrow")
    safetensors.torch.save_file(module.model.state_dict(), out / "model.safetensors")
    found = macro(rows, GROUP)
    (out / "metrics.json").write_text(json.dumps(found), encoding="utf-8")
    return found[METRIC]


def conclude(trials: dict[str, TrialConfig], baselines: Sequence[str], folder: Path, out: Path) -> None:
    """Evaluate the best model and the best baseline with all slices, on validation and test."""
    import safetensors.torch

    task = TASKS[TASK].load()
    data = task.open_data(folder)
    value = {key: json.loads((out / key / "metrics.json").read_text())[METRIC] for key in trials}
    for kind in (set(trials) - set(baselines), set(baselines)):
        best = max(sorted(kind), key=value.__getitem__)
        module = task.build(trials[best], data)
        module.model.load_state_dict(safetensors.torch.load_file(out / best / "model.safetensors"))
        for part in PARTS:
            write_rows(task.evaluate(module, data, part), out / best / f"{part}.arrow")


def rival(way: str, given: Path, out: Path, cores: int) -> None:
    """Run all trials of a case in this process or under Tune."""
    case = json.loads(given.read_text(encoding="utf-8"))
    trials = {key: TrialConfig.model_validate(config) for key, config in case["trials"].items()}
    config = next(iter(trials.values()))
    folder = TASKS[TASK].load().prepare(config.data, out / "data")
    for key in trials:
        (out / key).mkdir()
    if way == "loop":
        for key, config in trials.items():
            train(config, folder, out / key, report=lambda metrics: None)
    else:
        tune_trials(trials, folder, out, cores, reuse=way == "tune-reused")
    conclude(trials, case["baselines"], folder, out)


def tune_trials(trials: dict[str, TrialConfig], folder: Path, out: Path, cores: int, reuse: bool) -> None:
    """One Tune trial each, one core a trial."""
    import ray
    from ray import tune

    def work(config: dict[str, Any]) -> None:
        key = config["trial"]
        train(trials[key], folder, out / key, report=lambda metrics: tune.report(metrics))

    ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False)
    tuner = tune.Tuner(
        tune.with_resources(work, {"cpu": 1}),
        param_space={"trial": tune.grid_search(list(trials))},
        tune_config=tune.TuneConfig(reuse_actors=reuse),
        run_config=tune.RunConfig(name="tune", storage_path=str(out / "tune"), verbose=0),
    )
    results = tuner.fit()
    ray.shutdown()
    if results.num_errors:
        raise RuntimeError(f"{results.num_errors} trials failed: {results.errors[0]}")


# What is measured


@dataclass(frozen=True)
class Timed:
    """A way's wall time, and what each trial achieved."""

    seconds: float
    metrics: dict[str, dict[str, float]]


def run(way: str, case: Case, cores: int) -> Timed:
    """Run a case in a process of its own, in an empty folder."""
    with tempfile.TemporaryDirectory(prefix=f"{case.name}-{way}-") as place:
        out = Path(place)
        given = out / "case.json"
        given.write_text(json.dumps(case.to_json()), encoding="utf-8")
        if way == "adaptune":
            code = "from orchestrator.cli.main import main; main()"
            command = [sys.executable, "-c", code, "run", str(case.file), "--home", str(out)]
        else:
            options = ["--way", way, "--given", str(given), "--out", str(out), "--cores", str(cores)]
            command = [sys.executable, "-m", "benchmarks.sweep_overhead", *options]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"}
        started = time.perf_counter()
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        seconds = time.perf_counter() - started
        if done.returncode:
            raise RuntimeError(f"{way} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        return Timed(seconds, _metrics(way, case, out))


def _metrics(way: str, case: Case, out: Path) -> dict[str, dict[str, float]]:
    """Return each trial's metrics, without those that are undefined."""
    if way != "adaptune":
        found = {key: json.loads((out / key / "metrics.json").read_text()) for key in case.trials}
        return {key: {name: v for name, v in one.items() if v == v} for key, one in found.items()}
    rows = Sweep.load(case.file, home=out).ledger.trials(list(case.trials))
    return {key: dict(rows[key].metrics or {}) for key in case.trials}


@dataclass(frozen=True)
class Pace:
    """What a training alone in a process takes, in seconds, the mean of the model's and of the baseline's."""

    fixed: float
    epoch: float

    def epochs(self, seconds: float) -> int:
        """Return how many epochs make up a trial of so many seconds."""
        return max(1, round((seconds - self.fixed) / self.epoch))

    @classmethod
    def measure(cls, folder: Path, users: int) -> "Pace":
        """Time a short and a longer training of both, after a first one that loads what all need."""
        taken: dict[int, list[float]] = {1: [], 5: []}
        for epochs in (1, 1, 5):
            case = Case.of(f"probe-{epochs}", folder, users, epochs, points=1)
            taken[epochs] = []
            for config in case.trials.values():
                data = TASKS[TASK].load().prepare(config.data, folder / "data")
                with tempfile.TemporaryDirectory(dir=folder) as out:
                    started = time.perf_counter()
                    train(config, data, Path(out), report=lambda metrics: None)
                    taken[epochs].append(time.perf_counter() - started)
        short, long = statistics.mean(taken[1]), statistics.mean(taken[5])
        epoch = (long - short) / 4
        return cls(short - epoch, epoch)


def compare(case: Case, ways: Sequence[str], cores: int) -> dict[str, Any]:
    """Run a case in several ways, and say what Adaptune takes of the others' time; raise if they differ.

    Each way runs twice, there and back.
    """
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    ours: dict[str, dict[str, float]] = {}
    for way in (*ways, *reversed(ways)):
        timed = run(way, case, cores)
        print(f"{case.name}: {way} {timed.seconds:.1f} s", flush=True)
        seconds[way].append(timed.seconds)
        ours = ours or timed.metrics
        different = [key for key in case.trials if ours[key] != timed.metrics[key]]
        if different:
            raise RuntimeError(
                f"{case.name}: {way} has other metrics than {ways[0]} in {', '.join(different)}"
            )
    mean = {way: statistics.mean(times) for way, times in seconds.items()}
    return {
        "case": case.name,
        "trials": len(case.trials),
        "seconds": {way: [round(time, 1) for time in times] for way, times in seconds.items()},
        "adaptune_share_of": {
            way: round(mean["adaptune"] / mean[way], 3) for way in ways if way != "adaptune"
        },
    }


def main() -> None:
    """Measure all cases, print a line each, and exit with 1 where a limit is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seconds", type=float, nargs="*", default=[5, 15, 45], help="so long is a trial, the mean of all"
    )
    parser.add_argument(
        "--points",
        type=int,
        default=8,
        help="learning rates, for the model and for the baseline; as many as the paper's grid has points",
    )
    parser.add_argument("--users", type=int, default=600)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--no-shared", action="store_true", help="leave out the paper's grid")
    parser.add_argument(
        "--mirror", action="store_true", help="Adaptune also writes runs for Weights & Biases"
    )
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.add_argument("--way", choices=WAYS[1:], help=argparse.SUPPRESS)
    parser.add_argument("--given", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        rival(options.way, options.given, options.out, options.cores)
        return
    results, missed = [], []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        pace = Pace.measure(folder, options.users)
        print(f"a trial takes {pace.fixed:.1f} s and {pace.epoch:.2f} s an epoch", flush=True)
        for seconds in options.seconds:
            epochs = pace.epochs(seconds)
            name = f"trials-of-{seconds:g}-s"
            case = Case.of(name, folder, options.users, epochs, options.points, mirror=options.mirror)
            result = compare(case, WAYS, options.cores)
            results.append(result)
            missed += [
                f"{case.name}: {result['adaptune_share_of'][way]} of {way}, at most {limit}"
                for way, limit in LIMITS.items()
                if result["adaptune_share_of"][way] > limit and (way != "loop" or seconds >= LOOP_FROM)
            ]
        if not options.no_shared:
            grid = f"  training.batch_size: [16, 32]\n  training.epochs: [{SHORT}, {LONG}]\n"
            epoch = (GRID_SECONDS - pace.fixed) / statistics.mean((SHORT, LONG))
            users = max(50, round(options.users * epoch / pace.epoch))
            case = Case.of("paper-grid", folder, users, LONG, points=2, grid=grid, mirror=options.mirror)
            result = compare(case, ("adaptune", "tune-reused"), options.cores)
            results.append(result)
            share = result["adaptune_share_of"]["tune-reused"]
            if share > SHARED_LIMIT:
                missed.append(f"paper-grid: {share} of tune-reused, at most {SHARED_LIMIT}")
    for result in results:
        print(json.dumps(result))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
