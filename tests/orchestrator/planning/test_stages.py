"""What a sweep does side by side, and what waits for a choice."""

import random
from pathlib import Path

import pytest

from orchestrator.planning.identity import validity
from orchestrator.planning.plan import FINAL, PlannedTrial, Planner
from orchestrator.planning.stages import Stages
from orchestrator.records.ledger import Ledger
from orchestrator.records.workspace import Workspace
from orchestrator.running.jobs import EvaluateJob, Job, Look, TrainJob
from orchestrator.running.queue import JobQueue
from orchestrator.spec.sweep import SweepSpec
from tests.orchestrator.conftest import tiny_spec
from tests.orchestrator.planning.test_plan import record


@pytest.fixture(autouse=True)
def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """No trial leaves files here."""
    monkeypatch.setattr("orchestrator.planning.stages.is_whole", lambda *_: True)


class Sweep:
    """A sweep whose jobs are taken and ended by hand."""

    def __init__(self, spec: SweepSpec, folder: Path) -> None:
        self.spec = spec
        self.ledger = Ledger(Workspace(folder).ledger_url)
        self.queue = JobQueue(Stages(spec, self.ledger, Workspace(folder), folder))
        self.running: dict[str, Job] = {}
        self.taken: list[Job] = []

    def take_all(self) -> list[Job]:
        """Take what waits for nothing."""
        jobs = []
        while job := self.queue.take(key := str(len(self.taken))):
            self.running[key] = job
            self.taken.append(job)
            jobs.append(job)
        return jobs

    def end(self, key: str, accuracy: float = 0.5) -> None:
        """End a job; a training's trials are finished with this accuracy."""
        job = self.running.pop(key)
        if isinstance(job, TrainJob):
            for reading in job.readings:
                trial = PlannedTrial(reading.trial_id, job.run_id, job.name, {}, reading.config)
                code = validity(self.spec.task)
                record(self.ledger, trial, metrics={"accuracy": accuracy}, validity=code)
        self.queue.ended(key)

    def end_all(self, name: str) -> None:
        """End the jobs of one row."""
        for key in [key for key, job in self.running.items() if getattr(job, "name", "") == name]:
            self.end(key)


def test_a_training_is_called_by_what_its_grid_varies(tmp_path: Path) -> None:
    grid = {"model.personalization.window": [2, 3], "training.epochs": [1, 2]}
    jobs = Sweep(tiny_spec(grid=grid, seeds=[0]), tmp_path).take_all()
    labels = {job.label for job in jobs if isinstance(job, TrainJob) and job.name == "model"}
    assert labels == {"model  window 2, seed 0", "model  window 3, seed 0"}


def kinds(jobs: list[Job]) -> list[tuple[str, str]]:
    return sorted({(type(job).__name__, getattr(job, "name", "")) for job in jobs})


def test_model_and_baseline_do_not_wait_for_each_other(tmp_path: Path) -> None:
    spec = tiny_spec()
    sweep = Sweep(spec, tmp_path)
    first = sweep.take_all()
    assert kinds(first) == [("TrainJob", "baseline"), ("TrainJob", "model"), ("TrivialJob", "")]
    assert isinstance(first[0], TrainJob) and first[0].name == "model"
    sweep.end_all("model")
    assert kinds(sweep.take_all()) == [("EvaluateJob", "model"), ("TrainJob", "no-attention")]
    sweep.end_all("baseline")
    assert kinds(sweep.take_all()) == [("EvaluateJob", "baseline")]
    sweep.end_all("no-attention")
    assert sweep.take_all() == [], "the evaluation of the model belongs to the stage before"
    sweep.end_all("model")
    assert kinds(sweep.take_all()) == [("EvaluateJob", "no-attention")]
    assert not sweep.ledger.members(spec.name, FINAL)
    while sweep.running:
        sweep.end(next(iter(sweep.running)))
    assert sweep.take_all() == [] and sweep.queue.over
    names = [member.name for member in sweep.ledger.members(spec.name, FINAL)]
    assert list(dict.fromkeys(names)) == ["model", "baseline", "no-attention"]


@pytest.mark.parametrize("order", range(8))
def test_whoever_ends_first_all_is_trained_and_evaluated_once(tmp_path: Path, order: int) -> None:
    baseline = tiny_spec().baseline
    spec = tiny_spec(
        seeds=[0, 1, 2],
        ablations={"no-attention": {"model.personalization.attention": False}, "plain": dict(baseline)},
    )
    sweep, dice = Sweep(spec, tmp_path), random.Random(order)
    sweep.take_all()
    while sweep.running:
        sweep.end(dice.choice(list(sweep.running)), dice.random())
        sweep.take_all()
    assert sweep.queue.over
    trained = [each.trial_id for job in sweep.taken if isinstance(job, TrainJob) for each in job.readings]
    looks = [
        (job.trial_id, look) for job in sweep.taken if isinstance(job, EvaluateJob) for look in job.looks
    ]
    assert len(set(trained)) == len(trained) and len(set(looks)) == len(looks)
    final = sweep.ledger.members(spec.name, FINAL)
    assert {member.name for member in final} == {"model", "baseline", "no-attention", "plain"}
    assert {member.trial_id for member in final} == {trial for trial, _ in looks}
    controlled = {trial for trial, look in looks if look.control}
    assert controlled == {member.trial_id for member in final if member.name == "model"}
    assert {trial.id for trial in Planner(spec).grid().trials} < set(trained)


def test_what_is_compared_is_evaluated_on_both_parts_and_recorded_when_it_is(tmp_path: Path) -> None:
    spec = tiny_spec()
    sweep = Sweep(spec, tmp_path)
    sweep.take_all()
    while sweep.running:
        assert not sweep.ledger.members(spec.name, FINAL)
        sweep.end(next(iter(sweep.running)))
        sweep.take_all()
    looks = {
        (job.trial_id, look) for job in sweep.taken if isinstance(job, EvaluateJob) for look in job.looks
    }
    final = {member.trial_id for member in sweep.ledger.members(spec.name, FINAL)}
    assert final and {(trial, Look(part)) for trial in final for part in ("validation", "test")} <= looks
