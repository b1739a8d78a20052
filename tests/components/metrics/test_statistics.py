import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from components.metrics.statistics import (
    MissingTrials,
    average_seeds,
    compare_paired,
    detectable_difference,
    estimate,
    holm,
    sign_flip_p_value,
)


def test_holm_hand_case():
    # sorted .01 .02 .03 .04, times 4 3 2 1 = .04 .06 .06 .04, running maximum .04 .06 .06 .06
    assert holm(np.array([0.03, 0.01, 0.04, 0.02])) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    adjusted = holm(np.array([0.5, np.nan, 0.9]))
    assert adjusted[[0, 2]] == pytest.approx([1, 1])
    assert np.isnan(adjusted[1])
    assert np.isnan(holm(np.array([np.nan]))).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_no_more_than_uncorrected_and_no_less_than_bonferroni(p_values):
    p_value = np.array(p_values)
    adjusted = holm(p_value)
    assert (adjusted >= p_value).all()
    assert (adjusted <= np.minimum(p_value * len(p_value), 1) + 1e-15).all()


def test_sign_flip_agrees_with_the_exact_test():
    generator = np.random.default_rng(0)
    difference = generator.normal(0.4, 1, (11, 3))
    mine = sign_flip_p_value(difference, seed=0, samples=40_000)
    for column in range(3):
        exact = stats.permutation_test(
            (difference[:, column],), np.mean, permutation_type="samples", n_resamples=np.inf
        )
        assert mine[column] == pytest.approx(exact.pvalue, abs=0.01)


def test_sign_flip_on_ranks_is_the_wilcoxon_test():
    generator = np.random.default_rng(1)
    difference = generator.normal(0.3, 1, 12)
    ranks = stats.rankdata(np.abs(difference)) * np.sign(difference)
    exact = stats.wilcoxon(difference, method="exact").pvalue
    assert sign_flip_p_value(ranks[:, None], seed=3, samples=40_000)[0] == pytest.approx(exact, abs=0.01)


def test_smallest_p_value_counts_the_observed_pattern():
    assert sign_flip_p_value(np.full((60, 1), 1.0), seed=0, samples=10_000)[0] == pytest.approx(1 / 10_001)


def test_identical_inputs_do_not_differ():
    value = np.random.default_rng(0).random((30, 2))
    value[3, 1] = np.nan
    result = compare_paired(value, value, seed=0, samples=1000)
    assert (result.difference == 0).all() and (result.low == 0).all() and (result.high == 0).all()
    assert (result.p_value == 1).all()
    assert (result.effect_size == 0).all()
    assert result.users.tolist() == [30, 29]


def test_undefined_users_have_no_part():
    generator = np.random.default_rng(2)
    value, against = generator.random((40, 1)), generator.random((40, 1))
    padded = np.vstack([value, np.full((5, 1), np.nan)])
    other = np.vstack([against, generator.random((5, 1))])
    result = compare_paired(padded, other, seed=0)
    assert result.users.tolist() == [40]
    assert result.difference == pytest.approx((value - against).mean(axis=0))
    assert result.effect_size[0] == pytest.approx((value - against).mean() / (value - against).std(ddof=1))
    alone = compare_paired(value, against, seed=0)
    assert result.p_value == pytest.approx(alone.p_value, abs=0.02)
    assert result.low == pytest.approx(alone.low, abs=0.02)


def test_a_metric_without_users_is_undefined():
    nothing = np.full((5, 1), np.nan)
    result = compare_paired(nothing, nothing, seed=0, samples=100)
    for values in (result.difference, result.low, result.high, result.p_value, result.effect_size):
        assert np.isnan(values).all()


def test_of_a_single_user_no_interval_is_known():
    value = np.array([[0.5, 0.5], [np.nan, 0.7]])
    result = compare_paired(value, np.zeros_like(value), seed=0, samples=100)
    assert result.difference == pytest.approx([0.5, 0.6])
    assert np.isnan([result.low[0], result.high[0], result.effect_size[0], result.standard_error[0]]).all()
    assert result.low[1] <= 0.6 <= result.high[1]


def test_a_column_does_not_depend_on_its_neighbours():
    value = np.random.default_rng(3).normal(size=(50, 4))
    together = estimate(value, seed=7, samples=600)
    alone = estimate(value[:, [2]], seed=7, samples=600)
    assert together.low[2] == pytest.approx(alone.low[0])
    assert together.high[2] == pytest.approx(alone.high[0])


def test_interval_agrees_with_scipy_bootstrap():
    value = np.random.default_rng(4).exponential(size=80)
    mine = estimate(value[:, None], seed=0)
    theirs = stats.bootstrap((value,), np.mean, method="percentile", rng=np.random.default_rng(5))
    assert mine.low[0] == pytest.approx(theirs.confidence_interval.low, abs=0.02)
    assert mine.high[0] == pytest.approx(theirs.confidence_interval.high, abs=0.02)
    assert mine.mean[0] == pytest.approx(value.mean())


def test_level_and_coverage_on_null_data():
    experiments = np.random.default_rng(6).standard_t(5, size=(60, 1000))  # a column is an experiment
    result = compare_paired(experiments, np.zeros_like(experiments), seed=0, samples=2000)
    assert 0.03 < (result.p_value <= 0.05).mean() < 0.07
    covered = (result.low <= 0) & (result.high >= 0)
    assert 0.92 < covered.mean() < 0.97


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_seeded(seed):
    value = np.random.default_rng(8).normal(size=(20, 2))
    first = compare_paired(value, value[::-1], seed, samples=50)
    second = compare_paired(value, value[::-1], seed, samples=50)
    assert np.array_equal(first.p_value, second.p_value) and np.array_equal(first.low, second.low)


def test_missing_seeds_are_refused_by_name():
    by_seed = {0: np.array([1.0, 2.0]), 2: np.array([3.0, 2.0])}
    assert average_seeds(by_seed, [0, 2]).tolist() == [2, 2]
    with pytest.raises(MissingTrials, match=r"no-attention: .*seed 1, 3"):
        average_seeds(by_seed, [0, 1, 2, 3], "no-attention")


def test_detectable_difference_hand_case():
    # t(.975; 24) = 2.0639 and t(.8; 24) = 0.8569, by table
    assert detectable_difference(np.array([0.5]), np.array([25]), 0.05)[0] == pytest.approx(1.4604, abs=1e-4)
    many, fewer = detectable_difference(np.array([1.0, 1.0]), np.array([10**6, 20]), 0.05)
    assert many == pytest.approx(2.8016, abs=1e-3) and fewer > many
    assert detectable_difference(np.array([1.0]), np.array([25]), 0.05 / 8)[0] > 3.5


def test_nothing_is_detectable_where_no_spread_or_too_few_users_are_known():
    found = detectable_difference(np.array([0.0, np.nan, 1.0, 1.0]), np.array([30, 1, 5, 6]), 0.05)
    assert np.isnan(found[:2]).all()
    assert found[2] == np.inf, "of five users, all signs alike have p = 1/16"
    assert np.isfinite(found[3])


def test_standard_error_is_that_of_the_mean_difference():
    value, against = np.random.default_rng(9).normal(size=(2, 40, 1))
    value[7] = np.nan
    defined = np.delete(value - against, 7, axis=0)[:, 0]
    result = compare_paired(value, against, seed=0, samples=100)
    assert result.standard_error[0] == pytest.approx(stats.sem(defined))
    assert np.isnan(compare_paired(value[:1], against[:1], seed=0, samples=100).standard_error[0])
