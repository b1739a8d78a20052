"""A small reader finds the planted style of users unseen in training, and follows those who change."""

from functools import cache

import pytest

from benchmarks.planted_styles import AFTER, CUTS, Measured, measure
from components.metrics.rows import macro

pytestmark = pytest.mark.xdist_group("planted")

SMALLER = {
    "question-answering": ["model.hidden=32", "model.embedding=32", "training.epochs=6"],
}


@cache
def found(name: str) -> Measured:
    return measure(name, ["full"], SMALLER[name], part="validation")


@pytest.mark.parametrize("name", SMALLER)
def test_the_curve_over_the_history_rises(name: str) -> None:
    curve = found(name).curve
    assert len(curve) == len(CUTS) and curve == sorted(curve)
    assert curve[-1] - curve[0] >= 0.20


@pytest.mark.parametrize("name", SMALLER)
def test_other_content_and_other_users_take_the_gain_away(name: str) -> None:
    right, other = found(name).content()
    assert other < right / 2
    shuffled = macro(found(name).controls["shuffled-users"], "unseen")[found(name).planted.metric]
    assert shuffled <= found(name).curve[0] + 0.05


@pytest.mark.parametrize("name", SMALLER)
def test_users_who_change_are_followed_within_five_events(name: str) -> None:
    adapted = dict(zip(AFTER, found(name).adapted(), strict=True))
    assert adapted[0] < 0.5 < adapted[5]
