"""Parties that evaluate their own users add up to what the evaluation of all users gives."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from components.data.party_folders import snapshot_digest, split_by_users
from components.errors import DataError
from components.metrics import rows as row_tools
from components.privacy.cohorts import cells_of
from components.privacy.evaluation import CohortTooSmall, Request, evaluate
from components.privacy.tallies import tallies_of
from components.privacy.totals import MEASURES
from components.tasks import TASKS
from tests.components.privacy.meeting import Table

PARTIES = 3
EVERY_EXAMPLE = (
    *("em", "f1", "official_em", "official_f1", "satisfaction"),
    *("style_match", "length_match", "content_match", "cider", "rouge_l"),
)
"""Scores that every example has, where rows are passages or pictures: their mean is that of the rows, by examples."""


@pytest.fixture(scope="module")
def folders(tiny, tmp_path_factory):
    return split_by_users(tiny.data.folder, PARTIES, tmp_path_factory.mktemp("parties"))


@pytest.fixture(scope="module")
def tallied(tiny, folders):
    return [tallies_of(tiny.task, tiny.model, folder, "test") for folder in folders]


@pytest.fixture(scope="module")
def request_for(tiny):
    return Request(tiny.task, "digest", "test", ("a", "b", "c"), receiver=0, minimum_cohort=1)


def opened(tiny, folders):
    return [TASKS[tiny.task].load().open_data(folder) for folder in folders]


def test_every_user_is_with_exactly_one_party(tiny, folders):
    parts = opened(tiny, folders)
    held = Counter(user for part in parts for user in part.user_ids)
    assert held == Counter(tiny.data.user_ids)
    sizes = [len(part.user_ids) for part in parts]
    assert max(sizes) - min(sizes) <= 2
    unseen = [int(part.unseen.sum()) for part in parts]
    assert max(unseen) - min(unseen) <= 1


def test_a_party_has_its_users_events_and_profiles_as_they_were(tiny, folders):
    number = {user: index for index, user in enumerate(tiny.data.user_ids)}
    for part in opened(tiny, folders):
        for own, user in enumerate(part.user_ids):
            whole = number[user]
            assert (part.profile[own] == tiny.data.profile[whole]).all()
            before = [replace(event, id="") for event in tiny.data.events_of(whole)]
            assert [replace(event, id="") for event in part.events_of(own)] == before


def test_folders_of_parties_hold_none_of_the_generators_tables_of_truth(folders):
    for folder in folders:
        assert not list(folder.glob("truth*"))


def test_parts_differ_in_digest_and_snapshot_and_nothing_is_overwritten(tiny, folders):
    parts = opened(tiny, folders)
    assert len({part.digest for part in parts} | {tiny.data.digest}) == PARTIES + 1
    assert len({snapshot_digest(folder) for folder in folders}) == PARTIES
    with pytest.raises(DataError, match="exists already"):
        split_by_users(tiny.data.folder, PARTIES, folders[0].parent)


def test_a_partys_own_evaluation_gives_the_rows_of_the_whole_one(tiny, folders):
    """For a task whose rows are users; where several users share a row, the sums are compared below.

    Only what parties add up: what is novel or evenly shown depends on the events and lists of all users.
    """
    if TASKS[tiny.task].unit != "user":
        pytest.skip("rows of this task are passages or pictures")
    whole = {(row["user"], row["group"]): row for row in tiny.rows(tiny.data).to_pylist()}
    found = {}
    for folder in folders:
        model = replace_data(tiny, folder)
        found |= {(row["user"], row["group"]): row for row in model.to_pylist()}
    assert found.keys() == whole.keys()
    for key, row in found.items():
        for name in ("examples", *MEASURES[tiny.task].scores):
            assert row[name] == pytest.approx(whole[key][name], abs=1e-5), name


def replace_data(tiny, folder):
    module = TASKS[tiny.task].load()
    return module.evaluate(tiny.module, module.open_data(folder), "test", slices=False)


def test_the_sums_of_all_parties_are_those_of_the_whole(tiny, tallied):
    """Whole numbers, equal to the last digit."""
    whole = tallies_of(tiny.task, tiny.model, tiny.data.folder, "test")
    measures = MEASURES[tiny.task]
    assert set(whole) == {group for party in tallied for group in party}
    for group, tally in whole.items():
        for name in measures.names:
            parts = [measures.numbers(name, party.get(group)) for party in tallied]
            expected = measures.numbers(name, tally)
            if name in ("log_loss", "cider", "cider_factual"):  # other batches give other last digits
                np.testing.assert_allclose(sum(parts), expected, atol=5)
            else:
                assert sum(parts).tolist() == expected.tolist(), name
            assert sum(measures.users(name, party.get(group)) for party in tallied) == measures.users(
                name, tally
            )


def test_metrics_equal_those_of_the_tasks_own_evaluation(tiny, tallied, request_for):
    table = Table(PARTIES)
    results = table.together(lambda chair: evaluate(chair, chair.rank, request_for, tallied[chair.rank]))
    assert results[1:] == [None, None]
    rows = tiny.rows(tiny.data)
    measures = MEASURES[tiny.task]
    compared = 0
    for group, result in results[0].items():
        per_unit, pooled = row_tools.macro(rows, group), row_tools.micro(rows, group)
        assert not result.withheld
        for name, value in result.metrics.items():
            if measures.unit == "example" and name in EVERY_EXAMPLE:
                expected = pooled[name]
            elif name.startswith("bleu") or (name in measures.scores and measures.unit == "user"):
                expected = per_unit[name]
            else:
                continue
            compared += 1
            assert value == pytest.approx(expected, abs=2e-5), name
    assert compared >= 5


def test_hit_rates_and_pooled_metrics_follow_from_the_counts(tallied, request_for):
    if request_for.task != "recommendation":
        pytest.skip("counts of recommendation")
    table = Table(PARTIES)
    results = table.together(lambda chair: evaluate(chair, chair.rank, request_for, tallied[chair.rank]))
    for result in results[0].values():
        assert result.metrics["hit_rate@10"] == pytest.approx(result.metrics["hr@10"], abs=1e-6)
        true, predicted, actual, examples = result.opened["confusion"]
        assert 0 <= true <= min(predicted, actual) and max(predicted, actual) <= examples
        assert result.metrics["hit_rate@1"] <= result.metrics["mrr@10"] <= result.metrics["hit_rate@10"]


def test_groups_with_too_few_users_of_the_others_are_refused_by_every_party(tallied, request_for):
    """The receiver's own users do not count: it could subtract its own numbers."""
    table = Table(PARTIES)
    asked = replace(request_for, minimum_cohort=10_000)
    permitted = []
    errors = table.together(
        lambda chair: evaluate(
            chair, chair.rank, asked, tallied[chair.rank], permit=lambda seals: permitted.append(chair.rank)
        )
    )
    assert all(isinstance(error, CohortTooSmall) for error in errors)
    assert not table.opened and not permitted


def test_measures_that_stand_on_too_few_users_are_withheld_and_never_added_up(tallied, request_for):
    """The cohort is set just above what the rarest measure has."""
    measures = MEASURES[request_for.task]
    users = {
        (group, name): sum(measures.users(name, party.get(group)) for party in tallied[1:])
        for group in measures.groups
        for name in measures.names
    }
    present = [count for count in users.values() if count]
    most = max(present)
    cohort = most if min(present) == most else min(count for count in present if count > min(present))
    asked = replace(request_for, minimum_cohort=cohort)
    table = Table(PARTIES)
    results = table.together(lambda chair: evaluate(chair, chair.rank, asked, tallied[chair.rank]))
    told_by_others = {name for cell in cells_of(measures) for name in cell.barred}
    for group, result in results[0].items():
        for name in measures.names:
            few = users[group, name] < cohort
            assert (name in result.withheld) >= few, (group, name)
            if name not in told_by_others:
                assert (name in result.withheld) == few, (group, name)
            assert (name in result.opened) != (name in result.withheld)
    size = sum(len(numbers) for result in results[0].values() for numbers in result.opened.values())
    assert sum(len(opened) for opened in table.opened) == size


def test_no_one_but_the_receiver_learns_a_total(tallied, request_for):
    asked = replace(request_for, receiver=2)
    table = Table(PARTIES, receiver=2)
    results = table.together(lambda chair: evaluate(chair, chair.rank, asked, tallied[chair.rank]))
    assert results[:2] == [None, None] and results[2]


def test_a_model_of_other_items_or_styles_is_refused(tiny, folders, tmp_path):
    vocabulary = tmp_path / "model"
    vocabulary.mkdir()
    for path in tiny.model.iterdir():
        (vocabulary / path.name).write_bytes(path.read_bytes())
    text = (vocabulary / "vocabulary.json").read_text()
    (vocabulary / "vocabulary.json").write_text(text.replace('"unknown"', '"nobody knows"', 1))
    with pytest.raises(DataError, match="not those that the model knows"):
        tallies_of(tiny.task, vocabulary, folders[0], "test")


def test_nothing_opened_is_nan(tallied, request_for):
    table = Table(PARTIES)
    results = table.together(lambda chair: evaluate(chair, chair.rank, request_for, tallied[chair.rank]))
    for result in results[0].values():
        assert all(math.isfinite(value) for value in result.metrics.values())
