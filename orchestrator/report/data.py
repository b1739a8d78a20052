"""What a report is made of; whoever reads the ledger fills it in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.judging.comparison import Comparison, Role


@dataclass(frozen=True)
class Curve:
    """One training run's validation metrics, epoch by epoch."""

    label: str
    """The grid point, such as `learning_rate 0.001, batch_size 32`; shared by all of its seeds."""
    role: Role
    seed: int
    points: Sequence[Mapping[str, Any]]
    """`{"epoch": 1, "metrics": {"accuracy": 0.64, …}}` and so on, as in a trial's `curve.json`."""
    chosen: bool = False


@dataclass(frozen=True)
class GridPoint:
    """One point of a grid and what it reached on the validation part."""

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
    """By seed, one word on why there is no result, such as `diverged`."""


@dataclass(frozen=True)
class Cost:
    """What one phase of a sweep took."""

    phase: str
    trials: int
    runs: int
    epochs: int
    seconds: float


@dataclass(frozen=True)
class ReportData:
    """Everything on the page. The comparison carries rows, slices and the count of test evaluations."""

    comparison: Comparison
    curves: Sequence[Curve] = ()
    grid: Sequence[GridPoint] = ()
    costs: Sequence[Cost] = ()
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


@dataclass(frozen=True)
class StudyData:
    """Everything on the page of several sweeps."""

    name: str
    sweeps: Sequence[ReportData]
    unfinished: Mapping[str, str] = field(default_factory=dict)
    """Sweeps that have nothing to show yet, by name, each with the reason."""
    created: str = ""
    """When the report was written, in ISO 8601."""
