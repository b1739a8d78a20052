"""What a report is made of; whoever reads the ledger fills it in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.judging.between import Between
from orchestrator.judging.comparison import Comparison, Role
from orchestrator.records.costs import Training
from orchestrator.records.spent import Spent
from orchestrator.release.card import Card


@dataclass(frozen=True)
class Curve:
    """One training run's validation metrics, epoch by epoch."""

    label: str
    """The grid point, such as `learning rate 0.001, batch size 32`; shared by all of its seeds."""
    role: Role
    seed: int
    points: Sequence[Mapping[str, Any]]
    """`{"epoch": 1, "metrics": {"accuracy": 0.64, …}}` and so on, as in a trial's `curve.json`."""
    chosen: bool = False


@dataclass(frozen=True)
class Stopped:
    """Where a training of a point was ended early."""

    epoch: int
    epochs: int
    """How many it would have had."""
    objective: float
    """What it had reached."""


@dataclass(frozen=True)
class GridPoint:
    """One point of a grid or a search and what it reached on the validation part."""

    role: Role
    settings: Mapping[str, Any]
    """The grid's paths and the values they take here."""
    objective: Mapping[int, float | None]
    """By seed; None where the trial has no result."""
    parameters: int | None = None
    seconds: float | None = None
    """Training time, all seeds together."""
    chosen: bool = False
    missing: Mapping[int, str] = field(default_factory=dict)
    """By seed, in a few words why there is no result, such as `diverged`."""
    stopped: Mapping[int, Stopped] = field(default_factory=dict)
    """By seed, where it was ended early."""
    number: int = 0
    """Its place, from 1, in the order in which the points were planned or suggested."""


@dataclass(frozen=True)
class Cost:
    """What one phase of a sweep took."""

    phase: str
    trials: int
    runs: int
    epochs: int
    spent: Spent


@dataclass(frozen=True)
class ReportData:
    """Everything on the page. The comparison carries rows, slices and the count of test evaluations."""

    comparison: Comparison
    curves: Sequence[Curve] = ()
    grid: Sequence[GridPoint] = ()
    grid_keys: Sequence[str] = ()
    """The paths that the sweep's grid varies; a search varies further ones."""
    ablations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What each ablation changes in the model, by the ablation's name: values by path."""
    costs: Sequence[Cost] = ()
    trainings: Sequence[Training] = ()
    """Every training that the costs are made of."""
    cards: Sequence[Card] = ()
    """What is known of the versions that were promoted from this sweep, newest first."""
    provenance: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Headings such as `Data`, `Code`, `Hardware`, each with names and values."""
    evaluations: Sequence[Mapping[str, Any]] = ()
    """Evaluations over several parties' users, oldest first, as `adaptune evaluate` keeps them."""
    search: str = ""
    """How the points were found, such as `12 random points, seed 0`; empty for a grid alone."""
    description: str = ""
    """What the sweep file says of itself."""
    created: str = ""
    """When the report was written, in ISO 8601."""

    @property
    def tried_seeds(self) -> list[int]:
        """The seeds that points were tried with: a search and early stopping choose by the first one alone."""
        return sorted({seed for point in self.grid for seed in point.objective})

    @property
    def points(self) -> list[Mapping[str, Any]]:
        """The settings of all points that were tried."""
        return [point.settings for point in self.grid]


@dataclass(frozen=True)
class StudyData:
    """Everything on the page of several sweeps."""

    name: str
    sweeps: Sequence[ReportData]
    unfinished: Mapping[str, str] = field(default_factory=dict)
    """Sweeps that have nothing to show yet, by name, each with the reason."""
    between: Sequence[Between] = ()
    """The sweeps of each task side by side, where there are at least two."""
    created: str = ""
    """When the report was written, in ISO 8601."""
