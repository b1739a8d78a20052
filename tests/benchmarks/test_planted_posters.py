"""The population with taste in posters leaves room above who does not see them, on cold items most of all."""

import numpy as np
import pytest

from benchmarks.planted_posters import MEASURES, closed, measure, oracle, plant


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return plant(tmp_path_factory.mktemp("store"))


def test_the_oracle_is_far_above_chance_on_warm_and_on_cold_items(planted):
    everywhere, warm, cold, auc = (np.nanmean(oracle(planted)[name]) for name in MEASURES)
    assert min(everywhere, warm, cold) > 0.75 and auc > 0.65


def test_the_oracle_gives_away_nothing_of_the_future(planted):
    """Its wish does not depend on what was picked: shuffled among users, it is not better than popularity."""
    others = np.roll(planted.wish_UI, 1, axis=0)
    shuffled = oracle(type(planted)(planted.data, planted.cold_I, others))
    assert np.nanmean(shuffled["AUC of cold items"]) < np.nanmean(oracle(planted)["AUC of cold items"]) - 0.05


def test_the_share_of_the_gap_is_counted_from_the_generic_model():
    means = {"generic": 0.6, "full": 0.75, "oracle": 0.8}
    rows = {variant: {"x": np.array([mean, mean, np.nan])} for variant, mean in means.items()}
    assert [closed(rows, variant, "x") for variant in means] == pytest.approx([0, 0.75, 1])


@pytest.mark.slow
def test_on_cold_items_the_gap_is_closed_by_who_sees_or_is_told_the_colours_and_by_nobody_else(
    planted, tmp_path
):
    """Identities tell a user's taste in warm items, so only cold ones show who knows what a poster shows."""
    variants = ("generic", "no-poster", "full", "told")
    rows = {variant: measure(planted, variant, tmp_path) for variant in variants}
    rows["oracle"] = oracle(planted)
    assert closed(rows, "told", "accuracy, cold items") >= 0.8
    assert closed(rows, "full", "accuracy, cold items") >= 0.8
    assert closed(rows, "full", "accuracy") >= 0.8
    assert closed(rows, "no-poster", "accuracy, cold items") <= 0.2
    assert closed(rows, "no-poster", "accuracy, warm items") >= 0.8
    assert closed(rows, "told", "accuracy") >= 0.8 > closed(rows, "no-poster", "accuracy")
