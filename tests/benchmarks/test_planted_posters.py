"""The population with taste in posters leaves room above who does not see them, on cold items most of all."""

import numpy as np
import pytest

from benchmarks.planted_posters import MEASURES, closed, oracle, plant


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return plant(tmp_path_factory.mktemp("store"))


def test_the_oracle_is_far_above_chance_on_warm_and_on_cold_items(planted):
    warm, cold, auc = (np.nanmean(oracle(planted)[name]) for name in MEASURES)
    assert warm > 0.75 and cold > 0.75 and auc > 0.65


def test_the_oracle_gives_away_nothing_of_the_future(planted):
    """Its wish does not depend on what was picked: shuffled among users, it is not better than popularity."""
    others = np.roll(planted.wish_UI, 1, axis=0)
    shuffled = oracle(type(planted)(planted.data, planted.cold_I, others))
    assert np.nanmean(shuffled[MEASURES[2]]) < np.nanmean(oracle(planted)[MEASURES[2]]) - 0.05


def test_the_share_of_the_gap_is_counted_from_the_generic_model():
    means = {"generic": 0.6, "full": 0.75, "oracle": 0.8}
    rows = {variant: {"x": np.array([mean, mean, np.nan])} for variant, mean in means.items()}
    assert [closed(rows, variant, "x") for variant in means] == pytest.approx([0, 0.75, 1])
