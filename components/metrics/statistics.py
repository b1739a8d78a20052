"""Which differences are real: means, differences and p-values over users.

U users, C columns (a column is one metric of one row of a comparison), S samples. A user whose value is NaN
has no part in that column. The unit is the user throughout: seeds are averaged within a user first, a
bootstrap sample draws users, a permutation flips the sign of a user's difference. All columns share the same
draws, so a column's numbers do not depend on which others stand beside it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.errors import AdaptuneError

Floats = NDArray[np.float64]

SAMPLES = 10_000
"""Bootstrap samples, and permutations, of a comparison."""

LEVEL = 0.95
"""Probability that an interval covers the truth."""

POWER = 0.8
"""Probability with which a difference of the detectable size is seen."""

MINIMUM_USERS = 50
"""With fewer, intervals of skewed values cover the truth too seldom to judge by; `benchmarks.statistics_checks`."""

CHUNK = 500
"""Samples drawn at a time, if the users are few."""

CHUNK_NUMBERS = 4_000_000
"""Numbers drawn at a time at most, which bounds the memory if the users are many."""


class MissingTrials(AdaptuneError):
    """A row has not been run for every seed, so its mean would be over other seeds than its neighbours'."""


@dataclass(frozen=True)
class Estimate:
    """Mean of each column over its users, and the bootstrap interval around it; all [C].

    The interval is NaN for a single user: how far another one's value could lie is not known.
    """

    mean: Floats
    low: Floats
    high: Floats
    users: NDArray[np.int64]


@dataclass(frozen=True)
class PairedTest:
    """Difference of each column from its counterpart, paired by user; all [C].

    `p_value` is two-sided. `effect_size` is Cohen's d_z, the mean over the standard deviation of the users'
    differences: 0 where no user differs and NaN where all differ by exactly the same. `standard_error` is that of
    the mean difference. Both, and the interval, are NaN for a single user.
    """

    difference: Floats
    low: Floats
    high: Floats
    p_value: Floats
    effect_size: Floats
    standard_error: Floats
    users: NDArray[np.int64]


def average_seeds(by_seed: Mapping[int, Floats], seeds: Sequence[int], name: str = "a row") -> Floats:
    """Average equally shaped arrays over `seeds`; raise `MissingTrials` unless exactly these are there."""
    missing = sorted(set(seeds) - set(by_seed))
    if missing:
        raise MissingTrials(
            f"{name}: no results of seed {', '.join(map(str, missing))} "
            f"(expected seeds {', '.join(map(str, seeds))}), unfinished or deleted; run the sweep to its end before "
            "comparing"
        )
    return np.mean([by_seed[seed] for seed in seeds], axis=0)


def estimate(value_UC: Floats, seed: int, samples: int = SAMPLES, level: float = LEVEL) -> Estimate:
    """Mean of each column and its percentile bootstrap interval, clustered by user (Efron 1979).

    A bootstrap sample is a vector of multinomial weights over users, so all columns' resampled means are two
    matrix products.
    """
    defined_UC = ~np.isnan(value_UC)
    weight_UC = defined_UC.astype(np.float64)
    filled_UC = np.where(defined_UC, value_UC, 0.0)
    resampled_SC = np.concatenate(
        [
            _divide(draw_SU @ filled_UC, draw_SU @ weight_UC)
            for draw_SU in _user_weights(len(value_UC), seed, samples)
        ]
    )
    users = defined_UC.sum(axis=0)
    ends = _quantiles(resampled_SC, (1 - level) / 2, (1 + level) / 2)
    low, high = np.where(users > 1, ends, np.nan)
    return Estimate(_divide(filled_UC.sum(axis=0), users), low, high, users)


def unit_shares(whole: float, without_U: Floats) -> Floats:
    """Divide a statistic of a set among its units, [U]: the mean of the values is the statistic.

    `without_U` is the statistic of the set without each unit. A unit's value is whole + (U - 1) (mean of `without_U`
    - its own): the jackknife's linearisation (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter
    11), so that means, bootstraps and paired tests over units work as for any other metric. Single values may lie
    outside the statistic's range.
    """
    units = len(without_U)
    if units < 2:
        return np.full(units, whole)
    return whole + (units - 1) * (without_U.mean() - without_U)


def compare_paired(
    value_UC: Floats, against_UC: Floats, seed: int, samples: int = SAMPLES, level: float = LEVEL
) -> PairedTest:
    """Compare each column with its counterpart over the users that both are defined for."""
    difference_UC = value_UC - against_UC
    found = estimate(difference_UC, seed, samples, level)
    deviation = _deviation(difference_UC)
    return PairedTest(
        difference=found.mean,
        low=found.low,
        high=found.high,
        p_value=sign_flip_p_value(difference_UC, seed, samples),
        effect_size=_effect_size(difference_UC, deviation),
        standard_error=_divide(deviation, np.sqrt(found.users)),
        users=found.users,
    )


def sign_flip_p_value(difference_UC: Floats, seed: int, samples: int = SAMPLES) -> Floats:
    """Two-sided paired permutation p-value of each column, [C].

    Under the null a user's difference may as well have the other sign. The observed sign pattern counts as
    one of the permutations, which keeps the test's level and makes 1 / (samples + 1) the smallest p-value
    (Phipson & Smyth 2010).
    """
    filled_UC = np.nan_to_num(difference_UC, nan=0.0)
    observed = np.abs(filled_UC.sum(axis=0))
    rounding = 1e-12 * np.abs(filled_UC).sum(axis=0)  # sums of the same numbers in another order must tie
    as_extreme = np.zeros(difference_UC.shape[1])
    for sign_SU in _signs(len(difference_UC), seed, samples):
        as_extreme += (np.abs(sign_SU @ filled_UC) >= observed - rounding).sum(axis=0)
    p_value = (as_extreme + 1) / (samples + 1)
    return np.where(np.isnan(difference_UC).all(axis=0), np.nan, p_value)


def holm(p_value: Floats) -> Floats:
    """Adjust the p-values of one family, any shape (Holm 1979).

    Claiming what stays below .05 then makes a false claim in the whole family with probability .05 at most.
    NaN is no member of the family and stays NaN.
    """
    p_value = np.asarray(p_value, dtype=np.float64)
    adjusted = np.full(p_value.shape, np.nan)
    member = ~np.isnan(p_value)
    family = p_value[member]
    order = np.argsort(family)
    stepped = np.maximum.accumulate(family[order] * np.arange(len(family), 0, -1))
    result = np.empty(len(family))
    result[order] = np.minimum(stepped, 1)
    adjusted[member] = result
    return adjusted


def detectable_difference(
    standard_error: Floats, users: NDArray[np.int64], alpha: float | Floats, power: float = POWER
) -> Floats:
    """Return the smallest true differences that two-sided tests of size `alpha` see with probability `power`.

    The minimum detectable effect of Bloom (Evaluation Review 19, 1995): the standard error times the sum of the
    quantiles of Student's t at 1 - alpha / 2 and at `power`. NaN where the standard error is 0 or NaN, so that
    nothing is known of the spread; infinite where not even all signs alike would reach `alpha`.
    """
    from scipy.special import stdtrit  # .24 s that reading a sweep file need not wait for

    freedom = np.maximum(users - 1, 1)
    quantiles = stdtrit(freedom, 1 - alpha / 2) + stdtrit(freedom, power)
    reachable = np.where(2.0 ** (1.0 - users) > alpha, np.inf, quantiles * standard_error)
    return np.where(standard_error > 0, reachable, np.nan)


def _deviation(difference_UC: Floats) -> Floats:
    """Return the standard deviation of each column, 0 where it is only rounding; NaN for a single user."""
    defined = ~np.isnan(difference_UC)
    users = defined.sum(axis=0)
    filled = np.where(defined, difference_UC, 0.0)
    mean = _divide(filled.sum(axis=0), users)
    variance = _divide((np.where(defined, filled - mean, 0.0) ** 2).sum(axis=0), users - 1)
    scale = np.abs(filled).max(axis=0, initial=0)
    return np.where(variance <= (1e-12 * scale) ** 2, 0.0, np.sqrt(variance))


def _effect_size(difference_UC: Floats, deviation: Floats) -> Floats:
    mean = _divide(np.nansum(difference_UC, axis=0), (~np.isnan(difference_UC)).sum(axis=0))
    return np.where(deviation == 0, np.where(mean == 0, 0.0, np.nan), _divide(mean, deviation))


def _divide(numerator: Floats, denominator: NDArray[np.generic]) -> Floats:
    result = np.full(np.shape(numerator), np.nan)
    return np.divide(numerator, denominator, out=result, where=np.asarray(denominator) > 0)


def _quantiles(value_SC: Floats, low: float, high: float) -> Floats:
    result = np.full((2, value_SC.shape[1]), np.nan)
    some = ~np.isnan(value_SC).all(axis=0)
    if some.any():
        result[:, some] = np.nanquantile(value_SC[:, some], [low, high], axis=0)
    return result


def _user_weights(users: int, seed: int, samples: int) -> Iterator[Floats]:
    generator = np.random.default_rng([seed, 0])
    for count in _chunks(samples, users):
        drawn = generator.integers(0, users, (count, users)) + np.arange(count)[:, None] * users
        yield np.bincount(drawn.ravel(), minlength=count * users).reshape(count, users).astype(np.float64)


def _signs(users: int, seed: int, samples: int) -> Iterator[Floats]:
    generator = np.random.default_rng([seed, 1])
    for count in _chunks(samples, users):
        yield generator.integers(0, 2, (count, users), dtype=np.int8).astype(np.float64) * 2 - 1


def _chunks(samples: int, users: int) -> Iterator[int]:
    size = max(1, min(CHUNK, CHUNK_NUMBERS // users))
    for start in range(0, samples, size):
        yield min(size, samples - start)
