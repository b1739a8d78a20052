"""`adaptune split` and `adaptune evaluate` on one machine: what comes out, what is refused, what dies."""

import json
import os
import re
import signal
import time
from pathlib import Path

import psutil
import pytest

from components.metrics import rows as row_tools
from components.privacy.tallies import tallies_of
from components.privacy.totals import MEASURES
from components.tasks import TASKS
from orchestrator.records.workspace import Workspace
from orchestrator.release.registry import Registry
from orchestrator.secure.evaluate import assign, find_model
from orchestrator.secure.register import AlreadyEvaluated, Register
from orchestrator.secure.seats import take_seat
from orchestrator.spec.parties import load_parties
from tests.orchestrator.secure.conftest import PARTIES, Divided
from tests.orchestrator.sweeping import Call, Json, adaptune, end, start

pytestmark = pytest.mark.xdist_group("ray")


def evaluate(divided: Divided, *options: str, **keys: object) -> Call:
    file = divided.party_file(**keys)
    return adaptune(
        "evaluate", divided.version, "--parties", file, "--home", divided.home, "--json", *options
    )


def plain_rows(divided: Divided):
    """The rows of the same model on the users of all parties, by the task's own evaluation."""
    module = TASKS["recommendation"].load()
    servable = module.load_servable(divided.model)
    data = module.open_data(divided.data)
    from components.tasks.recommendation.evaluation import rows_of

    return rows_of(servable.model, data, "test", None, False)


@pytest.fixture(scope="module")
def evaluated(divided_once: Divided, tmp_path_factory: pytest.TempPathFactory) -> tuple[Divided, Json]:
    """An evaluation that went well, to be looked at from several sides."""
    divided = divided_once.copy(tmp_path_factory.mktemp("evaluated"))
    call = evaluate(divided)
    assert call.code == 0, call.err
    return divided, call.document


def test_secure_metrics_are_the_plain_ones_and_the_counts_are_exact(evaluated):
    divided, result = evaluated
    rows = plain_rows(divided)
    whole = tallies_of("recommendation", divided.model, divided.data, "test")
    measures = MEASURES["recommendation"]
    assert set(result["groups"]) <= set(whole) and "seen" in result["groups"]
    for group, found in result["groups"].items():
        plain = row_tools.macro(rows, group)
        for name in measures.scores:
            if name in found["metrics"]:
                assert found["metrics"][name] == pytest.approx(plain[name], abs=2e-6), name
        for name, numbers in found["opened"].items():
            if name in measures.counts:
                assert numbers == measures.numbers(name, whole[group]).tolist(), name
    assert result["parties"] == list(PARTIES) and result["receiver"] == "party-1"
    assert not result["insecure_simulation"]


def test_a_result_says_what_was_promised_opened_and_spent_and_is_kept(evaluated):
    divided, result = evaluated
    said = {part["about"]: part["text"] for part in result["statement"]}
    assert "Semi-honest" in said["Attack model"] and "no encryption" in said["Transport"]
    assert any(about.startswith("Opened to party-1") for about in said)
    assert set(result["traffic"]) == {*PARTIES, "dealer"}
    for traffic in (result["traffic"][party] for party in PARTIES):
        assert traffic["rounds"] > 0 and traffic["bytes"] > 0 and traffic["seconds"] > 0
    (kept,) = divided.results()
    assert json.loads(kept.read_text())["groups"] == result["groups"]


def test_each_party_has_entered_it_into_its_own_ledger(evaluated):
    divided, _ = evaluated
    for party in PARTIES:
        assert [entry.state for entry in Register(divided.folder / party).entries()] == ["finished"]


def test_a_party_that_was_evaluated_refuses_another_receiver_and_the_others_are_called_off(
    evaluated, tmp_path
):
    """The ledger of one party alone says no."""
    divided = evaluated[0].copy(tmp_path)
    for party in PARTIES[:2]:
        (divided.folder / party / "evaluations.json").unlink()
    call = evaluate(divided, receiver="party-2")
    assert call.code == 2
    assert re.search(r"party-3: .*repeated only as it was", call.err)
    assert len(divided.results()) == 1
    assert not Register(divided.folder / "party-1").entries()


@pytest.mark.slow
def test_an_evaluation_is_repeated_as_it_was_and_not_with_changed_data(evaluated, tmp_path):
    divided, result = evaluated[0].copy(tmp_path), evaluated[1]
    again = evaluate(divided)
    assert again.code == 0, again.err
    assert again.document["groups"] == result["groups"]
    for party in PARTIES:
        assert len(Register(divided.folder / party).entries()) == 2
    manifest = divided.folder / "party-3" / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    call = evaluate(divided)
    assert call.code == 2
    assert "the data of party-3 have changed since" in call.err
    assert len(divided.results()) == 2


def test_with_noise_it_is_evaluated_again_while_every_partys_budget_lasts(evaluated, tmp_path):
    """The ledgers hold an exact evaluation already, which does not count."""
    divided = evaluated[0].copy(tmp_path)
    noise = {"noise": "{epsilon: 1.5, contributions: 10}", "minimum_cohort": 1}
    call = evaluate(divided, **noise)
    if call.code:  # so few users that noise may leave too few of them
        assert "too few users together" in call.err and "epsilon is spent" in call.err
    else:
        said = {part["about"]: part["text"] for part in call.document["statement"]}
        assert "epsilon 1.5" in said["Noise"] and "ledger" in said["Budget"] and "Once" not in said
        assert call.document["noise"]["added_by"] == list(PARTIES)
        for found in call.document["groups"].values():
            assert set(found["margins"]) <= set(found["metrics"]) and not found["holders"]
    assert [entry.epsilon for entry in Register(divided.folder / "party-2").entries()] == [0, 1.5]
    model = find_model(divided.version, Registry(Workspace(divided.home).registry))
    again = assign(model, load_parties(divided.party_file(**noise)))[1]
    with pytest.raises(AlreadyEvaluated, match=r"an epsilon of 1.5, and 0.5 of this party's 2 is left"):
        take_seat(again, lambda: pytest.fail("it came to a meeting"))


def test_a_cohort_that_is_too_small_opens_nothing_and_enters_nothing(divided):
    call = evaluate(divided, minimum_cohort=1000)
    assert call.code == 2
    assert "too few users together" in call.err and "Nothing was opened" in call.err
    assert not divided.results()
    assert not any(Register(divided.folder / party).entries() for party in PARTIES)


def test_the_report_of_the_sweep_shows_the_evaluation(evaluated):
    divided, _ = evaluated
    report = adaptune("report", "tiny", "--home", divided.home, "--json")
    assert report.code == 0, report.err
    page = Path(report.document["report"]).read_text()
    assert "Over private users" in page and "Semi-honest" in page and "Who holds what" in page


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seat", "blow"),
    [("party-1", signal.SIGKILL), ("dealer", signal.SIGKILL), ("party-3", signal.SIGSTOP)],
)
def test_a_seat_that_is_killed_or_stopped_ends_the_evaluation_with_a_cause(divided, seat, blow):
    file = divided.party_file(timeout=6)
    process = start("evaluate", divided.version, "--parties", file, "--home", divided.home)
    assert process.stderr is not None
    pids, said = {}, []
    for line in process.stderr:
        said.append(line)
        if found := re.match(r"(\S+): has started \(process (\d+)\)", line):
            pids[found[1]] = int(found[2])
        if "has joined" in line:
            break
    began = time.monotonic()
    os.kill(pids[seat], blow)
    call = end(process)
    assert call.code == 2, (said, call)
    assert time.monotonic() - began < 6 + 15 + 15
    assert seat in call.err and "broke off" in call.err
    assert not divided.results()
    assert not any(psutil.pid_exists(pid) for pid in pids.values())
