import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from components.errors import AdaptuneError
from orchestrator.records.ledger import Lease, Ledger, LedgerError, Member
from orchestrator.records.workspace import Workspace
from orchestrator.running.lease import hold_lease, is_alive


def member(name: str, trial_id: str, seed: int = 0) -> Member:
    return Member("final", name, trial_id, {"training.epochs": 2}, seed)


def test_members_keep_their_order_and_those_left_out_are_superseded(ledger: Ledger) -> None:
    ledger.set_members("s", "final", [member("model", "b"), member("model", "a", 1)])
    assert [found.trial_id for found in ledger.members("s", "final")] == ["b", "a"]
    ledger.set_members("s", "final", [member("model", "c"), member("model", "a", 1)])
    assert [found.trial_id for found in ledger.members("s")] == ["c", "a"]
    every = ledger.members("s", superseded=True)
    assert {found.trial_id: found.superseded for found in every} == {"a": False, "b": True, "c": False}
    ledger.set_members("s", "final", [member("model", "b")])
    assert [found.trial_id for found in ledger.members("s")] == ["b"]


def test_every_evaluation_on_test_counts_as_a_look_and_validation_does_not(ledger: Ledger) -> None:
    for _ in range(2):
        ledger.record_evaluation("t", "test", "", "code", {"accuracy": 0.5}, "data")
    ledger.record_evaluation("t", "validation", "shuffled-users", "code", {"accuracy": 0.5}, "data")
    ledger.record_evaluation("t", "test", "", "code", {"accuracy": 0.5}, "other data")
    assert ledger.test_looks("data") == 2
    assert ledger.evaluations("test") == {("t", ""): "code"}


def test_a_trial_is_found_by_the_beginning_of_its_id(ledger: Ledger) -> None:
    for trial_id in ("abc1", "abd2"):
        values = {
            "config": {},
            "data_digest": "d",
            "seed": 0,
            "epochs": 1,
            "state": "finished",
            "attempts": 0,
        }
        ledger.record_trial(trial_id, run_id="r", task="recommendation", **values)
    assert ledger.find_trial("abc").id == "abc1"
    with pytest.raises(AdaptuneError, match="several trials"):
        ledger.find_trial("ab")
    with pytest.raises(AdaptuneError, match="no trial"):
        ledger.find_trial("%")


def test_a_ledger_of_a_newer_version_is_refused(workspace: Workspace, ledger: Ledger) -> None:
    engine = sa.create_engine(workspace.ledger_url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE schema SET version = 99"))
    with pytest.raises(AdaptuneError, match="schema version 99"):
        Ledger(workspace.ledger_url)


def test_a_ledger_that_is_no_database_or_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with pytest.raises(AdaptuneError, match="there is no ledger"):
        Ledger(f"sqlite:///{path}", create=False)
    path.write_text("this is not a database, but it is long enough to be mistaken for one" * 20)
    with pytest.raises(AdaptuneError, match="cannot be opened"):
        Ledger(f"sqlite:///{path}")
    with pytest.raises(AdaptuneError, match="cannot be opened"):
        Ledger("nonsense")


def test_several_may_create_a_ledger_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    at_once = threading.Barrier(6)

    def create(_: int) -> int:
        at_once.wait()
        return len(Ledger(url).sweep_names())

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(create, range(6))) == [0] * 6


def test_a_second_driver_is_turned_away_while_the_first_lives(ledger: Ledger) -> None:
    script = (
        "import sys, time\nfrom orchestrator.records.ledger import Ledger\n"
        "from orchestrator.running.lease import hold_lease\n"
        "with hold_lease(Ledger(sys.argv[1]), 's'):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, ledger.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with (
            pytest.raises(AdaptuneError, match=f"already being run by process {other.pid}"),
            hold_lease(ledger, "s"),
        ):
            pass
        other.kill()
        other.wait()
        with hold_lease(ledger, "s"):
            lease = ledger.lease("s")
            assert lease is not None and lease.pid == os.getpid()
        assert ledger.lease("s") is None


def test_a_dead_process_that_nobody_has_buried_holds_no_lease(ledger: Ledger) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        started = psutil.Process(process.pid).create_time()
        lease = Lease("s", "o", socket.gethostname(), process.pid, started, time.time(), False)
        assert is_alive(lease)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not is_alive(lease)


def test_a_database_that_is_away_for_a_moment_ends_no_sweep(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats = []

    def fail_at_first(*_: object) -> bool:
        beats.append(1)
        if len(beats) == 1:
            raise sa.exc.OperationalError("SELECT", {}, Exception("database is locked"))
        if len(beats) == 2:
            raise LedgerError("database is locked")
        return len(beats) > 5

    monkeypatch.setattr("orchestrator.running.lease.HEARTBEAT_SECONDS", 0.01)
    monkeypatch.setattr(ledger, "renew_lease", fail_at_first)
    with hold_lease(ledger, "s") as heart:
        deadline = time.monotonic() + 10
        while not heart.stopped and time.monotonic() < deadline:
            time.sleep(0.01)
        assert heart.stopped and len(beats) > 5, "the sweep is cancelled by the ledger, not by the failures"


def test_a_lease_of_another_host_lives_by_its_heartbeat() -> None:
    lease = Lease("s", "o", "another-host", 1, 0.0, time.time(), False)
    assert is_alive(lease)
    assert not is_alive(replace(lease, heartbeat=time.time() - 120))


def test_only_one_of_two_takes_over_a_dead_drivers_lease(ledger: Ledger) -> None:
    dead = Lease("s", "dead", "another-host", 1, 0.0, 0.0, False)
    assert ledger.take_lease(dead, None)
    assert ledger.take_lease(replace(dead, owner="first"), dead)
    assert not ledger.take_lease(replace(dead, owner="second"), dead)


def test_cancelling_reaches_the_driver(ledger: Ledger) -> None:
    assert not ledger.cancel("s")
    with hold_lease(ledger, "s") as heart:
        assert not heart.check()
        assert ledger.cancel("s")
        assert heart.check()


def test_a_ledger_that_cannot_be_written_is_told_in_words(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    with ledger._engine.connect() as connection:  # as a full disk would
        pages = connection.execute(sa.text("PRAGMA page_count")).scalar_one()
    sa.event.listen(ledger._engine, "connect", lambda raw, _: raw.execute(f"PRAGMA max_page_count = {pages}"))
    ledger._engine.dispose()
    with pytest.raises(AdaptuneError, match=r"cannot be written \(database or disk is full\): see whether"):
        for number in range(1000):
            ledger.record_sweep(f"{number}", "t", "digest", {"long": "x" * 1000})
