"""Whether comparisons keep what they promise, on simulated users whose truth is known.

    python -m benchmarks.statistics_checks [--simulations 1000] [--json]

Null data must be called different as seldom as the level says, p-values and intervals must be those of scipy,
intervals must cover the truth as often as they say, and a difference of the size that a comparison prints as
detectable must be seen in four cases of five. What judges sweeps (`compare_entries`) judges here: a simulated
comparison is a metric of a made-up task. Ends with code 1 where a check fails. About a minute on one core.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.simulated_users import SHAPES, Floats, Shape, draw_values
from components.config import Settings
from components.metrics.rows import FULL_HISTORY, evaluation_rows
from components.metrics.statistics import (
    LEVEL,
    MINIMUM_USERS,
    POWER,
    SAMPLES,
    compare_paired,
    detectable_difference,
    estimate,
    holm,
    sign_flip_p_value,
)
from components.tasks import Group, Metric, TaskInfo
from orchestrator.judging.compare import compare_entries
from orchestrator.judging.comparison import ALPHA, Comparison, Entry

USERS, ROWS, SEEDS = 120, 4, 3
"""Users, rows beside the baseline, and seeds of a simulated comparison."""
TOGETHER = 50
"""Comparisons that one call judges, as so many metrics."""
SIZES = (12, 25, 50, 100, 400)
"""Numbers of users for which coverage is measured; checked from `MINIMUM_USERS` on."""
COVERAGE = (0.93, 0.97)
SURE = 0.99
"""Probability with which a rate lies inside its binomial bounds if the promise holds."""


@dataclass(frozen=True)
class Check:
    """A measured number and what it must lie between; without bounds it is only reported."""

    what: str
    found: float
    low: float | None = None
    high: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the number is where it must be."""
        return (self.low is None or self.found >= self.low) and (self.high is None or self.found <= self.high)

    def __str__(self) -> str:
        if self.low is None and self.high is None:
            return f"-     {self.what}: {self.found:.4g}"
        bounds = f"{0 if self.low is None else self.low:.4g} to {1 if self.high is None else self.high:.4g}"
        return f"{'ok   ' if self.holds else 'FAILS'} {self.what}: {self.found:.4g} (must be {bounds})"


def judge(value_UCRS: Floats, random_seed: int) -> Comparison:
    """Judge C comparisons at once as a sweep's rows are judged; row 0 is the baseline."""
    users, comparisons, rows, seeds = value_UCRS.shape
    ids = [f"u{user}" for user in range(users)]
    names = [f"comparison-{place}" for place in range(comparisons)]
    task = TaskInfo(
        name="simulated",
        module="",
        form="",
        settings=Settings,
        metrics={name: Metric(name, "max", "a simulated comparison") for name in names},
        unit="user",
        groups={"all": Group("users", "simulated users")},
        controls=(),
        trivial=(),
        sources=(),
        oracles={},
        servable="",
    )
    entries = [
        Entry(
            "baseline" if row == 0 else f"row-{row}",
            "baseline" if row == 0 else "ablation",
            None,
            {
                seed: evaluation_rows(
                    ids,
                    "all",
                    FULL_HISTORY,
                    np.ones(users),
                    dict(zip(names, value_UCRS[:, :, row, seed].T, strict=True)),
                )
                for seed in range(seeds)
            },
        )
        for row in range(rows)
    ]
    objective: Any = SimpleNamespace(metric=names[0], mode="max")
    return compare_entries(
        "simulated",
        task,
        objective,
        entries,
        "baseline",
        range(seeds),
        test_looks=1,
        part="test",
        random_seed=random_seed,
    )


def judged(shape: Shape, simulations: int, rows: int, seed: int, shift: float = 0.0) -> dict[str, Floats]:
    """Simulate comparisons and return what was printed of each row beside the baseline, [comparisons, rows].

    `shift` is the true difference of the first of these rows; the others do not differ from the baseline.
    """
    found: dict[str, list[Floats]] = {"p_value": [], "p_adjusted": [], "detectable": []}
    for call, first in enumerate(range(0, simulations, TOGETHER)):
        generator = np.random.default_rng([seed, call])
        count = min(TOGETHER, simulations - first)
        value_UCRS = draw_values(shape, generator, USERS, count, rows + 1, SEEDS)
        value_UCRS[:, :, 1] += shift
        comparison = judge(value_UCRS, call)
        for name, columns in found.items():
            columns.append(
                np.array(
                    [
                        [getattr(one, name) for one in row.against_baseline.values()]
                        for row in comparison.rows
                        if row.name != "baseline"
                    ]
                ).T
            )
    return {name: np.concatenate(columns) for name, columns in found.items()}


def rate_check(what: str, happened: np.ndarray, rate: float, at_most: bool = False) -> Check:
    """Compare how often something happened with how often it should, within binomial error."""
    low, high = (float(end) / len(happened) for end in stats.binom.interval(SURE, len(happened), rate))
    return Check(f"{what}, {rate:.0%} is right", float(happened.mean()), None if at_most else low, high)


def null_checks(simulations: int) -> Iterator[Check]:
    """Compare rows that do not differ from the baseline."""
    for place, shape in enumerate(SHAPES):
        found = judged(shape, simulations, ROWS, seed=place)
        for level in (0.05, 0.01):
            what = f"null, {shape.name}, {USERS} users, {SEEDS} seeds: a row has p <= {level}"
            yield rate_check(what, found["p_value"][:, 0] <= level, level)
        what = f"null, {shape.name}: any of {ROWS} rows has p adjusted <= {ALPHA}"
        yield rate_check(what, (found["p_adjusted"] <= ALPHA).any(axis=1), ALPHA, at_most=True)


def scipy_checks(cases: int) -> Iterator[Check]:
    """Lay p-values, intervals and detectable differences beside scipy's; the largest deviation counts."""
    p_errors, ends = [], []
    for number in range(cases):
        generator = np.random.default_rng([7, number])
        shape, users = SHAPES[number % len(SHAPES)], 6 + number % 7
        value_UCRS = draw_values(shape, generator, users, 1, 2, SEEDS)
        difference_U = (value_UCRS[:, 0, 1] - value_UCRS[:, 0, 0]).mean(axis=-1) + 0.1 * (number % 3)
        exact = stats.permutation_test(
            (difference_U,), np.mean, permutation_type="samples", n_resamples=np.inf
        ).pvalue
        mine = sign_flip_p_value(difference_U[:, None], number)[0]
        p_errors.append(abs(mine - exact) / np.sqrt(max(exact * (1 - exact), 1 / SAMPLES) / SAMPLES))
        value_U = draw_values(shape, generator, 80, 1, 1, SEEDS).mean(axis=-1)[:, 0, 0]
        other = np.random.default_rng([19, number])
        theirs = stats.bootstrap((value_U,), np.mean, n_resamples=SAMPLES, method="percentile", rng=other)
        found = estimate(value_U[:, None], number)
        error = value_U.std(ddof=1) / np.sqrt(len(value_U))
        interval = theirs.confidence_interval
        ends += [abs(found.low[0] - interval.low) / error, abs(found.high[0] - interval.high) / error]
    yield Check(
        f"p-values and exact ones, {cases} cases of 6 to 12 users: Monte Carlo errors", max(p_errors), 0, 4
    )
    yield Check(f"interval ends and scipy.stats.bootstrap, {cases} cases: standard errors", max(ends), 0, 0.2)
    users = np.array([8, 20, 120, 1000])
    distance = detectable_difference(np.ones(len(users)), users, ALPHA)
    critical = stats.t.ppf(1 - ALPHA / 2, users - 1)
    power = stats.nct.sf(critical, users - 1, distance) + stats.nct.cdf(-critical, users - 1, distance)
    yield Check(
        "power of the t-test at the detectable difference: largest error", max(abs(power - POWER)), 0, 0.01
    )
    if find_spec("statsmodels"):
        from statsmodels.stats.multitest import multipletests

        p_value = np.random.default_rng(0).random((cases, ROWS)) ** 3
        errors = [abs(holm(one) - multipletests(one, method="holm")[1]).max() for one in p_value]
        yield Check(
            f"Holm's correction and statsmodels, {cases} families: largest error", max(errors), 0, 1e-12
        )


def coverage_checks(simulations: int) -> Iterator[Check]:
    """Count how often intervals hold the truth: means over users, and differences between two rows."""
    for shape in SHAPES:
        for users in SIZES:
            value_UCR = draw_values(
                shape, np.random.default_rng([11, users]), users, simulations, 2, SEEDS
            ).mean(axis=-1)
            of = {
                "means": (value_UCR[:, :, 0], shape.mean),
                "differences": (value_UCR[:, :, 1] - value_UCR[:, :, 0], 0.0),
            }
            bounds = COVERAGE if users >= MINIMUM_USERS else (None, None)
            for name, (value_UC, truth) in of.items():
                found = estimate(value_UC, users)
                covered = (found.low <= truth) & (truth <= found.high)
                what = f"{LEVEL:.0%} intervals of {name}, {shape.name}, {users} users: hold the truth"
                yield Check(what, float(covered.mean()), *bounds)


def power_checks(simulations: int) -> Iterator[Check]:
    """Plant a difference of the detectable size, alone and among rows that do not differ."""
    shape = SHAPES[0]
    value_UCR = draw_values(shape, np.random.default_rng(13), 200_000, 1, 2, SEEDS).mean(axis=-1)
    error = np.array([(value_UCR[:, 0, 1] - value_UCR[:, 0, 0]).std() / np.sqrt(USERS)])
    for rows in (1, ROWS):
        size = float(detectable_difference(error, np.array([USERS]), ALPHA / rows)[0])
        found = judged(shape, simulations, rows, seed=20 + rows, shift=size)
        where = f"{shape.name}, {USERS} users, {'one row' if rows == 1 else f'one of {rows} rows'}"
        printed = float(found["detectable"][:, 0].mean()) / size
        yield Check(f"{where}: mean detectable difference as printed, over the true one", printed, 0.97, 1.03)
        seen = found["p_adjusted"][:, 0] < ALPHA
        yield rate_check(f"{where}: a difference of that size has p adjusted < {ALPHA}", seen, POWER)


def training_noise(simulations: int) -> Iterator[Check]:
    """Report what the tests do not cover: null data whose trainings differ from seed to seed, alike for all users."""
    shape, generator = SHAPES[0], np.random.default_rng(17)
    value_UCRS = draw_values(shape, generator, USERS, simulations, 2, SEEDS)
    difference_UC = (value_UCRS[:, :, 1] - value_UCRS[:, :, 0]).mean(axis=-1)
    error = difference_UC.std() / np.sqrt(USERS)
    for times in (0.5, 1.0):
        shift_C = generator.normal(0, times * error, (simulations, 2, SEEDS)).mean(axis=-1) @ [-1.0, 1.0]
        shifted_UC = difference_UC + shift_C
        found = compare_paired(shifted_UC, np.zeros_like(shifted_UC), 0)
        what = f"null, trainings differ by {times:g} standard errors from seed to seed ({SEEDS} seeds): p <= {ALPHA}"
        yield Check(what, float((found.p_value <= ALPHA).mean()))


def all_checks(simulations: int) -> Iterator[Check]:
    """Run everything, the quick parts first."""
    yield from scipy_checks(max(6, simulations // 25))
    yield from coverage_checks(2 * simulations)
    yield from null_checks(simulations)
    yield from power_checks(simulations)
    yield from training_noise(simulations)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print each check as it is done."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--simulations", type=int, default=1000, help="comparisons a check")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    checks = []
    for check in all_checks(options.simulations):
        checks.append(check)
        if not options.json:
            print(check, flush=True)
    if options.json:
        print(json.dumps([{**asdict(check), "holds": check.holds} for check in checks], indent=2))
    sys.exit(not all(check.holds for check in checks))


if __name__ == "__main__":
    main()
