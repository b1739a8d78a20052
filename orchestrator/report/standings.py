"""Who stands where: leaderboard, contributions of the parts, all metrics. The template only lays this out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isnan

from components.tasks import Metric
from orchestrator.judging import formatting as write
from orchestrator.judging.comparison import ALPHA, Comparison, Difference, Interval, Row, Slice
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
        """Place an interval on `axis`."""
        width = max(0.0, axis.share(high) - axis.share(low)) * 100
        return cls(axis.percent(mean), axis.percent(low), f"{width:.2f}%")


@dataclass(frozen=True)
class Stated:
    """A difference as it is written."""

    size: str
    interval: str
    p_adjusted: str
    effect: str
    verdict: str
    """`better`, `worse`, or empty where no difference is shown."""
    could_see: str
    """The smallest difference that the comparison could have seen, where none is shown."""


@dataclass(frozen=True)
class Line:
    """A row of a table that draws an interval: its own value's, or that of its difference from the model."""

    row: Row
    value: str
    interval: str
    mark: Mark | None
    difference: Stated | None
    ceiling: bool = False
    """Whether the row was told the truth."""


@dataclass(frozen=True)
class Drawn:
    """A table of intervals over a common axis."""

    lines: Sequence[Line]
    ticks: Sequence[tuple[str, str]]
    """Position and text of each tick."""
    reference: str
    """Position of the vertical line that the intervals are read against."""


def leaderboard(comparison: Comparison, chosen: Slice | None = None) -> Drawn:
    """Order the rows of a slice, by default the main one, by the objective; those without it come last."""
    metric = comparison.task.metrics[comparison.metric]
    sign = -1 if comparison.mode == "max" else 1
    rows = sorted(
        comparison.slices.get(chosen or comparison.main, ()),
        key=lambda row: (
            sign * row.metrics[comparison.metric].mean if comparison.metric in row.metrics else 1e9
        ),
    )
    intervals = [row.metrics[comparison.metric] for row in rows if comparison.metric in row.metrics]
    axis = Axis.around(_edges(intervals))
    baseline = next((row for row in rows if row.name == comparison.baseline), None)
    reference = baseline.metrics.get(comparison.metric) if baseline is not None else None
    return Drawn(
        lines=[_leaderboard_line(comparison, metric, row, axis) for row in rows],
        ticks=[(axis.percent(tick), write.axis_tick(metric, tick)) for tick in axis.ticks],
        reference=axis.percent(reference.mean) if reference is not None else "",
    )


def _leaderboard_line(comparison: Comparison, metric: Metric, row: Row, axis: Axis) -> Line:
    interval = row.metrics.get(comparison.metric)
    if interval is None:
        return Line(row, write.MISSING, "", None, None, is_ceiling(comparison, row))
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

    By default on the main slice.
    """
    metric = comparison.task.metrics[comparison.metric]
    rows = [
        row
        for row in comparison.slices.get(chosen or comparison.main, ())
        if row.role in ("ablation", "control", "baseline") and comparison.metric in row.model_minus
    ]
    differences = [row.model_minus[comparison.metric] for row in rows]
    axis = Axis.around([0.0, *_edges(differences)])
    lines = [
        Line(
            row=row,
            value=write.metric_difference(metric, difference.difference),
            interval=write.difference_interval(metric, difference),
            mark=Mark.on(axis, difference.difference, difference.low, difference.high),
            difference=state_difference(comparison, metric, difference),
        )
        for row, difference in zip(rows, differences, strict=True)
    ]
    return Drawn(
        lines, [(axis.percent(t), write.axis_tick(metric, t, "+")) for t in axis.ticks], axis.percent(0.0)
    )


def state_difference(comparison: Comparison, metric: Metric, difference: Difference) -> Stated:
    """Write a difference of the objective."""
    verdict = ""
    if difference.p_adjusted < ALPHA:
        verdict = "better" if is_better(comparison, difference.difference) else "worse"
    return Stated(
        size=write.metric_difference(metric, difference.difference),
        interval=write.difference_interval(metric, difference),
        p_adjusted=write.p_value(difference.p_adjusted),
        effect=write.MISSING if isnan(difference.effect_size) else f"{difference.effect_size:+.2f}",
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


def _edges(intervals: Iterable[Interval | Difference]) -> list[float]:
    return [edge for interval in intervals for edge in (interval.low, interval.high)]
