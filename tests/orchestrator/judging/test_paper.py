"""The paper's numbers beside made-up results."""

from dataclasses import replace
from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from components.tasks import TASKS, Adaptation, Group, Metric
from components.tasks.claims import CAPTIONING, QUESTION_ANSWERING, RECOMMENDATION
from orchestrator.judging.compare import compare_entries
from orchestrator.judging.comparison import Entry
from orchestrator.judging.paper import paper_tables
from orchestrator.judging.tables import comparison_view
from orchestrator.report.data import ReportData, StudyData
from orchestrator.report.page import render_report, render_study
from tests.orchestrator.made_up import made_up_table
from tests.orchestrator.report.test_report import Page

ACCURACY = SimpleNamespace(metric="accuracy", mode="max")
LEVELS = {"model": 0.70, "no-attention": 0.67, "no-profile": 0.70, "baseline": 0.62}


def compared(levels=None, name="made-up", source="movielens"):
    roles = {"model": "model", "baseline": "baseline"}
    entries = [
        Entry(row, roles.get(row, "ablation"), 1, {seed: made_up_table(level, seed) for seed in (0, 1)})
        for row, level in (levels or LEVELS).items()
    ]
    return compare_entries(
        name,
        TASKS["recommendation"],
        ACCURACY,
        entries,
        "baseline",
        (0, 1),
        test_looks=1,
        part="test",
        source=source,
    )


@pytest.fixture(scope="module")
def comparison():
    return compared()


def test_the_claims_are_those_of_the_paper():
    """The gains that the paper states follow from its numbers."""
    gains = {
        (claims, claim.metric): round(claim.model - claim.baseline, 3)
        for claims, all_claims in (("c", CAPTIONING), ("r", RECOMMENDATION), ("q", QUESTION_ANSWERING))
        for claim in all_claims.rows
    }
    assert gains == {
        ("c", "bleu4"): 0.032, ("c", "satisfaction"): 0.6,
        ("r", "accuracy"): 0.035, ("r", "precision"): 0.03, ("r", "recall"): 0.04, ("r", "f1"): 0.035,
        ("q", "em"): 0.035, ("q", "f1"): 0.033,
    }  # fmt: skip
    accuracy, *_, f1 = RECOMMENDATION.rows
    assert (accuracy.model, accuracy.baseline) == (round(f1.model, 3), round(f1.baseline, 3))


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_claims_and_adaptation_are_about_what_the_task_has(task):
    assert all(claim.metric in task.metrics for claim in (task.claims.rows if task.claims else ()))
    assert set(task.claims.sources if task.claims else ()) <= set(task.sources)
    assert ("told" in task.settings.model_fields) == (task.told == "model.told")
    assert ("drifting" in task.groups) == (task.adaptation is not None)
    if task.adaptation is not None:
        assert task.adaptation.group in task.groups and task.adaptation.metric in task.metrics


def test_what_was_measured_stands_beside_what_is_claimed(comparison):
    tables = paper_tables(comparison)
    accuracy = tables.results[0]
    assert accuracy.claim.metric == "accuracy"
    assert accuracy.model == comparison.model.metrics["accuracy"]
    assert accuracy.gain == comparison.model.against_baseline["accuracy"]
    assert accuracy.claimed_gain == pytest.approx(0.035)
    precision = next(line for line in tables.results if line.claim.metric == "precision")
    assert precision.model is None and precision.claim.model == 0.85  # not measured is not left out
    (parts,) = tables.parts
    lines = {line.row.name: line for line in parts.lines}
    assert list(lines) == ["model", "no-attention", "no-profile", "baseline"]
    row = lines["no-attention"]
    assert row.drop == comparison.row("no-attention").model_minus["accuracy"]
    assert row.share == pytest.approx(row.drop.difference / accuracy.gain.difference)
    assert row.claimed == 0.793
    assert row.claimed_share == pytest.approx(0.89, abs=0.005)
    assert lines["no-profile"].claimed is None
    assert lines["baseline"].claimed_drop == pytest.approx(0.035)


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        (LEVELS, "holds here, both steps with adjusted p < .05"),
        ({**LEVELS, "no-attention": 0.61}, "does not hold here"),
        ({**LEVELS, "no-attention": LEVELS["model"]}, "is not seen here; that may be chance"),
        ({**LEVELS, "no-attention": 0.6985}, "is seen here, but not both steps are significant"),
    ],
)
def test_the_order_that_the_paper_reports_is_checked(levels, said):
    (sentence,) = paper_tables(compared(levels)).sentences
    assert said in sentence


def test_without_claims_there_are_no_tables(comparison):
    assert paper_tables(replace(comparison, task=replace(comparison.task, claims=None))) is None
    assert (
        paper_tables(replace(comparison, source="synthetic")) is None
    )  # what is generated proves nothing of it


def test_terminal_and_page_show_both_numbers(comparison):
    console = Console(width=140, record=True, file=StringIO())
    console.print(comparison_view(comparison))
    text = console.export_text()
    page = Page(render_report(ReportData(comparison=comparison)))
    for said in (
        "82.4 %",
        "78.9 %",
        "79.3 %",
        "+3.5",
        "89 %",
        "not stated",
        "Do not expect",
    ):
        assert said in text, said
        assert said in " ".join(page.text), said
    assert "paper" in page.ids


def test_a_study_shows_the_tables_first_and_then_each_sweep(comparison):
    other = compared({"model": 0.70, "baseline": 0.65}, name="other-sweep")
    sweeps = [ReportData(comparison=comparison), ReportData(comparison=other)]
    page = Page(render_study(StudyData("paper", sweeps, {"third": "it has not been run"})))
    assert not page.open and not page.fetched
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert page.ids[:2] == ["made-up-tables", "other-sweep-tables"]
    assert page.ids.index("made-up") < page.ids.index("made-up-leaderboard") < page.ids.index("other-sweep")
    assert "it has not been run" in " ".join(page.text)


def test_users_who_change_get_a_curve_of_their_own(comparison):
    task = comparison.task
    changing = replace(
        task,
        groups={**task.groups, "unseen": Group("drifting users", "users who change")},
        metrics={**task.metrics, "adapted": Metric("Adapted", "max", "share in the new style", percent=True)},
        adaptation=Adaptation("unseen", "adapted"),
    )
    roles = {"model": 0.7, "baseline": 0.62}
    entries = [Entry(name, name, 1, {0: with_adapted(level)}) for name, level in roles.items()]
    found = compare_entries("m", changing, ACCURACY, entries, "baseline", (0,), test_looks=1, part="test")
    page = Page(render_report(ReportData(comparison=found)))
    text = " ".join(" ".join(page.text).split())
    assert "adaptation" in page.ids and "After a change of preference" in text
    assert "Adapted (share in the new style) by the number of events" in text
    shares = {cut: found.row("model", ("unseen", cut)).metrics["adapted"].mean for cut in (0, 1, 2, 5, 20)}
    assert min(shares.values()) > 0.5 and "From 0 events on, the model's share is above one half." in text
    assert text.count("Drifting users (12 users)") == 1  # and not among the curves of cold start


def with_adapted(level):
    table = made_up_table(level, 0)
    return table.append_column("adapted", table["accuracy"])
