"""A sweep that is stopped, by cancelling or by Ctrl-C, stops within seconds and goes on where it was."""

import os
import signal
import time
from pathlib import Path
from subprocess import Popen
from unittest import mock

import psutil
import pytest

from orchestrator.records.workspace import read_json
from tests.orchestrator.conftest import TINY
from tests.orchestrator.sweeping import (
    Json,
    adaptune,
    end,
    ledger_of,
    start,
    wait_until,
    without_ray,
    write_sweep,
)

pytestmark = pytest.mark.xdist_group("interrupted")

LONG: Json = {
    **TINY,
    "name": "long",
    "grid": {},
    "training": {"batch_size": 8, "epochs": 120},
    "seeds": [0],
    "ablations": {},
    "controls": [],
}
SECONDS = 30
"""Within how many seconds a stopped sweep must have ended, on a busy machine."""


def epochs(home: Path) -> int:
    """How many epochs the training runs have behind them, those that are finished included."""
    return sum(len(read_json(path)) for path in home.glob("runs/*/curve.json"))


def ends_soon(process: Popen[str]) -> Json:
    began = time.monotonic()
    call = end(process)
    assert time.monotonic() - began < SECONDS
    assert call.code == 130, call.err
    assert "Traceback" not in call.err
    assert call.document["stopped"] and call.document["failed"] == 0
    return call.document


@pytest.mark.slow
def test_a_stopped_sweep_is_resumed_by_the_same_command(tmp_path: Path) -> None:
    sweep, home = write_sweep(tmp_path, LONG), tmp_path / "home"
    command = ("run", sweep, "--home", home, "--json")

    process = start(*command)
    wait_until(lambda: epochs(home) >= 2, process)
    second = adaptune(*command)
    assert second.code == 2 and f"already being run by process {process.pid}" in second.err
    [line] = adaptune("status", "--home", home, "--json").document["sweeps"]
    assert line["running"] and line["trials"].get("running", 0) >= 1
    for refused in ("compare", "promote", "report"):
        call = adaptune(refused, "long", "--home", home)
        assert call.code == 2 and "no final results yet" in call.err
    assert "is running" in adaptune("gc", "--home", home).err
    cancelled = adaptune("cancel", sweep, "--home", home, "--json")
    assert (cancelled.code, cancelled.document) == (0, {"sweep": "long", "cancelled": True})
    assert ends_soon(process)["finished"] == 0
    assert adaptune("cancel", "long", "--home", home).code == 2
    [line] = adaptune("status", "--home", home, "--json").document["sweeps"]
    assert not line["running"] and line["trials"]["interrupted"] >= 1
    assert adaptune("gc", "--home", home, "--json").document["runs"] == 0, "what can be resumed is kept"
    done = epochs(home)

    process = start(*command)
    wait_until(lambda: epochs(home) > done, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to the workers as well
    ends_soon(process)
    assert epochs(home) > done

    logs = {path: path.read_text().count("epoch 1:") for path in home.glob("runs/*/log.txt")}
    call = end(start(*command, "--set", "training.epochs=120"))
    assert (call.code, call.document["finished"], call.document["failed"]) == (0, 2, 0), call.err
    assert set(logs.values()) == {1}, "a resumed training run does not begin again"
    assert adaptune("compare", "long", "--home", home).code == 0


def test_a_ray_that_dies_ends_the_run_and_the_same_command_goes_on(tmp_path: Path) -> None:
    sweep, home = write_sweep(tmp_path, LONG), tmp_path / "home"
    process = start("run", sweep, "--home", home)
    wait_until(lambda: sum(len(read_json(path)) > 1 for path in home.glob("runs/*/curve.json")) == 2, process)
    [agent] = [one for one in psutil.process_iter(["cmdline"]) if _is_agent(one, process.pid)]
    agent.kill()  # Ray then ends its node, and Tune would wait for another one
    call = end(process)
    assert call.code == 2 and "Ray has ended while jobs ran" in call.err, call.err
    assert "Traceback" not in call.err
    trained = [row for row in ledger_of(home).trials().values() if row.epochs]
    assert {(row.state, row.cause) for row in trained} == {("interrupted", "Ray ended while it ran")}
    with without_ray():
        call = adaptune("run", sweep, "--home", home, "--json")
    assert (call.code, call.document["finished"]) == (0, 2), call.err
    assert [path.read_text().count("epoch 1:") for path in home.glob("runs/*/log.txt")] == [1, 1]


def _is_agent(process: psutil.Process, session: int) -> bool:
    """Whether a process is the one that each node of Ray lives and dies with, of the Ray of this session."""
    try:
        named = "ray::DashboardAgent" in " ".join(process.info["cmdline"] or ())
        return named and os.getsid(process.pid) == session
    except OSError:
        return False


def test_ctrl_c_before_anything_began_says_how_to_go_on(tmp_path: Path) -> None:
    with mock.patch("orchestrator.running.driver.run_sweep", side_effect=KeyboardInterrupt):
        call = adaptune("run", "sweeps/quickstart.yaml", "--home", tmp_path / "home")
    assert (call.code, call.out) == (130, "")
    assert "quickstart: stopped; the same command goes on from here" in call.err
