from pathlib import Path
from typing import Any

import pytest

from orchestrator.ledger import Ledger
from orchestrator.spec.load import sweep_from_values
from orchestrator.spec.sweep import SweepSpec
from orchestrator.workspace import Workspace

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
