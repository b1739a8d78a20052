"""How far a sweep is, as the ledger and the curves of its training runs tell it to whoever looks in from outside."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from orchestrator.planning.plan import ABLATIONS, MODEL, SEEDS
from orchestrator.records.ledger import Ledger, Member, TrialRow
from orchestrator.records.workspace import Workspace, read_curve
from orchestrator.spec.sweep import Objective, SweepSpec

NOT_TRAINED = ("final", "trivial")
"""Phases whose members are trained elsewhere or not at all."""


@dataclass(frozen=True)
class _Run:
    """Members that differ in their number of epochs only, which one training yields."""

    members: Sequence[Member]
    epochs: int


@dataclass(frozen=True)
class Working:
    """A training run in progress."""

    row: str
    """The table row that its longest trial belongs to."""
    run: str
    epoch: int
    """Finished epochs."""
    epochs: int
    value: float | None
    """The objective at the last finished epoch, on validation."""


@dataclass(frozen=True)
class Awaiting:
    """A trial whose point is not chosen yet."""

    phase: str
    row: str
    change: Mapping[str, Any]
    """What its row changes at the point that will be chosen."""
    seed: int


@dataclass(frozen=True)
class Progress:
    """A sweep's progress; epochs of trials that share a training run count once."""

    sweep: str
    running: bool
    """Whether somebody is at it."""
    trials: dict[str, int]
    """How many are in each state; `waiting` have not begun, or even await the choice of their point."""
    working: tuple[Working, ...]
    epochs_done: int
    epochs: int
    best: float | None
    """Best validation value of the objective among finished trials."""
    best_trial: str | None
    failed_trials: tuple[str, ...]
    """Trials that failed or were interrupted."""
    seconds_left: float | None
    """Of training, if as many runs go on side by side as do now; None where nothing tells."""

    def to_json(self) -> dict[str, Any]:
        """Return all of it."""
        return asdict(self)


def progress_of(spec: SweepSpec, ledger: Ledger, workspace: Workspace, alive: bool) -> Progress:
    """Look at a sweep's trials and runs; trials that nobody works on any more count as interrupted.

    Trials that await the choice of the best point, such as ablations, count as waiting; their epochs are not known
    and not counted.
    """
    members = [member for member in ledger.members(spec.name) if member.phase not in NOT_TRAINED]
    rows = ledger.trials([member.trial_id for member in members])
    states = Counter(state_of(row, alive) for row in rows.values())
    states["waiting"] = (
        len({member.trial_id for member in members}) - len(rows) + len(awaiting(spec, members))
    )
    done = total = 0
    working: list[Working] = []
    pace = [row.seconds / row.epochs for row in rows.values() if row.seconds]
    for run in _runs(spec, members):
        trials = [rows[member.trial_id] for member in run.members if member.trial_id in rows]
        finished = max((trial.epochs for trial in trials if trial.state == "finished"), default=0)
        curve = _curve(workspace, trials) if trials and finished < run.epochs else []
        stopped = trials and all(trial.state == "stopped" for trial in trials)
        total += len(curve) if stopped else run.epochs
        done += max(finished, len(curve))
        if alive and any(trial.state == "running" for trial in trials):
            value = curve[-1]["metrics"].get(spec.objective.metric) if curve else None
            working.append(Working(run.members[0].name, trials[0].run_id, len(curve), run.epochs, value))
            pace += [point["seconds"] for point in curve]
    tried = {member.trial_id for member in members if member.name == MODEL}
    best = _best([row for row in rows.values() if row.id in tried], spec.objective)
    return Progress(
        sweep=spec.name,
        running=alive,
        trials={name: count for name, count in states.items() if count},
        working=tuple(sorted(working, key=lambda run: (run.row, run.run))),
        epochs_done=done,
        epochs=total,
        best=None if best is None else (best.metrics or {})[spec.objective.metric],
        best_trial=None if best is None else best.id,
        failed_trials=tuple(
            row.id for row in rows.values() if state_of(row, alive) in ("failed", "interrupted")
        ),
        seconds_left=(total - done) * fmean(pace) / len(working) if pace and working else None,
    )


def awaiting(spec: SweepSpec, members: Iterable[Member]) -> list[Awaiting]:
    """Return the trials that a sweep will have once the best point is chosen, as far as it has not been."""
    known = {(member.phase, member.name) for member in members}
    later = spec.seeds[len(spec.choosing_seeds) :]
    against = spec.compare.against
    wanted = [Awaiting(SEEDS, name, {}, seed) for name in (MODEL, against) for seed in later]
    wanted += [
        Awaiting(ABLATIONS, name, change, seed)
        for name, change in spec.ablations.items()
        if name != against
        for seed in spec.seeds
    ]
    return [one for one in wanted if (one.phase, one.row) not in known]


def state_of(row: TrialRow, alive: bool) -> str:
    """Return a trial's state: one that nobody works on any more is interrupted, whatever the ledger says."""
    return "interrupted" if row.state == "running" and not alive else row.state


def _curve(workspace: Workspace, trials: Sequence[TrialRow]) -> list[dict[str, Any]]:
    return read_curve(workspace.run(trials[0].run_id, trials[0].validity or ""))


def _runs(spec: SweepSpec, members: Iterable[Member]) -> list[_Run]:
    sharing: dict[str, dict[str, tuple[Member, int]]] = {}
    for member in members:
        config = spec.resolve(member.point, member.seed)
        rest = config.model_dump_json(exclude={"training": {"epochs"}})
        sharing.setdefault(rest, {})[member.trial_id] = (member, config.training.epochs)
    return [
        _Run([member for member, _ in found.values()], max(epochs for _, epochs in found.values()))
        for found in sharing.values()
    ]


def _best(rows: Iterable[TrialRow], objective: Objective) -> TrialRow | None:
    known = [row for row in rows if row.state == "finished" and objective.metric in (row.metrics or {})]
    sign = 1 if objective.mode == "max" else -1
    return max(known, key=lambda row: sign * (row.metrics or {})[objective.metric], default=None)
