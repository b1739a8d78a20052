import dataclasses
from pathlib import Path

import numpy as np
import pytest

from components.baselines import bias, ranking
from components.baselines.trivial import LIKES, RANKINGS, TRIVIAL, trivial_rows
from components.data import splits
from components.data.interactions import Interactions
from components.errors import AdaptuneError
from components.metrics.rows import macro, metric_names, select_slice
from components.tasks import TASKS

TEST = splits.TEST


def make_log(users, items, events, seed=0, unseen=(0,), instants=None):
    """A random log: `events` an user, about every third one at the same instant as the one before."""
    generator = np.random.default_rng(seed)
    offsets = np.arange(users + 1) * events
    steps = generator.integers(0, 3, (users, events)) if instants is None else np.tile(instants, (users, 1))
    timestamp = np.cumsum(steps, axis=1).ravel().astype(np.int64)
    content = np.concatenate([generator.choice(items, events, replace=False) for _ in range(users)])
    rating = generator.integers(1, 6, users * events)
    hidden = np.zeros(users, bool)
    hidden[list(unseen)] = True
    return Interactions(
        folder=Path(),
        digest="0" * 16,
        name="made-up",
        user_offsets=offsets,
        content=content.astype(np.int32),
        value=((rating - 3) / 2).astype(np.float32),
        timestamp=timestamp,
        kind=np.zeros(users * events, np.int8),
        like=rating >= 4,
        part=splits.temporal(offsets, timestamp),
        before=splits.count_before(offsets, timestamp),
        oracle=None,
        kinds=("rated",),
        user_ids=[f"u{index}" for index in range(users)],
        unseen=hidden,
        profile=np.zeros((users, 0), np.int32),
        profile_fields={},
        item_ids=[f"i{index}" for index in range(items)],
        item_titles=[""] * items,
        item_genres=[[] for _ in range(items)],
        genres=[],
        item_years=np.zeros(items, np.int32),
    )


@pytest.fixture
def log():
    return make_log(users=12, items=60, events=20)


def test_what_shares_its_instant_with_the_first_event_of_a_part_is_not_known_before_it():
    """With `leave-one-out` the validation event can be of the test event's instant; a model does not see it."""
    log = make_log(users=6, items=8, events=5, instants=[1, 1, 1, 1, 0], unseen=())
    log = dataclasses.replace(log, part=splits.leave_one_out(log.user_offsets))
    assert bias.part_start(log, TEST).tolist() == [3] * 6 and bias.part_start(log, 1).tolist() == [3] * 6
    assert bias.known_before(log, TEST).reshape(6, 5).tolist() == [[True] * 3 + [False] * 2] * 6
    for rule in (ranking.popularity, ranking.ease_recency, ranking.markov, ranking.co_occurrence):
        lists = rule(log, TEST)
        for user, items in enumerate(log.content.reshape(6, 5)):
            assert set(range(8)) - set(items[:3]) == set(lists[user].tolist()) - {-1}, rule


def test_item_bias_is_the_shrunk_training_like_rate(log):
    fitted = bias.training_events(log)
    item = log.content[log.part == TEST][0]
    mine = fitted & (log.content == item)
    rate = (log.like[mine].sum() + 5 * log.like[fitted].mean()) / (mine.sum() + 5)
    assert bias.item_bias(log, TEST)[0] == pytest.approx(rate)


def test_running_residual_by_hand(log):
    rate = bias._item_rate(log)
    event = int(np.flatnonzero(log.part == TEST)[-1])
    start = int(log.user_offsets[-2])
    history = [row for row in range(start, event) if log.timestamp[row] < log.timestamp[event]]
    weights = [0.95 ** (len(history) - 1 - age) for age in range(len(history))]
    residual = sum(
        w * (log.like[row] - rate[log.content[row]]) for w, row in zip(weights, history, strict=True)
    )
    expected = rate[log.content[event]] + residual / (sum(weights) + 10)
    assert bias.running_residual(log, TEST)[-1] == pytest.approx(np.clip(expected, 0.01, 0.99))


def test_user_item_bias_by_hand(log):
    rate = bias._item_rate(log)
    rows = np.flatnonzero(log.part[: log.user_offsets[1]] == splits.TRAIN)  # the first user, an unseen one
    offset = (log.like[rows] - rate[log.content[rows]]).sum() / (len(rows) + 10)
    event = np.flatnonzero(log.part == TEST)[0]
    expected = np.clip(rate[log.content[event]] + offset, 0.01, 0.99)
    assert bias.user_item_bias(log, TEST)[0] == pytest.approx(expected)


@pytest.mark.parametrize("name", [name for name in LIKES if name != "oracle"])
def test_no_prediction_sees_its_own_instant_or_later(log, name):
    before = LIKES[name](log, TEST)
    event = int(np.flatnonzero(log.part == TEST)[4])
    same_or_later = (bias.event_users(log) == bias.event_users(log)[event]) & (
        log.timestamp >= log.timestamp[event]
    )
    changed = dataclasses.replace(log, like=log.like ^ same_or_later, value=-log.value)
    place = int((log.part[:event] == TEST).sum())
    assert LIKES[name](changed, TEST)[place] == before[place]


def test_unseen_users_fit_nothing(log):
    hidden = log.unseen[bias.event_users(log)]
    changed = dataclasses.replace(log, like=log.like ^ hidden)
    seen = ~hidden[log.part == TEST]
    for name in ("always-like", "item-bias", "user-item-bias", "running-residual"):
        before, after = LIKES[name](log, TEST), LIKES[name](changed, TEST)
        assert np.array_equal(before[seen], after[seen])


@pytest.mark.parametrize("name", RANKINGS)
def test_rankings_see_only_earlier_items_and_never_return_them(log, name):
    top = RANKINGS[name](log, TEST)
    for user in range(12):
        mine = slice(*log.user_offsets[user : user + 2])
        earlier = log.content[mine][log.part[mine] < TEST]
        assert not np.isin(top[user], earlier).any()
        assert len(set(top[user])) == 10
    shuffled = log.content.copy()
    shuffled[log.part == TEST] = (shuffled[log.part == TEST] + 1) % 60
    assert np.array_equal(RANKINGS[name](dataclasses.replace(log, content=shuffled), TEST), top)


def test_popularity_by_hand(log):
    count = np.bincount(log.content[bias.training_events(log)], minlength=60)
    had = log.content[: log.user_offsets[1]][log.part[: log.user_offsets[1]] < TEST]
    expected = [item for item in sorted(range(60), key=lambda item: (-count[item], item)) if item not in had]
    assert ranking.popularity(log, TEST)[0].tolist() == expected[:10]


def test_ease_solves_its_regression(log, monkeypatch):
    """EASE's weights minimise |X - XB|^2 + lambda |B|^2 with a zero diagonal: fit each column by itself."""
    monkeypatch.setattr(ranking, "RIDGE", 3.0)
    interactions = np.zeros((12, 60))
    fitted = bias.training_events(log)
    interactions[bias.event_users(log)[fitted], log.content[fitted]] = 1
    weight = np.zeros((60, 60))
    for item in range(60):
        others = np.delete(np.arange(60), item)
        inputs = interactions[:, others]
        weight[others, item] = np.linalg.solve(
            inputs.T @ inputs + 3 * np.eye(59), inputs.T @ interactions[:, item]
        )
    history = np.zeros((12, 60))
    earlier = log.part < TEST
    history[bias.event_users(log)[earlier], log.content[earlier]] = 1
    scores = np.where(history > 0, -np.inf, history @ weight)
    top = ranking.ease(log, TEST)
    chosen = np.take_along_axis(scores, top, axis=1)
    assert chosen == pytest.approx(-np.sort(-scores, axis=1)[:, :10])


def near_counts(log):
    """Count by loops how near two items came in training, from the earlier to the later one, [I, I]."""
    counts = np.zeros((60, 60))
    for event in np.flatnonzero(bias.training_events(log)):
        first = int(log.user_offsets[bias.event_users(log)[event]])
        earlier = [row for row in range(first, event) if log.timestamp[row] < log.timestamp[event]]
        for distance, row in enumerate(reversed(earlier[-ranking.WINDOW :]), start=1):
            counts[log.content[row], log.content[event]] += 1 / distance
    return counts


@pytest.mark.parametrize("name", ["markov", "co-occurrence"])
def test_what_came_near_by_hand(log, name):
    counts = near_counts(log)
    if name == "co-occurrence":
        counts = counts + counts.T
    scores = np.zeros((12, 60))
    for user in range(12):
        mine = slice(*log.user_offsets[user : user + 2])
        earlier = log.content[mine][log.part[mine] < TEST]
        for distance, item in enumerate(earlier[: -ranking.WINDOW - 1 : -1], start=1):
            scores[user] += counts[item] / distance
        scores[user, earlier] = -np.inf
    top = RANKINGS[name](log, TEST)
    chosen = np.take_along_axis(scores, top, axis=1)
    assert chosen == pytest.approx(-np.sort(-scores, axis=1)[:, :10])
    assert len({row.tobytes() for row in top}) > 6


def by_popularity(log):
    count = np.bincount(log.content[bias.training_events(log)], minlength=len(log.item_ids))
    return sorted(range(len(count)), key=lambda item: (-count[item], item))


@pytest.mark.parametrize("name", ["ease", "ease-recency", "markov", "co-occurrence"])
def test_who_has_no_history_is_shown_what_is_popular(name):
    log = make_log(users=40, items=300, events=20, unseen=(39,))
    part = log.part.copy()
    part[log.user_offsets[39] :] = TEST
    log = dataclasses.replace(log, part=part)
    assert RANKINGS[name](log, TEST)[39].tolist() == by_popularity(log)[:10]


def test_a_list_with_few_near_items_is_filled_with_popular_ones():
    log = make_log(users=40, items=300, events=20, unseen=(39,), instants=np.ones(20, int))
    last = np.flatnonzero(log.part[: log.user_offsets[1]] == splits.TRAIN)[-1]
    lone, content, part = 299, log.content.copy(), log.part.copy()
    content[content == lone] = 0
    content[last - 2] = lone  # two items came after it, the nearer one first
    part[log.user_offsets[39] :] = TEST
    part[log.user_offsets[39]], content[log.user_offsets[39]] = splits.TRAIN, lone
    log = dataclasses.replace(log, content=content, part=part)
    near = content[[last - 1, last]].tolist()
    popular = [item for item in by_popularity(log) if item not in (*near, lone)]
    assert ranking.markov(log, TEST)[39].tolist() == [*near, *popular[:8]]


@pytest.mark.parametrize("name", ["markov", "co-occurrence"])
def test_a_large_catalogue_is_ranked_without_a_table_of_all_pairs(name, monkeypatch):
    log = make_log(users=20, items=60_000, events=20)
    few = RANKINGS[name](log, TEST)
    monkeypatch.setattr(ranking, "BATCH_SCORES", 60_000 * 7)
    assert np.array_equal(RANKINGS[name](log, TEST), few)


def test_a_short_catalogue_is_filled_up():
    log = make_log(users=4, items=22, events=20, instants=np.ones(20, int))
    top = ranking.popularity(log, TEST)
    assert (np.sort(top, axis=1)[:, :6] == -1).all()  # 18 earlier items leave 4 of 22


def test_relevant_items_are_the_distinct_ones_of_the_part(log):
    content = log.content.copy()
    mine = np.flatnonzero(log.part[: log.user_offsets[1]] == TEST)
    content[mine[0]] = content[mine[1]]
    relevant = ranking.relevant_items(dataclasses.replace(log, content=content), TEST)
    assert sorted(relevant[0]) == sorted(content[mine[1:]])
    assert len(relevant) == 12


@pytest.mark.parametrize("name", [name for name in TRIVIAL if name != "oracle"])
def test_rows_cover_every_metric_and_user(log, name):
    rows = trivial_rows(name, log, "test")
    assert metric_names(rows) == list(TASKS["recommendation"].metrics)
    assert len(select_slice(rows, "seen")) == 11
    assert select_slice(rows, "unseen")["user"].to_pylist() == ["u0"]
    means = macro(rows, "seen")
    assert np.isnan(means["ndcg@10"]) == (name in LIKES)
    assert np.isnan(means["accuracy"]) == np.isnan(means["satisfaction"]) == (name in RANKINGS)
    for metric in ("novelty@10", "popularity_lift@10", "coverage@10", "gini@10", "entropy@10"):
        assert np.isnan(means[metric]) == (name in LIKES)


def test_trivial_names_are_those_the_task_announces():
    assert set(TRIVIAL) == {*TASKS["recommendation"].trivial, "oracle"}


def test_oracle_needs_generated_data(log):
    with pytest.raises(AdaptuneError, match="no oracle"):
        trivial_rows("oracle", log, "test")
    truth = np.where(log.like, 0.9, 0.1).astype(np.float32)
    assert (
        macro(trivial_rows("oracle", dataclasses.replace(log, oracle=truth), "test"), "seen")["accuracy"] == 1
    )
