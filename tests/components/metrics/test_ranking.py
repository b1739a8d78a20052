import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from components.metrics.ranking import ranking_metrics, satisfaction


def test_hand_computed_lists():
    top = np.array(
        [[4, 7, 1, 0, 9, 8, 6, 5, 3, 2], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]
    )
    result = ranking_metrics(top, [np.array([7, 0, 11]), np.array([12]), np.array([], dtype=int)])
    gain = 1 / np.log2(3) + 1 / np.log2(5)
    ideal = 1 + 1 / np.log2(3) + 1 / np.log2(4)
    assert result["ndcg@10"][:2] == pytest.approx([gain / ideal, 0])
    assert result["recall@10"][:2] == pytest.approx([2 / 3, 0])
    assert result["hr@10"][:2] == pytest.approx([1, 0])
    assert all(np.isnan(values[2]) for values in result.values())


def test_short_lists_and_padding():
    result = ranking_metrics(np.array([[3, -1], [-1, -1]]), [np.array([3]), np.array([0])])
    assert result["ndcg@10"] == pytest.approx([1, 0])
    assert result["hr@10"] == pytest.approx([1, 0])


def test_more_relevant_items_than_places():
    result = ranking_metrics(np.arange(20)[None], [np.arange(20)])
    assert result["ndcg@10"] == pytest.approx([1])
    assert result["recall@10"] == pytest.approx([1])


def test_ndcg_agrees_with_scikit_learn():
    generator = np.random.default_rng(0)
    score = generator.random((30, 40))
    truth = generator.random((30, 40)) < 0.2
    top = np.argsort(-score, axis=1)[:, :10]
    mine = ranking_metrics(top, [np.flatnonzero(row) for row in truth])["ndcg@10"]
    expected = [ndcg_score(truth[[row]], score[[row]], k=10) for row in range(30)]
    assert mine == pytest.approx(expected)


def test_satisfaction_is_the_rating_of_the_top_item():
    user = np.array([2, 0, 2, 0, 2])
    score = np.array([0.1, 0.7, 0.9, 0.7, 0.2])
    value = np.array([-1.0, 0.5, 1.0, -1.0, 0.0])
    result = satisfaction(user, score, value, users=3)
    assert result[[0, 2]] == pytest.approx([4, 5])  # user 0: a tie, the lower index wins
    assert np.isnan(result[1])
