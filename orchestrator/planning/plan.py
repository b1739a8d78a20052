"""What a sweep file asks for: phases of trials, and the training runs that yield them."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from statistics import fmean
from typing import Any, Literal

from components.config import TrialConfig
from components.data.store import data_digest
from components.errors import AdaptuneError
from components.tasks import TASKS
from orchestrator.planning.identity import trial_and_run_id, trial_document, validity
from orchestrator.records.ledger import Ledger, TrialRow
from orchestrator.spec.sweep import SweepSpec

GRID, BASELINE_GRID, ABLATIONS = "grid", "baseline-grid", "ablations"

Standing = Literal["done", "stale", "failed", "to run"]


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
    """Trials that can run side by side. A provisional phase stands in for one that awaits the grid's choice."""

    name: str
    trials: tuple[PlannedTrial, ...]
    provisional: bool = False

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The phase's training runs, the longest first so that the last ones to finish are short."""
        return runs_of(self.trials)

    def to_json(self) -> dict[str, Any]:
        """Return the phase's counts."""
        return {
            "name": self.name,
            "trials": len(self.trials),
            "runs": len(self.runs),
            "epochs": sum(run.epochs for run in self.runs),
            "epochs_without_sharing": sum(trial.epochs for trial in self.trials),
        }


def runs_of(trials: Iterable[PlannedTrial]) -> tuple[Run, ...]:
    """Group trials that differ only in their epochs into training runs, the longest run first."""
    ordered = sorted(trials, key=lambda trial: (trial.run_id, trial.epochs))
    runs = [Run(run_id, tuple(group)) for run_id, group in groupby(ordered, key=lambda trial: trial.run_id)]
    return tuple(sorted(runs, key=lambda run: (-run.epochs, run.id)))


class Planner:
    """Turns a sweep into phases. Reads the data's digest, never the data; starts nothing."""

    def __init__(self, spec: SweepSpec) -> None:
        """Plan for `spec`; raises DataError where its data cannot be found."""
        self.spec = spec
        self.data_digest = data_digest(spec.data, TASKS[spec.task].form)
        self.device = "gpu" if spec.resources.gpu else "cpu"

    def grid(self) -> Phase:
        """The grid of the model itself."""
        return Phase(GRID, self._unique("model", self.spec.grid_points()))

    def baseline_grid(self) -> Phase:
        """The same grid for the baseline, so that it too gets its own best point."""
        return Phase(BASELINE_GRID, self._unique(self.spec.compare.against, self.spec.baseline_points()))

    def ablations(self, point: Mapping[str, Any], provisional: bool = False) -> Phase:
        """Every ablation but the baseline, at the point that was chosen for the model."""
        trials = [
            trial
            for name, change in self.spec.ablations.items()
            if name != self.spec.compare.against
            for trial in self._unique(name, [{**point, **change}])
        ]
        return Phase(ABLATIONS, tuple(trials), provisional)

    def phases(self, ledger: Ledger | None) -> tuple[Phase, ...]:
        """Return all phases; the ablations stand at the chosen point once the ledger holds the whole grid.

        Until then they stand, provisionally, at the grid's most expensive point.
        """
        grid, baseline_grid = self.grid(), self.baseline_grid()
        finished = {} if ledger is None else ledger.trials([trial.id for trial in grid.trials])
        missing = [trial for trial in grid.trials if trial.id not in finished]
        if missing or any(row.state in ("running", "interrupted") for row in finished.values()):
            dearest = max(grid.trials, key=lambda trial: trial.epochs)
            return grid, baseline_grid, self.ablations(dearest.point, provisional=True)
        choice = choose(grid.trials, finished, self.spec.objective.metric, self.spec.objective.mode)
        return grid, baseline_grid, self.ablations(choice or grid.trials[0].point, provisional=choice is None)

    def _unique(self, name: str, points: Iterable[Mapping[str, Any]]) -> tuple[PlannedTrial, ...]:
        found: dict[str, PlannedTrial] = {}
        for point in points:
            for seed in self.spec.seeds:
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

    def epochs_of(self, standings: Set[Standing]) -> int:
        """Return the epochs of training, prefixes shared, of all trials that stand so."""
        trials = {trial.id: trial for phase in self.phases for trial in phase.trials}
        chosen = [trial for trial in trials.values() if self.standing[trial.id] in standings]
        return sum(run.epochs for run in runs_of(chosen))

    def check_budget(self) -> None:
        """Raise AdaptuneError if the sweep has more trials than its budget allows."""
        allowed = self.spec.budget.max_trials
        if len(self.standing) > allowed:
            raise AdaptuneError(
                f"{self.spec.name}: the plan has {len(self.standing):,} trials, and `budget.max_trials` allows "
                f"{allowed:,}: shorten `grid`, `seeds` or `ablations`, or raise the budget"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the plan's counts."""
        phases = [phase.to_json() for phase in self.phases]
        return {
            "sweep": self.spec.name,
            "task": self.spec.task,
            "data_digest": self.data_digest,
            "trials": len(self.standing),
            "done": self.count("done"),
            "stale": self.count("stale"),
            "failed": self.count("failed"),
            "to_run": self.count("to run") + self.count("stale"),
            "epochs": sum(phase["epochs"] for phase in phases),
            "epochs_without_sharing": sum(phase["epochs_without_sharing"] for phase in phases),
            "epochs_to_run": self.epochs_to_run,
            "seconds_per_epoch": self.seconds_per_epoch,
            "phases": phases,
        }


def make_plan(spec: SweepSpec, ledger: Ledger | None) -> Plan:
    """Lay a sweep beside the ledger."""
    planner = Planner(spec)
    phases = planner.phases(ledger)
    ids = list(dict.fromkeys(trial.id for phase in phases for trial in phase.trials))
    rows = ledger.trials(ids) if ledger is not None else {}
    code = validity(spec.task) if rows else ""  # nothing is recorded that could have been under other code
    return Plan(
        spec=spec,
        data_digest=planner.data_digest,
        phases=phases,
        standing={trial_id: standing(rows.get(trial_id), code, spec.budget.max_failures) for trial_id in ids},
        seconds_per_epoch=ledger.seconds_per_epoch(spec.task, planner.data_digest) if ledger else None,
    )


def standing(row: TrialRow | None, code: str, max_failures: int) -> Standing:
    """Return what the ledger's row of a trial means under the present state of the code.

    A failure counts only for the code that failed. A trial that its surroundings ended counts as failed once
    that has happened more than `max_failures` times.
    """
    if row is None or row.state == "running":
        return "to run"
    if row.state == "interrupted":
        return "to run" if row.attempts <= max_failures else "failed"
    if row.state == "failed":
        return "failed" if row.validity == code else "to run"
    return "done" if row.validity == code else "stale"
