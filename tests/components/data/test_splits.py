"""What must hold of every split, whatever the log looks like."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from components.data import splits


@dataclass
class Log:
    """A log as the store arranges it: sorted by `order_events`, users in the order of their ids."""

    offsets: np.ndarray
    item: np.ndarray
    value: np.ndarray
    timestamp: np.ndarray

    def users(self) -> list[slice]:
        return [slice(a, b) for a, b in zip(self.offsets[:-1], self.offsets[1:], strict=True)]


def arrange(
    rows: Sequence[tuple[int, int, int, float]], ties: Literal["hashed", "reversed"] = "hashed"
) -> Log:
    user, item, timestamp, value = (np.array(column) for column in zip(*rows, strict=True))
    present, user = np.unique(user, return_inverse=True)
    ids = [f"u{index}" for index in present]
    items = [f"i{index}" for index in range(10)]
    order = splits.order_events(user, item, value, timestamp, ids, items, ties)
    counts = np.bincount(user)
    return Log(np.concatenate([[0], np.cumsum(counts)]), item[order], value[order], timestamp[order])


rows = st.tuples(st.integers(0, 4), st.integers(0, 9), st.integers(0, 12), st.sampled_from([-1.0, 0.0, 1.0]))
logs = st.lists(rows, min_size=1, max_size=120)


@given(logs)
def test_before_counts_exactly_the_events_with_a_strictly_smaller_timestamp(rows):
    log = arrange(rows)
    before = splits.count_before(log.offsets, log.timestamp)
    for user in log.users():
        times = log.timestamp[user]
        assert before[user].tolist() == [int((times < time).sum()) for time in times]
        assert all((times[:count] < time).all() for count, time in zip(before[user], times, strict=True))


@given(logs)
def test_no_cut_falls_inside_a_tie_and_parts_follow_time(rows):
    log = arrange(rows)
    part = splits.temporal(log.offsets, log.timestamp)
    for user in log.users():
        assert (np.diff(part[user]) >= 0).all()
        for time in set(log.timestamp[user]):
            assert len(set(part[user][log.timestamp[user] == time])) == 1
        assert part[user][0] == splits.TRAIN


@given(logs)
def test_a_user_with_two_instants_has_a_test_part_and_one_with_three_also_a_validation_part(rows):
    log = arrange(rows)
    part = splits.temporal(log.offsets, log.timestamp)
    for user in log.users():
        expected = {1: {0}, 2: {0, 2}}.get(len(set(log.timestamp[user])), {0, 1, 2})
        assert set(part[user]) == expected


@given(st.lists(rows, min_size=1, max_size=60), st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_the_order_of_the_input(rows, random):
    shuffled = random.sample(rows, len(rows))
    one, other = arrange(rows), arrange(shuffled)
    for name in ("offsets", "item", "value", "timestamp"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


@given(st.integers(10, 400))
def test_without_ties_the_parts_are_the_last_tenth_and_the_tenth_before(events):
    part = splits.temporal(np.array([0, events]), np.arange(events))
    tenth = round(events * 0.1)
    assert np.bincount(part).tolist() == [events - 2 * tenth, tenth, tenth]


def test_a_cut_inside_a_tie_moves_to_its_nearest_end():
    #                     0  1  2  3  4  5  6  7  8  9
    timestamp = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 9])
    part = splits.temporal(np.array([0, 10]), timestamp)
    assert part.tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 2, 2]


def test_the_order_inside_a_tie_tells_nothing_of_item_or_value():
    users, per_user = 400, 10
    user = np.repeat(np.arange(users), per_user)
    item = np.tile(np.arange(per_user), users)
    value = (item % 2).astype(float)
    order = splits.order_events(
        user,
        item,
        value,
        np.full(len(user), 7),
        [f"u{n}" for n in range(users)],
        [f"i{n}" for n in range(10)],
    )
    first = item[order].reshape(users, per_user)[:, 0]
    shares = np.bincount(first, minlength=per_user) / users
    assert shares.max() < 0.16
    assert abs(value[order].reshape(users, per_user)[:, 0].mean() - 0.5) < 0.08


def test_one_user_in_ten_is_unseen_and_stays_so_when_others_come():
    ids = [f"user-{number}" for number in range(20_000)]
    unseen = splits.unseen_users(ids)
    assert abs(unseen.mean() - 0.1) < 0.007
    assert np.array_equal(unseen[:50], splits.unseen_users(ids[:50]))


def test_hashes_are_the_same_everywhere():
    assert splits.keyed_hash("key", ["a", "ä"]).tolist() == [14516620412390118871, 4953209328759387846]


@given(logs)
def test_leave_one_out_takes_the_last_event_and_the_one_before(rows):
    log = arrange(rows)
    part = splits.leave_one_out(log.offsets)
    assert part.dtype == np.int8
    for user in log.users():
        events = user.stop - user.start
        ending = {1: [splits.TRAIN], 2: [splits.TRAIN, splits.TEST]}
        assert part[user][-3:].tolist() == ending.get(
            events, [splits.TRAIN, splits.VALIDATION, splits.TEST][-events:]
        )
        assert (part[user][:-2] == splits.TRAIN).all()
        assert log.timestamp[user][-1] == log.timestamp[user].max()


@given(logs)
def test_users_whose_last_two_events_are_tied_are_counted(rows):
    log = arrange(rows)
    tied = splits.tied_at_the_end(log.offsets, log.timestamp)
    expected = [
        user.stop - user.start > 1 and len(set(log.timestamp[user][-2:].tolist())) == 1
        for user in log.users()
    ]
    assert tied.tolist() == expected


@given(st.lists(rows, min_size=1, max_size=60, unique_by=lambda row: row[:3]))
def test_reversed_ties_are_exactly_the_other_order(rows):
    log, other = arrange(rows), arrange(rows, "reversed")
    assert np.array_equal(log.timestamp, other.timestamp)
    for user in log.users():
        for time in set(log.timestamp[user]):
            tie = log.timestamp[user] == time
            assert np.array_equal(log.item[user][tie], other.item[user][tie][::-1])
