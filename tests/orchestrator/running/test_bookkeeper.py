"""What the ledger makes of the files that jobs leave, of this code and of older code."""

from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from components.metrics.rows import write_rows
from orchestrator.planning.identity import validity
from orchestrator.planning.plan import Planner
from orchestrator.records.adopt import adopt_unknown
from orchestrator.records.ledger import Ledger
from orchestrator.records.workspace import Workspace, write_json
from orchestrator.running.bookkeeper import Bookkeeper
from orchestrator.running.jobs import EvaluateJob, Look, Reading, TrainJob
from orchestrator.spec.sweep import SweepSpec
from tests.orchestrator.made_up import made_up_table

OLDER = "older code"


@pytest.fixture
def books(spec: SweepSpec, ledger: Ledger, workspace: Workspace) -> Bookkeeper:
    return Bookkeeper(spec, ledger, workspace, "digest")


@pytest.fixture
def job(spec: SweepSpec) -> TrainJob:
    trials = Planner(spec).grid().runs[0].trials
    readings = tuple(Reading(trial.id, trial.epochs, trial.config) for trial in trials)
    return TrainJob(trials[0].run_id, "model", "model", "folder", "digest", readings)


def leave_result(workspace: Workspace, job: TrainJob, reading: Reading, code: str) -> None:
    """Leave a trial's files as a worker does."""
    result: dict[str, Any] = {
        "task": "recommendation",
        "run": job.run_id,
        "data_digest": "digest",
        "seed": 0,
        "epochs": reading.epochs,
        "metrics": {"accuracy": 0.5},
        "parameters": 1,
        "validity": code,
        "seconds": 1.0,
        "mirror_problem": "",
    }
    folder = workspace.trial(reading.trial_id)
    write_json(folder / "config.json", reading.config.model_dump(mode="json"))
    write_json(folder / "result.json", result)
    (folder / "model").mkdir(exist_ok=True)
    save_file({"weight": np.zeros(1)}, folder / "model" / "model.safetensors")
    write_rows(made_up_table(0.6, 0, users=2), folder / "validation.arrow")


def leave_look(workspace: Workspace, trial_id: str, code: str) -> None:
    summary = {"part": "test", "control": "", "validity": code, "metrics": {"accuracy": 0.5}}
    write_json(workspace.trial(trial_id) / "test.json", summary)
    write_rows(made_up_table(0.6, 0, users=2), workspace.trial(trial_id) / "test.arrow")


def states(ledger: Ledger) -> list[str]:
    return sorted(row.state for row in ledger.trials().values())


def test_a_run_that_fails_later_keeps_the_trials_that_it_finished(
    books: Bookkeeper, ledger: Ledger, workspace: Workspace, job: TrainJob
) -> None:
    books.started(job)
    assert states(ledger) == ["running", "running"]
    leave_result(workspace, job, job.readings[0], validity("recommendation"))
    books.progressed(job)
    assert states(ledger) == ["finished", "running"]
    books.ended(job, "Traceback\nValueError: no", by_trial=True)
    assert states(ledger) == ["failed", "finished"]
    assert books.failures == {job.readings[1].trial_id: "Traceback\nValueError: no"}


@pytest.mark.parametrize("lost", ["model/model.safetensors", "validation.arrow"])
def test_a_result_without_its_files_is_not_that_of_a_training_that_failed(
    books: Bookkeeper, ledger: Ledger, workspace: Workspace, job: TrainJob, lost: str
) -> None:
    for reading in job.readings:
        leave_result(workspace, job, reading, validity("recommendation"))
        (workspace.trial(reading.trial_id) / lost).unlink()
    books.started(job)
    books.progressed(job)
    books.ended(job, "DivergedError: no", by_trial=True)
    assert states(ledger) == ["failed", "failed"] and len(books.failures) == 2 and not books.finished


def test_a_summary_without_its_rows_is_not_that_of_an_evaluation_that_failed(
    books: Bookkeeper, ledger: Ledger, workspace: Workspace, job: TrainJob
) -> None:
    reading = job.readings[0]
    leave_result(workspace, job, reading, validity("recommendation"))
    leave_look(workspace, reading.trial_id, validity("recommendation"))
    (workspace.trial(reading.trial_id) / "test.arrow").write_bytes(b"half")
    look = EvaluateJob(reading.trial_id, "model", "model", "folder", reading.config, (Look("test"),))
    books.ended(look, "ValueError: no", by_trial=True)
    assert list(books.failures) == [f"{reading.trial_id} on test"] and ledger.test_looks("digest") == 0


def test_what_the_surroundings_ended_is_interrupted_and_counted(
    books: Bookkeeper, ledger: Ledger, job: TrainJob
) -> None:
    books.started(job)
    books.interrupted(job)
    books.ended(job, "its worker process died", by_trial=False)
    assert states(ledger) == ["interrupted", "interrupted"]
    assert {row.attempts for row in ledger.trials().values()} == {2}
    books.left(job, "the sweep was stopped")
    assert {row.cause for row in ledger.trials().values()} == {"the sweep was stopped"}
    for expected in (3, 4, 1):  # the fourth is one too many, and `--retry-failed` begins anew
        books.started(job)
        books.ended(job, "its worker process died", by_trial=False)
        assert {row.attempts for row in ledger.trials().values()} == {expected}


def test_a_result_of_older_code_does_not_stand_in_for_a_new_one(
    books: Bookkeeper, ledger: Ledger, workspace: Workspace, job: TrainJob
) -> None:
    for reading in job.readings:
        leave_result(workspace, job, reading, OLDER)
    assert len(adopt_unknown(ledger, workspace)) == 2
    books.started(job)
    books.ended(job, "ValueError: no", by_trial=True)
    assert adopt_unknown(ledger, workspace) == [], "a failure is not forgotten for a result that is older"
    assert states(ledger) == ["failed", "failed"]


def test_an_interrupted_trial_falls_back_on_its_older_result(
    books: Bookkeeper, ledger: Ledger, workspace: Workspace, job: TrainJob
) -> None:
    leave_result(workspace, job, job.readings[0], OLDER)
    books.started(job)
    adopt_unknown(ledger, workspace)
    assert ledger.trials()[job.readings[0].trial_id].validity == OLDER


def test_a_look_is_counted_once_however_its_driver_ended(
    books: Bookkeeper, ledger: Ledger, workspace: Workspace, job: TrainJob
) -> None:
    reading, code = job.readings[0], validity("recommendation")
    look = EvaluateJob(reading.trial_id, "model", "model", "folder", reading.config, (Look("test"),))
    leave_result(workspace, job, reading, code)
    leave_look(workspace, reading.trial_id, OLDER)
    books.ended(look, "ValueError: no", by_trial=True)
    assert books.failures == {f"{reading.trial_id} on test": "ValueError: no"}
    assert ledger.test_looks("digest") == 0
    leave_look(workspace, reading.trial_id, code)
    for _ in range(2):
        adopt_unknown(ledger, workspace)
        assert ledger.test_looks("digest") == 1


def test_damaged_results_are_passed_over(ledger: Ledger, workspace: Workspace, job: TrainJob) -> None:
    for reading in job.readings:
        leave_result(workspace, job, reading, OLDER)
    (workspace.trial(job.readings[0].trial_id) / "result.json").write_text('{"task": ')
    (workspace.trial(job.readings[1].trial_id) / "config.json").write_bytes(b"\xff")
    workspace.trials.joinpath(f".{job.readings[0].trial_id}.unfinished").mkdir()
    workspace.trials.joinpath("a-file").write_text("")
    assert adopt_unknown(ledger, workspace) == []
