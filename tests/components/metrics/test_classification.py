import warnings

import numpy as np
import pytest
from sklearn import metrics as reference

from components.metrics.classification import per_user_classification


def test_hand_computed_user():
    result = per_user_classification(
        user=np.array([0, 0, 0, 0, 0]),
        probability=np.array([0.9, 0.8, 0.6, 0.5, 0.1]),
        like=np.array([True, False, True, False, True]),
        users=1,
    )
    assert result["accuracy"] == pytest.approx([2 / 5])
    assert result["precision"] == pytest.approx([2 / 4])  # .5 counts as a predicted like
    assert result["recall"] == pytest.approx([2 / 3])
    assert result["f1"] == pytest.approx([4 / 7])
    assert result["auc"] == pytest.approx([3 / 6])
    assert result["log_loss"] == pytest.approx([-np.log([0.9, 0.2, 0.6, 0.5, 0.1]).mean()])


def test_where_metrics_are_undefined():
    result = per_user_classification(
        user=np.array([0, 0, 2, 3, 3]),
        probability=np.array([0.9, 0.2, 0.3, 0.1, 0.2]),
        like=np.array([False, False, True, True, False]),
        users=4,
    )
    no_likes, nobody, one_class, unpredicted = range(4)
    assert all(np.isnan(values[nobody]) for values in result.values())
    assert {name for name, values in result.items() if np.isnan(values[no_likes])} == {
        "precision", "recall", "f1", "auc",
    }  # fmt: skip
    assert {name for name, values in result.items() if np.isnan(values[one_class])} == {"auc"}
    assert [result[name][unpredicted] for name in ("precision", "recall", "f1")] == [0, 0, 0]


def test_no_examples_at_all():
    empty = np.empty(0)
    result = per_user_classification(empty.astype(int), empty, empty.astype(bool), users=2)
    assert all(np.isnan(values).all() for values in result.values())


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_scikit_learn(seed):
    generator = np.random.default_rng(seed)
    user = generator.integers(0, 12, 400)
    like = generator.random(400) < 0.6
    probability = generator.integers(1, 20, 400) / 20  # coarse, so that there are ties
    result = per_user_classification(user, probability, like, users=12)
    for index in range(12):
        mine = user == index
        truth, score = like[mine], probability[mine]
        guess = score >= 0.5
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = {
                "accuracy": reference.accuracy_score(truth, guess),
                "precision": reference.precision_score(truth, guess, zero_division=0),
                "recall": reference.recall_score(truth, guess),
                "f1": reference.f1_score(truth, guess, zero_division=0),
                "auc": reference.roc_auc_score(truth, score),
                "log_loss": reference.log_loss(truth, score, labels=[False, True]),
            }
        assert {name: values[index] for name, values in result.items()} == pytest.approx(expected)
