"""How evenly top lists show the items of a catalogue, and what each user's list contributes to that.

Coverage, and two measures of individual item fairness in the forms corrected by Rampisela et al. (Evaluation
Measures of Individual Item Fairness for Recommender Systems: A Critical Study, ACM TORS 2024): items that nobody is
shown count too, and values are scaled between the least and the most even exposure that so many lists of such
lengths can have. Without that, 850 lists of 10 could reach neither end.

U users, K places, I items. A list holds distinct items, and -1 where it is short. Exposure of an item is the number
of lists that it stands in.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from components.metrics.statistics import unit_shares

Floats = NDArray[np.float64]
Counts = NDArray[np.integer]
Measure = Callable[[Counts], float]


def exposure_metrics(top_UK: Counts, items: int) -> dict[str, Floats]:
    """Divide the coverage and the corrected Gini index and entropy of a set of lists among its users, [U].

    The mean over users is the measure of the set: `coverage@10` the share of items that stand in any list, `gini@10`
    from 0 (most even) to 1 (everybody is shown the same), `entropy@10` from 0 (everybody is shown the same) to 1
    (most even). See `unit_shares` for a user's value. NaN where lists of such lengths can be spread in one way only,
    as for a single user.
    """
    length_U = (top_UK >= 0).sum(axis=1)
    shown_I = exposure(top_UK, items)
    total, ranked, information = shown_I.sum(), _ranked(shown_I), _n_log_n(shown_I).sum()

    # Without a user's list, each of its items stands in one list less. In ascending order of exposure an item then
    # moves to the lower end of those that it was level with; a further item of the list, if level too, next to it.
    shown_UK = np.sort(np.where(top_UK >= 0, shown_I[top_UK], 0), axis=1)
    place_K = np.arange(shown_UK.shape[1])
    level_UK = np.diff(shown_UK, axis=1, prepend=-1) == 0
    after_UK = place_K - np.maximum.accumulate(np.where(level_UK, 0, place_K), axis=1)
    rank_UK = np.searchsorted(np.sort(shown_I), shown_UK) + after_UK + 1
    total_U = total - length_U
    ranked_U = ranked - np.where(shown_UK > 0, 2 * rank_UK - items - 1, 0).sum(axis=1)
    information_U = information - (_n_log_n(shown_UK) - _n_log_n(shown_UK - 1)).sum(axis=1)
    covered_U = (shown_I > 0).sum() - (shown_UK == 1).sum(axis=1)
    return {
        "coverage@10": unit_shares(coverage(shown_I), covered_U / items),
        "gini@10": _scaled_shares(gini, shown_I, _gini(ranked_U, items, total_U), length_U),
        "entropy@10": 1 - _scaled_shares(entropy, shown_I, _entropy(information_U, total_U), length_U),
    }


def exposure(top_UK: Counts, items: int) -> Counts:
    """Count in how many of the lists each item stands, [I]."""
    return np.bincount(top_UK[top_UK >= 0], minlength=items)


def coverage(shown_I: Counts) -> float:
    """Return the share of items that stand in any list."""
    return float((shown_I > 0).mean())


def gini(shown_I: Counts) -> float:
    """Return the Gini index, 0 where all items are shown equally often; NaN where nothing is shown."""
    return float(_gini(_ranked(shown_I), len(shown_I), shown_I.sum()))


def entropy(shown_I: Counts) -> float:
    """Return the Shannon entropy of the items' shares of the exposure, in nats; NaN where nothing is shown."""
    return float(_entropy(_n_log_n(shown_I).sum(), shown_I.sum()))


def concentration(measure: Measure, shown_I: Counts, length_U: Counts) -> float:
    """Scale a measure of exposure by lists of these lengths: 0 where they show items most evenly, 1 where least."""
    return float(_scale(measure(shown_I), *reach(measure, length_U, len(shown_I))))


def reach(measure: Measure, length_U: Counts, items: int) -> tuple[float, float]:
    """Return a measure of the most even and of the most concentrated exposure that lists of these lengths can give.

    Most even: no two items differ by more than one list. Most concentrated: everybody is shown the same.
    """
    each, more = np.divmod(length_U.sum(), items)
    even = each + (np.arange(items) < more)
    concentrated = np.zeros(items, np.int64)
    longest = int(length_U.max(initial=0))
    concentrated[:longest] = (length_U[:, None] > np.arange(longest)).sum(axis=0)
    return measure(even), measure(concentrated)


def _scaled_shares(measure: Measure, shown_I: Counts, without_U: Floats, length_U: Counts) -> Floats:
    """Divide the `concentration` among users, given the measure of the exposure without each of them, [U]."""
    even_U, concentrated_U = np.zeros((2, len(length_U)))
    for length in np.unique(length_U):
        same = length_U == length
        others = np.delete(length_U, np.argmax(same))
        even_U[same], concentrated_U[same] = reach(measure, others, len(shown_I))
    whole = concentration(measure, shown_I, length_U)
    return unit_shares(whole, _scale(without_U, even_U, concentrated_U))


def _scale(value: ArrayLike, even: ArrayLike, concentrated: ArrayLike) -> Floats:
    span = np.subtract(concentrated, even)
    return _divide(np.subtract(value, even), span)


def _ranked(shown_I: Counts) -> int:
    """Sum up exposures in ascending order, weighted from 1 - I to I - 1: the numerator of the Gini index."""
    return int((2 * np.arange(len(shown_I)) + 1 - len(shown_I)) @ np.sort(shown_I))


def _gini(ranked: ArrayLike, items: int, total: ArrayLike) -> Floats:
    return _divide(ranked, items * np.asarray(total))


def _entropy(information: ArrayLike, total: ArrayLike) -> Floats:
    some = np.maximum(total, 1)
    return np.where(np.asarray(total) > 0, np.log(some) - information / some, np.nan)


def _n_log_n(count: Counts) -> Floats:
    return np.asarray(count * np.log(np.maximum(count, 1)))


def _divide(numerator: ArrayLike, denominator: ArrayLike) -> Floats:
    """Divide, NaN where the denominator is 0."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator != 0)
