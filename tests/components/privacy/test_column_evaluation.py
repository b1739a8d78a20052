"""The steps of an evaluation over columns, with a real model, and a meeting in the clear in place of CrypTen."""

from dataclasses import replace
from unittest import mock

import numpy as np
import pytest

from components.data.column_folders import KEY_FILE, read_key, split_by_columns, write_key
from components.data.interactions import open_interactions
from components.errors import DataError
from components.privacy.column_evaluation import allowed, evaluate_columns
from components.privacy.column_tallies import (
    RANKED,
    Logs,
    combinations_of,
    fields_of,
    logs_in,
    profiles_in,
    varying_places,
)
from components.privacy.evaluation import CohortTooSmall, Request
from components.privacy.failures import Disagreement
from components.privacy.tallies import tallies_of
from components.privacy.totals import MEASURES
from components.tasks.recommendation.combinations import combination_of, combinations
from tests.components.privacy.meeting import Table
from tests.components.privacy.models import make_tiny

MEASURED = MEASURES["recommendation"]
REQUEST = Request("recommendation", "digest", "test", ("a", "b", "c"), receiver=0, minimum_cohort=1)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return make_tiny("recommendation", tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def folders(tiny, tmp_path_factory):
    """Divided by a key of the test's own: one in thirty leaves both unseen users with an AUC out."""
    with mock.patch("components.data.column_folders.os.urandom", bytes):
        return split_by_columns(tiny.data.folder, tmp_path_factory.mktemp("columns"))


@pytest.fixture(scope="module")
def sides(tiny, folders):
    return profiles_in(folders[0], tiny.model), logs_in(folders[1], tiny.model, "test")


def together(sides, request, rank_of=(0, 1), parties=2, combinations=25):
    """Run all parties; `rank_of` places the profiles and the logs."""
    table = Table(parties, request.receiver)
    own = dict(zip(rank_of, sides, strict=True))
    asked = replace(request, parties=request.parties[:parties])
    found = table.together(
        lambda chair: evaluate_columns(chair, chair.rank, asked, own.get(chair.rank), combinations)
    )
    return table, found


def plain(tiny, sides):
    """Tallies of the whole data, and which of its users both sides have."""
    both = {tuple(token) for token in sides[0].tokens.tolist()} & {
        tuple(token) for token in sides[1].tokens.tolist()
    }
    return tallies_of("recommendation", tiny.model, tiny.data.folder, "test"), len(both)


def test_combinations_are_numbered_as_they_stand(tiny):
    fields = fields_of(tiny.model)
    every = combinations(fields)
    assert len(every) == combinations_of(tiny.model) == 25
    assert combination_of(every, fields).tolist() == list(range(25))


def test_a_user_scores_the_same_under_its_own_profile_as_in_the_plain_evaluation(tiny, tmp_path):
    """Where no user is left out: the numbers of the plain evaluation, to the last digit."""
    logs = open_interactions(tiny.data.folder)
    write_key(tmp_path / KEY_FILE, bytes(32))
    for path in tiny.data.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    side = logs_in(tmp_path, tiny.model, "test")
    own = combination_of(logs.profile, logs.profile_fields)
    for group, tally in tallies_of("recommendation", tiny.model, tiny.data.folder, "test").items():
        for name in MEASURED.names:
            numbers = side.fixed[name].copy()
            numbers[:, list(varying_places(name))] += side.varying[name][np.arange(len(own)), own]
            assert numbers[side.members[group]].sum(0).tolist() == MEASURED.numbers(name, tally).tolist(), (
                name
            )


@pytest.mark.parametrize(("receiver", "rank_of", "parties"), [(0, (0, 1), 2), (2, (1, 0), 3)])
def test_results_stand_on_common_users_and_no_one_else_learns_them(sides, tiny, receiver, rank_of, parties):
    table, found = together(sides, replace(REQUEST, receiver=receiver), rank_of, parties)
    results = [each[0] for each in found]
    assert [result is not None for result in results] == [rank == receiver for rank in range(parties)]
    assert {each[1] for each in found} == {found[0][1]} and found[0][1].profiles == rank_of[0]
    assert set(table.swapped) == {(0, 1)}
    assert sum(result.users for result in results[receiver].values()) <= plain(tiny, sides)[1]
    assert all(not result.withheld for result in results[receiver].values())


def test_who_holds_the_logs_is_opened_counts_only(sides):
    _, found = together(sides, replace(REQUEST, receiver=1))
    for result in found[1][0].values():
        assert set(result.opened) == set(MEASURED.counts) and set(result.withheld) == set(MEASURED.scores)


def test_rankings_are_left_out_of_many_combinations():
    assert not set(RANKED) & set(allowed(False, 65)) and set(RANKED) <= set(allowed(False, 64))


def test_different_keys_and_strangers_open_nothing(sides):
    profiles, logs = sides
    stranger = replace(profiles, tokens=profiles.tokens + 1)
    other_key = replace(profiles, key_token=profiles.key_token + 1)
    for changed, told in ((other_key, "different keys"), (stranger, "no user in common")):
        table = Table(2)
        errors = table.together(
            lambda chair, changed=changed: evaluate_columns(
                chair, chair.rank, replace(REQUEST, parties=("a", "b")), (changed, logs)[chair.rank], 25
            )
        )
        assert all(isinstance(error, Disagreement) and told in str(error) for error in errors)
        assert not table.opened


def test_two_logs_are_refused_by_all(sides):
    table, errors = together((sides[1], sides[1]), REQUEST)
    assert all("exactly one party holds profiles" in str(error) for error in errors) and not table.opened


def test_a_cohort_that_is_too_small_is_refused_before_anything_is_opened(sides):
    table, errors = together(sides, replace(REQUEST, minimum_cohort=10_000), parties=3)
    assert all(isinstance(error, CohortTooSmall) for error in errors) and not table.opened


def test_a_measure_of_few_users_is_withheld(sides):
    profiles, logs = sides
    fixed = {name: values.copy() for name, values in logs.fixed.items()}
    fixed["auc"][:, 1] = 0
    _, found = together((profiles, replace(logs, fixed=fixed)), REQUEST)
    assert all(result.withheld == ("auc",) for result in found[0][0].values())


def test_a_histogram_with_a_number_of_few_users_is_withheld_and_no_other_measure_for_it(sides):
    _, found = together(sides, REQUEST)
    _, limited = together(sides, replace(REQUEST, minimum_cohort=5))
    few = 0
    for group, result in limited[0][0].items():
        for name in ("first_hit_bands", "first_hit"):
            small = any(0 < number < 5 for number in found[0][0][group].opened[name])
            assert (name in result.withheld) == small, (group, name)
            few += small
        assert "hr@10" in result.opened or result.users < 5
    assert few


def test_a_model_that_does_not_fit_is_refused(tiny, folders, tmp_path):
    for path in tiny.model.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    vocabulary = tmp_path / "vocabulary.json"
    right = vocabulary.read_text()
    vocabulary.write_text(right.replace('"under 25"', '"below 25"'))
    for read in (profiles_in, lambda folder, model: logs_in(folder, model, "test")):
        with pytest.raises(DataError, match="not those that the model knows"):
            read(folders[0] if read is profiles_in else folders[1], tmp_path)
    many = ", ".join(f'"{number}"' for number in range(400))
    vocabulary.write_text(right.replace('"under 25"', f'{many}, "under 25"'))
    with pytest.raises(DataError, match="2,025 combinations of categories; at most 1,024"):
        fields_of(tmp_path)


def test_no_folder_of_columns_is_made_twice(tiny, folders):
    with pytest.raises(DataError, match="exists already"):
        split_by_columns(tiny.data.folder, folders[0].parent)
    assert read_key(folders[0]) == read_key(folders[1])
    assert isinstance(logs_in(folders[1], tiny.model, "validation"), Logs)
