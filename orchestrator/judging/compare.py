"""Which of a sweep's rows differ from the baseline, paired by the task's unit over the same seeds.

The unit is a user, or what else several predictions share and makes them depend on each other. The numbers of
a row are means over units (macro), each unit averaged over the seeds first. Intervals are
bootstrapped by unit; p-values come from paired permutations. A family of Holm's correction is one metric in
one slice: all rows that are compared with the same reference. The groups of users that share a trait are a family
of their own. A row that lacks a seed is refused, never averaged.
"""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.data.traits import Trait
from components.errors import AdaptuneError
from components.metrics.rows import FULL_HISTORY, macro, metric_names, metric_values, micro, select_slice
from components.metrics.statistics import (
    LEVEL,
    MissingTrials,
    average_seeds,
    compare_paired,
    detectable_difference,
    estimate,
    holm,
)
from components.tasks import TaskInfo
from orchestrator.judging.benefit import benefit_by_trait
from orchestrator.judging.comparison import (
    ALPHA,
    ROLES,
    Comparison,
    Difference,
    Entry,
    GroupBenefit,
    Interval,
    Row,
    Slice,
)
from orchestrator.spec.problems import suggest

if TYPE_CHECKING:
    from orchestrator.spec.sweep import Objective

Floats = NDArray[np.float64]


def compare_entries(
    sweep: str,
    task: TaskInfo,
    objective: "Objective",
    entries: Sequence[Entry],
    baseline_name: str,
    seeds: Sequence[int],
    test_looks: int,
    part: Literal["validation", "test"],
    level: float = LEVEL,
    all_slices: bool = True,
    random_seed: int = 0,
    source: str = "",
    group: str | None = None,
    traits: Sequence[Trait] = (),
    unknown_traits: str = "",
) -> Comparison:
    """Compare `entries` with the one named `baseline_name`, over `seeds`.

    The result is about `group`, by default the task's main one. With `all_slices` false only the slice of this
    group with full histories is computed, which is faster. The benefit of personalisation is told apart by the
    values of `traits`, of tasks whose unit is the user. Raises `MissingTrials` naming
    every row that lacks a seed or a slice of the others, and `AdaptuneError` where rows were not evaluated on the
    same units.
    """
    ordered = sorted(entries, key=lambda entry: ROLES.index(entry.role))
    _check_complete(ordered, baseline_name, seeds)
    present = {
        chosen: None for entry in ordered for table in entry.tables.values() for chosen in _slices_of(table)
    }
    wanted = sorted(present, key=lambda chosen: (chosen[0], chosen[1] != FULL_HISTORY, chosen[1]))
    if group is not None and group not in task.groups:
        raise AdaptuneError(f"there is no group {group!r} in {task.name}; {suggest(group, task.groups)}")
    main = (group or task.main_group, FULL_HISTORY)
    if main not in present:
        raise AdaptuneError(
            f"{sweep}: no row was evaluated on {task.groups[main[0]].title} with full histories"
        )
    return Comparison(
        sweep=sweep,
        task=task,
        metric=objective.metric,
        mode=objective.mode,
        seeds=tuple(seeds),
        test_looks=test_looks,
        part=part,
        level=level,
        baseline=baseline_name,
        slices={
            chosen: _compare_slice(ordered, task, baseline_name, seeds, chosen, level, random_seed)
            for chosen in wanted
            if all_slices or chosen == main
        },
        source=source,
        group=main[0],
        benefit=_benefit(ordered, task, objective, baseline_name, seeds, main, level, random_seed, traits),
        unknown_traits=unknown_traits,
    )


def _check_complete(entries: Sequence[Entry], baseline_name: str, seeds: Sequence[int]) -> None:
    names = [entry.name for entry in entries]
    if baseline_name not in names:
        raise AdaptuneError(
            f"nothing to compare with: no row is named {baseline_name!r} (rows: {', '.join(names)})"
        )
    problems = [problem for entry in entries for problem in _lacking(entry, seeds)]
    problems += _without_slices([entry for entry in entries if entry.role not in ("control", "trivial")])
    if problems:
        raise MissingTrials("\n".join(problems))


def _lacking(entry: Entry, seeds: Sequence[int]) -> list[str]:
    """Say which seeds a row lacks, and why."""
    row = f"row {entry.name!r}"
    if not entry.tables and not entry.failures:
        return [f"{row}: never evaluated, or its files are gone: run the sweep to its end first"]
    problems = [
        f"{row}: the training of seed {seed} failed ({cause}): run the sweep with --retry-failed"
        for seed, cause in entry.failures.items()
        if seed in seeds
    ]
    try:
        average_seeds(
            {seed: np.zeros(1) for seed in (*entry.tables, *entry.failures)}, _seeds_of(entry, seeds), row
        )
    except MissingTrials as problem:
        problems.append(str(problem))
    return problems


def _without_slices(trained: Sequence[Entry]) -> list[str]:
    """Name the trained rows that lack slices which another one has."""
    slices = {
        (entry.name, seed): set(_slices_of(table))
        for entry in trained
        for seed, table in entry.tables.items()
    }
    every = {chosen for found in slices.values() for chosen in found}
    return [
        f"row {name!r}: seed {seed} was not evaluated on all slices: run the sweep to its end first"
        for (name, seed), found in slices.items()
        if found != every
    ]


def _seeds_of(entry: Entry, seeds: Sequence[int]) -> Sequence[int]:
    return tuple(entry.tables) if entry.role == "trivial" else seeds


def _compare_slice(
    entries: Sequence[Entry],
    task: TaskInfo,
    baseline_name: str,
    seeds: Sequence[int],
    chosen: Slice,
    level: float,
    random_seed: int,
) -> tuple[Row, ...]:
    """Estimate and test all R rows and M metrics of a slice at once, from values [U, R, M]."""
    metrics = list(task.metrics)
    parts = [_select(entry, seeds, chosen) for entry in entries]
    here = [index for index, tables in enumerate(parts) if any(len(table) for table in tables.values())]
    names = [entries[index].name for index in here]
    users, value_URM = _values(names, [parts[index] for index in here], metrics, chosen[0], task.unit)
    shape = value_URM.shape[1:]
    found = estimate(value_URM.reshape(len(users), -1), random_seed, level=level)
    against = _differences(value_URM, names, baseline_name, 1.0, metrics, level, random_seed)
    model = next((entries[index].name for index in here if entries[index].role == "model"), None)
    minus = _differences(value_URM, names, model, -1.0, metrics, level, random_seed)
    mean, low, high = (array.reshape(shape) for array in (found.mean, found.low, found.high))
    return tuple(
        Row(
            name=names[row],
            role=entries[index].role,
            units=len(users),
            parameters=entries[index].parameters,
            metrics={
                name: Interval(float(mean[row, column]), float(low[row, column]), float(high[row, column]))
                for column, name in enumerate(metrics)
                if not isnan(mean[row, column])
            },
            against_baseline=against[row],
            model_minus=minus[row],
            micro=_micro(parts[index], task, chosen),
            by_seed={
                seed: {name: value for name, value in macro(table, *chosen).items() if not isnan(value)}
                for seed, table in parts[index].items()
                if entries[index].role != "trivial"
            },
        )
        for row, index in enumerate(here)
    )


def _select(entry: Entry, seeds: Sequence[int], chosen: Slice) -> dict[int, pa.Table]:
    """Return an entry's rows of a slice, of the compared seeds only."""
    return {seed: select_slice(entry.tables[seed], *chosen) for seed in _seeds_of(entry, seeds)}


def _values(
    names: Sequence[str],
    parts: Sequence[Mapping[int, pa.Table]],
    metrics: Sequence[str],
    group: str,
    unit: str,
) -> tuple[list[str], Floats]:
    """Return the units of a slice and what each row scored for them, averaged over its seeds, [U, R, M]."""
    users = list(next(iter(parts[0].values()))["user"].to_pylist())
    order = {user: place for place, user in enumerate(users)}
    values = []
    for name, tables in zip(names, parts, strict=True):
        by_seed = {
            seed: _matrix(table, order, metrics, f"row {name!r}, seed {seed}, {group}", unit)
            for seed, table in tables.items()
        }
        values.append(average_seeds(by_seed, tuple(by_seed), f"row {name!r}"))
    return users, np.stack(values, axis=1)


def _benefit(
    entries: Sequence[Entry],
    task: TaskInfo,
    objective: "Objective",
    baseline_name: str,
    seeds: Sequence[int],
    chosen: Slice,
    level: float,
    random_seed: int,
    traits: Sequence[Trait],
) -> tuple[GroupBenefit, ...]:
    """Tell the model's gain over the baseline apart by what is known of users."""
    model = next((entry for entry in entries if entry.role == "model"), None)
    baseline = next(entry for entry in entries if entry.name == baseline_name)
    if not traits or model is None or model is baseline:
        return ()
    parts = [_select(entry, seeds, chosen) for entry in (model, baseline)]
    names = [model.name, baseline.name]
    users, value_URM = _values(names, parts, [objective.metric], chosen[0], task.unit)
    return benefit_by_trait(users, value_URM[:, 0, 0], value_URM[:, 1, 0], traits, random_seed, level)


def _differences(
    value_URM: Floats,
    names: Sequence[str],
    reference: str | None,
    sign: float,
    metrics: Sequence[str],
    level: float,
    random_seed: int,
) -> list[dict[str, Difference]]:
    """Test every row against `reference`: row minus reference for `sign` 1, reference minus row for -1."""
    results: list[dict[str, Difference]] = [{} for _ in names]
    if reference not in names:
        return results
    users, _, columns = value_URM.shape
    place = names.index(reference)
    others = [row for row in range(len(names)) if row != place]
    if not others:
        return results
    paired = compare_paired(
        (sign * value_URM[:, others]).reshape(users, -1),
        (sign * np.repeat(value_URM[:, [place]], len(others), axis=1)).reshape(users, -1),
        random_seed,
        level=level,
    )
    difference, low, high, p_value, effect = (
        array.reshape(len(others), columns)
        for array in (paired.difference, paired.low, paired.high, paired.p_value, paired.effect_size)
    )
    adjusted = np.stack([holm(p_value[:, column]) for column in range(columns)], axis=1)
    family = np.maximum((~np.isnan(p_value)).sum(axis=0), 1)
    detectable = detectable_difference(
        paired.standard_error.reshape(p_value.shape), paired.users.reshape(p_value.shape), ALPHA / family
    )
    for index, row in enumerate(others):
        results[row] = {
            name: Difference(
                *(
                    float(values[index, column])
                    for values in (difference, low, high, p_value, adjusted, effect, detectable)
                )
            )
            for column, name in enumerate(metrics)
            if not isnan(difference[index, column])
        }
    return results


def _matrix(
    table: pa.Table, order: Mapping[str, int], metrics: Sequence[str], place: str, unit: str
) -> Floats:
    """Lay a table's metrics out as [U, M] in the order of units; refuse a table of other units."""
    users = table["user"].to_pylist()
    if len(users) != len(order) or set(users) != order.keys():
        raise AdaptuneError(
            f"{place}: evaluated on {len(users)} {unit}s, which are not the {len(order)} of the first row; "
            f"rows are paired by {unit}, so evaluate them on the same data"
        )
    matrix = np.full((len(order), len(metrics)), np.nan)
    rows = [order[user] for user in users]
    for column, name in enumerate(metrics):
        if name in metric_names(table):
            matrix[rows, column] = metric_values(table, name)
    return matrix


def _micro(tables: Mapping[int, pa.Table], task: TaskInfo, chosen: Slice) -> dict[str, float]:
    pooled = [micro(table, *chosen) for table in tables.values()]
    means = {
        name: float(np.mean([values.get(name, np.nan) for values in pooled]))
        for name, metric in task.metrics.items()
        if metric.micro
    }
    return {name: value for name, value in means.items() if not isnan(value)}


def _slices_of(table: pa.Table) -> list[Slice]:
    found = table.group_by(["group", "history"]).aggregate([])
    return list(zip(found["group"].to_pylist(), found["history"].to_pylist(), strict=True))
