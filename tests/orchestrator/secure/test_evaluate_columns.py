"""One party with the profiles, another with the logs: the metrics of users whom both have, as if one had all."""

import json
import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from components.data.column_folders import KEY_FILE, held, join_tokens, pseudonym, read_key, write_key
from components.data.interactions import open_interactions
from components.errors import DataError
from components.metrics import rows as row_tools
from components.privacy.column_evaluation import allowed
from components.privacy.column_tallies import RANKED
from components.privacy.tallies import tallies_of
from components.privacy.totals import MEASURES, Tally
from orchestrator.secure.register import AlreadyEvaluated, Register
from orchestrator.spec.parties import load_parties
from orchestrator.spec.problems import SpecErrors
from tests.orchestrator.secure.conftest import Divided
from tests.orchestrator.secure.test_evaluate_local import plain_rows
from tests.orchestrator.sweeping import Call, Json, adaptune

pytestmark = pytest.mark.xdist_group("ray")
MEASURED = MEASURES["recommendation"]


@dataclass(frozen=True)
class Columns:
    """The data of a promoted version, divided by columns."""

    whole: Divided
    folder: Path

    def party_file(self, receiver: str = "profiles", third: bool = False, **keys: object) -> Path:
        rows = ["  profiles: {data: profiles}", "  logs: {data: logs}", *(["  analyst: {}"] if third else [])]
        chosen = {
            "divided": "columns",
            "receiver": receiver,
            "minimum_cohort": 1,
            "timeout": 60,
            **keys,
        }
        path = self.folder / "tried.yaml"
        path.write_text("\n".join(["parties:", *rows, *(f"{k}: {v}" for k, v in chosen.items())]) + "\n")
        return path

    def evaluate(self, **keys: object) -> Call:
        file, home = self.party_file(**keys), self.whole.home
        return adaptune("evaluate", self.whole.version, "--parties", file, "--home", home, "--json")

    def common(self) -> list[str]:
        """The ids, in the whole data, of users whom both have."""
        key = read_key(self.folder / "logs")
        tokens = [
            {tuple(token) for token in join_tokens(key, ids).tolist()}
            for ids in (self.profile_ids, open_interactions(self.folder / "logs").user_ids)
        ]
        both = tokens[0] & tokens[1]
        ids = open_interactions(self.whole.data).user_ids
        names = [pseudonym(key, user) for user in ids]
        known = map(tuple, join_tokens(key, names).tolist())
        return [user for user, token in zip(ids, known, strict=True) if token in both]

    @property
    def profile_ids(self) -> list[str]:
        from components.data.column_folders import profiles_of

        return profiles_of(self.folder / "profiles")[0]


@pytest.fixture(scope="module")
def columns_once(divided_once: Divided, tmp_path_factory: pytest.TempPathFactory) -> Columns:
    folder = tmp_path_factory.mktemp("columns")
    whole = divided_once.copy(folder)
    call = adaptune(
        "split", whole.data, "--by", "columns", "--out", folder / "columns", "--home", whole.home, "--json"
    )
    assert call.code == 0, call.err
    return Columns(whole, folder / "columns")


@pytest.fixture
def columns(columns_once: Columns, tmp_path: Path) -> Columns:
    folder = shutil.copytree(
        columns_once.folder, tmp_path / "columns", ignore=shutil.ignore_patterns("evaluations.json")
    )
    return Columns(columns_once.whole, Path(folder))


def plain(columns: Columns) -> tuple[dict[str, dict[str, float]], dict[str, Tally]]:
    """Metrics by the task's own evaluation, and exact tallies, of the common users alone."""
    common = columns.common()
    rows = plain_rows(columns.whole)
    rows = rows.filter(pc.is_in(rows["user"], value_set=pc.cast(common, rows["user"].type)))
    number = {user: index for index, user in enumerate(open_interactions(columns.whole.data).user_ids)}
    chosen = [number[user] for user in common]
    whole = tallies_of("recommendation", columns.whole.model, columns.whole.data, "test")
    tallies = {}
    for group, tally in whole.items():
        keep = np.isin(tally.user, chosen)
        parts = [
            {name: values[keep] for name, values in each.items()} for each in (tally.scores, tally.counts)
        ]
        tallies[group] = Tally(tally.user[keep], *parts)
    return {group: row_tools.macro(rows, group) for group in MEASURED.groups}, tallies


def check(columns: Columns, result: Json, names: tuple[str, ...]) -> None:
    """Compare a result with the plain evaluation: metrics to the millionth, whole numbers exactly."""
    metrics, tallies = plain(columns)
    assert set(result["groups"]) == {group for group, tally in tallies.items() if tally.users}
    opened = 0
    for group, found in result["groups"].items():
        assert found["users"] == tallies[group].users
        assert set(found["opened"]) <= set(names)
        for name, numbers in found["opened"].items():
            expected = MEASURED.numbers(name, tallies[group]).tolist()
            if name == "log_loss":  # other batches give other last digits
                assert numbers == pytest.approx(expected, abs=5), name
            else:
                assert numbers == expected, name
            opened += 1
            if name in MEASURED.scores:
                assert found["metrics"][name] == pytest.approx(metrics[group][name], abs=2e-6), name
    assert opened >= len(names)


@pytest.fixture(scope="module")
def evaluated(columns_once: Columns) -> Json:
    call = columns_once.evaluate()
    assert call.code == 0, call.err
    return call.document


def test_metrics_of_common_users_are_the_plain_ones(columns_once: Columns, evaluated: Json):
    check(columns_once, evaluated, allowed(False, 25))
    assert set(RANKED) <= set(evaluated["groups"]["seen"]["opened"])


def test_profiles_matter_to_the_result(columns_once: Columns, evaluated: Json):
    """The logs alone, all profiles unknown, would give other numbers."""
    blind = tallies_of("recommendation", columns_once.whole.model, columns_once.folder / "logs", "test")
    metrics = evaluated["groups"]["seen"]["opened"]["log_loss"]
    assert metrics != MEASURED.numbers("log_loss", blind["seen"]).tolist()


def test_a_result_says_who_holds_what_and_the_ledgers_have_it(columns_once: Columns, evaluated: Json):
    said = {part["about"]: part["text"] for part in evaluated["statement"]}
    assert "profiles holds the profiles and logs the logs" in said["Divided by columns"]
    assert "keyed hash" in said["Join"] and "guesses" in said["Join"]
    assert {row["who"]: row["holds"].split(",")[0] for row in evaluated["roles"][:2]} == {
        "profiles": "its users' profiles",
        "logs": "its users' events",
    }
    for party in ("profiles", "logs"):
        entries = Register(columns_once.folder / party).entries()
        assert [entry.state for entry in entries] == ["finished"]
        with pytest.raises(AlreadyEvaluated, match="only as it was"):
            Register(columns_once.folder / party).check(replace(*entries, request="with another receiver"))


@pytest.mark.slow
def test_a_third_party_without_data_receives(columns: Columns):
    call = columns.evaluate(receiver="analyst", third=True)
    assert call.code == 0, call.err
    check(columns, call.document, allowed(False, 25))


@pytest.mark.slow
def test_who_holds_the_logs_receives_counts_only(columns: Columns):
    call = columns.evaluate(receiver="logs")
    assert call.code == 0, call.err
    check(columns, call.document, tuple(MEASURED.counts))


def test_folders_hold_columns_under_hashes_and_in_orders_of_their_own(columns_once: Columns):
    logs = open_interactions(columns_once.folder / "logs")
    whole, profiles = open_interactions(columns_once.whole.data), columns_once.profile_ids
    assert (
        held(columns_once.folder / "profiles") == "profiles" and held(columns_once.folder / "logs") == "logs"
    )
    assert logs.profile_fields == whole.profile_fields and not logs.profile.any() and logs.oracle is None
    assert not {*logs.user_ids, *profiles} & {*whole.user_ids}
    assert {*logs.user_ids} - {*profiles} and {*profiles} - {*logs.user_ids}
    common = {*logs.user_ids} & {*profiles}
    assert len(common) == len(columns_once.common()) > len(whole.user_ids) * 0.7
    assert [user for user in logs.user_ids if user in common] != [user for user in profiles if user in common]
    assert [path.name for path in (columns_once.folder / "profiles").glob("*.arrow")] == ["users.arrow"]
    key = read_key(columns_once.folder / "logs")
    name = {pseudonym(key, user): number for number, user in enumerate(whole.user_ids)}
    for own, user in enumerate(logs.user_ids):
        events = [(event.timestamp, event.content, event.value) for event in logs.events_of(own)]
        assert events == [(e.timestamp, e.content, e.value) for e in whole.events_of(name[user])]
        assert logs.unseen[own] == whole.unseen[name[user]]


def test_the_key_is_for_its_owner_alone(columns: Columns):
    path = columns.folder / "logs" / KEY_FILE
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(DataError, match="chmod 600"):
        read_key(columns.folder / "logs")
    path.unlink()
    with pytest.raises(DataError, match="missing"):
        read_key(columns.folder / "logs")


@pytest.mark.slow
def test_different_keys_are_refused(columns: Columns):
    (columns.folder / "logs" / KEY_FILE).unlink()
    write_key(columns.folder / "logs" / KEY_FILE, os.urandom(32))
    call = columns.evaluate()
    assert call.code == 2 and "have different keys" in call.err, call.err
    assert not any(Register(columns.folder / party).entries() for party in ("profiles", "logs"))


@pytest.mark.slow
def test_too_few_common_users_are_refused(columns: Columns):
    call = columns.evaluate(minimum_cohort=1000)
    assert call.code == 2 and "too few users in common" in call.err


@pytest.mark.slow
def test_a_model_of_other_profile_fields_is_refused(columns: Columns):
    manifest = columns.folder / "profiles" / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"under 25"', '"below 25"'))
    call = columns.evaluate()
    assert call.code == 2 and "not those that the model knows" in call.err


def errors_of(path: Path) -> str:
    with pytest.raises(SpecErrors) as raised:
        load_parties(path)
    return str(raised.value)


def test_a_party_file_says_where_columns_do_not_fit(columns: Columns):
    file = columns.party_file()
    right = file.read_text()
    file.write_text(right.replace("divided: columns", "divided: users"))
    assert re.search(r":2:\d+: .*holds profiles only: write `divided: columns`", errors_of(file))
    file.write_text(right.replace("data: logs", f"data: {columns.whole.data}"))
    assert re.search(r":3:\d+: .*holds users with all their columns", errors_of(file))
    shutil.copytree(columns.folder / "logs", columns.folder / "more")
    file.write_text(right.replace("data: profiles", "data: more"))
    assert re.search(r":3:\d+: .*holds logs, and so does the folder of 'profiles'", errors_of(file))
    file.write_text(right.replace("parties:", "parties:\n  third: {data: more}"))
    assert re.search(r":5:\d+: .*two parties have `data`", errors_of(file))
    file.write_text(f"{right}noise: {{epsilon: 1.0}}\n")
    assert re.search(r":8:\d+: no noise is added to columns", errors_of(file))


def test_columns_are_divided_between_two(columns: Columns, tmp_path: Path):
    call = adaptune(
        "split", columns.whole.data, "--by", "columns", "--parties", "3", "--out", tmp_path / "three"
    )
    assert call.code == 2 and "--parties 2" in call.err
    manifest = json.loads((columns.whole.data / "manifest.json").read_text())
    bare = Path(shutil.copytree(columns.whole.data, tmp_path / "bare"))
    (bare / "manifest.json").write_text(json.dumps({**manifest, "profile_fields": {}}))
    call = adaptune("split", bare, "--by", "columns", "--out", tmp_path / "two")
    assert call.code == 2 and "users who have profile fields" in call.err
