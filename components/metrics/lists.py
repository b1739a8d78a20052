"""What a user's top list is like, whether it is right or not: how novel, how diverse, how popular.

U users, K places, I items, G genres. A list holds items, best first, and -1 where it is short.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.integer]


def novelty(top_UK: Indices, events_I: Indices) -> Floats:
    """Return the mean self-information of each list's items, in bits, [U]; NaN for an empty list.

    That of an item is -log2 of its share of all events (Castells et al., Novelty and Diversity in Recommender
    Systems, in: Recommender Systems Handbook, 2015), of which every item is given one more than it has: otherwise an
    item without any would be infinitely novel.
    """
    share_I = (events_I + 1) / (events_I.sum() + len(events_I))
    return _list_mean(top_UK, -np.log2(share_I))


def diversity(top_UK: Indices, genre_IG: NDArray[np.floating]) -> Floats:
    """Return the mean distance of two items of each list, [U]: 1 minus the cosine of their genres.

    Intra-list diversity (Ziegler et al., Improving Recommendation Lists Through Topic Diversification, WWW 2005).
    Items without genres are left out; NaN where fewer than two are left.
    """
    length_I = np.linalg.norm(genre_IG, axis=1)
    known_I = length_I > 0
    unit_IG = genre_IG / np.where(known_I, length_I, 1)[:, None]
    sum_UG = np.zeros((len(top_UK), genre_IG.shape[1]))
    count_U = np.zeros(len(top_UK))
    for item_U in top_UK.T:
        known_U = (item_U >= 0) & known_I[item_U]
        sum_UG[known_U] += unit_IG[item_U[known_U]]
        count_U += known_U
    cosines_U = (sum_UG**2).sum(axis=1) - count_U  # of all ordered pairs of different places
    pairs_U = count_U * (count_U - 1)
    return 1 - _divide(cosines_U, pairs_U)


def popularity_lift(top_UK: Indices, events_I: Indices, met_U: Floats) -> Floats:
    """Return how much more popular each list is than what its user had met, [U]: 0 as popular, 1 twice as popular.

    Popularity is an item's number of events, `met_U` its mean over what each user had met. After the popularity lift
    of Abdollahpouri et al. (The Connection Between Popularity Bias, Calibration, and Fairness in Recommendation,
    RecSys 2020), for each user instead of a group. NaN for an empty list, and where `met_U` is 0 or NaN.
    """
    return _divide(_list_mean(top_UK, events_I), np.where(met_U > 0, met_U, 0)) - 1


def _list_mean(top_UK: Indices, value_I: NDArray[np.number]) -> Floats:
    shown_UK = top_UK >= 0
    return _divide(np.where(shown_UK, value_I[top_UK], 0).sum(axis=1), shown_UK.sum(axis=1))


def _divide(numerator: Floats, denominator: NDArray[np.number]) -> Floats:
    return np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0)
