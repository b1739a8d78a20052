"""Party files: everything that is wrong is said at once, with its place."""

import base64
from pathlib import Path

import pytest

from orchestrator.spec.parties import load_parties
from orchestrator.spec.problems import SpecErrors

GOOD = """\
parties:
  north: {data: north}
  south: {data: south}
receiver: north
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("north", "south"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text("{}")
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "parties.yaml"
    path.write_text(text)
    return path


def test_folders_count_from_the_file_and_defaults_are_careful(folder):
    parties = load_parties(write(folder, GOOD))
    assert parties.parties["south"].data == folder / "south"
    assert (parties.run, parties.part, parties.minimum_cohort, parties.insecure_simulation) == (
        "local", "test", 20, False,
    )  # fmt: skip
    assert (parties.names, parties.receiver_rank) == (("north", "south"), 0)


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        (
            GOOD.replace("receiver: north", "receiver: nroth"),
            4,
            11,
            "no party named 'nroth'; did you mean 'north'?",
        ),
        (GOOD.replace("south: {data: south}", "south: {data: sotuh}"), 3, 17, "does not exist"),
        (GOOD.replace("data: south", "data: north"), 3, 17, "the folder of 'north' stands here again"),
        (GOOD.replace("data: south", "dta: south"), 3, 11, "unknown key 'dta'; did you mean 'data'?"),
        (GOOD + "run: cloud\n", 5, 6, "expected 'local', 'ray' or 'remote', got 'cloud'"),
        (GOOD + "minimum_cohort: 0\n", 5, 17, "of at least 1"),
        (GOOD.replace("data: south", "data: south, node: b"), 3, 24, "goes with `run: ray`"),
        (GOOD + "rendezvous: 10.0.0.1:29500\n", 5, 1, "goes with `run: remote`"),
        (GOOD + "run: remote\nrendezvous: here\n", 6, 13, "expected `host:port`"),
        (GOOD + "model: secret\n", 5, 8, "expected 'public' or 'private', got 'secret'"),
        (GOOD + "model: private\n", 5, 8, "needs `owner`"),
        (GOOD + "model: private\nowner: nroth\n", 6, 8, "did you mean 'north'?"),
        (GOOD + "owner: south\n", 5, 1, "goes with `model: private`"),
        (
            GOOD + "model: private\nowner: north\nnoise: {epsilon: 1}\n",
            7,
            1,
            "does not go with `model: private`",
        ),
        (GOOD + "dealer: {resource: x}\n", 5, 10, "goes with `run: ray`"),
        (GOOD.replace("  south: {data: south}\n", ""), 1, 1, "1 parties; expected 2 to 16"),
        (GOOD.replace("south: {data: south}", "dealer: {data: south}"), 3, 3, "a party cannot deal"),
        (GOOD.replace("South", "south").replace("  south:", "  South:"), 3, 3, "expected a name"),
        (GOOD.replace("{data: south}", "{}"), 1, 1, "nobody but the receiver has `data`"),
        ("receiver: north\n", 1, 1, "the key 'parties' is missing"),
        (GOOD + "noise: {epsilon: 0}\n", 5, 18, "above 0"),
        (GOOD + "noise: {epsilon: 1, contributions: 0}\n", 5, 36, "from 1 to 100,000"),
        (GOOD + "noise: {contributions: 5}\n", 5, 1, "the key 'noise.epsilon' is missing"),
        (GOOD + "noise: {epsilon: 3}\n", 5, 18, "more than `privacy_budget` of north (2)"),
    ],
)
def test_broken_party_files(folder, text, line, column, message):
    with pytest.raises(SpecErrors) as refusal:
        load_parties(write(folder, text))
    found = [(error.line, error.column, error.message) for error in refusal.value.errors]
    assert any(
        place == (line, column) and message in said for *place_, said in found for place in [tuple(place_)]
    ), found


def test_all_errors_are_said_at_once(folder):
    with pytest.raises(SpecErrors) as refusal:
        load_parties(write(folder, GOOD.replace("receiver: north", "receiver: x") + "rendezvous: a:1\n"))
    assert len(refusal.value.errors) == 2


def test_folders_of_other_hosts_are_not_looked_at(folder):
    text = GOOD.replace("data: south", "data: /elsewhere/south") + "run: remote\n"
    parties = load_parties(write(folder, text), reads=["north"])
    assert parties.parties["south"].data == Path("/elsewhere/south")


KEYS = """\
parties:
  north: {data: north, public_key: NORTH}
  south: {data: south, public_key: SOUTH}
receiver: north
dealer: {public_key: DEALER}
run: remote
"""


def keyed(text: str = KEYS) -> str:
    for name in ("NORTH", "SOUTH", "DEALER"):
        text = text.replace(name, base64.b64encode(name.encode().ljust(32)).decode())
    return text


def test_public_keys_stand_by_rank_with_the_dealers_last(folder):
    keys = load_parties(write(folder, keyed())).public_keys
    assert [base64.b64decode(key).strip() for key in keys] == [b"NORTH", b"SOUTH", b"DEALER"]
    assert load_parties(write(folder, GOOD)).public_keys == ()


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (KEYS.replace("dealer: {public_key: DEALER}\n", ""), 1, "`public_key` of 'dealer' is missing"),
        (KEYS.replace(", public_key: SOUTH", ""), 3, "`public_key` of 'south' is missing"),
        (KEYS.replace("run: remote", "run: local"), 2, "`public_key` goes with `run: remote`, not local"),
        (KEYS.replace("SOUTH", "NORTH"), 3, "the key of 'north' stands here again"),
        (KEYS.replace("SOUTH", "c2hvcnQ="), 3, "expected 32 bytes in base64"),
    ],
)
def test_public_keys_are_for_all_seats_or_for_none(folder, text, line, message):
    with pytest.raises(SpecErrors) as refusal:
        load_parties(write(folder, keyed(text)))
    assert any(error.line == line and message in error.message for error in refusal.value.errors), [
        str(error) for error in refusal.value.errors
    ]


def test_a_party_holds_noise_against_its_own_budget_alone(folder):
    """The others' budgets in its file are not theirs: each reads its own file."""
    text = (
        GOOD.replace("data: north", "data: north, privacy_budget: 3") + "noise: {epsilon: 3}\nrun: remote\n"
    )
    parties = load_parties(write(folder, text), reads=["north"])
    assert parties.noise is not None and (parties.noise.epsilon, parties.noise.contributions) == (3, 20)
    with pytest.raises(SpecErrors, match="`privacy_budget` of south"):
        load_parties(write(folder, text), reads=["south"])
