"""Who is unseen, which events belong to which part, and what came strictly before each event.

All choices follow from keyed hashes of ids, so they do not depend on the order of the input, on the machine
or on Python's own hash. `SPLIT_VERSION` is raised whenever any of them changes.
"""

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SPLIT_VERSION = 1
TRAIN, VALIDATION, TEST = 0, 1, 2
UNSEEN_SHARE = 0.1
PART_SHARE = 0.1


def keyed_hash(key: str, ids: Sequence[str]) -> NDArray[np.uint64]:
    """Hash each id under `key` into 64 bits."""
    base = hashlib.blake2b(key=key.encode(), digest_size=8)
    hashes = np.empty(len(ids), dtype=np.uint64)
    for index, text in enumerate(ids):
        one = base.copy()
        one.update(text.encode())
        hashes[index] = int.from_bytes(one.digest(), "little")
    return hashes


def order_events(
    user: NDArray[np.integer],
    item: NDArray[np.integer],
    value: NDArray[np.floating],
    timestamp: NDArray[np.int64],
    user_ids: Sequence[str],
    item_ids: Sequence[str],
    ties: Literal["hashed", "reversed"] = "hashed",
) -> NDArray[np.intp]:
    """Sort by user, time and, inside a tie, a keyed hash of user, item and time, or that order reversed.

    The order inside a tie carries no information: whatever order the file had is an artefact that a model
    could exploit. What depends on it is found by reversing it.
    """
    user_hash = keyed_hash("adaptune tie user", user_ids)
    item_hash = keyed_hash("adaptune tie item", item_ids)
    tie = _mix(user_hash[user] ^ _mix(item_hash[item] ^ timestamp.astype(np.uint64)))
    if ties == "reversed":
        value, tie = -value, ~tie
    return np.lexsort((value, tie, timestamp, user))


def unseen_users(user_ids: Sequence[str]) -> NDArray[np.bool_]:
    """Choose one user in ten, by keyed hash of the id, none of whose events train anything."""
    limit = np.uint64(int(UNSEEN_SHARE * 2**64))
    return keyed_hash("adaptune unseen user", user_ids) < limit


def tie_starts(user_offsets: NDArray[np.int64], timestamp: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark each event that opens a new instant of its user; events are sorted by user and time."""
    starts = np.empty(len(timestamp), dtype=bool)
    starts[1:] = timestamp[1:] != timestamp[:-1]
    starts[user_offsets[:-1]] = True
    return starts


def count_before(user_offsets: NDArray[np.int64], timestamp: NDArray[np.int64]) -> NDArray[np.int32]:
    """Count, for each event, this user's events with a strictly smaller timestamp."""
    positions = np.arange(len(timestamp))
    opening = np.maximum.accumulate(np.where(tie_starts(user_offsets, timestamp), positions, 0))
    first = np.repeat(user_offsets[:-1], np.diff(user_offsets))
    return (opening - first).astype(np.int32)


def part_sizes(events: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many of this many events of a user the test part is meant to have, and the validation part."""
    return np.maximum(1, np.round(events * PART_SHARE)).astype(np.int64)


def temporal(user_offsets: NDArray[np.int64], timestamp: NDArray[np.int64]) -> NDArray[np.int8]:
    """Divide each user's events by time: the last tenth is test, the tenth before it validation.

    A cut that would fall inside a tie moves to the nearest end of a tie (the earlier one at equal distance).
    The first instant of a user is always training; a user with a single instant has nothing else, and one
    with two has no validation part.
    """
    first, last = user_offsets[:-1], user_offsets[1:]
    part_size = part_sizes(last - first)
    starts = tie_starts(user_offsets, timestamp)
    starts[first] = False  # a cut before the first event would leave nothing to train on
    cuts = np.flatnonzero(starts)
    test = _nearest_cut(cuts, first, last, last - part_size)
    validation = _nearest_cut(cuts, first, test, np.minimum(last - 2 * part_size, test - 1))
    positions = np.arange(len(timestamp))
    owner = np.repeat(np.arange(len(first)), last - first)
    return ((positions >= validation[owner]).astype(np.int8) + (positions >= test[owner])).astype(np.int8)


def leave_one_out(user_offsets: NDArray[np.int64]) -> NDArray[np.int8]:
    """Divide each user's events by place: the last is test, the one before it validation, the others training.

    Of two events the first is training, and so is a single one. Among events of one timestamp the order of the log
    decides, which is that of `order_events`; `tied_at_the_end` tells for how many users that matters.
    """
    part = np.full(int(user_offsets[-1]), TRAIN, np.int8)
    events, end = np.diff(user_offsets), user_offsets[1:]
    part[end[events >= 2] - 1] = TEST
    part[end[events >= 3] - 2] = VALIDATION
    return part


def tied_at_the_end(user_offsets: NDArray[np.int64], timestamp: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark each user whose last two events share a timestamp."""
    several, last = np.diff(user_offsets) >= 2, user_offsets[1:] - 1
    return several & (timestamp[last] == timestamp[np.where(several, last - 1, last)])


def _nearest_cut(
    cuts: NDArray[np.int64], first: NDArray[np.int64], end: NDArray[np.int64], target: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Find each user's allowed cut in (first, end) nearest to `target`, or `end` where there is none."""
    low, high = np.searchsorted(cuts, first, side="right"), np.searchsorted(cuts, end, side="left")
    place = np.searchsorted(cuts, target, side="right")
    padded = np.append(cuts, 0)
    earlier = np.clip(place - 1, low, np.maximum(high - 1, low))
    later = np.clip(place, low, np.maximum(high - 1, low))
    take_earlier = np.abs(padded[earlier] - target) <= np.abs(padded[later] - target)
    return np.where(high > low, np.where(take_earlier, padded[earlier], padded[later]), end)


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit numbers (the finaliser of SplitMix64, Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
