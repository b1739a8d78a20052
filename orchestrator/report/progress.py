"""How it came about: cold start and learning curves. The template only lays this out."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import isnan
from statistics import fmean

from markupsafe import Markup

from components.tasks import Metric
from orchestrator.judging import formatting as write
from orchestrator.judging.comparison import Comparison, Difference, Interval, Row, Slice
from orchestrator.report.axis import Axis
from orchestrator.report.charts import Point, Series, line_chart, swatch
from orchestrator.report.data import Curve

COLD_START = ("model", "baseline")


@dataclass(frozen=True)
class ByHistory:
    """A metric by length of history for one group."""

    title: str
    counted: str
    """How many units stand behind it."""
    chart: Markup
    histories: Sequence[str]
    rows: Sequence[tuple[str, str, Sequence[str]]]
    """Label, colour and one value a history."""


@dataclass(frozen=True)
class AdaptationCurve:
    """How model and baseline follow users who change their preference."""

    metric: Metric
    curve: ByHistory
    followed: str
    """When the model has followed them, as a sentence; empty where the metric is no share."""


def cold_start(comparison: Comparison) -> list[ByHistory]:
    """Draw model and baseline by the number of events that they were shown, for each group with cuts."""
    changing = comparison.task.adaptation
    groups = [group for group in comparison.task.groups if changing is None or group != changing.group]
    known = [
        row.metrics[comparison.metric]
        for (group, _), rows in comparison.slices.items()
        for row in rows
        if group in groups and row.role in COLD_START and comparison.metric in row.metrics
    ]
    axis = Axis.around(end for one in known for end in (one.low, one.mean, one.high))
    found = [_by_history(comparison, group, comparison.metric, "events of history", axis) for group in groups]
    return [curve for curve in found if curve is not None]


def adaptation(comparison: Comparison) -> AdaptationCurve | None:
    """Draw model and baseline by the number of events after the users' change; None for a task without it."""
    changing = comparison.task.adaptation
    if changing is None:
        return None
    curve = _by_history(comparison, changing.group, changing.metric, "events after the change")
    if curve is None:
        return None
    metric = comparison.task.metrics[changing.metric]
    return AdaptationCurve(metric, curve, _followed(comparison) if metric.percent else "")


def _followed(comparison: Comparison) -> str:
    """Say after how many events the model's share is above one half, and stays there."""
    changing = comparison.task.adaptation
    assert changing is not None
    shares = [
        (history, row.metrics[changing.metric].mean)
        for group, history in sorted(comparison.slices)
        if group == changing.group and history >= 0
        if (row := _row_of(comparison, (group, history), "model")) and changing.metric in row.metrics
    ]
    below = [history for history, share in shares if share <= 0.5]
    above = [history for history, share in shares if not below or history > below[-1]]
    if not above:
        return "The model's share is not above one half at any of these."
    events = "event" if above[0] == 1 else "events"
    return f"From {above[0]} {events} on, the model's share is above one half."


def _by_history(
    comparison: Comparison, group: str, name: str, counted: str, y_axis: Axis | None = None
) -> ByHistory | None:
    """Draw one metric of one group; None where its histories are not cut."""
    metric, words = comparison.task.metrics[name], comparison.task.groups[group]
    cuts = sorted(history for found, history in comparison.slices if found == group and history >= 0)
    if not cuts:
        return None
    histories = [*cuts, comparison.main[1]]
    names = [write.history_label(history) for history in histories]
    series, rows = [], []
    for role in COLD_START:
        rows_here = [_row_of(comparison, (group, history), role) for history in histories]
        points = [
            _point(place, interval)
            for place, row in enumerate(rows_here)
            if row is not None and (interval := row.metrics.get(name)) is not None
        ]
        series.append(Series(role, role, points, dash=COLD_START.index(role)))
        rows.append((role, role, [_interval(metric, row, name) for row in rows_here]))
    model = [_row_of(comparison, (group, history), "model") for history in histories]
    changes = [row.against_baseline.get(name) if row is not None else None for row in model]
    rows.append(("difference", "", [_gain(metric, change) for change in changes]))
    chart = line_chart(
        f"{metric.label} of {words.title}",
        series,
        counted,
        metric.label,
        lambda value: write.axis_tick(metric, value),
        x_names=names,
        y_axis=y_axis,
    )
    units = next((row.units for row in comparison.slices[(group, histories[0])]), 0)
    return ByHistory(words.title, comparison.task.counted(units), chart, names, rows)


def _point(place: int, interval: Interval) -> Point:
    known = not isnan(interval.low)
    return Point(place, interval.mean, interval.low if known else None, interval.high if known else None)


def _row_of(comparison: Comparison, chosen: Slice, role: str) -> Row | None:
    return next((row for row in comparison.slices.get(chosen, ()) if row.role == role), None)


def _gain(metric: Metric, change: Difference | None) -> str:
    if change is None:
        return write.MISSING
    seen = write.detectable(metric, change)
    size = write.metric_difference(metric, change.difference)
    written = write.with_interval(size, write.difference_interval(metric, change))
    return written + (f", could see {seen}" if seen else "")


def _interval(metric: Metric, row: Row | None, name: str) -> str:
    interval = row.metrics.get(name) if row is not None else None
    if interval is None:
        return write.MISSING
    mean = write.metric_value(metric, interval.mean)
    return write.with_interval(mean, write.metric_interval(metric, interval))


@dataclass(frozen=True)
class Learning:
    """Learning curves: a chart of the objective, one of the training loss, and their common legend."""

    charts: Sequence[tuple[str, Markup]]
    legend: Sequence[tuple[Markup, str, bool]]
    numbers: Sequence[tuple[str, Sequence[str]]]
    """The same in words: each line's name, and of each chart its first, best and last value."""


def learning(comparison: Comparison, curves: Sequence[Curve], seeds: Sequence[int]) -> Learning:
    """Draw each point's mean over `seeds`, those that points were tried with; of one epoch there is no curve."""
    if all(len(curve.points) < 2 for curve in curves):
        return Learning((), (), ())
    groups: dict[tuple[str, str], list[Curve]] = {}
    for curve in curves:
        groups.setdefault((curve.role, curve.label), []).append(curve)
    dash: dict[str, int] = {}
    styled = []
    for (role, label), members in groups.items():
        styled.append((role, label, members, dash.setdefault(role, 0), any(one.chosen for one in members)))
        dash[role] += 1
    metric = comparison.task.metrics[comparison.metric]
    wanted: list[tuple[str, str, Callable[[float], str], Callable[[float], str], bool]] = [
        (
            comparison.metric,
            f"{metric.label}, validation part",
            lambda value: write.axis_tick(metric, value),
            lambda value: write.metric_value(metric, value),
            comparison.mode == "max",
        ),
        ("train_loss", "Training loss", lambda value: f"{value:g}", lambda value: f"{value:.3f}", False),
    ]
    charts = []
    told: dict[str, list[str]] = {}
    for name, title, tick, written, rising in wanted:
        series = [
            Series(f"{role}, {label}", role, points, place, chosen)
            for role, label, members, place, chosen in styled
            if (points := _mean_curve(members, name, seeds))
        ]
        if series:
            charts.append((title, line_chart(title, series, "epoch", title, tick)))
            lines = {line.label: line.points for line in series}
            for role, label, *_ in styled:
                name = f"{role}, {label}"
                told.setdefault(name, []).extend(_course(lines.get(name, ()), written, rising))
    legend = [
        (swatch(role, place, chosen), f"{role}: {label}{_gaps(members, seeds)}", chosen)
        for role, label, members, place, chosen in styled
    ]
    return Learning(charts, legend if charts else [], list(told.items()))


def _course(points: Sequence[Point], written: Callable[[float], str], rising: bool) -> list[str]:
    """Write a curve's first, best and last value."""
    if not points:
        return [write.MISSING] * 3
    best = (max if rising else min)(points, key=lambda point: point.y)
    return [written(points[0].y), f"{written(best.y)} (epoch {best.x:g})", written(points[-1].y)]


def _gaps(curves: Iterable[Curve], seeds: Sequence[int]) -> str:
    """Say which seeds have no curve, so that none is drawn for the point."""
    missing = sorted(set(seeds) - {curve.seed for curve in curves})
    return f" (not drawn: no curve of seed {', '.join(map(str, missing))})" if missing else ""


def _mean_curve(curves: Iterable[Curve], name: str, seeds: Sequence[int]) -> list[Point]:
    """Average over seeds at each epoch that all of them reached; nothing where a seed is missing."""
    by_seed: dict[int, dict[int, float]] = {}
    for curve in curves:
        for point in curve.points:
            value = point["metrics"].get(name)
            if value is not None and not isnan(value):
                by_seed.setdefault(curve.seed, {})[int(point["epoch"])] = value
    if not set(seeds) <= by_seed.keys():
        return []
    epochs = sorted(set.intersection(*(set(values) for values in by_seed.values())))
    return [Point(epoch, fmean(values[epoch] for values in by_seed.values())) for epoch in epochs]
