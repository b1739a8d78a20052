"""One sweep that cannot be read any more does not hide the others."""

import pytest

from orchestrator.records.ledger import Ledger, Member
from orchestrator.records.workspace import Workspace
from tests.orchestrator.sweeping import adaptune

READABLE = {"name": "good", "task": "recommendation", "data": {"source": "synthetic"}}


@pytest.fixture
def home(tmp_path):
    workspace = Workspace(tmp_path)
    workspace.create()
    ledger = Ledger(workspace.ledger_url)
    ledger.record_sweep("good", "recommendation", "digest", READABLE)
    ledger.record_sweep("old", "recommendation", "digest", READABLE | {"name": "old", "eras": 3})
    return tmp_path


def test_a_sweep_that_cannot_be_read_is_listed_with_the_reason(home):
    document = adaptune("status", "--home", home, "--json").document
    assert [line["sweep"] for line in document["sweeps"]] == ["good"]
    assert list(document["unreadable"]) == ["old"]
    assert "eras" in document["unreadable"]["old"]
    listed = adaptune("status", "--home", home)
    assert listed.code == 0
    assert "good" in listed.out
    assert "old: cannot be read as it was recorded" in listed.out


def test_asked_for_by_name_it_is_refused(home):
    refused = adaptune("status", "old", "--home", home)
    assert refused.code == 2
    assert "eras" in refused.err


def test_an_ablation_is_listed_as_waiting_before_its_point_is_chosen(home):
    ledger = Ledger(Workspace(home).ledger_url)
    without = {"ablations": {"no-attention": {"model.personalization.attention": False}}, "seeds": [0, 1]}
    ledger.record_sweep("good", "recommendation", "digest", READABLE | without)
    ledger.set_members("good", "grid", [Member("grid", "model", "t0", {}, 0)])
    document = adaptune("status", "good", "--home", home, "--json").document
    assert [(each["trial"], each["row"], each["seed"], each["state"]) for each in document["trials"]] == [
        ("t0", "model", 0, "waiting"),
        (None, "no-attention", 0, "waiting"),
        (None, "no-attention", 1, "waiting"),
    ]
    assert document["progress"]["trials"] == {"waiting": 3}
    lines = adaptune("status", "good", "--home", home).out.splitlines()
    assert lines[2].split() == ["-", "no-attention", "attention", "False", "0", "waiting"]
    assert lines[-1].startswith("- no trial yet: awaits the choice of the best point")
