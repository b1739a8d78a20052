"""What becomes of jobs, written into the ledger."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.planning.identity import validity
from orchestrator.records.adopt import RULE, TRAINED, adopt_look, adopt_trial, is_whole
from orchestrator.records.ledger import Ledger, State
from orchestrator.records.workspace import Workspace, read_curve
from orchestrator.running.jobs import EvaluateJob, Job, Look, TrainJob
from orchestrator.running.stopping import Halt
from orchestrator.spec.sweep import SweepSpec


class Bookkeeper:
    """Writes into the ledger what becomes of jobs."""

    def __init__(self, spec: SweepSpec, ledger: Ledger, workspace: Workspace, data_digest: str) -> None:
        """Keep the books of one sweep."""
        self.finished: list[str] = []
        self.stopped_early: list[str] = []
        self.failures: dict[str, str] = {}
        """Trial, or trial and look, to the cause of its failure."""
        self.mirror_problems: dict[str, None] = {}
        self._spec = spec
        self._ledger = ledger
        self._workspace = workspace
        self._digest = data_digest
        self._code = validity(spec.task)

    def begin(self) -> None:
        """Remember the sweep's file as the one that was run last."""
        self._ledger.record_sweep(
            self._spec.name, self._spec.task, self._digest, self._spec.model_dump(mode="json")
        )

    def started(self, job: Job) -> None:
        """Mark the trials of a training run as running; where attempts were used up, they are counted anew."""
        if isinstance(job, TrainJob):
            for reading in job.readings:
                self._record(job, reading.trial_id, "running", cause=None)

    def progressed(self, job: Job) -> None:
        """Take the trials that have been finished so far."""
        if isinstance(job, TrainJob):
            for reading in job.readings:
                if reading.trial_id not in self.finished:
                    self._adopt(reading.trial_id)

    def interrupted(self, job: Job) -> None:
        """Count an attempt that the surroundings ended and that is tried again now."""
        if isinstance(job, TrainJob):
            for reading in job.readings:
                if reading.trial_id not in self.finished:
                    self._ledger.count_attempt(reading.trial_id)

    def ended(self, job: Job, failure: str, by_trial: bool) -> None:
        """Take what a job left behind; what it did not leave has failed or was interrupted."""
        match job:
            case TrainJob():
                for reading in job.readings:
                    if reading.trial_id in self.finished or self._adopt(reading.trial_id):
                        continue
                    state: State = "failed" if by_trial else "interrupted"
                    self._record(job, reading.trial_id, state, cause=failure or "ended without a result")
                    if not by_trial:
                        self._ledger.count_attempt(reading.trial_id)
                    self.failures[reading.trial_id] = failure
            case EvaluateJob():
                for look in job.looks:
                    if not self._adopt_look(job.trial_id, look):
                        self.failures[f"{job.trial_id} on {look.stem}"] = failure
            case _:
                for trial_id, name in job.names:
                    if self._adopt(trial_id, RULE):
                        self._adopt_look(trial_id, Look("test"))
                    else:
                        self.failures[name] = failure

    def stopped(self, job: TrainJob, halt: Halt) -> None:
        """Record a training that was ended early; its trial has no result, and no failure either."""
        folder = self._workspace.run(job.run_id, self._code)
        seconds = sum(point["seconds"] for point in read_curve(folder)[: halt.stop.epoch])
        for reading in job.readings:
            self.stopped_early.append(reading.trial_id)
            self._ledger.record_stop(reading.trial_id, halt.stop)
            self._record(job, reading.trial_id, "stopped", cause=halt.reason, metrics=None, seconds=seconds)

    def left(self, job: Job, cause: str) -> None:
        """Note that a job was cut short by the end of the driver's work."""
        if isinstance(job, TrainJob):
            for reading in job.readings:
                if reading.trial_id not in self.finished and not self._adopt(reading.trial_id):
                    self._record(job, reading.trial_id, "interrupted", cause=cause)

    def _adopt(self, trial_id: str, files: Sequence[str] = TRAINED) -> bool:
        """Take a trial's result, if it is whole: what is left of one whose files are gone is not news."""
        if not is_whole(self._workspace, trial_id, *files):
            return False
        result = adopt_trial(self._ledger, self._workspace, trial_id, self._code)
        if result is None:
            return False
        self.finished.append(trial_id)
        self._note_problem(result)
        return True

    def _adopt_look(self, trial_id: str, look: Look) -> bool:
        if not is_whole(self._workspace, trial_id, f"{look.stem}.arrow"):
            return False
        summary = adopt_look(self._ledger, self._workspace, trial_id, look, self._digest, self._code)
        if summary is None:
            return False
        self._note_problem(summary)
        return True

    def _note_problem(self, document: Mapping[str, Any]) -> None:
        if problem := document.get("mirror_problem"):
            self.mirror_problems[problem] = None

    def _record(self, job: TrainJob, trial_id: str, state: State, **values: Any) -> None:
        reading = next(reading for reading in job.readings if reading.trial_id == trial_id)
        known = self._ledger.trials([trial_id])
        attempts = known[trial_id].attempts if trial_id in known else 0
        if state == "running" and attempts > self._spec.budget.max_failures:
            attempts = 0
        self._ledger.record_trial(
            trial_id,
            run_id=job.run_id,
            task=self._spec.task,
            config=reading.config.model_dump(mode="json"),
            data_digest=job.data_digest,
            seed=reading.config.training.seed,
            epochs=reading.epochs,
            state=state,
            attempts=attempts,
            validity=self._code,
            **values,
        )
