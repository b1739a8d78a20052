"""`model: private`: the owner alone has the whole model, and the totals come out all the same."""

import pytest

from components.privacy import ENCODER
from tests.orchestrator.secure.conftest import Divided
from tests.orchestrator.sweeping import adaptune

pytestmark = pytest.mark.xdist_group("ray")


@pytest.fixture
def private(divided: Divided) -> Divided:
    """The third party has no users: it brings the model."""
    return divided


def evaluate(divided: Divided, without_users: bool = True, **keys: object):
    file = divided.party_file(model="private", **keys)
    if without_users:
        file.write_text(file.read_text().replace("party-3: {data: party-3}", "party-3: {}"))
    return adaptune("evaluate", divided.version, "--parties", file, "--home", divided.home, "--json")


def test_totals_of_a_model_that_stays_with_its_owner(private: Divided):
    call = evaluate(private, owner="party-3")
    assert call.code == 0, call.err
    result = call.document
    metrics = result["groups"]["seen"]["metrics"]
    assert 0 < metrics["accuracy"] <= 1 and 0 <= metrics["next_hit_rate@10"] <= 1
    assert sum(result["groups"]["seen"]["opened"]["next_item"]) == result["groups"]["seen"]["users"]
    said = {part["about"]: part["text"] for part in result["statement"]}
    assert "Kept by party-3" in said and "encoder" in said["Public to all parties"]
    holds = {role["who"]: role["holds"] for role in result["roles"]}
    assert holds["party-3"] == "the whole model" and holds["party-1"].endswith("the open encoder")


def test_what_parties_are_handed_has_no_weights_of_the_head(private: Divided, tmp_path):
    call = adaptune(
        "export",
        private.version,
        "--encoder",
        "--out",
        tmp_path / "encoder",
        "--home",
        private.home,
        "--json",
    )
    assert call.code == 0, call.err
    assert sorted(call.document["files"]) == ["config.json", ENCODER, "items.arrow", "vocabulary.json"]
    for what in ("export", "evaluate"):
        again = (
            ["--encoder", "--out", tmp_path / "again"] if what == "export" else ["--parties", owned(private)]
        )
        refused = adaptune(what, tmp_path / "encoder", *again, "--home", private.home)
        assert refused.code == 2 and "is an encoder only" in refused.err
    assert not (tmp_path / "again").exists()


def owned(divided: Divided):
    return divided.party_file(model="private", owner="party-3")


@pytest.mark.slow
def test_an_owner_may_have_users_too(private: Divided):
    call = evaluate(private, without_users=False, owner="party-3")
    assert call.code == 0, call.err
    assert "its users' events, the whole model" in {role["holds"] for role in call.document["roles"]}
