from pathlib import Path

import pytest

from orchestrator.release.registry import Registry, Version
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


@pytest.fixture(scope="session")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with a small recommendation model, trained in seconds, as champion."""
    from tests.serve.trained import train_small

    home = tmp_path_factory.mktemp("trained")
    train_small(home)
    return home
