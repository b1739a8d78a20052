"""What a comparison of a sweep's rows consists of, and how it is handed on: JSON and pandas."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from components.metrics.rows import FULL_HISTORY
from components.tasks import TaskInfo

if TYPE_CHECKING:
    import pandas as pd

Role = Literal["model", "ablation", "control", "baseline", "trivial", "oracle"]
Slice = tuple[str, int]
"""Group and history length, such as `("unseen", 5)`."""

ALPHA = 0.05
"""Largest adjusted p-value that is called a difference."""

ROLES: tuple[Role, ...] = ("model", "ablation", "control", "baseline", "trivial", "oracle")
"""In the order in which tables show them. An oracle is the model that was told the truth: a ceiling, not a rival."""


@dataclass(frozen=True)
class Entry:
    """A row to compare: its evaluation rows by seed. A trivial row has one table, standing for all seeds."""

    name: str
    role: Role
    parameters: int | None
    tables: Mapping[int, pa.Table]
    failures: Mapping[int, str] = field(default_factory=dict)
    """Why a training failed, by those seeds that have no rows."""


@dataclass(frozen=True)
class Interval:
    """A mean over units with its interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """A mean difference over units. `p_adjusted` is Holm's; `effect_size` is Cohen's d_z.

    `detectable` is the smallest true difference that this comparison would show with probability .8, that is with
    `p_adjusted` below `ALPHA` even if nothing else in the family differs. NaN where all units differ by the same, or
    it is not known.
    """

    difference: float
    low: float
    high: float
    p_value: float
    p_adjusted: float
    effect_size: float
    detectable: float


@dataclass(frozen=True)
class GroupBenefit:
    """What the model brings to the users who share something, such as an age band."""

    trait: str
    """What they share a value of, such as `age`."""
    value: str
    users: int
    model: Interval
    baseline: Interval
    difference: Difference
    """The model minus the baseline; without p-value where `refused`."""
    refused: str
    """Why nothing is concluded about the group; empty where something is."""

    def to_json(self) -> dict[str, Any]:
        """Return the group as it stands in `compare --json`."""
        return {
            "trait": self.trait,
            "value": self.value,
            "users": self.users,
            "model": numbers(self.model),
            "baseline": numbers(self.baseline),
            "difference": numbers(self.difference),
            "refused": self.refused or None,
        }


@dataclass(frozen=True)
class Row:
    """What one entry scored in one slice. Metrics that it does not have are left out."""

    name: str
    role: Role
    units: int
    """Number of the task's units that the means stand on: users, or what else the task pairs."""
    parameters: int | None
    metrics: Mapping[str, Interval]
    against_baseline: Mapping[str, Difference]
    """This row minus the baseline; empty for the baseline itself."""
    model_minus: Mapping[str, Difference]
    """The model minus this row; empty for the model itself."""
    micro: Mapping[str, float]
    """Pooled over examples, for the metrics for which that means something."""
    by_seed: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    """What each seed scored alone, by metric: how far chance in training moves a mean. None of a trivial row."""

    def to_json(self) -> dict[str, Any]:
        """Return the row as it stands in `compare --json`; an undefined number is null."""
        return {
            "name": self.name,
            "role": self.role,
            "units": self.units,
            "parameters": self.parameters,
            "metrics": {name: numbers(value) for name, value in self.metrics.items()},
            "against_baseline": {name: numbers(value) for name, value in self.against_baseline.items()},
            "model_minus": {name: numbers(value) for name, value in self.model_minus.items()},
            "by_seed": {str(seed): dict(values) for seed, values in self.by_seed.items()},
        }


@dataclass(frozen=True)
class Comparison:
    """A sweep's rows side by side: one group with full histories in `rows`, every slice in `slices`."""

    sweep: str
    task: TaskInfo
    metric: str
    mode: Literal["min", "max"]
    seeds: tuple[int, ...]
    test_looks: int
    part: Literal["validation", "test"]
    level: float
    baseline: str
    slices: Mapping[Slice, tuple[Row, ...]]
    source: str = ""
    """Where the data is from, such as `movielens`."""
    group: str = ""
    """The group that `rows` are about, if not the task's main one."""
    benefit: tuple[GroupBenefit, ...] = ()
    """The model's objective minus the baseline's by what is known of users; empty where nothing is."""
    unknown_traits: str = ""
    """Why nothing could be read of what is known of users."""

    @property
    def main(self) -> Slice:
        """The main slice: the group that this is about, by default the task's first one, with full histories."""
        return self.group or self.task.main_group, FULL_HISTORY

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows of the main slice."""
        return self.slices[self.main]

    def row(self, name: str, chosen: Slice | None = None) -> Row | None:
        """Find a row of a slice by name, by default of the main one."""
        return next((row for row in self.slices.get(chosen or self.main, ()) if row.name == name), None)

    @property
    def model(self) -> Row:
        """The model's row."""
        return next(row for row in self.rows if row.role == "model")

    def to_json(self) -> dict[str, Any]:
        """Return the document of `compare --json`.

        A row's `units` stand again under `users` where the unit is the user.
        """
        rows = [row.to_json() for row in self.rows]
        if self.task.unit == "user":
            rows = [{**row, "users": row["units"]} for row in rows]
        return {
            "sweep": self.sweep,
            "task": self.task.name,
            "objective": {"metric": self.metric, "mode": self.mode},
            "unit": self.task.unit,
            "group": self.main[0],
            "part": self.part,
            "seeds": list(self.seeds),
            "test_looks": self.test_looks,
            "possible_gain": self.possible_gain(),
            "benefit": [group.to_json() for group in self.benefit],
            "rows": rows,
        }

    @property
    def oracle(self) -> Row | None:
        """The row of the model that was told the truth, if the sweep has one."""
        return next((row for row in self.rows if row.role == "oracle"), None)

    def model_minus_by_seed(self, row: Row) -> dict[int, float]:
        """Return the model's objective minus a row's in each seed; empty for a trivial row."""
        ours = {
            seed: values[self.metric] for seed, values in self.model.by_seed.items() if self.metric in values
        }
        return {
            seed: ours[seed] - values[self.metric]
            for seed, values in row.by_seed.items()
            if seed in ours and self.metric in values
        }

    def possible_gain(self, chosen: Slice | None = None) -> dict[str, float]:
        """Return, by metric, the model's gain over the baseline as a share of the oracle's.

        Only for metrics in which the oracle is above the baseline, adjusted p-value below .05.
        """
        rows = self.slices.get(chosen or self.main, ())
        oracle = next((row for row in rows if row.role == "oracle"), None)
        model = next((row for row in rows if row.role == "model"), None)
        if oracle is None or model is None:
            return {}
        shares: dict[str, float] = {}
        for name, possible in oracle.against_baseline.items():
            sign = 1 if self.task.metrics[name].mode == "max" else -1
            shown = sign * possible.difference > 0 and possible.p_adjusted < ALPHA
            if shown and name in model.against_baseline:
                shares[name] = model.against_baseline[name].difference / possible.difference
        return shares

    def frame(self) -> "pd.DataFrame":
        """Return a tidy frame: one line for each slice, row and metric."""
        import pandas as pd

        lines = [
            {
                "group": group,
                "history": history,
                "row": row.name,
                "role": row.role,
                "units": row.units,
                "parameters": row.parameters,
                "metric": metric,
                **vars(interval),
                **_columns("against_baseline", row.against_baseline.get(metric)),
                **_columns("model_minus", row.model_minus.get(metric)),
            }
            for (group, history), rows in self.slices.items()
            for row in rows
            for metric, interval in row.metrics.items()
        ]
        return pd.DataFrame(lines)


def _columns(prefix: str, difference: Difference | None) -> dict[str, float]:
    return {
        f"{prefix}_{field.name}": getattr(difference, field.name, float("nan"))
        for field in fields(Difference)
    }


def numbers(value: Interval | Difference) -> dict[str, float | None]:
    """Return an interval or a difference for JSON; an undefined number is null."""
    return {key: number if isfinite(number) else None for key, number in vars(value).items()}
