"""Who stands where: leaderboard, contributions of the parts, all metrics. The template only lays this out."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import Literal

from components.tasks import Metric
from orchestrator.judging import formatting as write
from orchestrator.judging.comparison import ALPHA, ROLES, Comparison, Difference, Row, Slice
from orchestrator.judging.verdict import is_better, is_ceiling
from orchestrator.report.axis import Axis


@dataclass(frozen=True)
class Mark:
    """A mean and its interval on an axis that runs over the width of a table cell, as CSS lengths."""

    dot: str
    left: str
    width: str

    @classmethod
    def on(cls, axis: Axis, mean: float, low: float, high: float) -> "Mark":
        """Place an interval on `axis`; a single unit has none, and only a mean."""
        if isnan(low) or isnan(high):
            low = high = mean
        width = max(0.0, axis.share(high) - axis.share(low)) * 100
        return cls(axis.percent(mean), axis.percent(low), f"{width:.2f}%")


@dataclass(frozen=True)
class Stated:
    """A difference as it is written."""

    size: str
    interval: str
    p_adjusted: str
    effect: str
    verdict: Literal["better", "worse", ""]
    """Empty where no difference is shown."""
    could_see: str
    """The smallest difference that the comparison could have seen, where none is shown."""

    @property
    def word(self) -> str:
        """The verdict as a reader sees it."""
        return self.verdict or "not shown"


@dataclass(frozen=True)
class Line:
    """A row of a table that draws an interval: its own value's, or that of its difference from the model."""

    row: Row
    value: str
    interval: str
    mark: Mark
    difference: Stated | None
    ceiling: bool = False
    """Whether the row was told the truth."""
    by_seed: str = ""
    """The difference in each seed."""


@dataclass(frozen=True)
class Drawn:
    """A table of intervals over a common axis."""

    lines: Sequence[Line]
    ticks: Sequence[tuple[str, str]]
    """Position and text of each tick."""
    reference: str
    """Position of the vertical line that the intervals are read against."""


def leaderboard(comparison: Comparison, chosen: Slice | None = None) -> Drawn:
    """Order the rows of a slice, by default the main one, that have the objective by it, the best first."""
    metric = comparison.task.metrics[comparison.metric]
    sign = -1 if comparison.mode == "max" else 1
    rows = sorted(
        (
            row
            for row in comparison.slices.get(chosen or comparison.main, ())
            if comparison.metric in row.metrics
        ),
        key=lambda row: sign * row.metrics[comparison.metric].mean,
    )
    intervals = [row.metrics[comparison.metric] for row in rows]
    axis = Axis.around(edge for one in intervals for edge in (one.low, one.mean, one.high))
    baseline = next((row for row in rows if row.name == comparison.baseline), None)
    reference = baseline.metrics[comparison.metric] if baseline is not None else None
    return Drawn(
        lines=[_leaderboard_line(comparison, metric, row, axis) for row in rows],
        ticks=[(axis.percent(tick), write.axis_tick(metric, tick)) for tick in axis.ticks],
        reference=axis.percent(reference.mean) if reference is not None else "",
    )


def _leaderboard_line(comparison: Comparison, metric: Metric, row: Row, axis: Axis) -> Line:
    interval = row.metrics[comparison.metric]
    difference = row.against_baseline.get(comparison.metric)
    return Line(
        row=row,
        value=write.metric_value(metric, interval.mean),
        interval=write.metric_interval(metric, interval),
        mark=Mark.on(axis, interval.mean, interval.low, interval.high),
        difference=None if difference is None else state_difference(comparison, metric, difference),
        ceiling=is_ceiling(comparison, row),
    )


def contributions(comparison: Comparison, chosen: Slice | None = None) -> Drawn:
    """Show what the model loses without a part, or reading another user: the model minus each such row.

    By default on the main slice. Of each role, what costs the most comes first.
    """
    return _model_minus(comparison, _without(comparison, chosen), chosen)


def against_rules(comparison: Comparison, chosen: Slice | None = None) -> Drawn:
    """Show the model minus each rule without training, by default on the main slice."""
    rows = comparison.slices.get(chosen or comparison.main, ())
    return _model_minus(comparison, [row for row in rows if row.role == "trivial"], chosen)


def _model_minus(comparison: Comparison, candidates: Sequence[Row], chosen: Slice | None) -> Drawn:
    metric = comparison.task.metrics[comparison.metric]
    sign = -1 if comparison.mode == "max" else 1
    rows = sorted(
        (row for row in candidates if comparison.metric in row.model_minus),
        key=lambda row: (ROLES.index(row.role), sign * row.model_minus[comparison.metric].difference),
    )
    differences = [row.model_minus[comparison.metric] for row in rows]
    edges = (edge for one in differences for edge in (one.low, one.difference, one.high))
    axis = Axis.around([0.0, *edges], ticks=4)
    lines = [
        Line(
            row=row,
            value=write.metric_difference(metric, difference.difference),
            interval=write.difference_interval(metric, difference),
            mark=Mark.on(axis, difference.difference, difference.low, difference.high),
            difference=state_difference(comparison, metric, difference),
            ceiling=is_ceiling(comparison, row),
            by_seed=_by_seed(comparison, metric, row) if chosen in (None, comparison.main) else "",
        )
        for row, difference in zip(rows, differences, strict=True)
    ]
    return Drawn(
        lines, [(axis.percent(t), write.axis_tick(metric, t, "+")) for t in axis.ticks], axis.percent(0.0)
    )


def _without(comparison: Comparison, chosen: Slice | None = None) -> list[Row]:
    """Return the rows that the model is held against part by part."""
    rows = comparison.slices.get(chosen or comparison.main, ())
    return [row for row in rows if row.role in ("ablation", "control", "baseline")]


def _by_seed(comparison: Comparison, metric: Metric, row: Row) -> str:
    gains = comparison.model_minus_by_seed(row).values()
    return ", ".join(write.metric_difference(metric, gain).removesuffix(" points") for gain in gains)


def parts_on_metrics(
    comparison: Comparison,
) -> tuple[Sequence[Metric], Sequence[tuple[Row, Sequence["Cell"]]]]:
    """Lay out the model minus each ablation, control and baseline on every metric that both have."""
    rows = _without(comparison)
    metrics = {
        name: metric
        for name, metric in comparison.task.metrics.items()
        if any(name in row.model_minus for row in rows)
    }
    return list(metrics.values()), [
        (row, [_change(metric, row.model_minus.get(name)) for name, metric in metrics.items()])
        for row in rows
    ]


def _change(metric: Metric, difference: Difference | None) -> "Cell":
    if difference is None:
        return Cell(write.MISSING)
    return Cell(
        write.metric_difference(metric, difference.difference).removesuffix(" points"),
        write.difference_interval(metric, difference),
        difference.p_adjusted < ALPHA,
        write.detectable(metric, difference),
    )


def state_difference(comparison: Comparison, metric: Metric, difference: Difference) -> Stated:
    """Write a difference of the objective."""
    verdict: Literal["better", "worse", ""] = ""
    if difference.p_adjusted < ALPHA:
        verdict = "better" if is_better(comparison, difference.difference) else "worse"
    return Stated(
        size=write.metric_difference(metric, difference.difference),
        interval=write.difference_interval(metric, difference),
        p_adjusted=write.p_value(difference.p_adjusted),
        effect=write.effect_size(difference.effect_size),
        verdict=verdict,
        could_see=write.detectable(metric, difference),
    )


@dataclass(frozen=True)
class Cell:
    """One metric of one row."""

    value: str
    interval: str = ""
    differs: bool = False
    could_see: str = ""
    best: bool = False


def all_metrics(
    comparison: Comparison, chosen: Slice | None = None
) -> tuple[Sequence[Metric], Sequence[tuple[Row, Sequence[Cell]]]]:
    """Lay out every metric of every row of a slice; the best of a column, oracles aside, is marked."""
    rows = comparison.slices.get(chosen or comparison.main, ())
    metrics = {
        name: metric
        for name, metric in comparison.task.metrics.items()
        if any(name in row.metrics for row in rows)
    }
    best = {}
    for name, metric in metrics.items():
        means = [
            row.metrics[name].mean for row in rows if name in row.metrics and not is_ceiling(comparison, row)
        ]
        best[name] = (max if metric.mode == "max" else min)(means, default=None)
    table = [
        (row, [_cell(row, name, metric, best[name]) for name, metric in metrics.items()]) for row in rows
    ]
    return list(metrics.values()), table


def _cell(row: Row, name: str, metric: Metric, best: float | None) -> Cell:
    interval, difference = row.metrics.get(name), row.against_baseline.get(name)
    if interval is None:
        return Cell(write.MISSING)
    return Cell(
        value=write.metric_value(metric, interval.mean),
        interval=write.metric_interval(metric, interval),
        differs=difference is not None and difference.p_adjusted < ALPHA,
        could_see="" if difference is None else write.detectable(metric, difference),
        best=interval.mean == best,
    )
