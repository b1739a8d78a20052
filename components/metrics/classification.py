"""Metrics of a like prediction, computed for every user at once.

For which users a metric is defined depends on the truth alone and never on the prediction, so that every
model is averaged over the same users: a user without examples has none; `precision`, `recall` and `f1`
need a like (a user with likes of which none is predicted scores 0, as in scikit-learn's `zero_division=0`);
`auc` needs a like and a dislike. Undefined is NaN.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

THRESHOLD = 0.5
"""A probability of at least this predicts a like."""

SMALLEST_PROBABILITY = 1e-7
"""Log loss sees probabilities clipped to [this, 1 - this]."""


def per_user_classification(
    user: NDArray[np.integer],
    probability: NDArray[np.floating],
    like: NDArray[np.bool_],
    users: int,
) -> dict[str, Floats]:
    """Score N predictions apart for each of `users` users.

    `user` [N] holds indices below `users`, in any order; `probability` [N] predicts `like` [N].
    Returns accuracy, precision, recall, f1, auc and log_loss, each [users].
    """
    score = np.asarray(probability, dtype=np.float64)
    like = np.asarray(like, dtype=bool)
    predicted = score >= THRESHOLD

    def count(mask: NDArray[np.bool_]) -> Floats:
        return _per_user(user, mask, users)

    examples = count(np.ones_like(like))
    likes = count(like)
    hits = count(predicted & like)
    calls = count(predicted)
    clipped = np.clip(score, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    loss = -np.log(np.where(like, clipped, 1 - clipped))

    return {
        "accuracy": _ratio(count(predicted == like), examples),
        "precision": np.where(likes > 0, hits / np.maximum(calls, 1), np.nan),
        "recall": _ratio(hits, likes),
        "f1": np.where(likes > 0, 2 * hits / np.maximum(likes + calls, 1), np.nan),
        "auc": per_user_auc(user, score, like, users),
        "log_loss": _ratio(_per_user(user, loss, users), examples),
    }


def per_user_auc(user: NDArray[np.integer], score: Floats, like: NDArray[np.bool_], users: int) -> Floats:
    """Return the area under the ROC curve of each user, [users]: Mann-Whitney by mean ranks; a tie counts one half.

    `user`, `score`, `like` are [N]; NaN for users without a like or without a dislike.
    """
    if len(user) == 0:
        return np.full(users, np.nan)
    order = np.lexsort((score, user))
    user, score, like = np.asarray(user)[order], score[order], like[order]
    starts_tie = np.r_[True, (user[1:] != user[:-1]) | (score[1:] != score[:-1])]
    tie = np.cumsum(starts_tie) - 1
    first = np.flatnonzero(starts_tie)
    last = np.r_[first[1:], len(user)] - 1
    rank = (first + last)[tie] / 2  # from 0, over all users together
    count = np.bincount(user, minlength=users)
    likes = _per_user(user, like, users)
    first_of_user = np.cumsum(count) - count
    wins = _per_user(user, (rank - first_of_user[user]) * like, users)
    return _ratio(wins - likes * (likes - 1) / 2, likes * (count - likes))


def _per_user(user: NDArray[np.integer], weight: NDArray[np.generic], users: int) -> Floats:
    return np.bincount(user, weights=weight, minlength=users).astype(np.float64)


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.full(len(denominator), np.nan), where=denominator > 0)
