"""Several sweeps of one task side by side: whose model is better, where that can be told.

A difference is paired by unit, so it is only computed between sweeps that were evaluated on the same test part of the
same data, over the seeds that they share.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any

import numpy as np

from components.metrics.rows import select_slice
from components.metrics.statistics import holm
from components.tasks import Metric, TaskInfo
from orchestrator.judging.compare import compare_entries
from orchestrator.judging.comparison import Comparison, Difference, Entry, numbers
from orchestrator.spec.sweep import Objective


@dataclass(frozen=True)
class Contender:
    """One sweep of a side-by-side view."""

    comparison: Comparison
    data_digest: str
    model: Entry
    """The model's rows by seed."""


@dataclass(frozen=True)
class Beside:
    """A sweep's model beside the first one's; without a difference, `reason` says why there is none."""

    sweep: str
    difference: Difference | None
    """Of the objective: this model minus the first one's."""
    seeds: Sequence[int]
    """The seeds that both have, over which it was computed."""
    reason: str = ""


@dataclass(frozen=True)
class Between:
    """The sweeps of one task, in the order in which they were named; the others are held against the first."""

    task: TaskInfo
    metric: str
    """The first sweep's objective, which all are compared on."""
    comparisons: Sequence[Comparison]
    digests: Sequence[str]
    """Of each sweep's data."""
    besides: Sequence[Beside]
    """Of all sweeps but the first."""

    @property
    def first(self) -> Comparison:
        """What the others are held against."""
        return self.comparisons[0]

    @property
    def shown(self) -> Metric:
        """The metric that all are compared on."""
        return self.task.metrics[self.metric]

    def rows(self) -> list[str]:
        """Return the names of all rows that have the metric in any sweep, in the order in which they are met."""
        names = (row.name for one in self.comparisons for row in one.rows if self.metric in row.metrics)
        return list(dict.fromkeys(names))

    def to_json(self) -> dict[str, Any]:
        """Return the view for `report --json`."""
        return {
            "task": self.task.name,
            "metric": self.metric,
            "first": self.first.sweep,
            "minus_first": {
                one.sweep: {
                    "difference": None if one.difference is None else numbers(one.difference),
                    "seeds": list(one.seeds),
                    "reason": one.reason or None,
                }
                for one in self.besides
            },
        }


def side_by_side(contenders: Sequence[Contender]) -> tuple[Between, ...]:
    """Return a view for each task that at least two sweeps are of."""
    by_task: dict[str, list[Contender]] = {}
    for one in contenders:
        by_task.setdefault(one.comparison.task.name, []).append(one)
    return tuple(_between(group) for group in by_task.values() if len(group) > 1)


def _between(group: Sequence[Contender]) -> Between:
    first, *others = group
    task, metric = first.comparison.task, first.comparison.metric
    reasons = {one.comparison.sweep: _incomparable(first, one) for one in others}
    able = [one for one in others if not reasons[one.comparison.sweep]]
    found = _differences(first, able)
    besides = []
    for one in others:
        name = one.comparison.sweep
        difference, seeds = found.get(name, (None, ()))
        if difference is None and not reasons[name]:
            reasons[name] = f"one of the two has no {task.metrics[metric].label}"
        besides.append(Beside(name, difference, seeds, reasons[name]))
    comparisons, digests = zip(*((one.comparison, one.data_digest) for one in group), strict=True)
    return Between(task, metric, comparisons, digests, besides)


def _incomparable(first: Contender, other: Contender) -> str:
    """Say why no difference between two sweeps can be told; empty where it can."""
    one, two = first.comparison, other.comparison
    if first.data_digest != other.data_digest:
        return (
            f"other data than {one.sweep} ({two.source} {other.data_digest[:8]} instead of {one.source} "
            f"{first.data_digest[:8]}), so not the same test part"
        )
    if one.main != two.main or one.part != two.part:
        return f"evaluated on another group or part than {one.sweep}"
    if not set(first.model.tables) & set(other.model.tables):
        return f"no seed in common with {one.sweep}"
    if _units(first) != _units(other):
        return f"not evaluated on the same {one.task.unit}s as {one.sweep}"
    return ""


def _units(contender: Contender) -> set[str]:
    """Return the units of the main group that a model was evaluated on."""
    table = next(iter(contender.model.tables.values()))
    return set(select_slice(table, *contender.comparison.main)["user"].to_pylist())


def _differences(
    first: Contender, others: Sequence[Contender]
) -> dict[str, tuple[Difference, tuple[int, ...]]]:
    """Compare models with the first one over the seeds that all of them share, or else those that each pair shares.

    Holm's family is all of these. What pairs with seeds of their own could have seen as a family is not computed.
    """
    if not others:
        return {}
    seeds = set(first.model.tables).intersection(*(one.model.tables for one in others))
    if not seeds:
        alone = {name: found for one in others for name, found in _differences(first, [one]).items()}
        adjusted = holm(np.array([difference.p_value for difference, _ in alone.values()]))
        return {
            name: (replace(difference, p_adjusted=float(p), detectable=nan), shared)
            for (name, (difference, shared)), p in zip(alone.items(), adjusted, strict=True)
        }
    known = first.comparison
    entries = [replace(one.model, name=one.comparison.sweep, role="ablation") for one in others]
    compared = compare_entries(
        known.sweep,
        known.task,
        Objective(metric=known.metric, mode=known.mode),
        [replace(first.model, name=known.sweep, role="baseline"), *entries],
        known.sweep,
        sorted(seeds),
        known.test_looks,
        known.part,
        level=known.level,
        all_slices=False,
        group=known.main[0],
    )
    return {
        row.name: (row.against_baseline[known.metric], compared.seeds)
        for row in compared.rows
        if known.metric in row.against_baseline
    }
