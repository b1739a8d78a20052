import numpy as np
import pytest

from components.tasks.recommendation.rates import LEAST_EVENTS, MOST_EVENTS, like_rate_prior

ITEMS = 400


def simulated(rate, events, seed=0):
    """Draw the events' number, 0 to twice `events`, and likes of items with these true rates."""
    generator = np.random.default_rng(seed)
    count = generator.integers(0, 2 * events + 1, len(rate))
    return generator.binomial(count, rate).astype(np.float32), count.astype(np.float32)


def test_a_rare_item_is_expected_to_be_like_its_kind():
    kind = np.arange(ITEMS) % 2
    likes, count = simulated(np.where(kind == 1, 0.8, 0.3), events=6)
    prior, events = like_rate_prior(likes, count, kind[:, None].astype(np.float32))
    assert prior[kind == 1].mean() == pytest.approx(0.8, abs=0.05)
    assert prior[kind == 0].mean() == pytest.approx(0.3, abs=0.05)
    assert events > 20


def test_what_many_choose_may_be_liked_more():
    count = np.geomspace(2, 400, ITEMS).round()
    likes = np.random.default_rng(0).binomial(count.astype(int), np.linspace(0.2, 0.8, ITEMS))
    prior, _ = like_rate_prior(
        likes.astype(np.float32), count.astype(np.float32), np.zeros((ITEMS, 0), np.float32)
    )
    assert prior[-1] - prior[0] > 0.4


@pytest.mark.parametrize("strength", [2.0, 20.0])
def test_the_worth_of_the_prior_is_that_of_the_beta_distribution(strength):
    rate = np.random.default_rng(1).beta(0.6 * strength, 0.4 * strength, 3000)
    likes, count = simulated(rate, events=30)
    prior, events = like_rate_prior(likes, count, np.zeros((len(rate), 0), np.float32))
    assert events == pytest.approx(strength, rel=0.15)
    assert prior.mean() == pytest.approx(0.6, abs=0.02)


def test_the_worth_stays_within_bounds():
    alike, count = simulated(np.full(ITEMS, 0.5), events=50)
    nothing = np.zeros((ITEMS, 0), np.float32)
    assert like_rate_prior(alike, count, nothing)[1] == pytest.approx(MOST_EVENTS)
    opposite = np.where(np.arange(ITEMS) % 2, count, 0).astype(np.float32)
    assert like_rate_prior(opposite, count, nothing)[1] == pytest.approx(LEAST_EVENTS)


def test_without_events_nothing_is_known():
    none = np.zeros(3, np.float32)
    prior, _ = like_rate_prior(none, none, np.eye(3, dtype=np.float32))
    assert prior.tolist() == [0.5, 0.5, 0.5]
