"""The order of a sweep's work: what can run side by side, and what must wait for a choice.

1. the model's grid, the baseline's grid, the trivial baselines; with Optuna one batch of suggestions after the other;
2. the ablations, at the point that the validation results chose, and the seeds that had no part in the choice;
3. chosen trials whose files are gone or damaged, once more;
4. evaluation of what was chosen on the test part, and the controls.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from components.tasks import TASKS
from orchestrator.planning.identity import trivial_id, validity
from orchestrator.planning.plan import (
    ABLATIONS,
    BASELINE_GRID,
    GRID,
    MODEL,
    SEEDS,
    Phase,
    PlannedTrial,
    Planner,
    Standing,
    choose,
    runs_of,
    standing,
    stops_that_hold,
)
from orchestrator.records.adopt import is_whole
from orchestrator.records.ledger import Ledger, Member
from orchestrator.records.workspace import Workspace
from orchestrator.running.jobs import EvaluateJob, Job, Look, Reading, TrainJob, TrivialJob
from orchestrator.running.stopping import Stopping
from orchestrator.spec.sweep import SweepSpec

if TYPE_CHECKING:
    from orchestrator.judging.comparison import Role

BASELINE: Final = "baseline"
ABLATION: Final = "ablation"
CONTROL: Final = "control"
TRIVIAL: Final = "trivial"
ORACLE: Final = "oracle"
FINAL = "final"
"""The phase under which the rows of the comparison stand in the ledger."""


def role_of(spec: SweepSpec, name: str) -> "Role":
    """Return what a trained row of a sweep stands for; an ablation that is told the truth is a ceiling."""
    if name == MODEL or name == spec.compare.against:
        return MODEL if name == MODEL else BASELINE
    told = TASKS[spec.task].told
    return ORACLE if told and spec.ablations.get(name, {}).get(told) is True else ABLATION


class Stages:
    """Yields stage after stage of jobs that the ledger does not have yet; each ends before the next is asked for.

    Members are recorded as they become known: the grids at once, ablations and final rows after the choice.
    """

    def __init__(
        self,
        spec: SweepSpec,
        ledger: Ledger,
        workspace: Workspace,
        data_folder: Path,
        retry_failed: bool = False,
        accept_stale: bool = False,
    ) -> None:
        """Prepare the stages of `spec` on prepared data."""
        self.spec = spec
        self.planner = Planner(spec, ledger)
        self.chosen: dict[str, Sequence[PlannedTrial]] = {}
        self._ledger = ledger
        self._workspace = workspace
        self._folder = str(data_folder)
        self._code = validity(spec.task)
        self.redo: set[Standing] = {"to run"}
        """How trials stand that are run."""
        if retry_failed:
            self.redo.add("failed")
        if not accept_stale:
            self.redo.add("stale")
        self._accept_stale = accept_stale
        self.stopping = None if spec.stop is None else Stopping(spec.stop, spec.objective)
        self._asked: set[str] = set()

    def __iter__(self) -> Iterator[list[Job]]:
        """Yield the stages."""
        trivial = [
            (trivial_id(self.spec.task, name, self.planner.data_digest), name)
            for name in self._trivial_names()
        ]
        members = [Member(TRIVIAL, name, trial_id, {}, 0) for trial_id, name in trivial]
        self._ledger.set_members(self.spec.name, TRIVIAL, members)
        yield self._trying() + self._trivial(trivial)
        while self.planner.suggest():
            yield self._trying()
        model, baseline = self._choose(self.planner.grid()), self._choose(self.planner.baseline_grid())
        self.chosen = {MODEL: model, self.spec.compare.against: baseline}
        if not model:
            return
        seeds = self.planner.seeds([*model[:1], *baseline[:1]])
        ablations = self.planner.ablations(model[0].point)
        self._record(SEEDS, seeds.trials)
        self._record(ABLATIONS, ablations.trials)
        jobs = self._training([*seeds.trials, *ablations.trials])
        if jobs:
            self._record(FINAL, ())
        yield list(jobs)
        for trial in (*seeds.trials, *ablations.trials):
            self.chosen[trial.name] = [*self.chosen.get(trial.name, ()), trial]
        final = [trial for trials in self.chosen.values() for trial in trials]
        yield list(self._training(self._lost(final), again=True))
        self._record(FINAL, final)
        yield list(self._evaluations(final))

    def _trying(self) -> list[Job]:
        """Return the trainings that choose a point, as far as their points are known, the longest first."""
        grid, baseline_grid = self.planner.grid(), self.planner.baseline_grid()
        self._record(GRID, grid.trials)
        self._record(BASELINE_GRID, baseline_grid.trials)
        stopped = stops_that_hold(self.spec, self._ledger, (grid, baseline_grid))
        jobs = [
            job for phase in (grid, baseline_grid) for job in self._training(phase.trials, stopped=stopped)
        ]
        if self.stopping is not None:
            trials = (*grid.trials, *baseline_grid.trials)
            self.stopping.know(trials, self._ledger, self._workspace, self._code)
            jobs = [replace(job, may_stop=True) for job in jobs]
        if jobs:
            self._record(FINAL, ())  # until there is a new choice, nobody is to compare the old one
        return [*sorted(jobs, key=lambda job: -job.epochs)]

    def _trivial_names(self) -> tuple[str, ...]:
        info = TASKS[self.spec.task]
        return info.trivial + info.oracles.get(self.spec.data.source, ())

    def _record(self, phase: str, trials: Iterable[PlannedTrial]) -> None:
        members = [Member(phase, trial.name, trial.id, trial.point, trial.seed) for trial in trials]
        self._ledger.set_members(self.spec.name, phase, members)

    def _choose(self, phase: Phase) -> list[PlannedTrial]:
        rows = self._ledger.trials([trial.id for trial in phase.trials])
        point = choose(phase.trials, rows, self.spec.objective.metric, self.spec.objective.mode)
        return [trial for trial in phase.trials if trial.point == point]

    def _standing(self, ids: Sequence[str], stopped: Set[str] = frozenset()) -> Callable[[str], str]:
        rows, failures = self._ledger.trials(ids), self.spec.budget.max_failures
        return lambda trial_id: standing(rows.get(trial_id), self._code, failures, trial_id in stopped)

    def _lost(self, trials: Sequence[PlannedTrial]) -> list[PlannedTrial]:
        """Return the finished trials whose files somebody has deleted or damaged since."""
        rows = self._ledger.trials([trial.id for trial in trials])
        files = ("validation.arrow", "model/model.safetensors")
        return [
            trial
            for trial in trials
            if (row := rows.get(trial.id)) is not None
            and row.state == "finished"
            and not is_whole(self._workspace, trial.id, *files)
        ]

    def _training(
        self, trials: Sequence[PlannedTrial], again: bool = False, stopped: Set[str] = frozenset()
    ) -> list[TrainJob]:
        """Return the runs of those trials that are not done (or are to be done again), each only once a sweep.

        Of those that were stopped early, `stopped` stay as they are.
        """
        of = self._standing([trial.id for trial in trials], stopped)
        waiting = [
            trial for trial in trials if trial.id not in self._asked and (again or of(trial.id) in self.redo)
        ]
        self._asked.update(trial.id for trial in waiting)
        return [
            TrainJob(
                run_id=run.id,
                name=run.trials[0].name,
                role=role_of(self.spec, run.trials[0].name),
                data_folder=self._folder,
                data_digest=self.planner.data_digest,
                readings=tuple(Reading(trial.id, trial.epochs, trial.config) for trial in run.trials),
            )
            for run in runs_of(waiting)
        ]

    def _trivial(self, names: Sequence[tuple[str, str]]) -> list[Job]:
        of = self._standing([trial_id for trial_id, _ in names])
        rows = ("validation.arrow", "test.arrow")
        waiting = tuple(
            (trial_id, name)
            for trial_id, name in names
            if of(trial_id) in self.redo or not is_whole(self._workspace, trial_id, *rows)
        )
        return [TrivialJob(waiting, self._folder, self.planner.data_digest)] if waiting else []

    def _evaluations(self, trials: Sequence[PlannedTrial]) -> Iterator[EvaluateJob]:
        """Yield what of the final rows has no evaluation yet; only finished trials have weights to evaluate."""
        rows = self._ledger.trials([trial.id for trial in trials])
        done = {
            (part, *key): code
            for part in ("validation", "test")
            for key, code in self._ledger.evaluations(part).items()
        }
        for trial in trials:
            wanted = [Look("test")]
            if trial.name == MODEL:
                wanted += [
                    Look(part, control) for control in self.spec.controls for part in ("validation", "test")
                ]
            row = rows.get(trial.id)
            looks = tuple(
                look
                for look in wanted
                if (code := done.get((look.part, trial.id, look.control))) is None
                or (code != self._code and not self._accept_stale)
                or not is_whole(self._workspace, trial.id, f"{look.stem}.arrow")
            )
            if row is not None and row.state == "finished" and looks:
                role = role_of(self.spec, trial.name)
                yield EvaluateJob(trial.id, trial.name, role, self._folder, trial.config, looks)
