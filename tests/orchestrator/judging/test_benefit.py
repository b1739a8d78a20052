from dataclasses import replace
from io import StringIO
from math import inf, isnan, nan
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from components.data.traits import Trait
from components.metrics.rows import metric_values, select_slice
from components.metrics.statistics import MINIMUM_USERS, compare_paired, holm
from components.tasks import TASKS
from orchestrator.judging.benefit import benefit_by_trait
from orchestrator.judging.compare import compare_entries
from orchestrator.judging.comparison import Difference
from orchestrator.judging.formatting import detectable
from orchestrator.judging.tables import comparison_view
from orchestrator.judging.verdict import benefit as benefit_sentences
from orchestrator.judging.verdict import caveats, findings, group_name
from orchestrator.report.benefit import benefit
from tests.orchestrator.made_up import made_up_entries

ACCURACY = SimpleNamespace(metric="accuracy", mode="max")
USERS = [f"u{index:03d}" for index in range(240)]
SIDE = Trait(
    "side", ("left", "right"), {user: "left" if index < 120 else "right" for index, user in enumerate(USERS)}
)
RARE = Trait(
    "job", ("cook", "smith", "bard"),
    {user: "smith" if index % 40 == 1 else "bard" if index == 2 else "cook" for index, user in enumerate(USERS)},
)  # fmt: skip


@pytest.fixture(scope="module")
def comparison():
    return compare_entries(
        "made-up", TASKS["recommendation"], ACCURACY, made_up_entries(users=240), "baseline", (0, 1),
        test_looks=1, part="test", all_slices=False, traits=(SIDE, RARE),
    )  # fmt: skip


def test_groups_are_compared_over_their_own_users(comparison):
    entries = {entry.name: entry for entry in made_up_entries(users=240)}
    tables = {
        name: [select_slice(t, "seen") for t in entries[name].tables.values()]
        for name in ("model", "baseline")
    }
    values = {
        name: np.mean([metric_values(t, "accuracy") for t in ts], axis=0) for name, ts in tables.items()
    }
    left = [SIDE.of[user] == "left" for user in tables["model"][0]["user"].to_pylist()]
    expected = compare_paired(values["model"][left, None], values["baseline"][left, None], seed=0)
    group = comparison.benefit[0]
    assert (group.trait, group.value, group.users) == ("side", "left", 108)
    assert group.difference.difference == pytest.approx(expected.difference[0])
    assert group.difference.low == pytest.approx(expected.low[0], abs=0.002)
    assert group.model.mean - group.baseline.mean == pytest.approx(group.difference.difference)


def test_the_groups_that_are_judged_are_one_family(comparison):
    judged = [group.difference for group in comparison.benefit if not group.refused]
    assert [group.value for group in comparison.benefit if not group.refused] == ["left", "right", "cook"]
    expected = holm(np.array([one.p_value for one in judged]))
    assert [one.p_adjusted for one in judged] == pytest.approx(expected)


def test_small_groups_are_not_judged(comparison):
    groups = {group.value: group for group in comparison.benefit}
    smith, bard = groups["smith"], groups["bard"]
    assert smith.refused.startswith(f"too few users: 6, at least {MINIMUM_USERS} are needed")
    assert isnan(smith.difference.p_value) and isnan(smith.difference.p_adjusted)
    assert smith.difference.low < smith.difference.difference < smith.difference.high
    assert isnan(bard.difference.low), "one user says nothing of how far the mean could move"
    [written] = [group for group in comparison.to_json()["benefit"] if group["value"] == "bard"]
    assert written["refused"] and written["difference"]["low"] is None


def test_users_for_whom_a_metric_is_undefined_have_no_part():
    model, baseline = np.full(240, 0.7), np.random.default_rng(0).random(240)
    model[:30] = nan
    found = {group.value: group.users for group in benefit_by_trait(USERS, model, baseline, (SIDE,), 0, 0.95)}
    assert found == {"left": 90, "right": 120}
    assert benefit_by_trait(USERS, np.full(240, nan), baseline, (SIDE,), 0, 0.95) == ()


def test_verdict_tables_and_report_say_for_whom(comparison):
    [sentence] = [text for text in findings(comparison) if text.startswith("By profile")]
    assert "a gain over the baseline is shown in 3 of 3 groups of users, a loss in none" in sentence
    assert "not in" not in sentence
    first, *others = comparison.benefit
    unshown = replace(first, difference=replace(first.difference, p_adjusted=0.4))
    [told] = benefit_sentences(replace(comparison, benefit=(unshown, *others)))
    assert "in 2 of 3 groups of users (" in told and f"; not in {group_name(first)})" in told
    assert "2 further groups are too small to judge" in sentence
    assert "The smallest group that is judged, side left (108 users): +" in sentence
    console = Console(width=140, record=True, file=StringIO())
    console.print(comparison_view(comparison))
    text = console.export_text()
    assert "side left" in text and f"at least {MINIMUM_USERS} are needed: job smith (6), job bard (1)" in text
    drawn = benefit(comparison)
    lines = {line.group.value: line for _, lines in drawn.traits for line in lines}
    assert lines["left"].mark and lines["left"].difference.verdict == "better"
    assert lines["smith"].mark is None and lines["smith"].difference.verdict == ""


def test_why_nothing_is_known_of_users_is_said():
    entries = made_up_entries()
    result = compare_entries(
        "made-up", TASKS["recommendation"], ACCURACY, entries, "baseline", (0, 1), test_looks=1, part="test",
        all_slices=False, unknown_traits="its data is gone",
    )  # fmt: skip
    assert result.benefit == () and benefit(result) is None
    assert any("its data is gone" in note for note in caveats(result))


@pytest.mark.parametrize(
    "p_adjusted, size, written",
    [(0.2, 0.0084, "0.8 points"), (0.049, 0.0084, ""), (0.2, nan, ""), (0.2, inf, "none")],
)
def test_what_could_be_seen_is_written_where_nothing_was(p_adjusted, size, written):
    difference = Difference(0.001, -0.01, 0.01, p_adjusted, p_adjusted, 0.1, size)
    assert detectable(TASKS["recommendation"].metrics["accuracy"], difference) == written
