"""The points that were tried, by a grid or a search, and how the search went. The template only lays this out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from markupsafe import Markup

from orchestrator.judging import formatting as write
from orchestrator.judging.comparison import Comparison
from orchestrator.report.charts import Point, Series, line_chart
from orchestrator.report.data import GridPoint
from orchestrator.spec.points import setting, short_names


@dataclass(frozen=True)
class GridView:
    """The points, best first within model and baseline."""

    settings: Sequence[str]
    seeds: Sequence[int]
    lines: Sequence[tuple[GridPoint, Sequence[str], Sequence[str], str]]
    """Point, its settings, its objective by seed, and their mean."""


def grid(comparison: Comparison, points: Sequence[GridPoint]) -> GridView:
    """Lay out every point with its validation objective; of those that were ended early, where and at what."""
    metric = comparison.task.metrics[comparison.metric]
    paths = list(dict.fromkeys(path for point in points for path in point.settings))
    seeds = sorted({seed for point in points for seed in point.objective})
    sign = -1 if comparison.mode == "max" else 1

    def order(point: GridPoint) -> tuple[bool, float]:
        value = _mean(point)
        return point.role != "model", 1e9 if value is None else sign * value

    def reached(point: GridPoint, seed: int) -> str:
        ended = point.stopped.get(seed)
        if ended is not None:
            value = write.metric_value(metric, ended.objective)
            return f"stopped after {ended.epoch} of {ended.epochs} epochs at {value}"
        return point.missing.get(seed) or write.metric_value(metric, point.objective.get(seed))

    lines = [
        (
            point,
            [setting(point.settings.get(path)) for path in paths],
            [reached(point, seed) for seed in seeds],
            write.metric_value(metric, _mean(point)),
        )
        for point in sorted(points, key=order)
    ]
    return GridView(short_names(paths), seeds, lines)


def _mean(point: GridPoint) -> float | None:
    values = [value for value in point.objective.values() if value is not None]
    return fmean(values) if values and len(values) == len(point.objective) else None


@dataclass(frozen=True)
class SearchView:
    """How a search went: the objective against the number of the trial."""

    chart: Markup
    sentences: Sequence[str]


def searched(comparison: Comparison, points: Sequence[GridPoint]) -> SearchView:
    """Draw what each point reached in the order in which they were tried, and the best so far."""
    metric = comparison.task.metrics[comparison.metric]
    tried = [
        _tried(
            role, sorted((p for p in points if p.role == role), key=lambda point: point.number), comparison
        )
        for role in ("model", "baseline")
    ]
    chart = line_chart(
        f"{metric.label} of each trial of the search",
        [line for place, one in enumerate(tried) for line in one.lines(place)],
        "trial",
        f"{metric.label}, validation part",
        lambda value: write.axis_tick(metric, value),
    )
    return SearchView(chart, [one.sentence(comparison) for one in tried if one.of])


@dataclass(frozen=True)
class _Tried:
    """What became of the points of the model, or of the baseline."""

    role: str
    of: int
    finished: Sequence[Point]
    best: Sequence[Point]
    """The best value after each trial from the first finished one on."""
    stopped: Sequence[Point]
    chosen: Sequence[Point]

    def lines(self, place: int) -> list[Series]:
        """Return what is drawn: a step line of the best so far, dots, crosses, and a ring around the chosen one."""
        drawn = (
            Series(f"{self.role}, best so far", self.role, self.best, place, shape="steps"),
            Series(f"{self.role}, finished", self.role, self.finished, place, shape="dots"),
            Series(f"{self.role}, stopped early", self.role, self.stopped, place, shape="crosses"),
            Series(f"{self.role}, chosen", self.role, self.chosen, place, shape="rings"),
        )
        return [line for line in drawn if line.points]

    def sentence(self, comparison: Comparison) -> str:
        """Say how the search went."""
        counts = [f"{len(self.finished)} finished"]
        counts += [f"{len(self.stopped)} stopped early"] if self.stopped else []
        lost = self.of - len(self.finished) - len(self.stopped)
        counts += [f"{lost} have no result"] if lost else []
        text = f"{self.role}: of {self.of} trials {', '.join(counts)}."
        if not self.best:
            return text
        found = next(point for point in self.best if point.y == self.best[-1].y)
        value = write.metric_value(comparison.task.metrics[comparison.metric], found.y)
        rest = self.of - round(found.x)
        return f"{text} The best, {value}, was trial {found.x:g}; {rest} after it brought nothing better."


def _tried(role: str, points: Sequence[GridPoint], comparison: Comparison) -> _Tried:
    better = max if comparison.mode == "max" else min
    finished, best = [], []
    for point in points:
        mean = _mean(point)
        if mean is not None:
            finished.append(Point(point.number, mean))
        if finished:
            best.append(Point(point.number, better(one.y for one in finished)))
    stopped = [
        Point(point.number, end.objective, note=f"stopped after {end.epoch} of {end.epochs} epochs")
        for point in points
        for end in point.stopped.values()
    ]
    numbers = {point.number for point in points if point.chosen}
    chosen = [replace(point, note="chosen") for point in finished if point.x in numbers]
    return _Tried(role, len(points), finished, best, stopped, chosen)
