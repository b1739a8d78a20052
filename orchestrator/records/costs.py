"""What a sweep's trainings and evaluations took: time, processor time and memory, from the trials' folders."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.records.adopt import read_whole
from orchestrator.records.ledger import Member, Stop, TrialRow
from orchestrator.records.spent import Spent
from orchestrator.records.workspace import Workspace, read_curve


@dataclass(frozen=True)
class Training:
    """One training run, however many trials read it; `epochs` is how far it came."""

    phase: str
    row: str
    seed: int
    point: Mapping[str, Any]
    epochs: int
    spent: Spent
    stopped: bool = False
    """Whether it was ended early, for being worse than others."""


def trainings(
    members: Sequence[Member],
    rows: Mapping[str, TrialRow],
    stops: Mapping[str, Stop],
    workspace: Workspace,
) -> Iterator[Training]:
    """Yield the trainings that ended, each once, as its longest trial; trivial rows, which no epoch has, are none."""
    longest: dict[str, Member] = {}
    for member in members:
        row = rows.get(member.trial_id)
        if row is None or row.state not in ("finished", "stopped") or not row.epochs:
            continue
        known = longest.get(row.run_id)
        if known is None or row.epochs > rows[known.trial_id].epochs:
            longest[row.run_id] = member
    for member in longest.values():
        row = rows[member.trial_id]
        stopped = row.state == "stopped" and row.id in stops
        epochs = stops[row.id].epoch if stopped else row.epochs
        folder = workspace.run(row.run_id, row.validity or "") if stopped else workspace.trial(row.id)
        spent = Spent.by_epochs(read_curve(folder)[:epochs])
        if row.seconds is not None:  # the ledger's, should the curve be gone
            spent = Spent(row.seconds, spent.cpu_seconds, spent.peak_memory)
        yield Training(member.phase, member.name, member.seed, member.point, epochs, spent, stopped)


def evaluations(trials: Iterable[str], workspace: Workspace) -> Iterator[Spent]:
    """Yield what the evaluations of finished trials took, as far as it was measured."""
    for trial in trials:
        for path in sorted(workspace.trial(trial).glob("*.json")):
            document = read_whole(path) or {}
            if "control" in document and "seconds" in document:
                yield Spent(document["seconds"], document["cpu_seconds"], document["peak_memory"])
