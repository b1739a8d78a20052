"""A sweep whose trials train on two workers: what survives when either of them is killed."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator.records.ledger import Ledger
from orchestrator.records.workspace import Workspace, read_json
from tests.orchestrator.conftest import TINY
from tests.orchestrator.test_resume import assert_same, finish, results, start, training_workers

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("resume")]

SWEEP: dict[str, Any] = {
    **TINY,
    "training": {"batch_size": 8, "epochs": 24},
    "grid": {},
    "seeds": [0],
    "ablations": {},
    "resources": {"workers": 2},
}


def further_workers(driver: int) -> list[psutil.Process]:
    """Those of the driver's Ray workers that trials started."""
    found = []
    for child in psutil.Process(driver).children(recursive=True):
        with suppress(psutil.Error):  # some are just ending
            found += [child] if "ray::Peer" in " ".join(child.cmdline()) else []
    return found


def wait_for_epochs(home: Path, driver: int, epochs: int) -> psutil.Process:
    """Wait until the training under way has so many epochs behind it; return its further worker."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        found = further_workers(driver)
        curves = [len(read_json(path)) for path in (home / "runs").glob("*/curve.json")]
        if found and any(epochs <= length < 24 for length in curves):
            return found[0]
        time.sleep(0.02)
    pytest.fail("no training got under way")


def test_whichever_worker_is_killed_costs_nothing_but_time(tmp_path: Path) -> None:
    whole, disturbed = tmp_path / "whole", tmp_path / "disturbed"
    outcome = finish(start(whole, SWEEP))
    assert (outcome["finished"], outcome["failed"]) == (2, 0)

    process = start(disturbed, SWEEP)
    wait_for_epochs(disturbed, process.pid, 3).send_signal(signal.SIGKILL)
    further = wait_for_epochs(disturbed, process.pid, 6)
    os.kill(training_workers(process.pid)[0].pid, signal.SIGKILL)
    assert not psutil.wait_procs([further], timeout=10)[1], "it outlives the worker that started it"
    outcome = finish(process)
    assert (outcome["finished"], outcome["failed"]) == (2, 0)
    assert_same(results(disturbed), results(whole))
    assert sum(row.attempts for row in Ledger(Workspace(disturbed).ledger_url).trials().values()) >= 2
