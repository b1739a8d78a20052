"""Freeing disk space: checkpoints that nobody will need again."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from components.errors import AdaptuneError
from orchestrator.planning.plan import FINAL
from orchestrator.records.ledger import Ledger
from orchestrator.records.workspace import Workspace
from orchestrator.running.lease import is_alive

ID = "[0-9a-f]" * 12
RUN = f"{ID}-{ID}"
"""Names are matched in full, so that a home folder that holds other things as well does not lose them."""


@dataclass(frozen=True)
class Collected:
    """What was dropped."""

    runs: int
    models: int
    leftovers: int
    """Unfinished files and folders that killed processes left behind."""
    bytes: int


def collect_garbage(ledger: Ledger, workspace: Workspace, dry_run: bool = False) -> Collected:
    """Drop the working folders of training runs that are over, and weights of trials that no sweep chose.

    What killed processes left half-written goes too. Kept: metrics and evaluation rows of every trial, weights of
    the rows of every comparison and of all trials of an unfinished sweep, checkpoints of runs that can be resumed,
    and everything in the registry. A grid that is extended later by more epochs then trains from the start.
    Raises AdaptuneError while a sweep is running.
    """
    sweeps = ledger.sweep_names()
    for sweep in sweeps:
        lease = ledger.lease(sweep)
        if lease is not None and is_alive(lease):
            raise AdaptuneError(f"{sweep} is running: wait for it or stop it with `adaptune cancel {sweep}`")
    rows = ledger.trials()
    resumable = {row.run_id for row in rows.values() if row.state in ("running", "interrupted")}
    runs = [folder for folder in workspace.runs.glob(RUN) if folder.name.split("-")[0] not in resumable]
    needed = {trial_id for sweep in sweeps for trial_id in _needed(ledger, sweep)}
    models = [
        folder / "model"
        for folder in workspace.trials.glob(ID)
        if folder.name not in needed and (folder / "model").is_dir()
    ]
    leftovers = [
        *workspace.home.glob(".promote-*"),
        *workspace.home.glob(".probe-*"),
        *workspace.data.glob(f".{ID}*-*"),
        *workspace.trials.glob(f".{ID}.*"),
        *workspace.ray.glob("tune-*"),
    ]
    locks = [lock for folder in runs if (lock := workspace.lock_of(folder)).exists()]
    dropped = runs + models + leftovers + locks
    size = sum(file.stat().st_size for path in dropped for file in _files(path))
    if not dry_run:
        for path in dropped:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    return Collected(len(runs), len(models), len(leftovers), size)


def _needed(ledger: Ledger, sweep: str) -> set[str]:
    """Return whose weights a sweep still needs: its final rows', or everybody's as long as it has none."""
    members = ledger.members(sweep, FINAL) or ledger.members(sweep, superseded=True)
    return {member.trial_id for member in members}


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
