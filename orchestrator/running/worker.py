"""What happens inside a worker: one job at a time, in a process that Tune keeps warm between jobs.

A worker writes complete result folders and renames them into place. It never writes the ledger.
"""

import json
import logging
import shutil
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.config import TrialConfig
from components.tasks import TASKS
from orchestrator.planning.environment import environment
from orchestrator.planning.identity import validity
from orchestrator.records.adopt import TRAINED, is_whole, read_whole
from orchestrator.records.spent import Spent
from orchestrator.records.workspace import Workspace, folder_in_place, locked, read_curve, write_json
from orchestrator.running.jobs import (
    EvaluateJob,
    Job,
    Look,
    Progress,
    Reading,
    Surroundings,
    TrainJob,
    TrivialJob,
)
from orchestrator.running.usage import Meter

if TYPE_CHECKING:
    import pyarrow as pa

    from orchestrator.running.mirror import Mirror

Report = Callable[[Progress], None]

NOT_THE_TRIALS_FAULT = (OSError, MemoryError)
"""Disk full, storage gone, out of memory: raised, so that Tune tries again."""

_log = logging.getLogger("adaptune.worker")


def execute(job: Job, around: Surroundings, report: Report) -> None:
    """Do one job. A trial's own error is reported as its failure; one of its surroundings is raised."""
    import torch

    torch.set_num_threads(around.threads)
    try:
        check_code(around)
        match job:
            case TrainJob():
                train(job, around, report)
            case EvaluateJob():
                evaluate(job, around)
            case TrivialJob():
                evaluate_trivial(job, around)
    except NOT_THE_TRIALS_FAULT:
        report(Progress(failure=traceback.format_exc()))
        raise
    except Exception:  # noqa: BLE001  whatever a model does wrong is its trial's result; the sweep goes on
        report(Progress(failure=traceback.format_exc()))


def check_code(around: Surroundings) -> None:
    """Refuse to record under one state of the code what another has computed."""
    if validity(around.task) != around.validity:
        raise RuntimeError(
            "the code or the torch version of this worker is not that of the driver: it was changed while the sweep "
            "was running, or this node has another installation; run the sweep again"
        )


@lru_cache(maxsize=2)
def _open(task: str, folder: str) -> Any:
    return TASKS[task].load().open_data(Path(folder))


def train(job: TrainJob, around: Surroundings, report: Report) -> None:
    """Train one run, from its last checkpoint if it has one, and finish each trial at its epoch.

    At an epoch's end first the trial that is due is finished, then the curve grows, then `fit` writes the
    checkpoint: whenever the process dies, what is repeated yields the same again and nothing is left out. Where
    another sweep trains the same run at the same time, this one waits, and takes what the other has finished.
    """
    workspace = Workspace(Path(around.home))
    lock = workspace.lock_of(workspace.run(job.run_id, around.validity))
    lock.parent.mkdir(parents=True, exist_ok=True)
    with locked(lock):
        readings = [reading for reading in job.readings if not _is_read(workspace, reading.trial_id, around)]
        if readings:
            _train(job, readings, workspace, around, report)


def _train(
    job: TrainJob,
    readings: Sequence[Reading],
    workspace: Workspace,
    around: Surroundings,
    report: Report,
) -> None:
    """Train for those of the job's readings that are not there yet."""
    from components.training import EpochReport, fit
    from orchestrator.running.peers import team_of

    folder = workspace.run(job.run_id, around.validity)
    points = read_curve(folder)
    if not 0 < len(points) < readings[0].epochs:
        # The curve is lost, or the checkpoint lies beyond the first epoch that is to be read: train anew.
        shutil.rmtree(folder, ignore_errors=True)
        points = []
    folder.mkdir(parents=True, exist_ok=True)
    curve = {point["epoch"]: point for point in points}
    waiting = {reading.epochs: reading for reading in readings}
    meter, used = Meter(), 0.0
    task = TASKS[around.task].load()
    data = _open(around.task, job.data_folder)
    config = job.readings[-1].config
    module = task.build(config, data)
    with _logging_to(folder / "log.txt"), _mirror(around) as mirror:
        _log.info("training run %s, to be read after epochs %s", job.run_id, list(waiting))
        for reading in readings:
            _open_run(mirror, reading.trial_id, reading.config, job, around, curve.values())

        def on_epoch(epoch: EpochReport, module: Any) -> None:
            nonlocal used
            before, used = used, meter.cpu_seconds
            curve[epoch.epoch] = {
                "epoch": epoch.epoch,
                "metrics": epoch.metrics,
                "seconds": epoch.seconds,
                "cpu_seconds": used - before,
                "peak_memory": meter.peak_memory,
            }
            _log.info("epoch %d: %s", epoch.epoch, json.dumps(epoch.metrics))
            for reading in waiting.values():
                mirror.log(reading.trial_id, epoch.epoch, epoch.metrics)
            if epoch.epoch in waiting:
                reading = waiting.pop(epoch.epoch)
                slices = _slices({"validation": epoch.rows})
                mirror.close(reading.trial_id, _macro(epoch.rows, around), tables={"slices": slices})
                with folder_in_place(workspace.trial(reading.trial_id)) as place:
                    points = [curve[number] for number in sorted(curve) if number <= epoch.epoch]
                    write_json(place / "curve.json", points)
                    write_json(place / "config.json", reading.config.model_dump(mode="json"))
                    _save_model(task, module, data, place / "model")
                    shutil.copyfile(place / "config.json", place / "model" / "config.json")
                    shutil.copyfile(folder / "log.txt", place / "log.txt")
                    _write_result(
                        place,
                        epoch.rows,
                        around,
                        trial=reading.trial_id,
                        run=job.run_id,
                        data_digest=job.data_digest,
                        seed=config.training.seed,
                        epochs=reading.epochs,
                        parameters=sum(parameter.numel() for parameter in module.model.parameters()),
                        **asdict(Spent.by_epochs(points)),
                        mirror_problem="; ".join(mirror.problems),
                    )
            write_json(folder / "curve.json", [curve[number] for number in sorted(curve)], indent=None)
            report(Progress(epoch.epoch, epoch.metrics))

        with team_of(job, around) as team:
            fit(
                task,
                module,
                data,
                config.training,
                job.epochs,
                group=TASKS[around.task].main_group,
                checkpoint_folder=folder,
                on_epoch=on_epoch,
                threads=around.threads,
                accelerator=around.accelerator,
                team=team,
            )


def _is_read(workspace: Workspace, trial_id: str, around: Surroundings) -> bool:
    """Whether an earlier attempt at this training has finished the trial."""
    result = read_whole(workspace.trial(trial_id) / "result.json")
    return (
        result is not None
        and result["validity"] == around.validity
        and is_whole(workspace, trial_id, *TRAINED)
    )


def evaluate(job: EvaluateJob, around: Surroundings) -> None:
    """Evaluate a finished trial's weights; each look's rows and summary are written beside them."""
    from safetensors.torch import load_file

    from components.training import subnormals_as_zero

    task = TASKS[around.task].load()
    data = _open(around.task, job.data_folder)
    folder = Workspace(Path(around.home)).trial(job.trial_id)
    module = task.build(job.config, data)
    module.model.load_state_dict(load_file(folder / "model" / "model.safetensors"))
    if around.accelerator == "gpu":
        module.cuda()
    for look in job.looks:
        meter = Meter()
        # A control says whether a gain is lost; where along the history it is lost, nobody asks.
        slices = not look.control
        with subnormals_as_zero():
            rows = task.evaluate(module, data, look.part, control=look.control or None, slices=slices)
        spent = asdict(meter.spent)
        problem = _mirror_test(job, around, folder, rows) if look == Look("test") else ""
        _write_look(folder, look, rows, around, mirror_problem=problem, **spent)


def evaluate_trivial(job: TrivialJob, around: Surroundings) -> None:
    """Compute the rows of the trivial baselines on both parts."""
    task = TASKS[around.task].load()
    data = _open(around.task, job.data_folder)
    for trial_id, name in job.names:
        meter = Meter()
        validation, test = (task.trivial(name, data, part) for part in ("validation", "test"))
        with folder_in_place(Workspace(Path(around.home)).trial(trial_id)) as place:
            write_json(place / "config.json", {"task": around.task, "trivial": name})
            _write_look(place, Look("test"), test, around)
            spent = meter.spent  # on both parts
            _write_result(
                place,
                validation,
                around,
                trial=trial_id,
                run=trial_id,
                data_digest=job.data_digest,
                seed=0,
                epochs=0,
                parameters=0,
                **asdict(spent),
                mirror_problem="",
            )


def _write_result(place: Path, rows: Any, around: Surroundings, **values: Any) -> None:
    """Write the validation rows and, last of all, the summary that makes the folder a result."""
    from components.metrics.rows import write_rows

    write_rows(rows, place / "validation.arrow")
    shared = {
        "task": around.task,
        "validity": around.validity,
        "environment": environment(around.accelerator),
    }
    write_json(place / "result.json", {**values, **shared, "metrics": _macro(rows, around)})


def _write_look(folder: Path, look: Look, rows: Any, around: Surroundings, **values: Any) -> None:
    from components.metrics.rows import write_rows

    write_rows(rows, folder / f"{look.stem}.arrow")
    summary = {
        **values,
        "part": look.part,
        "control": look.control,
        "validity": around.validity,
        "metrics": _macro(rows, around),
    }
    write_json(folder / f"{look.stem}.json", summary)


def _mirror(around: Surroundings) -> "Mirror":
    from orchestrator.running.mirror import Mirror

    folder = Workspace(Path(around.home)).mirror
    return Mirror(around.project, around.sweep, enabled=around.mirror, folder=folder)


def _open_run(
    mirror: "Mirror",
    trial_id: str,
    config: TrialConfig,
    job: TrainJob | EvaluateJob,
    around: Surroundings,
    curve: Iterable[Mapping[str, Any]],
) -> None:
    """Open a trial's run in the mirror, with what its curve has so far."""
    tags = [job.name, around.task, f"seed {config.training.seed}"]
    mirror.open(trial_id, config.model_dump(mode="json"), role=job.role, tags=tags, code=around.validity)
    for point in curve:
        mirror.log(trial_id, point["epoch"], point["metrics"])


def _mirror_test(job: EvaluateJob, around: Surroundings, folder: Path, rows: Any) -> str:
    """Take up a finished trial's run, to add what the test part says; return what went wrong."""
    from components.metrics.rows import read_rows

    validation = read_rows(folder / "validation.arrow")
    tested = {f"test/{name}": value for name, value in _macro(rows, around).items()}
    with _mirror(around) as mirror:
        _open_run(mirror, job.trial_id, job.config, job, around, read_curve(folder))
        slices = _slices({"validation": validation, "test": rows})
        mirror.close(job.trial_id, _macro(validation, around) | tested, tables={"slices": slices})
    return "; ".join(mirror.problems)


def _slices(parts: Mapping[str, Any]) -> "pa.Table":
    """Return the means of every slice of each part, in one table."""
    import pyarrow as pa

    from components.metrics.rows import slice_means

    tables = [
        means.add_column(0, "part", pa.array([part] * len(means)))
        for part, means in ((part, slice_means(rows)) for part, rows in parts.items())
    ]
    return pa.concat_tables(tables, promote_options="default")


def _macro(rows: Any, around: Surroundings) -> dict[str, float]:
    """Return the means over the main group with full histories, without metrics that none of its rows has."""
    from components.metrics.rows import macro

    group = TASKS[around.task].main_group
    return {name: value for name, value in macro(rows, group).items() if value == value}


def _save_model(task: Any, module: Any, data: Any, folder: Path) -> None:
    """Write all that serving needs, whole, so that promoting a trial is copying this folder."""
    from safetensors.torch import save_file

    folder.mkdir()
    weights = {name: tensor.contiguous() for name, tensor in module.model.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    task.export(module, data, folder)


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Send this process's log records and warnings to a run's log file."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()
