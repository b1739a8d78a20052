"""Secure evaluation as a part of a sweep: `run` ends with it, `promote` is gated by it, nothing is added up twice."""

import json
import re
from pathlib import Path

import pytest

from components.metrics import rows as row_tools
from components.privacy.totals import MEASURES, metric_names
from components.tasks import TASKS
from components.tasks.recommendation.evaluation import rows_of
from orchestrator.records.workspace import Workspace, read_json
from orchestrator.release.promote import Verdict, judge_over_parties
from orchestrator.release.registry import Registry
from orchestrator.secure.evaluate import find_model
from orchestrator.secure.following import EvaluationFailed
from orchestrator.secure.kept import kept_result
from orchestrator.secure.model_files import model_digest
from orchestrator.secure.register import Register
from orchestrator.spec.parties import NoiseSettings, load_parties
from orchestrator.spec.sweep import Gate
from orchestrator.sweep import Sweep
from tests.orchestrator.conftest import TINY
from tests.orchestrator.secure.conftest import PARTIES, Divided
from tests.orchestrator.sweeping import Call, Json, adaptune, edit_json, edit_ledger, ledger_of, write_sweep

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.usefixtures("no_ray")]

PASSES = {"metric": "accuracy", "over": "parties", "min": 0.0}
REFUSES = {"metric": "pooled_accuracy", "over": "parties", "min": 1.01}
REFUSES_ON_DATA = {"metric": "accuracy", "min": 1.01}


def run(divided: Divided, *gates: Json, **keys: object) -> Call:
    """Run the sweep, every trial of which is done, with these gates and keys of the party file."""
    divided.party_file(**{"part": "validation", **keys})
    section = {"secure_evaluation": {"parties": "parties.yaml"}, "promote": {"gates": list(gates)}}
    sweep = write_sweep(divided.folder, {**TINY, "tracking": {"enabled": True}, **section})
    return adaptune("run", sweep, "--home", divided.home, "--json")


def promote(divided: Divided) -> Call:
    return adaptune("promote", "tiny", "--home", divided.home, "--json")


def forget(divided: Divided) -> None:
    """Undo an evaluation: the home's result and the parties' ledgers."""
    for path in [*divided.results(), *divided.folder.glob("*/evaluations.json")]:
        path.unlink()


def entries(divided: Divided) -> list[int]:
    return [len(Register(divided.folder / party).entries()) for party in PARTIES]


@pytest.fixture(scope="module")
def ended(divided_once: Divided, tmp_path_factory: pytest.TempPathFactory) -> tuple[Divided, Call]:
    """The sweep after `adaptune run` with a gate that its winner passes."""
    divided = divided_once.copy(tmp_path_factory.mktemp("ended"))
    call = run(divided, PASSES)
    assert call.code == 0, call.err
    return divided, call


@pytest.fixture
def copied(ended: tuple[Divided, Call], tmp_path: Path) -> Divided:
    return ended[0].copy(tmp_path)


def test_run_ends_with_the_winner_over_the_parties(ended):
    divided, call = ended
    said = call.document["secure_evaluation"]
    assert (said["state"], said["cause"]) == ("evaluated", "")
    best = call.document["best"]["trial"]
    assert said["result"]["version"] == f"tiny/{best}" and said["result"]["part"] == "validation"
    folder = divided.home / "trials" / best / "model"
    module = TASKS["recommendation"].load()
    plain = row_tools.macro(
        rows_of(
            module.load_servable(folder).model, module.open_data(divided.data), "validation", None, False
        ),
        "seen",
    )
    found = said["result"]["groups"]["seen"]["metrics"]
    for name in MEASURES["recommendation"].scores:
        assert found[name] == pytest.approx(plain[name], abs=2e-6), name
    assert "pooled_accuracy" in found and set(found) <= set(metric_names(MEASURES["recommendation"]))
    assert entries(divided) == [1, 1, 1]


def test_what_was_kept_is_used_again_and_never_added_up_twice(copied):
    call = run(copied, PASSES, timeout=30)
    assert (call.code, call.document["secure_evaluation"]["state"]) == (0, "known")
    assert len(copied.results()) == 1 and entries(copied) == [1, 1, 1]


def test_a_result_answers_the_same_question_alone(ended):
    """Another receiver, cohort, part or set of parties is another question; another way to run or place is not."""
    divided, call = ended
    workspace, model = Workspace(divided.home), call.document["secure_evaluation"]["result"]["model"]

    def known(**keys: object) -> bool:
        file = divided.party_file(**{"part": "validation", **keys})
        return kept_result(model, load_parties(file), workspace) is not None

    assert known() and known(timeout=99) and known(run="ray") and known(run="remote")
    for other in ({"receiver": "party-2"}, {"minimum_cohort": 3}, {"part": "test"}):
        assert not known(**other), other
    parties = load_parties(divided.party_file(part="validation"))
    first = parties.parties["party-1"]
    changes = ({"data": divided.data}, {"resource": "x"}, {"privacy_budget": 9.0}, {"data": None})
    for change, same in zip(changes, (True, True, True, False), strict=True):
        changed = {**parties.parties, "party-1": first.model_copy(update=change)}
        found = kept_result(model, parties.model_copy(update={"parties": changed}), workspace)
        assert (found is not None) is same, change
    noisy = parties.model_copy(update={"noise": NoiseSettings(epsilon=1.0)})
    assert kept_result(model, noisy, workspace) is None
    fewer = {name: parties.parties[name] for name in PARTIES[:2]}
    assert kept_result(model, parties.model_copy(update={"parties": fewer}), workspace) is None
    assert kept_result("another model", parties, workspace) is None


def test_the_gate_lets_the_winner_pass_and_the_version_is_the_model_that_was_evaluated(copied):
    call = promote(copied)
    assert call.code == 0, call.err
    [verdict] = call.document["gates"]
    [result] = [read_json(path) for path in copied.results()]
    assert verdict["passed"] and verdict["gate"] == "accuracy over the parties at least 0.0"
    assert verdict["value"] == result["groups"]["seen"]["metrics"]["accuracy"]
    version = Registry(Workspace(copied.home).registry).version(call.document["version"])
    assert model_digest(version.folder) == result["model"]
    assert entries(copied) == [1, 1, 1]


def test_a_gate_over_parties_that_does_not_hold_refuses(copied):
    assert run(copied, PASSES, REFUSES).code == 0
    call = adaptune("promote", "tiny", "--home", copied.home)
    assert call.code == 4
    assert re.search(r"passed +accuracy over the parties at least 0.0: 0\.\d{4}", call.out)
    assert re.search(r"refused +pooled_accuracy over the parties at least 1.01: 0\.\d{4}", call.out)
    assert "nothing was promoted" in call.out


def test_nobody_is_evaluated_for_a_promotion_that_another_gate_refuses(copied):
    run(copied, PASSES, REFUSES_ON_DATA)
    forget(copied)
    refused = promote(copied)
    assert refused.code == 4 and not copied.results() and entries(copied) == [0, 0, 0]
    assert [verdict["gate"] for verdict in refused.document["gates"]] == [
        "accuracy over the parties at least 0.0 (not evaluated, because another gate refused)",
        "accuracy at least 1.01",
    ]


@pytest.mark.slow
def test_a_party_that_refuses_costs_the_sweep_nothing_and_promote_asks_again(copied):
    forget(copied)
    ledger = copied.folder / "party-2" / "evaluations.json"
    ledger.write_text("torn")
    call = run(copied, PASSES)
    assert (call.code, call.document["failed"]) == (3, 0) and call.document["best"] is not None
    said = call.document["secure_evaluation"]
    assert said["state"] == "failed"
    assert re.search(r"party-2: .*ledger of evaluations is damaged", said["cause"])
    assert adaptune("compare", "tiny", "--home", copied.home).code == 0
    ledger.unlink()
    assert promote(copied).code == 0
    assert len(copied.results()) == 1 and entries(copied) == [1, 1, 1]


def test_an_evaluation_that_breaks_off_promotes_nothing(copied, monkeypatch):
    forget(copied)

    def break_off(*_: object) -> None:
        raise EvaluationFailed("dealer: was lost")

    monkeypatch.setattr("orchestrator.secure.winner.evaluate_version", break_off)
    call = promote(copied)
    assert call.code == 2
    assert "nothing was promoted" in call.err and "dealer: was lost" in call.err and "tries again" in call.err


def test_a_sweep_with_failed_trials_waits(copied):
    """Another trial may win yet."""
    forget(copied)
    edit_ledger(copied.home, "UPDATE trials SET state='failed', cause='boom' WHERE id=:id", id=_loser(copied))
    call = run(copied, PASSES)
    assert call.code == 3 and call.document["secure_evaluation"]["state"] == "waiting"
    assert not copied.results()


def _loser(divided: Divided) -> str:
    """A trial of the grid that was not chosen."""
    members = ledger_of(divided.home).members("tiny")
    chosen = {member.trial_id for member in members if member.phase == "final"}
    return next(
        member.trial_id for member in members if member.phase == "grid" and member.trial_id not in chosen
    )


def test_seats_that_are_started_by_hand_are_waited_for(copied):
    [kept] = copied.results()
    result = read_json(kept)
    kept.unlink()
    call = run(copied, PASSES, run="remote")
    said = call.document["secure_evaluation"]
    assert (call.code, said["state"], said["result"]) == (0, "by hand", None)
    folder = copied.home / "trials" / call.document["best"]["trial"] / "model"
    assert str(folder) in said["cause"]
    handed = find_model(str(folder), Registry(Workspace(copied.home).registry))
    assert (handed.task, model_digest(handed.folder)) == ("recommendation", result["model"])
    refused = promote(copied)
    assert refused.code == 2 and "adaptune party" in refused.err
    # What the receiver's seat keeps, which was given a folder by hand and knows nothing of the sweep:
    kept.write_text(json.dumps({**result, "sweep": None, "version": "model", "run": "remote"}))
    assert promote(copied).code == 0


def test_a_study_and_a_notebook_end_with_it_as_well(copied):
    copied.party_file(part="validation")
    folder = copied.folder / "study"
    folder.mkdir()
    section = {"secure_evaluation": {"parties": "../parties.yaml"}}
    sweep = write_sweep(folder, {**TINY, **section})
    [one] = adaptune("study", folder, "--home", copied.home, "--json").document["sweeps"]
    assert one["secure_evaluation"]["state"] == "known"
    judged = Sweep.load(sweep, home=copied.home).run().judged
    assert judged is not None and judged.state == "known"


def test_a_gate_on_test_data_of_the_parties_stops_the_run(copied):
    call = run(copied, PASSES, part="test")
    assert call.code == 2
    assert re.search(r"tiny\.yaml:\d+:\d+: `over: parties` would let test data decide: `part` in ", call.err)


def test_what_was_found_stands_in_status_compare_and_report(ended):
    divided, call = ended
    found = call.document["secure_evaluation"]["result"]
    for command in ("status", "compare"):
        assert (
            adaptune(command, "tiny", "--home", divided.home, "--json").document["secure_evaluation"] == found
        )
        said = adaptune(command, "tiny", "--home", divided.home).out
        assert f"seen users of {', '.join(PARTIES)}, validation part: accuracy 0." in said
    report = adaptune("report", "tiny", "--home", divided.home, "--json")
    page = Path(report.document["report"]).read_text()
    assert "Over private users" in page and f"{found['version']} (model {found['model']})" in page
    assert "Not of the present winner" not in page


def test_a_result_of_another_winner_is_shown_as_such(copied):
    [kept] = copied.results()
    edit_json(kept, model="0" * 16)
    report = adaptune("report", "tiny", "--home", copied.home, "--json")
    assert "Not of the present winner" in Path(report.document["report"]).read_text()
    assert adaptune("compare", "tiny", "--home", copied.home, "--json").document["secure_evaluation"] is None


def test_a_damaged_result_is_named(copied):
    [kept] = copied.results()
    kept.write_text(json.dumps([])[:1])
    call = promote(copied)
    assert call.code == 2 and f"{kept} is damaged" in call.err
    call = run(copied, PASSES)
    assert call.code == 3 and call.document["best"] is not None
    assert f"{kept} is damaged" in call.document["secure_evaluation"]["cause"]


@pytest.mark.parametrize(
    ("changes", "text", "value", "passed"),
    [
        ({}, "", 0.7, True),
        ({"margins": {"auc": 0.1}}, " (19 times of 20, noise moves it by 0.1000 at most)", 0.7, True),
        ({"margins": {}}, " (may be all noise)", 0.7, False),
        ({"metrics": {}}, " (withheld, or nobody has it: see r.json)", None, False),
        ({"metrics": {"auc": 0.69}}, "", 0.69, False),
    ],
)
def test_a_verdict_says_why_a_value_is_missing_or_doubtful(changes, text, value, passed):
    gate = Gate(metric="auc", over="parties", min=0.7)
    seen = {"metrics": {"auc": 0.7}, "margins": None, **changes}
    result = {"groups": {"seen": seen}, "kept": "r.json", "insecure_simulation": False}
    [verdict] = judge_over_parties(gate, result, "seen")
    assert verdict == Verdict(f"auc over the parties at least 0.7{text}", value, passed)
    [other] = judge_over_parties(gate, result, "unseen")  # a group that was withheld whole
    assert (other.value, other.passed) == (None, False)
    [insecure] = judge_over_parties(gate, {**result, "insecure_simulation": True}, "seen")
    assert ("NOT SECURE" in insecure.gate) is (value is not None)
