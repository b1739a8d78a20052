"""Sums are whole numbers of fixed meaning; what cannot be a sum of honest counts is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.metrics.bleu import WIDTH
from components.privacy.totals import (
    BANDS,
    MEASURES,
    Implausible,
    Tally,
    metric_names,
    metrics_of,
    packed,
    unpacked,
)
from components.tasks import TASKS

RECOMMENDATION = MEASURES["recommendation"]


def test_every_score_is_a_metric_of_its_task():
    for task, measures in MEASURES.items():
        assert set(measures.scores) <= set(TASKS[task].metrics)
        assert set(measures.groups) <= set(TASKS[task].groups)


@given(st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), max_size=50))
def test_a_sum_of_scores_loses_half_a_millionth_a_score_at_most(values):
    scores = np.array(values, np.float64)
    tally = Tally(np.arange(len(scores)), {"accuracy": scores}, {})
    total, count = RECOMMENDATION.numbers("accuracy", tally).tolist()
    assert count == np.count_nonzero(~np.isnan(scores)) == RECOMMENDATION.users("accuracy", tally)
    assert abs(total - np.nansum(scores) * 1e6) <= count / 2 + 1e-3


def test_users_are_counted_once_however_many_examples_they_have():
    tally = Tally(np.array([3, 3, 5, 8]), {"em": np.array([1, 0, np.nan, 1.0])}, {})
    assert tally.users == 3
    assert MEASURES["question-answering"].users("em", tally) == 2


def test_what_is_packed_is_unpacked_and_who_has_no_users_adds_zeros():
    chosen = [("seen", "accuracy"), ("unseen", "confusion"), ("seen", "first_hit")]
    tally = Tally(
        np.array([1, 2]), {"accuracy": np.array([0.5, 1.0])}, {"first_hit": np.eye(11, dtype=np.int64)[:2]}
    )
    numbers = packed(RECOMMENDATION, {"seen": tally}, chosen)
    found = unpacked(RECOMMENDATION, numbers, chosen)
    assert found["seen"]["accuracy"].tolist() == [1_500_000, 2]
    assert found["unseen"]["confusion"].tolist() == [0, 0, 0, 0]
    assert found["seen"]["first_hit"].tolist() == [1, 1] + [0] * 9


@pytest.mark.parametrize("task", MEASURES)
def test_the_metrics_that_gates_may_name_are_those_that_follow_from_the_sums(task):
    """Eleven users with a score each, so that every sum and every rank is there."""
    measures = MEASURES[task]
    opened = {name: np.array([int(low * 11e6), 11]) for name, (low, _) in measures.scores.items()}
    opened |= {name: np.ones(count.numbers, np.int64) for name, count in measures.counts.items()}
    assert metric_names(measures) == tuple(metrics_of(measures, opened))


def test_pooled_metrics_of_a_case_worked_out_by_hand():
    """Of 10 examples 4 are likes; 5 are predicted, 3 of them rightly."""
    found = metrics_of(RECOMMENDATION, {"confusion": np.array([3, 5, 4, 10])})
    assert found == pytest.approx(
        {"pooled_accuracy": 0.7, "pooled_precision": 0.6, "pooled_recall": 0.75, "pooled_f1": 2 / 3}
    )


def test_hit_rates_of_a_case_worked_out_by_hand():
    """Five users: first hits at ranks 1, 1, 4 and 10, and one without."""
    histogram = np.array([2, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1])
    bands = np.add.reduceat(histogram, BANDS)
    assert bands.tolist() == [2, 1, 1, 1]
    found = metrics_of(RECOMMENDATION, {"first_hit": histogram, "first_hit_bands": bands})
    assert found == pytest.approx(
        {"hit_rate@1": 0.4, "hit_rate@5": 0.6, "hit_rate@10": 0.8, "mrr@10": (2 + 1 / 4 + 1 / 10) / 5}
    )


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("accuracy", [2_100_000, 2]),
        ("accuracy", [-5, 2]),
        ("accuracy", [0, -1]),
        ("satisfaction", [1_000_000, 2]),
        ("confusion", [5, 4, 6, 10]),
        ("confusion", [5, 6, 4, 10]),
        ("confusion", [-1, 4, 4, 10]),
        ("confusion", [1, 11, 4, 10]),
        ("confusion", [0, 6, 6, 10]),
        ("first_hit", [-1] + [1] * 10),
        ("first_hit_bands", [1, 1, -1, 3]),
    ],
)
def test_impossible_sums_are_refused(name, numbers):
    with pytest.raises(Implausible, match=name):
        metrics_of(RECOMMENDATION, {name: np.array(numbers)})


def test_more_matched_n_grams_than_n_grams_are_refused():
    statistics = np.ones(WIDTH, np.int64)
    statistics[2] = 2
    with pytest.raises(Implausible, match="bleu"):
        metrics_of(MEASURES["captioning"], {"bleu": statistics})


def test_ranks_of_other_users_than_those_with_items_are_refused():
    with pytest.raises(Implausible, match="ranks"):
        metrics_of(RECOMMENDATION, {"hr@10": np.array([1_000_000, 2]), "first_hit": np.array([1] + [0] * 10)})
