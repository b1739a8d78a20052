"""A party's own ledger: each (version, snapshot, metric set) once, and what broke off only as it was."""

import json
from dataclasses import replace

import pytest

from components.errors import DataError
from orchestrator.secure.register import FILE, AlreadyEvaluated, Entry, Register

ENTRY = Entry(
    "recommendation/1", "model", "snapshot", "metrics", "asked by a, b, c", "2026-01-01T00:00:00+00:00"
)


def test_what_is_finished_is_not_evaluated_again(tmp_path):
    register = Register(tmp_path)
    register.begin(ENTRY)
    register.finish(ENTRY)
    with pytest.raises(AlreadyEvaluated, match="opened once"):
        register.begin(replace(ENTRY, began="later"))
    assert [entry.state for entry in register.entries()] == ["finished"]


@pytest.mark.parametrize("key", ["model", "snapshot", "metric_set"])
def test_another_version_snapshot_or_metric_set_is_evaluated(tmp_path, key):
    register = Register(tmp_path)
    register.begin(ENTRY)
    register.finish(ENTRY)
    register.begin(replace(ENTRY, **{key: "another"}))
    assert len(register.entries()) == 2


def test_what_broke_off_is_repeated_only_with_the_same_parties(tmp_path):
    register = Register(tmp_path)
    register.begin(ENTRY)
    with pytest.raises(AlreadyEvaluated, match="repeated only as it was"):
        register.check(replace(ENTRY, request="asked by a and c"))
    again = replace(ENTRY, began="later")
    register.begin(again)
    assert register.entries() == [again]


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
    with pytest.raises(AlreadyEvaluated, match="again only with `noise`"):
        register.begin(ENTRY)


def test_ledgers_from_before_there_was_noise_are_read(tmp_path):
    register = Register(tmp_path)
    register.begin(ENTRY)
    text = (tmp_path / FILE).read_text()
    known = json.loads(text)
    del known[0]["epsilon"]
    (tmp_path / FILE).write_text(json.dumps(known))
    assert register.entries() == [ENTRY]
