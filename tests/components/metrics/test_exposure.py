import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from components.metrics.exposure import (
    concentration,
    coverage,
    entropy,
    exposure,
    exposure_metrics,
    gini,
    reach,
)
from components.metrics.statistics import unit_shares

TOP = np.array([[0, 1], [0, 2], [1, 0]])
"""Three lists of two of four items, which stand in 3, 2, 1 and 0 of them."""


def test_hand_computed_exposure():
    shown = exposure(TOP, 4)
    assert shown.tolist() == [3, 2, 1, 0]
    assert coverage(shown) == 0.75
    assert gini(shown) == pytest.approx((-3 * 0 - 1 * 1 + 1 * 2 + 3 * 3) / (4 * 6))
    assert entropy(shown) == pytest.approx(np.log(2) / 2 + np.log(3) / 3 + np.log(6) / 6)


def test_hand_computed_corrections():
    """At best two items are shown twice and two once, at worst two items three times."""
    metrics = exposure_metrics(TOP, 4)
    least, most = 4 / 24, 12 / 24
    assert metrics["gini@10"].mean() == pytest.approx((10 / 24 - least) / (most - least))
    highest = 2 * np.log(3) / 3 + 2 * np.log(6) / 6
    found = np.log(2) / 2 + np.log(3) / 3 + np.log(6) / 6
    assert metrics["entropy@10"].mean() == pytest.approx((found - np.log(2)) / (highest - np.log(2)))
    assert metrics["coverage@10"].mean() == pytest.approx(0.75)


def test_gini_and_entropy_agree_with_their_definitions():
    shown = np.random.default_rng(0).integers(0, 9, 30)
    differences = np.abs(shown[:, None] - shown).sum()
    assert gini(shown) == pytest.approx(differences / (2 * len(shown) * shown.sum()))
    assert entropy(shown) == pytest.approx(stats.entropy(shown))


@given(users=st.integers(2, 40), places=st.integers(1, 10), items=st.integers(11, 60))
def test_the_ends_that_lists_can_reach_are_those_of_rampisela(users, places, items):
    length = np.full(users, places)
    rest = users * places % items
    even, concentrated = reach(gini, length, items)
    assert even == pytest.approx((items - rest) * rest / (items * users * places))
    assert concentrated == pytest.approx(1 - places / items)
    assert reach(entropy, length, items)[1] == pytest.approx(np.log(places))


def test_for_lists_of_one_item_the_correction_is_that_of_small_samples():
    shown = exposure(np.array([[0], [0], [1], [2]]), 4)
    assert concentration(gini, shown, np.ones(4, int)) == pytest.approx(gini(shown) * 4 / 3)


def test_ends_of_the_scale():
    same, apart = np.tile(np.arange(10), (6, 1)), np.arange(60).reshape(6, 10)
    for top, uneven in ((same, 1), (apart, 0)):
        metrics = exposure_metrics(top, 60)
        assert metrics["gini@10"] == pytest.approx(uneven)
        assert metrics["entropy@10"] == pytest.approx(1 - uneven)
    assert exposure_metrics(apart, 60)["coverage@10"] == pytest.approx(1)


@st.composite
def lists(draw):
    items = draw(st.integers(2, 12))
    places = draw(st.integers(1, items))
    users = draw(st.integers(3, 8))
    rows = [draw(st.permutations(range(items)))[:places] for _ in range(users)]
    kept = [draw(st.integers(0, places)) for _ in range(users)]
    return np.array(
        [row[:keep] + [-1] * (places - keep) for row, keep in zip(rows, kept, strict=True)]
    ), items


@given(lists())
def test_shares_are_the_jackknife_of_the_measures(case):
    """What the fast way finds without a user is what the measure of the other lists is."""
    top, items = case

    def measures(rows):
        shown, length = exposure(rows, items), (rows >= 0).sum(axis=1)
        uneven = [concentration(measure, shown, length) for measure in (gini, entropy)]
        return np.array([coverage(shown), uneven[0], 1 - uneven[1]])

    without = np.array([measures(np.delete(top, user, axis=0)) for user in range(len(top))])
    metrics = exposure_metrics(top, items)
    for column, name in enumerate(("coverage@10", "gini@10", "entropy@10")):
        expected = unit_shares(measures(top)[column], without[:, column])
        assert metrics[name] == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_what_can_be_spread_in_one_way_only_has_no_evenness():
    for top, items in ((np.array([[0, 1]]), 4), (np.array([[0, 1], [1, 0], [0, 1]]), 2)):
        metrics = exposure_metrics(top, items)
        assert np.isnan(metrics["gini@10"]).all() and np.isnan(metrics["entropy@10"]).all()
        assert metrics["coverage@10"].mean() == pytest.approx(2 / items)
    assert exposure_metrics(np.zeros((0, 10), int), 4)["coverage@10"].shape == (0,)
    assert exposure_metrics(np.full((3, 2), -1), 4)["coverage@10"].tolist() == [0, 0, 0]


def test_intervals_of_shares_are_no_narrower_than_chance():
    """Over samples of users, the shares' standard error is at least the deviation of the measures themselves."""
    generator = np.random.default_rng(0)
    popularity = -np.log(np.arange(1, 101))
    found, error = [], []
    for _ in range(60):
        top = np.argsort(-(popularity + generator.gumbel(size=(80, 100))), axis=1)[:, :10]
        shares = np.stack(list(exposure_metrics(top, 100).values()), axis=1)
        found.append(shares.mean(axis=0))
        error.append(shares.std(axis=0) / np.sqrt(80))
    assert (np.mean(error, axis=0) > 0.85 * np.std(found, axis=0)).all()
    assert (np.mean(error, axis=0)[1:] < 2 * np.std(found, axis=0)[1:]).all()
