"""A party's own ledger: each (version, snapshot, metric set) once, and what broke off only as it was."""

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
