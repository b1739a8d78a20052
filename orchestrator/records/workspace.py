"""Where things lie: the folder that `--home` names, and how a file gets into it whole or not at all."""

import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import AdaptuneError


@dataclass(frozen=True)
class Workspace:
    """The layout of a home folder; every path that the orchestrator uses is named here."""

    home: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "home", self.home.expanduser().resolve())

    def create(self) -> None:
        """Make the home folder; raises AdaptuneError where it cannot be."""
        try:
            self.home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AdaptuneError(
                f"{self.home} cannot be the home folder ({error.strerror}): name another one with --home"
            ) from error

    @property
    def ledger_url(self) -> str:
        """SQLAlchemy URL of the ledger, unless `ADAPTUNE_LEDGER` names another (PostgreSQL for a team)."""
        return os.environ.get("ADAPTUNE_LEDGER") or f"sqlite:///{self.home / 'ledger.db'}"

    @property
    def data(self) -> Path:
        """Prepared data sets, one folder a digest."""
        return self.home / "data"

    @property
    def registry(self) -> Path:
        """Promoted versions and their aliases."""
        return self.home / "registry"

    @property
    def reports(self) -> Path:
        """HTML reports, one file a sweep."""
        return self.home / "reports"

    @property
    def evaluations(self) -> Path:
        """Results over several parties' users, one file an evaluation."""
        return self.home / "evaluations"

    @property
    def mirror(self) -> Path:
        """W&B's files: what was mirrored, or waits for `wandb sync`."""
        return self.home / "wandb"

    @property
    def ray(self) -> Path:
        """Ray Tune's own state, which nothing is ever read back from."""
        return self.home / "ray"

    @property
    def runs(self) -> Path:
        """All training runs' checkpoints and curves."""
        return self.home / "runs"

    @property
    def trials(self) -> Path:
        """All finished trials."""
        return self.home / "trials"

    def run(self, run_id: str, validity: str) -> Path:
        """Work in progress of one training run under one state of the code."""
        return self.runs / f"{run_id}-{validity}"

    def lock_of(self, run: Path) -> Path:
        """The file whose lock is held by whoever works on the training run in this folder."""
        return run.with_name(f".{run.name}.lock")

    def trial(self, trial_id: str) -> Path:
        """A finished trial's folder."""
        return self.trials / trial_id


def write_json(path: Path, document: Any, indent: int | None = 2) -> None:
    """Write `document` to `path` atomically; without `indent`, in one line and over ten times faster."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    temporary.write_text(
        json.dumps(document, indent=indent, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8"
    )
    temporary.replace(path)


def read_json(path: Path) -> Any:
    """Read a JSON document."""
    return json.loads(path.read_text(encoding="utf-8"))


def read_curve(folder: Path) -> list[dict[str, Any]]:
    """Return the points of a training run, one an epoch; none if its curve is missing or damaged."""
    try:
        points = read_json(folder / "curve.json")
    except (FileNotFoundError, ValueError):
        return []
    return points if [point["epoch"] for point in points] == list(range(1, len(points) + 1)) else []


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file, after whoever holds it has let it go or died; the file is made if need be."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def folder_in_place(final: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes `final` when the block ends well, and vanishes when it does not.

    An older folder of that name is replaced.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.parent / f".{final.name}.{uuid.uuid4().hex}"
    temporary.mkdir()
    try:
        yield temporary
        if final.exists():
            old = final.parent / f".{final.name}.{uuid.uuid4().hex}.old"
            final.rename(old)
            temporary.rename(final)
            shutil.rmtree(old)
        else:
            temporary.rename(final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
