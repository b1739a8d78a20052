"""For whom personalisation pays: the model minus the baseline, group by group. The template only lays this out."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from components.tasks import Metric
from orchestrator.judging import formatting as write
from orchestrator.judging.comparison import Comparison, GroupBenefit
from orchestrator.judging.verdict import group_name, smallest_judged
from orchestrator.report.axis import Axis
from orchestrator.report.standings import Mark, Stated, state_difference


@dataclass(frozen=True)
class GroupLine:
    """A group of users as it is written; without a mark where it is too small to judge."""

    group: GroupBenefit
    baseline: str
    model: str
    difference: Stated
    mark: Mark | None


@dataclass(frozen=True)
class Benefit:
    """The groups of each trait over a common axis."""

    traits: Sequence[tuple[str, Sequence[GroupLine]]]
    ticks: Sequence[tuple[str, str]]
    reference: str
    """Position of zero."""
    smallest: str
    """What the smallest group that is judged shows, as a sentence."""


def benefit(comparison: Comparison) -> Benefit | None:
    """Lay out the groups of users by trait; None where nothing is known of users."""
    if not comparison.benefit:
        return None
    metric = comparison.task.metrics[comparison.metric]
    judged = [group.difference for group in comparison.benefit if not group.refused]
    axis = Axis.around([0.0, *(end for one in judged for end in (one.low, one.high))], ticks=4)
    return Benefit(
        traits=[
            (trait, [_line(comparison, metric, group, axis) for group in groups])
            for trait, groups in groupby(comparison.benefit, key=lambda group: group.trait)
        ],
        ticks=[(axis.percent(tick), write.axis_tick(metric, tick, "+")) for tick in axis.ticks],
        reference=axis.percent(0.0),
        smallest=_smallest(comparison, metric),
    )


def _line(comparison: Comparison, metric: Metric, group: GroupBenefit, axis: Axis) -> GroupLine:
    one = group.difference
    return GroupLine(
        group=group,
        baseline=write.metric_value(metric, group.baseline.mean),
        model=write.metric_value(metric, group.model.mean),
        difference=state_difference(comparison, metric, one),
        mark=None if group.refused else Mark.on(axis, one.difference, one.low, one.high),
    )


def _smallest(comparison: Comparison, metric: Metric) -> str:
    group = smallest_judged(comparison)
    if group is None:
        return "No group is large enough to be judged."
    size = f"{write.metric_difference(metric, group.difference.difference)} "
    interval = write.difference_interval(metric, group.difference)
    return f"The smallest group that is judged is {group_name(group)}, {group.users} users: {size}{interval}."
