"""A training that is tried again goes on where it was, also past a trial that it has finished."""

from threading import Thread

import pytest

from components.data.store import prepare
from components.tasks import TASKS
from orchestrator.planning.identity import validity
from orchestrator.planning.plan import Planner
from orchestrator.records.workspace import Workspace, locked, read_json
from orchestrator.running.jobs import Progress, Reading, Surroundings, TrainJob
from orchestrator.running.worker import train
from tests.orchestrator.conftest import tiny_spec


class Died(Exception):
    """Stands for the end of a process."""


def test_what_an_earlier_attempt_has_finished_is_not_trained_again(workspace: Workspace) -> None:
    spec = tiny_spec(grid={"training.epochs": [1, 3]})
    trials = Planner(spec).grid().runs[0].trials
    workspace.create()
    folder = prepare(spec.data, workspace.data, TASKS[spec.task].form)
    readings = tuple(Reading(trial.id, trial.epochs, trial.config) for trial in trials)
    job = TrainJob(trials[0].run_id, "model", "model", str(folder), folder.name, readings)
    code = validity(spec.task)
    around = Surroundings(spec.name, spec.task, str(workspace.home), code, 1, "cpu", "tests", mirror=False)
    epochs: list[int] = []

    def dies_in_epoch_2(progress: Progress) -> None:
        epochs.append(progress.epoch)
        if progress.epoch == 2:
            raise Died

    first = workspace.trial(trials[0].id) / "result.json"
    with pytest.raises(Died):
        train(job, around, dies_in_epoch_2)
    written = first.stat().st_mtime_ns
    train(job, around, lambda progress: epochs.append(progress.epoch))
    assert epochs in ([1, 2, 3], [1, 2, 2, 3])  # the checkpoint of an epoch is written after its report
    assert first.stat().st_mtime_ns == written
    result = read_json(workspace.trial(trials[1].id) / "result.json")
    assert (result["epochs"], result["validity"]) == (3, code)
    with locked(workspace.lock_of(workspace.run(job.run_id, code))):
        another = Thread(target=train, args=(job, around, lambda progress: epochs.append(progress.epoch)))
        another.start()
        another.join(0.2)
        assert another.is_alive(), "nobody trains what somebody else is training"
    another.join(60)
    assert not another.is_alive() and len(epochs) <= 4, "what is finished is not begun"
