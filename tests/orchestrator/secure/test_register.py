"""A party's own ledger: each (version, snapshot, metric set) once, and again only as it was."""

import json
from dataclasses import replace

import numpy as np
import pytest

from components.errors import AdaptuneError, DataError
from components.privacy.evaluation import Request, evaluate
from components.privacy.totals import MEASURES, Tally
from orchestrator.secure.register import FILE, KEY, AlreadyEvaluated, Entry, Register, seals_of
from tests.components.privacy.meeting import Table

SEALS = {"a": "1", "b": "2", "c": "3"}
ENTRY = Entry(
    "recommendation/1",
    "model",
    "snapshot",
    "metrics",
    "asked by a, b, c",
    "2026-01-01T00:00:00+00:00",
    seals=SEALS,
)


@pytest.mark.parametrize("finished", [True, False])
def test_an_evaluation_is_repeated_exactly_as_it_was_whether_or_not_it_broke_off(tmp_path, finished):
    register = Register(tmp_path)
    register.begin(ENTRY)
    if finished:
        register.finish(ENTRY)
    again = register.begin(replace(ENTRY, began="later"))
    register.finish(again)
    assert [entry.began for entry in register.entries()] == [ENTRY.began, "later"]
    assert [entry.state for entry in register.entries()] == ["finished" if finished else "begun", "finished"]


@pytest.mark.parametrize("finished", [True, False])
def test_other_parties_or_other_data_of_another_party_are_refused(tmp_path, finished):
    register = Register(tmp_path)
    register.begin(ENTRY)
    if finished:
        register.finish(ENTRY)
    with pytest.raises(AlreadyEvaluated, match="repeated only as it was"):
        register.check(replace(ENTRY, request="asked by a and c"))
    with pytest.raises(AlreadyEvaluated, match="the data of b have changed"):
        register.begin(replace(ENTRY, seals={**SEALS, "b": "4"}))
    assert len(register.entries()) == 1


@pytest.mark.parametrize("key", ["model", "snapshot", "metric_set"])
def test_another_version_snapshot_or_metric_set_is_evaluated(tmp_path, key):
    register = Register(tmp_path)
    register.begin(ENTRY)
    register.finish(ENTRY)
    register.begin(replace(ENTRY, **{key: "another"}))
    assert len(register.entries()) == 2


def test_a_seal_tells_whether_data_are_the_same_and_nothing_else(tmp_path):
    register, other = Register(tmp_path), Register(tmp_path / "other")
    (tmp_path / "other").mkdir()
    assert register.seal("snapshot") == Register(tmp_path).seal("snapshot") != register.seal("another")
    assert register.seal("snapshot") != other.seal("snapshot"), "two parties with equal data show the same"
    assert (tmp_path / KEY).stat().st_mode & 0o777 == 0o600


def test_a_party_refuses_to_repeat_once_another_ones_data_have_changed(tmp_path):
    """All parties in one process: the seals travel in the meeting, and each ledger judges by itself."""
    request = Request("recommendation", "digest", "test", ("a", "b", "c"), receiver=0, minimum_cohort=1)
    measures = MEASURES[request.task]
    registers = [Register(tmp_path / name) for name in request.parties]
    for register in registers:
        register.path.parent.mkdir()

    def meet(snapshots):
        def step(chair):
            register = registers[chair.rank]

            seals = seals_of(chair, request.parties, register.seal(snapshots[chair.rank]))

            def permit():
                entry = replace(ENTRY, snapshot=snapshots[chair.rank], request=request.text(), seals=seals)
                register.finish(register.begin(entry))
                if "changed" in snapshots and chair.rank == 2:
                    raise AdaptuneError("leaves, as the others do")

            n = 3 + chair.rank
            scores = {name: np.full(n, lowest) for name, (lowest, _) in measures.scores.items()}
            counts = {name: np.zeros((n, count.numbers), int) for name, count in measures.counts.items()}
            tally = Tally(np.arange(n), scores, counts)
            return evaluate(chair, chair.rank, request, {"seen": tally}, permit)

        table = Table(3)
        return table.together(step), [numbers.tolist() for numbers in table.opened]

    first, opened = meet(["1", "2", "3"])
    again, reopened = meet(["1", "2", "3"])
    assert first[0] is not None and first[0] == again[0] and opened == reopened
    found, opened = meet(["1", "2", "changed"])
    assert not opened
    assert all("the data of c have changed" in str(each) for each in found[:2])


def test_a_damaged_ledger_allows_nothing(tmp_path):
    (tmp_path / FILE).write_text("[{]")
    with pytest.raises(DataError, match="nothing is evaluated without it"):
        Register(tmp_path).begin(ENTRY)


def noisy(epsilon, **changes):
    return replace(ENTRY, epsilon=epsilon, **changes)


def test_with_noise_it_is_evaluated_again_until_the_budget_is_spent(tmp_path):
    """Epsilons of one snapshot add up, whatever the model and metrics, and whether or not they were finished."""
    register = Register(tmp_path)
    register.begin(ENTRY)
    register.finish(ENTRY)
    for number, entry in enumerate([noisy(0.5), noisy(0.5), noisy(0.7, model="other", metric_set="others")]):
        register.begin(entry, budget=2.0)
        if number:
            register.finish(entry)
    assert register.spent("snapshot") == pytest.approx(1.7)
    with pytest.raises(AlreadyEvaluated, match=r"spend an epsilon of 0.4, and 0.3 of this party's 2 is left"):
        register.begin(noisy(0.4), budget=2.0)
    register.begin(noisy(0.3), budget=2.0)
    register.begin(noisy(2.0, snapshot="another"), budget=2.0)
    assert len(register.entries()) == 6


def test_a_party_without_a_budget_has_nothing_to_spend(tmp_path):
    with pytest.raises(AlreadyEvaluated, match="0 of this party's 0 is left"):
        Register(tmp_path).check(noisy(0.1))


def test_the_exact_evaluation_is_allowed_once_whatever_was_evaluated_with_noise(tmp_path):
    register = Register(tmp_path)
    register.begin(noisy(1.0), budget=2.0)
    register.finish(noisy(1.0))
    register.begin(ENTRY)
    register.finish(ENTRY)
    with pytest.raises(AlreadyEvaluated, match="or with `noise`"):
        register.begin(replace(ENTRY, request="another"))


def test_ledgers_from_before_there_was_noise_are_read(tmp_path):
    register = Register(tmp_path)
    register.begin(ENTRY)
    text = (tmp_path / FILE).read_text()
    known = json.loads(text)
    del known[0]["epsilon"]
    (tmp_path / FILE).write_text(json.dumps(known))
    assert register.entries() == [ENTRY]
