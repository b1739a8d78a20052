from pathlib import Path

import pytest

from orchestrator.registry import Registry, Version
from serve.events import EventLog
from tests.serve.fakes import promote


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "home" / "registry")


@pytest.fixture
def champion(registry: Registry, tmp_path: Path) -> Version:
    return promote(registry, tmp_path / "champion")


@pytest.fixture
def log(tmp_path: Path):
    log = EventLog(tmp_path / "home" / "online" / "recommendation.db")
    yield log
    log.close()
