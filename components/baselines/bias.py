"""Like predictions without a model: constants, item biases and a user's running residual.

Each function predicts P(like) for every event of one part, in the order of the log. Only training events of
seen users fit the item rates; an unseen user's own earlier events are history that the user's bias may read.
The shrinkages were chosen on the validation part of MovieLens 100K.
"""

import numpy as np
from numpy.typing import NDArray

from components.data.interactions import Interactions
from components.data.splits import TRAIN
from components.errors import AdaptuneError

Floats = NDArray[np.float64]

ITEM_SHRINKAGE = 5.0
"""How many average ratings an item's like rate is mixed with."""

USER_SHRINKAGE = 10.0
"""How many average ratings a user's bias is mixed with."""

DECAY = 0.95
"""What an event's weight is multiplied with at each later event of the same user."""

MARGIN = 0.01
"""Sums of biases are clipped to [MARGIN, 1 - MARGIN]."""


def always_like(data: Interactions, part: int) -> Floats:
    """Predict the training like rate for everything, raised to one half where it is lower."""
    return np.full(int((data.part == part).sum()), max(0.5, float(data.like[training_events(data)].mean())))


def item_bias(data: Interactions, part: int) -> Floats:
    """Predict each item's training like rate, shrunk towards the mean rate."""
    return _item_rate(data)[data.content[data.part == part]]


def user_item_bias(data: Interactions, part: int) -> Floats:
    """Add the mean residual of the user's events in the training period, shrunk towards zero."""
    user, rate = event_users(data), _item_rate(data)[data.content]
    fitted = data.part == TRAIN
    residual = np.bincount(user, weights=(data.like - rate) * fitted, minlength=len(data.user_ids))
    count = np.bincount(user, weights=fitted, minlength=len(data.user_ids))
    bias = residual / (count + USER_SHRINKAGE)
    return _clip(rate + bias[user])[data.part == part]


def running_residual(data: Interactions, part: int) -> Floats:
    """Add the decayed mean residual of all the user's events with a strictly smaller timestamp."""
    user, rate = event_users(data), _item_rate(data)[data.content]
    seen_so_far, weight = _decayed_sums(data, data.like - rate)
    instant = data.user_offsets[user] + data.before  # the first event of the same instant
    return _clip(rate + seen_so_far[instant] / (weight[instant] + USER_SHRINKAGE))[data.part == part]


def oracle(data: Interactions, part: int) -> Floats:
    """Return P(like) by the generator's own truth; raises `AdaptuneError` for data that has none."""
    if data.oracle is None:
        raise AdaptuneError(
            f"data set {data.name!r} has no oracle: only generated data knows the true P(like)"
        )
    return data.oracle[data.part == part].astype(np.float64)


def event_users(data: Interactions) -> NDArray[np.int64]:
    """Return the user index of each event, [E]."""
    return np.repeat(np.arange(len(data.user_ids)), np.diff(data.user_offsets))


def part_start(data: Interactions, part: int) -> NDArray[np.int64]:
    """Count each user's events at an instant before the first one of a part, [U]; -1 for users without any there.

    With `leave-one-out`, events of an earlier part can share the instant of the first one, and do not count.
    """
    row = np.flatnonzero(data.part == part)
    user, first = np.unique(event_users(data)[row], return_index=True)
    start = np.full(len(data.user_ids), -1, np.int64)
    start[user] = data.before[row[first]]
    return start


def known_before(data: Interactions, part: int) -> NDArray[np.bool_]:
    """Tell which events are known when a part begins, [E]; of users without events in it, those of earlier parts."""
    user = event_users(data)
    start = part_start(data, part)[user]
    number = np.arange(len(user)) - data.user_offsets[user]
    return np.where(start < 0, data.part < part, number < start)


def training_events(data: Interactions) -> NDArray[np.bool_]:
    """Mark the events that may fit anything: the training part of seen users, [E]."""
    return (data.part == TRAIN) & ~data.unseen[event_users(data)]


def _item_rate(data: Interactions) -> Floats:
    fitted = training_events(data)
    items, like = data.content[fitted], data.like[fitted]
    count = np.bincount(items, minlength=len(data.item_ids))
    likes = np.bincount(items, weights=like, minlength=len(data.item_ids))
    return (likes + ITEM_SHRINKAGE * like.mean()) / (count + ITEM_SHRINKAGE)


def _decayed_sums(data: Interactions, residual: Floats) -> tuple[Floats, Floats]:
    """Return, for each event, the decayed sum of the user's residuals before it and of their weights."""
    first, length = data.user_offsets[:-1], np.diff(data.user_offsets)
    total, weight = np.zeros((2, len(residual)))
    running, running_weight = np.zeros((2, len(length)))
    for position in range(int(length.max())):  # all users at once, one event further each time
        active = np.flatnonzero(length > position)
        event = first[active] + position
        total[event], weight[event] = running[active], running_weight[active]
        running[active] = DECAY * running[active] + residual[event]
        running_weight[active] = DECAY * running_weight[active] + 1
    return total, weight


def _clip(probability: Floats) -> Floats:
    return np.clip(probability, MARGIN, 1 - MARGIN)
