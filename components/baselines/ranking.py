"""Rankings of the catalogue without a model: popularity, EASE, and which items come soon after which.

Each function returns, for every user, the K best items at the start of one part, best first, [U, K]; items
that the user had before are left out, and -1 fills a list that runs short. Of items that score nothing the popular
ones come first, then those of a lower index. Only training events of seen users fit anything; the user's own events
before the part are what a user is known by.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from components.baselines.bias import DECAY, event_users, known_before, training_events
from components.data.interactions import Interactions
from components.data.successions import count_successions
from components.metrics.ranking import CUTOFF

Floats = NDArray[np.float64]

RIDGE = 300.0
"""EASE's lambda."""

LARGEST_CATALOGUE = 10_000
"""EASE inverts a dense item matrix; of a larger catalogue it knows only this many, the most frequent ones."""

WINDOW = 10
"""How many events an event is near to, on each side; the d-th of them, from 1, with weight 1 / d."""

BATCH = 1024
"""Users scored at a time."""

BATCH_SCORES = 4_000_000
"""Scores computed at a time at most, which bounds the memory if the catalogue is large."""


def popularity(data: Interactions, part: int) -> NDArray[np.int64]:
    """Rank by the number of training events."""
    count = _training_counts(data).astype(np.float64)
    return _top_items(data, part, lambda users: np.tile(count, (len(users), 1)))


def ease(data: Interactions, part: int) -> NDArray[np.int64]:
    """Rank by EASE, the linear item-item model with a closed form (Steck 2019, equation 8)."""
    return _ease(data, part, decay=1.0)


def ease_recency(data: Interactions, part: int) -> NDArray[np.int64]:
    """Rank by EASE, an event of the user counting the less the more events came after it."""
    return _ease(data, part, decay=DECAY)


def markov(data: Interactions, part: int) -> NDArray[np.int64]:
    """Rank by how often an item came within the `WINDOW` after one of the user's latest items in training.

    Transition counts of a windowed Markov chain; of the user, the latest `WINDOW` events count, weighted likewise.
    Events of the same instant have no order and are no transition.
    """
    return _near(data, part, _transitions(data))


def co_occurrence(data: Interactions, part: int) -> NDArray[np.int64]:
    """Rank as `markov` does, by how often an item came within the window before or after."""
    forward = _transitions(data)
    return _near(data, part, forward + forward.T)


def relevant_items(data: Interactions, part: int) -> list[NDArray[np.int32]]:
    """Return each user's distinct items of a part."""
    held_out = item_matrix(data, data.part == part)
    return np.split(held_out.indices, held_out.indptr[1:-1])


def ease_weights(count: sparse.csr_array) -> tuple[NDArray[np.int64], Floats]:
    """Fit EASE to how often users met items, [U, I]: which items it knows, [F], and its weights, [F, F].

    Item i of a user's history adds row i of the weights to the scores (Steck 2019, equation 8).
    """
    met = (count > 0).astype(np.float64)
    frequent = np.argsort(-met.sum(axis=0), kind="stable")[:LARGEST_CATALOGUE]
    known = met[:, frequent]
    precision = linalg.inv((known.T @ known).toarray() + RIDGE * np.eye(len(frequent)), overwrite_a=True)
    weight = precision / -np.diag(precision)
    np.fill_diagonal(weight, 0)
    return frequent, weight


def _ease(data: Interactions, part: int, decay: float) -> NDArray[np.int64]:
    frequent, weight = ease_weights(item_matrix(data, training_events(data)))
    history = known_before(data, part)
    weight_of_event: Floats = np.power(decay, _events_since(data, history))
    recency = item_matrix(data, history, weight_of_event)[:, frequent]

    def score(users: NDArray[np.int64]) -> Floats:
        scores = np.full((len(users), len(data.item_ids)), -np.inf)
        scores[:, frequent] = recency[users] @ weight
        return scores

    return _top_items(data, part, score)


def _transitions(data: Interactions) -> sparse.csr_array:
    weights = [1 / distance for distance in range(1, WINDOW + 1)]
    return sparse.csr_array(count_successions(data, training_events(data), weights))


def _near(data: Interactions, part: int, counts: sparse.csr_array) -> NDArray[np.int64]:
    history = known_before(data, part)
    since = _events_since(data, history)
    latest = item_matrix(data, history & (since < WINDOW), 1 / (1 + since))
    return _top_items(data, part, lambda users: (latest[users] @ counts).toarray())


def _events_since(data: Interactions, history: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count how many of the user's `history` events, the first ones of each user, come after each of them, [E]."""
    counted = np.cumsum(history)
    return counted[data.user_offsets[1:] - 1][event_users(data)] - counted


def item_matrix(
    data: Interactions, chosen: NDArray[np.bool_], weight: Floats | None = None
) -> sparse.csr_array:
    """Sum the weights (default 1) of the chosen events a user and item, [U, I]."""
    user, item = event_users(data)[chosen], data.content[chosen]
    values = np.ones(len(user)) if weight is None else weight[chosen]
    return sparse.csr_array((values, (user, item)), shape=(len(data.user_ids), len(data.item_ids)))


def _training_counts(data: Interactions) -> NDArray[np.int64]:
    return np.bincount(data.content[training_events(data)], minlength=len(data.item_ids))


def _top_items(
    data: Interactions, part: int, score: Callable[[NDArray[np.int64]], Floats]
) -> NDArray[np.int64]:
    had = item_matrix(data, known_before(data, part))
    cutoff = min(CUTOFF, len(data.item_ids))
    popular = np.argsort(-_training_counts(data), kind="stable")
    lists = []
    for users in _batches(len(data.user_ids), min(BATCH, max(1, BATCH_SCORES // len(data.item_ids)))):
        scores = score(users)
        scores[had[users].nonzero()] = -np.inf
        best = np.argpartition(-scores, cutoff - 1, axis=1)[:, :cutoff]
        best_score = np.take_along_axis(scores, best, axis=1)
        order = np.lexsort((best, -best_score))
        ranked = np.take_along_axis(best, order, axis=1)
        ranked_score = np.take_along_axis(scores, ranked, axis=1)
        nothing = ranked_score == 0  # a user without a history, or fewer items near to it than a list is long
        for row in np.flatnonzero(nothing.any(axis=1)):
            tied = popular[scores[row, popular] == 0]
            ranked[row, nothing[row]] = tied[: nothing[row].sum()]
        lists.append(np.where(np.isneginf(ranked_score), -1, ranked))
    return np.concatenate(lists)


def _batches(users: int, size: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, users, size):
        yield np.arange(start, min(start + size, users))
