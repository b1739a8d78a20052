import numpy as np
import pytest
from scipy.spatial.distance import pdist

from components.metrics.lists import diversity, novelty, popularity_lift


def test_novelty_by_hand():
    events = np.array([7, 3, 0, 2])  # with one more each 8, 4, 1 and 3 of 16
    found = novelty(np.array([[0, 1], [2, -1], [-1, -1]]), events)
    assert found[:2] == pytest.approx([(1 + 2) / 2, 4])
    assert np.isnan(found[2])


def test_diversity_by_hand():
    genres = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0]])
    cosine = 1 / np.sqrt(2)
    found = diversity(np.array([[0, 1, 2], [0, 1, 3], [0, 3, -1]]), genres)
    assert found[:2] == pytest.approx([((1 - cosine) + 1 + 1) / 3, 1 - cosine])
    assert np.isnan(found[2])  # one item with genres has nothing to differ from
    assert np.isnan(diversity(np.array([[0, 1]]), np.zeros((4, 0)))).all()


def test_diversity_agrees_with_scipy():
    generator = np.random.default_rng(0)
    genres = generator.random((40, 6)) < 0.5
    genres[:, 0] |= ~genres.any(axis=1)
    top = np.argsort(generator.random((20, 40)), axis=1)[:, :10]
    expected = [pdist(genres[row].astype(float), "cosine").mean() for row in top]
    assert diversity(top, genres) == pytest.approx(expected)


def test_popularity_lift_by_hand():
    events = np.array([10, 20, 30])
    top = np.array([[2, 1], [0, -1], [0, 1], [0, 1], [-1, -1]])
    found = popularity_lift(top, events, np.array([10.0, 20.0, np.nan, 0.0, 10.0]))
    assert found[:2] == pytest.approx([1.5, -0.5])
    assert np.isnan(found[2:]).all()
