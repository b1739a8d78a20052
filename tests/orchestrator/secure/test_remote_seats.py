"""Seats that are started by hand, one process each, meeting at an address."""

import socket

import pytest

from tests.orchestrator.secure.conftest import PARTIES, Divided
from tests.orchestrator.sweeping import adaptune, end, start

pytestmark = pytest.mark.xdist_group("ray")


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.slow
def test_seats_that_are_started_by_hand_give_the_result_to_the_receiver_alone(divided: Divided, tmp_path):
    exported = adaptune("export", divided.version, "--out", tmp_path / "model", "--home", divided.home)
    assert exported.code == 0, exported.err
    assert not list((tmp_path / "model").glob("population*"))
    file = divided.party_file(run="remote")
    common = ("--parties", file, "--rendezvous", free_address(), "--json", "--home")
    seats = [
        start("party", tmp_path / "model", "--role", "party", "--rank", str(rank), *common, tmp_path / name)
        for rank, name in enumerate(PARTIES)
    ]
    seats.append(start("party", "--role", "dealer", *common, tmp_path / "dealer"))
    calls = [end(seat) for seat in seats]
    assert [call.code for call in calls] == [0] * 4, [call.err for call in calls]
    receiver, *others = (call.document for call in calls)
    assert receiver["groups"]["seen"]["metrics"]
    assert not any("groups" in other for other in others)
    assert [list((tmp_path / name).glob("evaluations/*.json")) != [] for name in PARTIES] == [
        True,
        False,
        False,
    ]


@pytest.mark.slow
def test_parties_with_different_models_refuse_each_other(divided: Divided, tmp_path):
    for name in ("model", "other"):
        adaptune("export", divided.version, "--out", tmp_path / name, "--home", divided.home)
    config = tmp_path / "other" / "config.json"
    config.write_text(config.read_text() + "\n")
    file = divided.party_file(run="remote", timeout=15)
    common = ("--parties", file, "--rendezvous", free_address(), "--home", tmp_path)
    models = ("model", "model", "other")
    seats = [
        start("party", tmp_path / model, "--rank", str(rank), *common) for rank, model in enumerate(models)
    ]
    seats.append(start("party", "--role", "dealer", *common))
    calls = [end(seat) for seat in seats]
    assert all(call.code == 2 for call in calls[:3]), [call.err for call in calls]
    assert not list((tmp_path / "evaluations").glob("*.json"))


def with_keys(divided: Divided, folder, names=(*PARTIES, "dealer")) -> dict[str, str]:
    """Make a key for each seat and list them in the party file; returns the public ones."""
    public = {}
    for name in names:
        made = adaptune("party", "--new-key", folder / f"{name}.pem", "--json")
        assert made.code == 0, made.err
        public[name] = made.document["public_key"]
    file = divided.folder / "parties.yaml"
    text = file.read_text()
    for name in PARTIES:
        text = text.replace(f"data: {name}}}", f"data: {name}, public_key: {public[name]}}}")
    file.write_text(text + f"dealer: {{public_key: {public['dealer']}}}\n")
    return public


@pytest.mark.slow
def test_seats_with_listed_keys_prove_who_they_are_and_the_result_says_so(divided: Divided, tmp_path):
    adaptune("export", divided.version, "--out", tmp_path / "model", "--home", divided.home)
    file = divided.party_file(run="remote")
    with_keys(divided, tmp_path)
    common = ("--parties", file, "--rendezvous", free_address(), "--json", "--home", tmp_path)
    seats = [
        start("party", tmp_path / "model", "--name", name, "--key", tmp_path / f"{name}.pem", *common)
        for name in PARTIES
    ]
    seats.append(start("party", "--role", "dealer", "--key", tmp_path / "dealer.pem", *common))
    calls = [end(seat) for seat in seats]
    assert [call.code for call in calls] == [0] * 4, [call.err for call in calls]
    said = {part["about"]: part["text"] for part in calls[0].document["statement"]}
    assert "Ed25519" in said["Transport"] and "nobody proves" not in said["Transport"]


def test_a_seat_that_brings_no_key_or_a_wrong_one_is_refused_at_once(divided: Divided, tmp_path):
    file = divided.party_file(run="remote")
    seat = ("party", divided.version, "--parties", file, "--name", PARTIES[0], "--rendezvous", "127.0.0.1:1")
    unlisted = adaptune(*seat, "--home", divided.home, "--key", tmp_path / "any.pem")
    assert unlisted.code == 2 and "lists no public keys" in unlisted.err
    public = with_keys(divided, tmp_path)
    missing = adaptune(*seat, "--home", divided.home)
    assert missing.code == 2 and "expected `--key FILE`" in missing.err
    wrong = adaptune(*seat, "--home", divided.home, "--key", tmp_path / f"{PARTIES[1]}.pem")
    assert wrong.code == 2 and "is not the key of party-1" in wrong.err and public[PARTIES[0]] in wrong.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--rank", "7"), "3 parties, so no rank 7"),
        (("--name", "party-9"), "no party 'party-9'; did you mean"),
        ((), "either `--rank` or `--name`"),
        (("--rank", "0"), "--rendezvous host:port"),
    ],
)
def test_a_seat_that_the_file_does_not_have_is_refused(divided: Divided, options, message):
    file = divided.party_file(run="remote")
    call = adaptune("party", divided.version, "--parties", file, *options, "--home", divided.home)
    assert call.code == 2 and message in call.err
