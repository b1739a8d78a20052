import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator.records.ledger import Ledger
from orchestrator.records.workspace import Workspace
from orchestrator.running.cluster import ray_cluster
from orchestrator.spec.load import sweep_from_values
from orchestrator.spec.sweep import SweepSpec
from tests.orchestrator.sweeping import Call, end, start, write_sweep

TINY: dict[str, Any] = {
    "name": "tiny",
    "task": "recommendation",
    "data": {"source": "synthetic", "users": 40, "items": 30, "events": 12},
    "model": {
        "embedding": 8,
        "personalization": {"layers": 1, "hidden": 8, "window": 4, "heads": 2},
    },
    "training": {"batch_size": 8, "epochs": 2, "learning_rate": 0.01},
    "grid": {"training.learning_rate": [0.01, 0.003], "training.epochs": [1, 2]},
    "seeds": [0, 1],
    "ablations": {"no-attention": {"model.personalization.attention": False}},
    "controls": ["shuffled-users"],
    "tracking": {"enabled": False},
}


def tiny_spec(**changes: Any) -> SweepSpec:
    """A sweep that trains in seconds, with top-level sections replaced by `changes`."""
    return sweep_from_values({**TINY, **changes})


@pytest.fixture
def spec() -> SweepSpec:
    return tiny_spec()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "home")


@pytest.fixture
def ledger(workspace: Workspace) -> Ledger:
    return Ledger(workspace.ledger_url)


@dataclass(frozen=True)
class Finished:
    """A sweep that was run to its end by `adaptune run --json`."""

    sweep: Path
    home: Path
    call: Call
    left_running: list[str]
    """Command lines of the run's processes that outlived it."""

    def copy(self, folder: Path) -> Path:
        """Return a copy of the home folder, to be changed at will."""
        return Path(shutil.copytree(self.home, folder / "home"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    sweep, home = write_sweep(folder, {**TINY, "tracking": {"enabled": True}}), folder / "home"
    process = start("run", sweep, "--home", home, "--json")
    call = end(process)
    assert call.code == 0, call.err
    left = [other for other in psutil.process_iter(["cmdline"]) if _belongs(other, process.pid)]
    alive = psutil.wait_procs(left, timeout=10)[1]
    return Finished(sweep, home, call, [" ".join(other.info["cmdline"] or ()) for other in alive])


def _belongs(process: psutil.Process, session: int) -> bool:
    """Whether a process is of the session that a command was started in."""
    try:
        return os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, psutil.Error):
        return False


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    stdout = sys.stdout
    with ray_cluster(None, Path()):
        sys.stdout = stdout
        yield


@pytest.fixture
def warm_ray(local_ray: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps that this process runs share one Ray."""
    monkeypatch.setattr("orchestrator.running.cluster.ray_cluster", lambda address, home: nullcontext())


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep that starts Ray fails the test."""

    def refuse(address: str | None, home: Path) -> None:
        pytest.fail("Ray was started")

    monkeypatch.setattr("orchestrator.running.cluster.ray_cluster", refuse)
