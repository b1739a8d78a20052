"""Freeing disk space: checkpoints that nobody will need again."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from components.errors import AdaptuneError
from orchestrator.lease import is_alive
from orchestrator.ledger import Ledger
from orchestrator.stages import FINAL
from orchestrator.workspace import Workspace


@dataclass(frozen=True)
class Collected:
    """What was dropped."""

    runs: int
    models: int
    bytes: int


def collect_garbage(ledger: Ledger, workspace: Workspace, dry_run: bool = False) -> Collected:
    """Drop the working folders of training runs that are over, and weights of trials that no sweep chose.

    Kept: metrics and evaluation rows of every trial, weights of the rows of every comparison, checkpoints of
    runs that can be resumed, and everything in the registry. A grid that is extended later by more epochs then
    trains from the start. Raises AdaptuneError while a sweep is running.
    """
    sweeps = ledger.sweep_names()
    for sweep in sweeps:
        lease = ledger.lease(sweep)
        if lease is not None and is_alive(lease):
            raise AdaptuneError(f"{sweep} is running: wait for it or stop it with `adaptune cancel {sweep}`")
    rows = ledger.trials()
    resumable = {row.run_id for row in rows.values() if row.state in ("running", "interrupted")}
    needed = {member.trial_id for sweep in sweeps for member in ledger.members(sweep, FINAL)}
    runs = [folder for folder in _folders(workspace.runs) if folder.name.split("-")[0] not in resumable]
    models = [
        folder / "model"
        for folder in _folders(workspace.trials)
        if folder.name not in needed and (folder / "model").is_dir()
    ]
    size = sum(
        path.stat().st_size for folder in runs + models for path in folder.rglob("*") if path.is_file()
    )
    if not dry_run:
        for folder in runs + models:
            shutil.rmtree(folder)
    return Collected(len(runs), len(models), size)


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.glob("*") if path.is_dir())
