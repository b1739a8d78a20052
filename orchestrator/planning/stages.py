"""The order of a sweep's work: what can run side by side, and what must wait for a choice.

The model and the baseline go their ways side by side, so that nobody waits for the other to have chosen:

1. their grids; with Optuna one batch of suggestions after the other;
2. evaluation of what the validation results chose: on the validation and the test part, with all slices, and under
   the controls; the seeds that had no part in the choice and, for the model, the ablations at the point that was
   chosen; chosen trials whose files are gone or damaged, once more;
3. evaluation of the rest.

A training validates with full histories alone: the slices can take longer than an epoch, and most points of a grid
are never compared. The trivial baselines wait for nothing. What is a row of one and was trained by the other is
evaluated in the end.
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
    FINAL,
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
from orchestrator.records.adopt import RULE, TRAINED, has_slices, is_whole
from orchestrator.records.ledger import Ledger, Member, TrialRow
from orchestrator.records.workspace import Workspace
from orchestrator.running.jobs import EvaluateJob, Job, Look, Reading, TrainJob, TrivialJob
from orchestrator.running.stopping import Stopping
from orchestrator.spec.points import training_text
from orchestrator.spec.sweep import SweepSpec

if TYPE_CHECKING:
    from orchestrator.judging.comparison import Role

BASELINE: Final = "baseline"
ABLATION: Final = "ablation"
CONTROL: Final = "control"
TRIVIAL: Final = "trivial"
ORACLE: Final = "oracle"


def role_of(spec: SweepSpec, name: str) -> "Role":
    """Return what a trained row of a sweep stands for; an ablation that is told the truth is a ceiling."""
    if name == MODEL or name == spec.compare.against:
        return MODEL if name == MODEL else BASELINE
    told = TASKS[spec.task].told
    return ORACLE if told and spec.ablations.get(name, {}).get(told) is True else ABLATION


class Stages:
    """Yields rounds of lines of stages of jobs that the ledger does not have yet.

    The lines of a round go side by side; of a line each stage ends before the next is asked for.

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
        self._looked: set[tuple[str, Look]] = set()

    def __iter__(self) -> Iterator[list[Iterator[list[Job]]]]:
        """Yield the rounds."""
        yield [self._line(MODEL), self._line(self.spec.compare.against), self._trivial_line()]
        yield [self._closing()]

    def _line(self, name: str) -> Iterator[list[Job]]:
        """Yield the stages of the model or of the baseline."""
        yield self._trying(name)
        while self.planner.suggest(name):
            yield self._trying(name)
        chosen = self._choose(self._phase(name))
        self.chosen[name] = chosen
        if not chosen:
            return
        seeds = self.planner.seeds(chosen[:1]).trials
        ablations = self.planner.ablations(chosen[0].point).trials if name == MODEL else ()
        self._record_seeds(name, seeds)
        if name == MODEL:
            self._record(ABLATIONS, ablations)
        trainings = self._training([*seeds, *ablations])
        if trainings:
            self._record(FINAL, ())
        again = self._training(self._lost([*chosen, *seeds, *ablations]), again=True)
        yield [*self._evaluations(chosen), *trainings, *again]
        for trial in (*seeds, *ablations):
            self.chosen[trial.name] = [*self.chosen.get(trial.name, ()), trial]
        yield [*self._evaluations([*chosen, *seeds, *ablations])]

    def _trivial_line(self) -> Iterator[list[Job]]:
        trivial = [
            (trivial_id(self.spec.task, name, self.planner.data_digest), name)
            for name in self._trivial_names()
        ]
        members = [Member(TRIVIAL, name, trial_id, {}, 0) for trial_id, name in trivial]
        self._ledger.set_members(self.spec.name, TRIVIAL, members)
        yield self._trivial(trivial)

    def _closing(self) -> Iterator[list[Job]]:
        """Evaluate what the lines could not, and record the rows of the comparison."""
        if not self.chosen.get(MODEL):
            return
        names = (MODEL, self.spec.compare.against, *self.spec.ablations)
        final = [trial for name in dict.fromkeys(names) for trial in self.chosen.get(name, ())]
        yield [*self._evaluations(final)]
        self._record(FINAL, final)

    def _phase(self, name: str) -> Phase:
        return self.planner.grid() if name == MODEL else self.planner.baseline_grid()

    def _trying(self, name: str) -> list[Job]:
        """Return the trainings that choose a point, as far as their points are known, the longest first."""
        phase = self._phase(name)
        self._record(GRID if name == MODEL else BASELINE_GRID, phase.trials)
        jobs = self._training(phase.trials, stopped=stops_that_hold(self.spec, self._ledger, [phase]))
        if self.stopping is not None:
            self.stopping.know(phase.trials, self._ledger, self._workspace, self._code)
            jobs = [replace(job, may_stop=True) for job in jobs]
        if jobs:
            self._record(FINAL, ())  # until there is a new choice, nobody is to compare the old one
        return [*jobs]

    def _trivial_names(self) -> tuple[str, ...]:
        info = TASKS[self.spec.task]
        return info.trivial + info.oracles.get(self.spec.data.source, ())

    def _record(self, phase: str, trials: Iterable[PlannedTrial]) -> None:
        self._ledger.set_members(self.spec.name, phase, _members(phase, trials))

    def _record_seeds(self, name: str, trials: Iterable[PlannedTrial]) -> None:
        """Record the further seeds of the model or the baseline, beside those of the other."""
        others = {MODEL, self.spec.compare.against} - {name}
        kept = [each for each in self._ledger.members(self.spec.name, SEEDS) if each.name in others]
        self._ledger.set_members(self.spec.name, SEEDS, [*kept, *_members(SEEDS, trials)])

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
        return [
            trial
            for trial in trials
            if (row := rows.get(trial.id)) is not None
            and row.state == "finished"
            and not is_whole(self._workspace, trial.id, *TRAINED)
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
                settings=training_text(run.trials[0].point),
            )
            for run in runs_of(waiting)
        ]

    def _trivial(self, names: Sequence[tuple[str, str]]) -> list[Job]:
        of = self._standing([trial_id for trial_id, _ in names])
        waiting = tuple(
            (trial_id, name)
            for trial_id, name in names
            if of(trial_id) in self.redo or not is_whole(self._workspace, trial_id, *RULE)
        )
        return [TrivialJob(waiting, self._folder, self.planner.data_digest)] if waiting else []

    def _evaluations(self, trials: Sequence[PlannedTrial]) -> Iterator[EvaluateJob]:
        """Yield what of the final rows has no evaluation yet, each look only once a sweep.

        Only finished trials whose files are there have weights to evaluate.
        """
        rows = self._ledger.trials([trial.id for trial in trials])
        lost = {trial.id for trial in self._lost(trials)}
        done = {
            (part, *key): code
            for part in ("validation", "test")
            for key, code in self._ledger.evaluations(part).items()
        }
        for trial in trials:
            row = rows.get(trial.id)
            if row is None or row.state != "finished" or trial.id in lost:
                continue
            wanted = [Look("validation"), Look("test")]
            if trial.name == MODEL:
                wanted += [
                    Look(part, control) for control in self.spec.controls for part in ("validation", "test")
                ]
            looks = tuple(
                look
                for look in wanted
                if (trial.id, look) not in self._looked
                and not self._is_evaluated(row, look, done.get((look.part, trial.id, look.control)))
            )
            if looks:
                self._looked.update((trial.id, look) for look in looks)
                role = role_of(self.spec, trial.name)
                yield EvaluateJob(trial.id, trial.name, role, self._folder, trial.config, looks)

    def _is_evaluated(self, row: TrialRow, look: Look, code: str | None) -> bool:
        """Whether a finished trial has this look, by the ledger under `code`, and its files are there."""
        if code is None and row.validity != self._code and look == Look("validation"):
            return has_slices(self._workspace, row.id)  # trainings of older code looked themselves
        if code is None or (code != self._code and not self._accept_stale):
            return False
        return is_whole(self._workspace, row.id, f"{look.stem}.arrow", f"{look.stem}.json")


def _members(phase: str, trials: Iterable[PlannedTrial]) -> list[Member]:
    return [Member(phase, trial.name, trial.id, trial.point, trial.seed) for trial in trials]
