"""Metrics of a ranked list, computed for every user at once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CUTOFF = 10
"""How many of the top items count."""


def ranking_metrics(
    top: NDArray[np.integer], relevant: Sequence[NDArray[np.integer]]
) -> dict[str, NDArray[np.float64]]:
    """Score each user's ranked items `top` [U, k] (best first, -1 for none) against the `relevant` ones.

    With binary gains and a cutoff of 10: `ndcg@10` (Järvelin & Kekäläinen 2002), `recall@10` (hits over
    min(10, relevant), so that a perfect list scores 1; Liang et al. 2018), `hr@10` (any hit), each [U].
    Users without relevant items are NaN. Items of a list must be distinct.
    """
    top = np.asarray(top)[:, :CUTOFF]
    users, length = top.shape
    assert len(relevant) == users, (len(relevant), users)
    count = np.fromiter((len(items) for items in relevant), dtype=np.int64, count=users)
    flat = np.concatenate([np.empty(0, np.int64), *relevant]).astype(np.int64)
    owner = np.repeat(np.arange(users), count)
    width = max(int(flat.max(initial=0)), int(top.max(initial=0))) + 1
    hit = np.isin(np.arange(users)[:, None] * width + top, owner * width + flat) & (top >= 0)

    discount = 1 / np.log2(np.arange(CUTOFF) + 2)
    ideal = np.r_[0.0, np.cumsum(discount)][np.minimum(count, CUTOFF)]
    with np.errstate(invalid="ignore", divide="ignore"):
        metrics = {
            "ndcg@10": hit @ discount[:length] / ideal,
            "recall@10": hit.sum(axis=1) / np.minimum(count, CUTOFF),
            "hr@10": hit.any(axis=1).astype(np.float64),
        }
    return {name: np.where(count > 0, value, np.nan) for name, value in metrics.items()}


def satisfaction(
    user: NDArray[np.integer], score: NDArray[np.floating], value: NDArray[np.floating], users: int
) -> NDArray[np.float64]:
    """Return the rating (1 to 5) that each user gave to the item scored highest among those the user rated.

    `user`, `score`, `value` are [N]; `value` in [-1, 1] is the feedback, so the rating is 3 + 2 value.
    Ties go to the lowest index; users without items are NaN.
    """
    order = np.lexsort((-np.asarray(score, dtype=np.float64), user))  # stable: equal scores keep their order
    owner, first = np.unique(np.asarray(user)[order], return_index=True)
    result = np.full(users, np.nan)
    result[owner] = 3 + 2 * np.asarray(value, dtype=np.float64)[order[first]]
    return result
