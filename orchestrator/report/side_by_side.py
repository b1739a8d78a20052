"""Several sweeps of one task on a page. The template only lays this out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from components.tasks import Metric
from orchestrator.judging import formatting as write
from orchestrator.judging.between import Beside, Between
from orchestrator.judging.comparison import ALPHA, Comparison, Row
from orchestrator.judging.verdict import size
from orchestrator.report.axis import Axis
from orchestrator.report.data import Cost
from orchestrator.report.standings import Cell, Mark, Stated, state_difference


@dataclass(frozen=True)
class SweepLine:
    """One sweep's model; the difference is from the first sweep's, and `reason` says why there is none."""

    sweep: str
    parameters: int | None
    units: int
    value: str
    interval: str
    mark: Mark | None
    difference: Stated | None
    reason: str
    data: str
    other_data: bool
    """Whether it is of other data than the first."""
    seeds: str
    cost: Cost | None


@dataclass(frozen=True)
class BetweenView:
    """The sweeps of one task."""

    between: Between
    metric: Metric
    sentences: Sequence[str]
    lines: Sequence[SweepLine]
    ticks: Sequence[tuple[str, str]]
    reference: str
    """Where the first sweep's model lies."""
    rows: Sequence[tuple[str, str, Sequence[Cell]]]
    """Name and role of each row, and what it reached in each sweep."""
    same_data: bool


def between_view(between: Between, costs: Mapping[str, Cost]) -> BetweenView:
    """Lay out sweeps side by side; `costs` are those that are known, by sweep."""
    metric = between.shown
    models = [one.model.metrics.get(between.metric) for one in between.comparisons]
    axis = Axis.around(end for one in models if one is not None for end in (one.low, one.mean, one.high))
    besides = {one.sweep: one for one in between.besides}
    first = models[0]
    return BetweenView(
        between,
        metric,
        [_sentence(between, one) for one in between.besides],
        [
            _line(between, one, digest, besides.get(one.sweep), axis, costs.get(one.sweep))
            for one, digest in zip(between.comparisons, between.digests, strict=True)
        ],
        [(axis.percent(tick), write.axis_tick(metric, tick)) for tick in axis.ticks],
        "" if first is None else axis.percent(first.mean),
        [_row(between, name) for name in between.rows()],
        len(set(between.digests)) == 1,
    )


def _sentence(between: Between, beside: Beside) -> str:
    if beside.difference is None:
        return f"{beside.sweep}: no difference from {between.first.sweep} can be told: {beside.reason}."
    difference = beside.difference
    better = (difference.difference > 0) == (between.first.mode == "max")
    verdict = "is not shown to differ from"
    if difference.p_adjusted < ALPHA:
        verdict = "is better than" if better else "is worse than"
    seeds = ", ".join(map(str, beside.seeds))
    return (
        f"The model of {beside.sweep} {verdict} that of {between.first.sweep}: "
        f"{size(between.first, difference)} (seeds {seeds})."
    )


def _line(
    between: Between,
    one: Comparison,
    digest: str,
    beside: Beside | None,
    axis: Axis,
    cost: Cost | None,
) -> SweepLine:
    metric, interval = between.shown, one.model.metrics.get(between.metric)
    difference = None if beside is None else beside.difference
    return SweepLine(
        sweep=one.sweep,
        parameters=one.model.parameters,
        units=one.model.units,
        value=write.metric_value(metric, None if interval is None else interval.mean),
        interval="" if interval is None else write.metric_interval(metric, interval),
        mark=None if interval is None else Mark.on(axis, interval.mean, interval.low, interval.high),
        difference=None if difference is None else state_difference(between.first, metric, difference),
        reason="" if beside is None else beside.reason,
        data=f"{one.source} {digest[:8]}".strip(),
        other_data=digest != between.digests[0],
        seeds=", ".join(map(str, one.seeds)),
        cost=cost,
    )


def _row(between: Between, name: str) -> tuple[str, str, list[Cell]]:
    found = [one.row(name) for one in between.comparisons]
    role = next((row.role for row in found if row is not None), "trivial")
    return name, role, [_cell(between, row) for row in found]


def _cell(between: Between, row: Row | None) -> Cell:
    interval = None if row is None else row.metrics.get(between.metric)
    if row is None or interval is None:
        return Cell(write.MISSING)
    difference = row.against_baseline.get(between.metric)
    return Cell(
        write.metric_value(between.shown, interval.mean),
        write.metric_interval(between.shown, interval),
        difference is not None and difference.p_adjusted < ALPHA,
    )
