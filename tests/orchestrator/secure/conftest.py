import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.records.workspace import Workspace
from orchestrator.release.registry import Registry
from tests.orchestrator.conftest import Finished
from tests.orchestrator.sweeping import adaptune

PARTIES = ("party-1", "party-2", "party-3")


@dataclass(frozen=True)
class Divided:
    """A promoted version, and its data divided among three parties."""

    home: Path
    folder: Path
    data: Path
    """The whole data, prepared."""
    version: str = "recommendation/1"

    @property
    def model(self) -> Path:
        return Registry(Workspace(self.home).registry).version(self.version).folder

    def party_file(self, **keys: object) -> Path:
        """Write a party file; a small cohort, because the data is tiny."""
        chosen = {"receiver": "party-1", "minimum_cohort": 2, "timeout": 20, **keys}
        rows = [f"  {name}: {{data: {name}}}" for name in PARTIES]
        path = self.folder / "parties.yaml"
        lines = ["parties:", *rows, *(f"{key}: {value}" for key, value in chosen.items())]
        path.write_text("\n".join(lines) + "\n")
        return path

    def copy(self, folder: Path) -> "Divided":
        """Return a copy, as an evaluation enters itself into the parties' ledgers."""
        home = Path(shutil.copytree(self.home, folder / "home"))
        return Divided(home, Path(shutil.copytree(self.folder, folder / "parties")), self.data)

    def results(self) -> list[Path]:
        """What was kept."""
        return sorted((self.home / "evaluations").glob("*.json"))


@pytest.fixture(scope="session")
def divided_once(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Divided:
    folder = tmp_path_factory.mktemp("divided")
    home = finished.copy(folder)
    promoted = adaptune("promote", "tiny", "--home", home)
    assert promoted.code == 0, promoted.err
    (data,) = (home / "data").glob("[!.]*")
    call = adaptune("split", data, "--parties", "3", "--out", folder / "parties", "--home", home, "--json")
    assert call.code == 0, call.err
    return Divided(home, folder / "parties", data)


@pytest.fixture
def divided(divided_once: Divided, tmp_path: Path) -> Divided:
    return divided_once.copy(tmp_path)
