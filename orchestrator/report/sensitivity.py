"""How the validation objective depends on each setting of a grid. The template only lays this out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Any

from components.tasks import Metric
from orchestrator.judging import formatting as write
from orchestrator.judging.comparison import Comparison
from orchestrator.judging.verdict import label_of
from orchestrator.report.axis import Axis
from orchestrator.report.data import GridPoint
from orchestrator.report.standings import Mark
from orchestrator.spec.points import setting, short_names

MOST_TABLES = 3
"""Tables of two settings that are drawn at most."""


@dataclass(frozen=True)
class Value:
    """One value of a setting, averaged over the other settings."""

    text: str
    mean: float
    low: float
    """Of the seed with the smallest mean."""
    high: float
    chosen: bool
    best: float
    """The best point that has this value, mean over seeds."""


@dataclass(frozen=True)
class ValueLine:
    """A value as it is written."""

    text: str
    mean: str
    spread: str
    best: str
    chosen: bool
    mark: Mark


@dataclass(frozen=True)
class Setting:
    """One setting of the grid; without lines where no value can be compared with another."""

    name: str
    lines: Sequence[ValueLine]
    over: int
    """Over how many combinations of the other settings each value is averaged."""
    span: float
    """Between the best and the worst value."""
    noise: float
    """The largest difference between two seeds at one value."""


@dataclass(frozen=True)
class Crossing:
    """Two settings at once: the mean over seeds and what other settings there are."""

    rows: str
    columns: str
    values: Sequence[str]
    """Of the columns."""
    lines: Sequence[tuple[str, Sequence[tuple[str, bool]]]]
    """The row's value, and for each column what was reached and whether it was chosen."""


@dataclass(frozen=True)
class Sensitivity:
    """The grid of the model or of the baseline, setting by setting."""

    role: str
    sentences: Sequence[str]
    settings: Sequence[Setting]
    ticks: Sequence[tuple[str, str]]
    crossings: Sequence[Crossing]
    reference: str = ""
    """There is no line that the values are read against."""


def sensitivity(
    comparison: Comparison, points: Sequence[GridPoint], paths: Sequence[str]
) -> list[Sensitivity]:
    """Lay out the settings of a grid that take at least two values, for the model and for the baseline."""
    found = [
        _of_role(comparison, role, [point for point in points if point.role == role], paths)
        for role in ("model", "baseline")
    ]
    return [one for one in found if one is not None]


def _of_role(
    comparison: Comparison, role: str, points: Sequence[GridPoint], paths: Sequence[str]
) -> Sensitivity | None:
    metric = comparison.task.metrics[comparison.metric]
    names = dict(zip(paths, short_names(paths), strict=True))
    varied = [path for path in paths if len({repr(point.settings.get(path)) for point in points}) > 1]
    if not varied:
        return None
    values = {path: _values(comparison, points, path) for path in varied}
    drawn = [one for _, group in values.values() for one in group]
    axis = Axis.around([end for one in drawn for end in (one.low, one.high)])
    settings = [_setting(metric, names[path], *values[path], axis) for path in varied]
    settings.sort(key=lambda one: -one.span)
    return Sensitivity(
        role,
        [
            *(_sentence(comparison, one) for one in settings),
            *_edges(comparison, points, [path for path in varied if _matters(values[path][1])], names),
        ],
        settings,
        [(axis.percent(tick), write.axis_tick(metric, tick)) for tick in axis.ticks],
        [
            _crossing(metric, points, first, second, names)
            for first, second in list(combinations(varied, 2))[:MOST_TABLES]
        ],
    )


def _mean(point: GridPoint) -> float | None:
    values = [value for value in point.objective.values() if value is not None]
    return fmean(values) if values and len(values) == len(point.objective) else None


def _values(comparison: Comparison, points: Sequence[GridPoint], path: str) -> tuple[int, list[Value]]:
    """Average each value of a setting over those combinations of the others in which every value has a result."""
    blocks: dict[str, dict[str, GridPoint]] = {}
    texts = list(dict.fromkeys(setting(point.settings.get(path)) for point in points))
    for point in points:
        others = repr(sorted((key, repr(value)) for key, value in point.settings.items() if key != path))
        if _mean(point) is not None:
            blocks.setdefault(others, {})[setting(point.settings.get(path))] = point
    whole = [block for block in blocks.values() if len(block) == len(texts)]
    if not whole:
        return 0, []
    best = max if comparison.mode == "max" else min
    found = []
    for text in texts:
        group = [block[text] for block in whole]
        by_seed = [_seed_mean(group, seed) for seed in group[0].objective]
        means = [mean for point in group if (mean := _mean(point)) is not None]
        chosen = any(p.chosen and setting(p.settings.get(path)) == text for p in points)
        found.append(Value(text, fmean(means), min(by_seed), max(by_seed), chosen, best(means)))
    return len(whole), found


def _seed_mean(group: Iterable[GridPoint], seed: int) -> float:
    return fmean(value for point in group if (value := point.objective.get(seed)) is not None)


def _setting(metric: Metric, name: str, over: int, values: Sequence[Value], axis: Axis) -> Setting:
    means = [one.mean for one in values]
    return Setting(
        name,
        [
            ValueLine(
                one.text,
                write.metric_value(metric, one.mean),
                f"{write.metric_value(metric, one.low)} to {write.metric_value(metric, one.high)}",
                write.metric_value(metric, one.best),
                one.chosen,
                Mark.on(axis, one.mean, one.low, one.high),
            )
            for one in values
        ],
        over,
        max(means) - min(means) if means else 0.0,
        max((one.high - one.low for one in values), default=0.0),
    )


def _sentence(comparison: Comparison, one: Setting) -> str:
    """Say how much a setting moves the objective, beside what chance in training does."""
    metric = comparison.task.metrics[comparison.metric]
    if not one.lines:
        return (
            f"{one.name}: cannot be said, because no combination of the others has a result at every value."
        )
    span, noise = (
        write.metric_difference(metric, value).removeprefix("+") for value in (one.span, one.noise)
    )
    if len(comparison.seeds) == 1 or one.noise == 0:
        return f"{one.name}: {span} between its best and its worst value; without further seeds it may be chance."
    if one.span > one.noise:
        return f"{one.name}: {span} between its best and its worst value; seeds differ by {noise} at most."
    return (
        f"{one.name}: {span} between its best and its worst value, no more than seeds differ at one value "
        f"({noise}): which value is best is not shown."
    )


def _edges(
    comparison: Comparison, points: Sequence[GridPoint], paths: Sequence[str], names: Mapping[str, str]
) -> list[str]:
    """Name settings whose chosen value is the largest or smallest of at least three that were tried."""
    chosen = next((point for point in points if point.chosen), None)
    if chosen is None:
        return []
    said = []
    for path in paths:
        tried = {value for point in points if (value := _number(point.settings.get(path))) is not None}
        value = _number(chosen.settings.get(path))
        if len(tried) > 2 and value in (min(tried), max(tried)):
            end = "largest" if value == max(tried) else "smallest"
            said.append(
                f"The chosen {names[path]}, {setting(value)}, is the {end} that was tried: a wider grid may find "
                f"better {label_of(comparison)}."
            )
    return said


def _matters(values: Sequence[Value]) -> bool:
    """Whether values differ by more than seeds do at one value."""
    means = [one.mean for one in values]
    return bool(means) and max(means) - min(means) > max(one.high - one.low for one in values)


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _crossing(
    metric: Metric, points: Sequence[GridPoint], first: str, second: str, names: Mapping[str, str]
) -> Crossing:
    rows = list(dict.fromkeys(setting(point.settings.get(first)) for point in points))
    columns = list(dict.fromkeys(setting(point.settings.get(second)) for point in points))
    lines = []
    for row in rows:
        cells = []
        for column in columns:
            here = [
                point
                for point in points
                if (setting(point.settings.get(first)), setting(point.settings.get(second))) == (row, column)
            ]
            means = [_mean(point) for point in here]
            known = [mean for mean in means if mean is not None]
            whole = bool(known) and len(known) == len(here)
            cells.append(
                (
                    write.metric_value(metric, fmean(known)) if whole else write.MISSING,
                    any(point.chosen for point in here),
                )
            )
        lines.append((row, cells))
    return Crossing(names[first], names[second], columns, lines)
