"""On generated populations the model finds what was planted, and nothing where nothing was planted."""

from functools import cache
from typing import Any

import pytest

from benchmarks.planted_preferences import POPULATIONS, evaluation_rows, gain, oracle_rows
from components.metrics.rows import macro

NOTHING = 0.015
"""A part that has nothing to find may cost or bring this much accuracy by chance."""

pytestmark = pytest.mark.xdist_group("planted")


@cache
def rows(population: str, part: str) -> Any:
    return evaluation_rows(POPULATIONS[population], part)


def test_most_of_the_gap_between_generic_and_oracle_is_closed_for_unseen_users() -> None:
    generic, full = (
        macro(rows("everything planted", part), "unseen")["accuracy"] for part in ("generic", "full")
    )
    oracle = macro(oracle_rows(POPULATIONS["everything planted"]), "unseen")["accuracy"]
    assert oracle - generic >= 0.10
    assert (full - generic) / (oracle - generic) >= 0.80


@pytest.mark.parametrize(
    ("part", "planted"), [("no-profile", 0.01), ("no-feedback", 0.10), ("no-history", 0.10)]
)
def test_a_part_that_is_removed_loses_what_was_planted_through_it(part: str, planted: float) -> None:
    worth, low, _ = gain(rows("everything planted", "full"), rows("everything planted", part))
    assert worth >= planted and low > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("population", "part"),
    [
        ("no taste planted", "no-feedback"),
        ("no taste planted", "no-history"),
        ("no profile planted", "no-profile"),
    ],
)
def test_a_part_with_nothing_to_find_loses_nothing(population: str, part: str) -> None:
    worth, _, _ = gain(rows(population, "full"), rows(population, part))
    assert abs(worth) <= NOTHING
