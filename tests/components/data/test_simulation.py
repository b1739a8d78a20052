"""Simulated users: nobody has met what is evaluated, a preference holds until it changes, a seed fixes all."""

from dataclasses import dataclass, fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.simulation import Content, Simulated, preference_after, simulate


@dataclass(frozen=True)
class Users:
    """The settings of a population."""

    users: int = 100
    history: int = 20
    noise: float = 0.1
    conditional: float = 0.5
    drift: float = 0.1
    seed: int = 0


def content(seed: int = 0, styles: int = 3, kinds: int = 4, topics: bool = True) -> Content:
    """40 contents, half of them of the training part, some of whose outputs coincide."""
    generator = np.random.default_rng(seed)
    output = generator.integers(0, 5, (40, styles))
    mixed = np.array([[style] + [(style + 1) % styles] * (kinds - 1) for style in range(styles)], np.int8)
    return Content(
        kind=generator.integers(0, kinds, 40).astype(np.int8),
        part=np.repeat([0, 0, 1, 2], 10).astype(np.int8),
        topic=np.repeat(np.arange(8), 5) if topics else np.zeros(40, np.int64),
        alike=output[:, :, None] == output[:, None, :],
        mixed=mixed,
    )


def wanted(users: Simulated, about: Content) -> np.ndarray:
    """What each event's user wants at that time, counted out one by one."""
    seen: dict[int, int] = {}
    result = []
    for user, shown in zip(users.event_user.tolist(), users.event_content, strict=True):
        first = seen.get(user, 0) < users.drift_at[user]
        seen[user] = seen.get(user, 0) + 1
        result.append((users.preference_before if first else users.preference)[user, about.kind[shown]])
    return np.array(result)


@given(
    seed=st.integers(0, 5),
    population=st.integers(30, 80),
    conditional=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    drift=st.sampled_from([0.0, 0.1, 1.0]),
    noise=st.sampled_from([0.0, 0.1, 1.0]),
    history=st.integers(1, 8),
    styles=st.integers(2, 4),
    topics=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_any_simulation_keeps_its_promises(
    seed, population, conditional, drift, noise, history, styles, topics
):
    chosen = Users(population, history, noise, conditional, drift, seed)
    about = content(seed, styles, topics=topics)
    one, other = (simulate(chosen, about) for _ in range(2))
    for field in fields(one):
        assert np.array_equal(getattr(one, field.name), getattr(other, field.name)), field.name
    assert (about.part[one.event_content] == 0).all() and len(one.event_user) == population * history
    assert one.unseen[one.pair_user].all() and one.unseen.sum() == round(population / 5)
    assert (about.part[one.pair_content] != 0).all()
    assert len(set(zip(one.pair_user, one.pair_content, strict=True))) == len(one.pair_user)
    drifting = one.drift_at >= 0
    assert not (drifting & one.conditional).any() and (one.drift_at[drifting] < history).all()
    assert ((one.preference != one.preference_before).any(axis=1) == drifting).all()
    assert (one.event_wanted == wanted(one, about)).all()
    alike = about.alike[one.event_content, one.event_style, one.event_wanted]
    assert not (alike & (one.event_value < 0)).any()
    if noise == 0:
        assert (one.event_style == one.event_wanted)[one.event_value > 0].all()
    assert ((one.topic > 0) == topics).all()


def test_a_seed_fixes_who_is_of_which_sort_whatever_the_task():
    one, other = (simulate(Users(), about) for about in (content(0), content(1, styles=2, topics=False)))
    assert (one.conditional == other.conditional).all() and (one.drift_at == other.drift_at).all()
    assert (simulate(Users(seed=1), content()).conditional != one.conditional).any()


def test_sorts_are_as_frequent_among_the_unseen_as_among_the_seen():
    users = simulate(Users(users=1000, drift=0.2, conditional=0.5), content())
    for group in (users.unseen, ~users.unseen):
        assert (users.drift_at[group] >= 0).mean() == pytest.approx(0.2)
        assert users.conditional[group].mean() == pytest.approx(0.4)
        plain = group & ~users.conditional & (users.drift_at < 0)
        assert np.bincount(users.preference[plain, 0]).tolist() == pytest.approx([plain.sum() / 3] * 3, abs=1)


def test_each_content_is_evaluated_for_users_of_every_sort():
    users = simulate(Users(), content())
    drifting = users.drift_at >= 0
    for number in np.flatnonzero(content().part != 0):
        asked = users.pair_user[users.pair_content == number]
        assert drifting[asked].sum() == 1 and users.conditional[asked].sum() == 3
        plain = asked[~drifting[asked] & ~users.conditional[asked]]
        assert sorted(users.preference[plain, 0]) == [0, 1, 2]


def test_the_unseen_can_be_given():
    unseen = np.arange(100) % 7 == 0
    users = simulate(Users(), content(), unseen)
    assert (users.unseen == unseen).all() and unseen[users.pair_user].all()


def test_three_events_in_ten_are_about_the_users_topic_and_more_by_chance():
    about = content()
    users = simulate(Users(users=2000), about)
    of_topic = about.topic[users.event_content] == users.topic[users.event_user]
    training = about.topic[about.part == 0]
    by_chance = np.mean([(training == topic).mean() for topic in (1, 2, 3)])
    assert of_topic.mean() == pytest.approx(0.3 + 0.7 * by_chance, abs=0.02)


def test_the_preference_changes_after_exactly_as_many_events_as_is_said():
    preference = np.array([[1, 1], [2, 0]], np.int8)
    before = np.array([[0, 0], [2, 0]], np.int8)
    drift_at = np.array([3, -1], np.int32)
    events = np.array([0, 1, 3, 4, 9, 0, 9])
    user = np.array([0, 0, 0, 0, 0, 1, 1])
    tables = preference_after(preference, before, drift_at, user, events)
    assert tables.tolist() == [[0, 0], [0, 0], [0, 0], [1, 1], [1, 1], [2, 0], [2, 0]]


def test_content_without_rivals_is_never_disliked():
    about = content()
    users = simulate(Users(), replace(about, alike=np.ones_like(about.alike)))
    assert (users.event_value == 1).all()
