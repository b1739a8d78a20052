"""What a sweep file asks for: phases of trials, and the training runs that yield them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from statistics import fmean
from typing import Any, Final, Literal

from components.config import TrialConfig
from components.data.store import data_digest
from components.errors import AdaptuneError
from components.tasks import TASKS
from orchestrator.planning.identity import search_id, trial_and_run_id, trial_document, validity
from orchestrator.planning.search import Tried, random_points, stand_in, suggest
from orchestrator.records.adopt import TRAINED, is_whole
from orchestrator.records.ledger import Ledger, TrialRow
from orchestrator.records.workspace import Workspace
from orchestrator.spec.search import OptunaSearch, Space
from orchestrator.spec.sweep import SweepSpec

MODEL: Final = "model"
GRID, BASELINE_GRID, SEEDS, ABLATIONS = "grid", "baseline-grid", "seeds", "ablations"
FINAL = "final"
"""The phase under which the rows of the comparison stand in the ledger."""

Standing = Literal["done", "stopped", "stale", "failed", "to run"]


@dataclass(frozen=True)
class PlannedTrial:
    """One trial of a sweep: `name` is its row in tables, `point` what its grid or ablation sets."""

    id: str
    run_id: str
    name: str
    point: dict[str, Any]
    config: TrialConfig

    @property
    def seed(self) -> int:
        """The trial's seed."""
        return self.config.training.seed

    @property
    def epochs(self) -> int:
        """After how many epochs the training run is read."""
        return self.config.training.epochs


@dataclass(frozen=True)
class Run:
    """One training run, read after the epochs of each of its trials (shortest first)."""

    id: str
    trials: tuple[PlannedTrial, ...]

    @property
    def epochs(self) -> int:
        """Epochs of training, in all."""
        return self.trials[-1].epochs


@dataclass(frozen=True)
class Phase:
    """Trials that can run side by side. A provisional phase stands in for one that awaits a choice or suggestions."""

    name: str
    trials: tuple[PlannedTrial, ...]
    provisional: bool = False
    awaited: int = 0
    """Trials that a search will only suggest when it knows more results, each of at most `awaited_epochs`."""
    awaited_epochs: int = 0
    compared: tuple[PlannedTrial, ...] = ()
    """Those of the trials that become rows of the comparison, as far as the results have chosen them."""

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The phase's training runs, the longest first so that the last ones to finish are short."""
        return runs_of(self.trials)

    def to_json(self) -> dict[str, Any]:
        """Return the phase's counts."""
        return {
            "name": self.name,
            "trials": len(self.trials) + self.awaited,
            "runs": len(self.runs) + self.awaited,
            "epochs": sum(run.epochs for run in self.runs) + self.awaited * self.awaited_epochs,
            "epochs_without_sharing": sum(trial.epochs for trial in self.trials)
            + self.awaited * self.awaited_epochs,
        }


def _compared(phase: Phase, chosen: Mapping[str, PlannedTrial | None]) -> tuple[PlannedTrial, ...]:
    """Return the trials at the points that are chosen for model and baseline; ablations are at the model's."""
    return tuple(
        trial
        for trial in phase.trials
        for best in [chosen.get(trial.name, chosen[MODEL])]
        if best is not None and (trial.name not in chosen or trial.point == best.point)
    )


def runs_of(trials: Iterable[PlannedTrial]) -> tuple[Run, ...]:
    """Group trials that differ only in their epochs into training runs, the longest run first."""
    ordered = sorted(trials, key=lambda trial: (trial.run_id, trial.epochs))
    runs = [Run(run_id, tuple(group)) for run_id, group in groupby(ordered, key=lambda trial: trial.run_id)]
    return tuple(sorted(runs, key=lambda run: (-run.epochs, run.id)))


class Planner:
    """Turns a sweep into phases. Reads the data's digest, never the data; starts nothing.

    What a search has suggested and what came of it is read from `ledger`; without one, nothing has been suggested.
    """

    def __init__(self, spec: SweepSpec, ledger: Ledger | None = None) -> None:
        """Plan for `spec`; raises DataError where its data cannot be found."""
        self.spec = spec
        self.data_digest = data_digest(spec.data, TASKS[spec.task].form)
        self.device = "gpu" if spec.resources.gpu else "cpu"
        self._ledger = ledger
        self._against = spec.compare.against
        self._title = GRID if spec.search is None else "search"

    def grid(self) -> Phase:
        """The points of the model itself: its grid, and what a search adds."""
        return self._tried(self._title, MODEL)

    def baseline_grid(self) -> Phase:
        """The same for the baseline, so that it too gets its own best point."""
        return self._tried(f"baseline-{self._title}", self._against)

    def _tried(self, title: str, name: str) -> Phase:
        suggested = list(self._suggested(name))
        grid = list(self.spec.grid_points() if name == MODEL else self.spec.baseline_points())
        points = [{**drawn, **point} for drawn in suggested for point in grid]
        awaited = self._wanted(name) - len(suggested)
        epochs = self.spec.resolve(self._stand_in(name), 0).training.epochs if awaited else 0
        trials = self._unique(name, points, self.spec.choosing_seeds)
        return Phase(title, trials, awaited > 0, awaited, epochs)

    def _space(self, name: str) -> Space:
        return self.spec.space if name == MODEL else self.spec.baseline_space()

    def _wanted(self, name: str) -> int:
        """How many points a search suggests in all; one, the base point, where it has nothing to decide."""
        search = self.spec.search
        return search.trials if search is not None and self._space(name) else 1

    def _suggested(self, name: str) -> Iterable[dict[str, Any]]:
        search, space = self.spec.search, self._space(name)
        if search is None or not space:
            return [{}]
        if search.method == "random":
            return random_points(space, search.trials, search.seed)
        known = [] if self._ledger is None else self._ledger.suggestions(self._search_id(search, name))
        return known[: search.trials]

    def _assigned(self, name: str) -> Mapping[str, Any]:
        return {} if name == MODEL else self.spec.baseline

    def _stand_in(self, name: str) -> dict[str, Any]:
        """Return a point to reckon with for those that a search has yet to suggest."""
        return {**stand_in(self._space(name)), **self._assigned(name)}

    def suggest(self, name: str) -> bool:
        """Let Optuna suggest the next batch of points of the model or the baseline, and record it; False if done.

        It suggests from the results in the ledger: all trials of this name that were suggested so far must have
        ended. Raises AdaptuneError where Optuna is not installed.
        """
        search, space = self.spec.search, self._space(name)
        if search is None or search.method != "optuna" or self._ledger is None or not space:
            return False
        tried = list(self._results(name))
        points = suggest(search, space, self.spec.objective.mode, tried)
        if points:
            self._ledger.record_suggestions(self._search_id(search, name), len(tried), points)
        return bool(points)

    def _results(self, name: str) -> Iterator[Tried]:
        """Yield what a search has suggested, with what the ledger knows of it."""
        assert self._ledger is not None
        points = list(self._suggested(name))
        trials = [
            trial
            for point in points
            for trial in self._unique(name, [{**point, **self._assigned(name)}], self.spec.choosing_seeds)
        ]
        ids = [trial.id for trial in trials]
        rows, stops = self._ledger.trials(ids), self._ledger.stops(ids)
        for point, trial_id in zip(points, ids, strict=True):
            row = rows.get(trial_id)
            value = _objective(row, self.spec.objective.metric)
            if value is not None:
                yield Tried(point, "finished", value)
            elif row is not None and row.state == "stopped" and trial_id in stops:
                yield Tried(point, "stopped", curve=stops[trial_id].curve)
            else:
                yield Tried(point, "diverged" if row is not None and row.state == "failed" else "lost")

    def _search_id(self, search: OptunaSearch, name: str) -> str:
        """Name a search by what its suggestions follow from, so that sweeps that ask the same share them."""
        base = self.spec.resolve(self._assigned(name), self.spec.seeds[0])
        document = trial_document(base, self.data_digest, self.device, self.spec.resources.workers)
        stop = {} if self.spec.stop is None else {"stop": self.spec.stop.model_dump(mode="json")}
        space = {path: values.model_dump(mode="json") for path, values in self._space(name).items()}
        return search_id(
            document,
            space=space,
            objective=self.spec.objective.model_dump(),
            **search.model_dump(include={"method", "seed", "batch"}),
            **stop,
        )

    def seeds(self, chosen: Iterable[PlannedTrial], provisional: bool = False) -> Phase:
        """The seeds that had no part in choosing, at the points that were chosen for model and baseline."""
        others = self.spec.seeds[len(self.spec.choosing_seeds) :]
        trials = [trial for each in chosen for trial in self._unique(each.name, [each.point], others)]
        return Phase(SEEDS, tuple(trials), provisional)

    def ablations(self, point: Mapping[str, Any], provisional: bool = False) -> Phase:
        """Every ablation but the baseline, at the point that was chosen for the model."""
        trials = [
            trial
            for name, change in self.spec.ablations.items()
            if name != self._against
            for trial in self._unique(name, [{**point, **change}], self.spec.seeds)
        ]
        return Phase(ABLATIONS, tuple(trials), provisional)

    def phases(self) -> tuple[Phase, ...]:
        """Return all phases; what follows the choice stands at the chosen points once the ledger holds all results.

        Until then it stands, provisionally, at the most expensive points.
        """
        model, baseline = self.grid(), self.baseline_grid()
        best, best_baseline = self._chosen(model), self._chosen(baseline)
        points = (
            best or self._dearest(model, MODEL),
            best_baseline or self._dearest(baseline, self._against),
        )
        seeds = self.seeds(points, provisional=best is None or best_baseline is None)
        ablations = self.ablations(points[0].point, provisional=best is None)
        phases = (model, baseline, *((seeds,) if seeds.trials else ()), ablations)
        chosen = {MODEL: best, self._against: best_baseline}
        return tuple(replace(phase, compared=_compared(phase, chosen)) for phase in phases)

    def _chosen(self, phase: Phase) -> PlannedTrial | None:
        """Return a trial of the point that the results chose; None while any is missing, or if none is complete."""
        ids = [trial.id for trial in phase.trials]
        rows = {} if self._ledger is None else self._ledger.trials(ids)
        if phase.awaited or not all(trial in rows and self._ended(rows[trial]) for trial in ids):
            return None
        point = choose(phase.trials, rows, self.spec.objective.metric, self.spec.objective.mode)
        return next((trial for trial in phase.trials if trial.point == point), None)

    def _ended(self, row: TrialRow) -> bool:
        return row.state in ("finished", "stopped") or row.has_failed(self.spec.budget.max_failures)

    def _dearest(self, phase: Phase, name: str) -> PlannedTrial:
        """Return the most expensive trial of a phase, to reckon with while none is chosen."""
        awaited = (
            self._unique(name, [self._stand_in(name)], self.spec.choosing_seeds) if phase.awaited else ()
        )
        return max((*phase.trials, *awaited), key=lambda trial: trial.epochs)

    def _unique(
        self, name: str, points: Iterable[Mapping[str, Any]], seeds: Sequence[int]
    ) -> tuple[PlannedTrial, ...]:
        found: dict[str, PlannedTrial] = {}
        for point in points:
            for seed in seeds:
                config = self.spec.resolve(point, seed)
                document = trial_document(config, self.data_digest, self.device, self.spec.resources.workers)
                trial_id, run_id = trial_and_run_id(document)
                if trial_id not in found:
                    found[trial_id] = PlannedTrial(trial_id, run_id, name, dict(point), config)
        return tuple(found.values())


def choose(
    trials: Sequence[PlannedTrial], rows: Mapping[str, TrialRow], metric: str, mode: str
) -> dict[str, Any] | None:
    """Return the point with the best mean validation objective over its seeds.

    A point one of whose seeds has no result is not averaged but left out. Ties go to fewer epochs, then to the
    file's order. None if no point is complete.
    """
    points: dict[str, list[PlannedTrial]] = {}
    for trial in trials:
        points.setdefault(repr(trial.point), []).append(trial)
    scored = []
    for order, members in enumerate(points.values()):
        values = [_objective(rows.get(member.id), metric) for member in members]
        if all(value is not None for value in values):
            mean = fmean(value for value in values if value is not None)
            scored.append((-mean if mode == "max" else mean, members[0].epochs, order, members[0].point))
    return min(scored, key=lambda entry: entry[:3])[3] if scored else None


def _objective(row: TrialRow | None, metric: str) -> float | None:
    return row.metrics.get(metric) if row is not None and row.state == "finished" and row.metrics else None


@dataclass(frozen=True)
class Plan:
    """A sweep's phases beside what the ledger already has of them."""

    spec: SweepSpec
    data_digest: str
    phases: tuple[Phase, ...]
    standing: dict[str, Standing]
    seconds_per_epoch: float | None

    def count(self, standing: Standing) -> int:
        """Return how many trials stand so."""
        return sum(1 for value in self.standing.values() if value == standing)

    @property
    def epochs_to_run(self) -> int:
        """Epochs of training that are still to be done, prefixes shared."""
        return self.epochs_of({"to run", "stale"})

    @property
    def awaited(self) -> int:
        """Trials that a search has yet to suggest."""
        return sum(phase.awaited for phase in self.phases)

    def epochs_of(self, standings: Set[Standing]) -> int:
        """Return the epochs of training, prefixes shared, of all trials that stand so; those awaited are to run."""
        trials = {trial.id: trial for phase in self.phases for trial in phase.trials}
        chosen = [trial for trial in trials.values() if self.standing[trial.id] in standings]
        awaited = sum(phase.awaited * phase.awaited_epochs for phase in self.phases if "to run" in standings)
        return sum(run.epochs for run in runs_of(chosen)) + awaited

    def trains(self, standings: Set[Standing]) -> bool:
        """Whether a trial that stands so is to be trained whatever the results, or has yet to be suggested."""
        settled = [trial.id for phase in self.phases if not phase.provisional for trial in phase.trials]
        return bool(self.awaited) or any(self.standing[trial_id] in standings for trial_id in settled)

    def check_budget(self) -> None:
        """Raise AdaptuneError if the sweep has more trials than its budget allows."""
        allowed, trials = self.spec.budget.max_trials, len(self.standing) + self.awaited
        if trials > allowed:
            varied = "`grid`" if self.spec.search is None else "`search.trials`"
            raise AdaptuneError(
                f"{self.spec.name}: the plan has {trials:,} trials, and `budget.max_trials` allows "
                f"{allowed:,}: shorten {varied}, `seeds` or `ablations`, or raise the budget"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the plan's counts."""
        phases = [phase.to_json() for phase in self.phases]
        return {
            "sweep": self.spec.name,
            "task": self.spec.task,
            "data_digest": self.data_digest,
            "trials": len(self.standing) + self.awaited,
            "done": self.count("done"),
            "stopped": self.count("stopped"),
            "stale": self.count("stale"),
            "failed": self.count("failed"),
            "to_run": self.count("to run") + self.count("stale") + self.awaited,
            "epochs": sum(phase["epochs"] for phase in phases),
            "epochs_without_sharing": sum(phase["epochs_without_sharing"] for phase in phases),
            "epochs_to_run": self.epochs_to_run,
            "seconds_per_epoch": self.seconds_per_epoch,
            "phases": phases,
        }


def make_plan(spec: SweepSpec, ledger: Ledger | None, workspace: Workspace | None = None) -> Plan:
    """Lay a sweep beside the ledger; with a workspace, also beside the files of the rows that it compares."""
    planner = Planner(spec, ledger)
    phases = planner.phases()
    ids = list(dict.fromkeys(trial.id for phase in phases for trial in phase.trials))
    rows = ledger.trials(ids) if ledger is not None else {}
    stops = stops_that_hold(spec, ledger, phases[:2]) if ledger is not None else set()
    code = validity(spec.task) if rows else ""  # nothing is recorded that could have been under other code
    standings: dict[str, Standing] = {
        trial_id: standing(rows.get(trial_id), code, spec.budget.max_failures, trial_id in stops)
        for trial_id in ids
    }
    if ledger is not None and workspace is not None:
        for trial in (trial for phase in phases for trial in phase.compared):
            if standings[trial.id] == "done" and not is_whole(workspace, trial.id, *TRAINED):
                standings[trial.id] = "to run"
    return Plan(
        spec=spec,
        data_digest=planner.data_digest,
        phases=phases,
        standing=standings,
        seconds_per_epoch=ledger.seconds_per_epoch(spec.task, planner.data_digest) if ledger else None,
    )


def stops_that_hold(spec: SweepSpec, ledger: Ledger, phases: Iterable[Phase]) -> set[str]:
    """Return those trials of the phases that choose a point which the sweep's own rule has stopped.

    Under another rule, or without one, they might have gone on, and are to run.
    """
    if spec.stop is None:
        return set()
    rule = spec.stop.model_dump(mode="json")
    stops = ledger.stops([trial.id for phase in phases for trial in phase.trials])
    return {trial_id for trial_id, stop in stops.items() if stop.rule == rule}


def standing(row: TrialRow | None, code: str, max_failures: int, stop_holds: bool = False) -> Standing:
    """Return what the ledger's row of a trial means under the present state of the code.

    A failure counts only for the code that failed. A trial that its surroundings ended counts as failed once
    that has happened more than `max_failures` times. One that was stopped early is to run unless `stop_holds`.
    """
    if row is None or row.state == "running" or (row.state == "stopped" and not stop_holds):
        return "to run"
    if row.state in ("interrupted", "failed"):
        return "failed" if row.has_failed(max_failures) and row.validity == code else "to run"
    if row.validity != code:
        return "stale"
    return "stopped" if row.state == "stopped" else "done"
