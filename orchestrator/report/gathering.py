"""From the ledger and the trials' folders to what a report shows."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from components.data.store import notes
from orchestrator.judging.comparison import Role
from orchestrator.planning.plan import ABLATIONS, BASELINE_GRID, FINAL, GRID, MODEL, SEEDS
from orchestrator.planning.stages import BASELINE, TRIVIAL
from orchestrator.records.adopt import read_whole
from orchestrator.records.costs import Training, evaluations, trainings
from orchestrator.records.ledger import Ledger, Member, Stop, TrialRow
from orchestrator.records.results import compare_sweep
from orchestrator.records.spent import Spent
from orchestrator.records.workspace import Workspace, read_curve
from orchestrator.release.card import cards
from orchestrator.report.data import Cost, Curve, GridPoint, ReportData, Stopped
from orchestrator.secure.winner import winner_results
from orchestrator.spec.points import training_text
from orchestrator.spec.sweep import SweepSpec

TRAINED = (GRID, BASELINE_GRID, SEEDS, ABLATIONS)
"""Phases of trainings; one that several share counts with the first."""
EVALUATION = "evaluation"
"""What the report calls the evaluations of finished trials among the phases."""


def report_data(spec: SweepSpec, ledger: Ledger, workspace: Workspace) -> ReportData:
    """Gather what a report shows. Raises AdaptuneError while the sweep is not finished."""
    members = ledger.members(spec.name)
    rows = ledger.trials(sorted({member.trial_id for member in members}))
    stops = ledger.stops(list(rows))
    trained = [member for phase in TRAINED for member in members if member.phase == phase]
    done = tuple(trainings(trained, rows, stops, workspace))
    final = {member.trial_id for member in members if member.phase == FINAL}
    grids = [member for member in members if member.phase in (GRID, BASELINE_GRID)]
    return ReportData(
        comparison=compare_sweep(spec, ledger, workspace),
        curves=tuple(_curves(grids, rows, final, workspace)),
        grid=tuple(_grid(grids, rows, stops, final, spec)),
        grid_keys=tuple(spec.grid),
        ablations={name: change for name, change in spec.ablations.items() if name != BASELINE},
        costs=tuple(_costs(members, rows, done, workspace)),
        trainings=done,
        cards=cards(spec, ledger, workspace),
        search=_search(spec),
        evaluations=winner_results(spec, ledger, workspace),
        provenance=_provenance(spec, ledger, rows, final, workspace),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _role(member: Member) -> Role:
    return MODEL if member.phase == GRID else BASELINE


def _curves(
    grids: Sequence[Member], rows: dict[str, TrialRow], final: set[str], workspace: Workspace
) -> Iterator[Curve]:
    """Yield one curve a training run: that of its longest trial."""
    longest: dict[str, Member] = {}
    chosen: set[str] = set()
    for member in grids:
        row = rows.get(member.trial_id)
        if row is None or not read_curve(workspace.trial(row.id)):
            continue
        if row.id in final:
            chosen.add(row.run_id)
        if row.run_id not in longest or row.epochs > rows[longest[row.run_id].trial_id].epochs:
            longest[row.run_id] = member
    for run_id, member in longest.items():
        label = training_text(member.point)
        points = read_curve(workspace.trial(member.trial_id))
        yield Curve(label or "base point", _role(member), member.seed, points, run_id in chosen)


def _grid(
    grids: Sequence[Member],
    rows: dict[str, TrialRow],
    stops: dict[str, Stop],
    final: set[str],
    spec: SweepSpec,
) -> Iterator[GridPoint]:
    points: dict[str, list[Member]] = {}
    for member in grids:
        points.setdefault(repr((member.phase, member.point)), []).append(member)
    numbers: dict[Role, int] = {}
    for members in points.values():
        role = _role(members[0])
        numbers[role] = numbers.get(role, 0) + 1
        known = [rows[member.trial_id] for member in members if member.trial_id in rows]
        ended = {
            row.seed: Stopped(stops[row.id].epoch, row.epochs, stops[row.id].curve[-1])
            for row in known
            if row.state == "stopped" and row.id in stops and stops[row.id].curve
        }
        yield GridPoint(
            role=role,
            settings={path: value for path, value in members[0].point.items() if path not in spec.baseline},
            objective={
                member.seed: ((rows[member.trial_id].metrics or {}).get(spec.objective.metric))
                if member.trial_id in rows
                else None
                for member in members
            },
            missing={row.seed: _what_happened(row) for row in known if row.state != "finished"},
            stopped=ended,
            parameters=next((row.parameters for row in known if row.parameters is not None), None),
            seconds=sum(row.seconds or 0.0 for row in known),
            chosen=any(member.trial_id in final for member in members),
            number=numbers[role],
        )


def _search(spec: SweepSpec) -> str:
    search, stop = spec.search, spec.stop
    said = f"{search.trials} {search.method} points, seed {search.seed}" if search is not None else ""
    if stop is not None:
        said = f"{said or 'Every grid point'}, trainings ended early by `{stop.method}`"
    others = f"; tried with seed {spec.seeds[0]}, the best one trained with all" if spec.seeds[1:] else ""
    return said and said + others


def _what_happened(row: TrialRow) -> str:
    return "diverged" if row.state == "failed" and "DivergedError" in (row.cause or "") else row.state


def _costs(
    members: Sequence[Member],
    rows: dict[str, TrialRow],
    done: Sequence[Training],
    workspace: Workspace,
) -> Iterator[Cost]:
    """Yield what each phase took, and the evaluations; a training counts once, and as far as it came."""
    for phase in TRAINED:
        trials = {m.trial_id for m in members if m.phase == phase and m.trial_id in rows}
        here = [one for one in done if one.phase == phase]
        if trials:
            spent = Spent.in_all(one.spent for one in here)
            yield Cost(phase, len(trials), len(here), sum(one.epochs for one in here), spent)
    trivial = [m.trial_id for m in members if m.phase == TRIVIAL and m.trial_id in rows]
    if trivial:
        results = [read_whole(workspace.trial(trial) / "result.json") or {} for trial in trivial]
        pieces = [
            Spent(rows[trial].seconds or 0.0, result.get("cpu_seconds"), result.get("peak_memory"))
            for trial, result in zip(trivial, results, strict=True)
        ]
        yield Cost(TRIVIAL, len(trivial), 0, 0, Spent.in_all(pieces))
    looks = list(evaluations({m.trial_id for m in members if m.phase == FINAL}, workspace))
    if looks:
        yield Cost(EVALUATION, len(looks), 0, 0, Spent.in_all(looks))


def _provenance(
    spec: SweepSpec, ledger: Ledger, rows: dict[str, TrialRow], final: set[str], workspace: Workspace
) -> dict[str, dict[str, Any]]:
    results = [read_whole(workspace.trial(trial) / "result.json") for trial in sorted(final)]
    environments = [result["environment"] for result in results if result is not None]

    def values_of(key: str) -> str:
        return ", ".join(sorted({str(environment[key]) for environment in environments if environment[key]}))

    packages = environments[0]["packages"] if environments else {}
    digest = ledger.sweep_data(spec.name)
    said = notes(workspace.data / digest) if digest else ()
    return {
        "Sweep": {"name": spec.name, "task": spec.task, "seeds": ", ".join(map(str, spec.seeds))},
        "Data": {
            "source": spec.data.source,
            "digest": digest,
            **({"notes": "; ".join(said)} if said else {}),
        },
        "Code": {
            "commit": values_of("commit") or "not a git checkout",
            "digest of the code and torch": ", ".join(sorted({row.validity or "" for row in rows.values()})),
            **packages,
            "python": values_of("python"),
        },
        "Hardware": {key: values_of(key) for key in ("platform", "processor", "device")},
        "Trials of the final rows": {row.id: row.state for row in rows.values() if row.id in final},
    }
