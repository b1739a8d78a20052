"""From the ledger and the trials' folders to a report on disk."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.data.store import notes
from components.errors import AdaptuneError
from orchestrator.judging.comparison import Role
from orchestrator.planning.plan import ABLATIONS, BASELINE_GRID, GRID, SEEDS
from orchestrator.planning.stages import BASELINE, FINAL, MODEL, TRIVIAL
from orchestrator.records.adopt import read_whole
from orchestrator.records.ledger import Ledger, Member, TrialRow
from orchestrator.records.results import compare_sweep, recorded_sweep
from orchestrator.records.workspace import Workspace, read_curve
from orchestrator.report.data import Cost, Curve, GridPoint, ReportData, StudyData
from orchestrator.secure.winner import winner_results
from orchestrator.spec.sweep import SweepSpec


def write_report(spec: SweepSpec, ledger: Ledger, workspace: Workspace, path: Path | None = None) -> Path:
    """Write a finished sweep's report, by default into the home folder, and return where it is.

    Raises AdaptuneError if the sweep is not finished or the place cannot be written.
    """
    from orchestrator.report.page import render_report

    path = path or workspace.reports / f"{spec.name}.html"
    return _write(path, render_report(report_data(spec, ledger, workspace)))


def write_study_report(
    name: str, sweeps: Sequence[str], ledger: Ledger, workspace: Workspace, path: Path | None = None
) -> tuple[Path, dict[str, str]]:
    """Write one report of several sweeps, each as it was last run.

    Returns where it is, and which sweeps are not on it, with the reason. Raises AdaptuneError if that is all of them.
    """
    from orchestrator.report.page import render_study

    reports, unfinished = [], {}
    for sweep in sweeps:
        try:
            reports.append(report_data(recorded_sweep(sweep, ledger), ledger, workspace))
        except AdaptuneError as error:
            unfinished[sweep] = str(error)
    if not reports:
        raise AdaptuneError("\n".join(["there is nothing to report yet", *unfinished.values()]))
    study = StudyData(name, reports, unfinished, datetime.now(UTC).isoformat(timespec="seconds"))
    return _write(path or workspace.reports / f"study-{name}.html", render_study(study)), unfinished


def _write(path: Path, page: str) -> Path:
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(page, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise AdaptuneError(f"the report cannot be written to {path}: {error.strerror}") from error
    return path


def report_data(spec: SweepSpec, ledger: Ledger, workspace: Workspace) -> ReportData:
    """Gather what a report shows."""
    members = ledger.members(spec.name)
    rows = ledger.trials(sorted({member.trial_id for member in members}))
    final = {member.trial_id for member in members if member.phase == FINAL}
    grids = [member for member in members if member.phase in (GRID, BASELINE_GRID)]
    return ReportData(
        comparison=compare_sweep(spec, ledger, workspace),
        curves=tuple(_curves(grids, rows, final, workspace)),
        grid=tuple(_grid(grids, rows, final, spec)),
        costs=tuple(_costs(members, rows, ledger)),
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
        settings = {path: value for path, value in member.point.items() if path != "training.epochs"}
        label = ", ".join(
            f"{path.split('.')[-1]} {value}" for path, value in settings.items() if value is not None
        )
        points = read_curve(workspace.trial(member.trial_id))
        yield Curve(label or "base point", _role(member), member.seed, points, run_id in chosen)


def _grid(
    grids: Sequence[Member], rows: dict[str, TrialRow], final: set[str], spec: SweepSpec
) -> Iterator[GridPoint]:
    points: dict[str, list[Member]] = {}
    for member in grids:
        points.setdefault(repr((member.phase, member.point)), []).append(member)
    for members in points.values():
        known = [rows[member.trial_id] for member in members if member.trial_id in rows]
        yield GridPoint(
            role=_role(members[0]),
            settings={path: value for path, value in members[0].point.items() if path not in spec.baseline},
            objective={
                member.seed: ((rows[member.trial_id].metrics or {}).get(spec.objective.metric))
                if member.trial_id in rows
                else None
                for member in members
            },
            missing={row.seed: _what_happened(row) for row in known if row.state != "finished"},
            parameters=next((row.parameters for row in known if row.parameters is not None), None),
            seconds=sum(row.seconds or 0.0 for row in known),
            chosen=any(member.trial_id in final for member in members),
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


def _costs(members: Sequence[Member], rows: dict[str, TrialRow], ledger: Ledger) -> Iterator[Cost]:
    """Yield what each phase took; a training run counts once, as its longest trial, and as far as it came."""
    stops = ledger.stops(list(rows))
    for phase in (GRID, BASELINE_GRID, SEEDS, ABLATIONS, TRIVIAL):
        known = [
            rows[member.trial_id] for member in members if member.phase == phase and member.trial_id in rows
        ]
        runs: dict[str, TrialRow] = {}
        for row in known:
            if row.run_id not in runs or row.epochs > runs[row.run_id].epochs:
                runs[row.run_id] = row
        ended = [row for row in runs.values() if row.state in ("finished", "stopped")]
        if known:
            epochs = sum(stops[row.id].epoch if row.state == "stopped" else row.epochs for row in ended)
            trainings = sum(1 for row in ended if row.epochs)
            yield Cost(phase, len(known), trainings, epochs, sum(row.seconds or 0.0 for row in ended))


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
