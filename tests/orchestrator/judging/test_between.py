"""Sweeps of one task side by side."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from components.metrics.statistics import holm
from components.tasks import TASKS
from orchestrator.judging.between import Contender, side_by_side
from orchestrator.judging.compare import compare_entries
from orchestrator.report.data import ReportData, StudyData
from orchestrator.report.page import render_study
from tests.orchestrator.made_up import made_up_entries
from tests.orchestrator.report.test_report import Page


def contender(name, seeds=(0, 1), users=120, digest="0123456789", turned=False):
    """A made-up sweep; `turned` lets its model score as its weakest ablation does."""
    entries = made_up_entries(seeds, users)
    if turned:
        tables = {entry.name: entry.tables for entry in entries}
        entries = [
            replace(entry, tables=tables["no-feedback"]) if entry.name == "model" else entry
            for entry in entries
        ]
    objective = SimpleNamespace(metric="accuracy", mode="max")
    comparison = compare_entries(
        name, TASKS["recommendation"], objective, entries, "baseline", seeds, 3, "test", all_slices=False
    )
    return Contender(comparison, digest, entries[0])


def test_models_are_compared_by_user_over_the_seeds_that_both_have():
    first, second = contender("first", seeds=(0, 1, 2)), contender("second", seeds=(1, 2, 5), turned=True)
    [between] = side_by_side([first, second])
    [beside] = between.besides
    assert (beside.sweep, list(beside.seeds), beside.reason) == ("second", [1, 2], "")
    means = [
        sum(one.comparison.model.by_seed[seed]["accuracy"] for seed in (1, 2)) / 2 for one in (first, second)
    ]
    assert abs(beside.difference.difference - (means[1] - means[0])) < 1e-9
    assert beside.difference.p_adjusted < 0.05 and beside.difference.difference < -0.03
    assert between.to_json()["minus_first"]["second"]["seeds"] == [1, 2]


def test_pairs_that_share_different_seeds_are_one_family():
    named = [
        contender("first", seeds=(0, 1)),
        contender("second", seeds=(0,), turned=True),
        contender("third", seeds=(1,)),
    ]
    [between] = side_by_side(named)
    assert [list(one.seeds) for one in between.besides] == [[0], [1]]
    raw = [one.difference.p_value for one in between.besides]
    adjusted = [one.difference.p_adjusted for one in between.besides]
    assert adjusted == holm(np.array(raw)).tolist() and adjusted != raw


def test_where_the_test_part_is_not_the_same_no_difference_is_told():
    named = [
        contender("first"),
        contender("other-data", digest="9876543210"),
        contender("other-seeds", seeds=(7, 8)),
        contender("other-users", users=110),
    ]
    [between] = side_by_side(named)
    reasons = {one.sweep: one.reason for one in between.besides}
    assert all(one.difference is None for one in between.besides)
    assert (
        "98765432 instead of" in reasons["other-data"] and "not the same test part" in reasons["other-data"]
    )
    assert reasons["other-seeds"] == "no seed in common with first"
    assert reasons["other-users"] == "not evaluated on the same users as first"


def test_sweeps_of_one_task_alone_stand_side_by_side():
    other = contender("second")
    elsewhere = replace(other, comparison=replace(other.comparison, task=TASKS["captioning"]))
    assert side_by_side([contender("first"), elsewhere]) == ()


def test_the_page_shows_all_rows_and_says_what_cannot_be_told():
    named = [contender("first"), contender("second", turned=True), contender("third", digest="9876543210")]
    sweeps = [ReportData(one.comparison) for one in named]
    page = Page(render_study(StudyData("three", sweeps, between=side_by_side(named))))
    text = " ".join(" ".join(page.text).split()).replace("\N{NO-BREAK SPACE}", " ")
    assert not page.open and page.ids[0] == "between-recommendation" and len(page.ids) == len(set(page.ids))
    assert "The model of second is worse than that of first: -4." in text
    assert "third: no difference from first can be told: other data than first" in text
    assert "The sweeps are not all of the same data" in text and "cannot be told" in text
