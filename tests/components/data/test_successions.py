import dataclasses

import numpy as np

from components.data.successions import count_successions
from tests.components.baselines.test_trivial_rows import make_log


def test_hand_counted_successions():
    """Items 0 to 4 of one user, the middle ones at one instant: 0, then 1 and 2, then 3, then 4."""
    log = make_log(users=1, items=5, events=5, unseen=(), instants=[1, 1, 0, 1, 1])
    log = dataclasses.replace(log, content=np.arange(5, dtype=np.int32))
    counts = count_successions(log, np.ones(5, bool), [1, 0.5]).toarray()
    expected = np.zeros((5, 5))
    expected[0, 1] = expected[0, 2] = 1  # the middle ones follow the first, and not each other
    expected[2, 3], expected[1, 3] = 1, 0.5
    expected[3, 4], expected[2, 4] = 1, 0.5
    assert np.array_equal(counts, expected)


def test_only_chosen_events_follow_anything():
    log = make_log(users=3, items=30, events=20)
    assert count_successions(log, np.zeros(60, bool), [1]).nnz == 0
    one = np.zeros(60, bool)
    one[25] = True
    counts = count_successions(log, one, [1, 1]).tocoo()
    assert counts.col.tolist() == [log.content[25]] * 2
    assert set(counts.row) == set(log.content[20 + log.before[25] - 2 : 20 + log.before[25]])
