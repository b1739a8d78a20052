"""The questions that a report is opened with, answered from planted differences."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from components.tasks import TASKS
from orchestrator.judging.answers import answers, certainty, for_whom, genuineness, parts
from orchestrator.judging.compare import compare_entries
from tests.orchestrator.made_up import made_up_entries


def compare(entries, seeds=(0, 1)):
    objective = SimpleNamespace(metric="accuracy", mode="max")
    return compare_entries(
        "made-up", TASKS["recommendation"], objective, entries, "baseline", seeds, test_looks=3, part="test"
    )


@pytest.fixture(scope="module")
def comparison():
    return compare(made_up_entries())


def test_the_part_that_was_planted_matters_and_the_other_is_not_shown_to(comparison):
    matter, silent, *_ = parts(comparison)
    assert matter.text.startswith("Shown to matter: 1 of 2.") and silent.text.startswith(
        "Not shown to matter"
    )
    [first], [other] = matter.items, silent.items
    assert first.startswith("model minus no-feedback: +4.2 points [") and first.endswith("p < .001")
    assert other.startswith("model minus no-attention: +") and other.endswith(
        "this comparison could have seen 1.0 points"
    )


def test_without_ablations_no_part_can_be_named():
    bare = compare([entry for entry in made_up_entries() if entry.role != "ablation"])
    [statement] = parts(bare)
    assert statement.text.startswith("That cannot be said: the sweep has no ablations")


def test_a_part_that_matters_elsewhere_is_not_called_useless(comparison):
    rows = [
        replace(
            row, model_minus={**row.model_minus, "auc": replace(row.model_minus["auc"], p_adjusted=0.001)}
        )
        if row.name == "no-attention"
        else row
        for row in comparison.rows
    ]
    changed = replace(comparison, slices={**comparison.slices, comparison.main: tuple(rows)})
    elsewhere = parts(changed)[-1]
    [line] = [item for item in elsewhere.items if "no-attention" in item]
    assert "change other metrics" in elsewhere.text and line.startswith("model minus no-attention: AUC +")
    assert "(better)" in line


def test_what_a_part_makes_worse_is_named_first(comparison):
    worse = {"ndcg@10": -0.01, "satisfaction": -0.02, "auc": 0.03, "log_loss": -0.04}
    [row] = [row for row in comparison.rows if row.name == "no-feedback"]
    changed = {
        name: replace(row.model_minus[name], difference=size, p_adjusted=0.001)
        for name, size in worse.items()
    }
    changed["accuracy"] = row.model_minus["accuracy"]
    rows = tuple(replace(one, model_minus=changed) if one is row else one for one in comparison.rows)
    items = parts(replace(comparison, slices={**comparison.slices, comparison.main: rows}))[-1].items
    assert items[0] == (
        "model minus no-feedback: NDCG@10 -0.010 (the model is worse), Satisfaction -0.020 (the model is worse), "
        "AUC +0.030 (better), Log loss -0.040 (better)"
    )


def test_a_part_that_changes_nothing_for_anybody_is_told_from_a_small_effect(comparison):
    rows = tuple(
        replace(
            row,
            model_minus={
                "accuracy": replace(
                    row.model_minus["accuracy"], difference=0.0, low=0.0, high=0.0, p_adjusted=1.0
                )
            },
        )
        if row.name == "no-attention"
        else row
        for row in comparison.rows
    )
    _, untouched, *_ = parts(replace(comparison, slices={**comparison.slices, comparison.main: rows}))
    assert untouched.text == "Without any effect on accuracy: 1 of 2. It is the same for every user."


def test_parts_that_harm_are_named():
    entries = made_up_entries()
    swap = {"model": "no-feedback", "no-feedback": "model"}
    tables = {entry.name: entry.tables for entry in entries}
    turned = [replace(entry, tables=tables[swap.get(entry.name, entry.name)]) for entry in entries]
    harm, *_ = parts(compare(turned))
    assert harm.text.startswith("Shown to do harm: 2 of 2.")
    assert any(item.startswith("model minus no-feedback: -4.2 points [") for item in harm.items)


def test_for_whom_names_other_groups_and_the_length_of_history(comparison):
    text = " ".join(for_whom(comparison))
    assert (
        "On 12 users that training never saw" in text
        and "From fewer than 50 users this is no more than a hint." in text
    )
    assert "of seen users a gain is shown from 5 events on; with 0 events the difference" in text


def test_certainty_says_whether_the_seeds_agree(comparison):
    text = " ".join(certainty(comparison))
    assert "108 users that were seen in training. Each is compared with itself" in text
    assert "p is below 0.05, corrected for all comparisons of its table on the same metric" in text
    assert "2 seeds" in text and "the same sign in each" in text
    baseline = comparison.row("baseline")
    torn = replace(baseline, by_seed={0: {"accuracy": 0.1}, 1: {"accuracy": 0.9}})
    rows = tuple(torn if row is baseline else row for row in comparison.rows)
    other = replace(comparison, slices={**comparison.slices, comparison.main: rows})
    assert "not the same sign in all: chance in training decides it" in " ".join(certainty(other))


def test_controls_and_rules_are_explained_where_they_are_named(comparison):
    trivial, fed, _ = genuineness(comparison)
    assert trivial.text.endswith("Trivial rows are rules without training.")
    assert fed.items[0].startswith("Under the control shuffled-users the model changes by -4.")
    bare = compare([entry for entry in made_up_entries() if entry.role not in ("control", "trivial")])
    assert [statement.text for statement in genuineness(bare)] == [
        "On the other metrics, each tested by itself, the model against the baseline:"
    ]


def test_metrics_on_which_the_model_is_no_better_are_named(comparison):
    model = comparison.model
    gains = model.against_baseline
    other = {
        "auc": replace(gains["auc"], difference=-0.02, p_adjusted=0.01),
        "log_loss": replace(gains["log_loss"], difference=-0.1, p_adjusted=0.01),
        "satisfaction": replace(gains["satisfaction"], p_adjusted=0.3),
    }
    rows = tuple(
        replace(row, against_baseline={"accuracy": gains["accuracy"], **other}) if row is model else row
        for row in comparison.rows
    )
    said = genuineness(replace(comparison, slices={**comparison.slices, comparison.main: rows}))[-1]
    assert said.items == ["better: Log loss -0.100", "worse: AUC -0.020", "no difference shown: Satisfaction"]


def test_each_question_is_asked_once(comparison):
    assert [answer.question for answer in answers(comparison)] == [
        "Is the gain what it seems?",
        "Which part matters, and by how much?",
        "For whom?",
        "How sure is that?",
    ]
