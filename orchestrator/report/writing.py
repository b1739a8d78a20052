"""Reports on disk."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from components.errors import AdaptuneError
from orchestrator.judging.between import Contender, side_by_side
from orchestrator.records.ledger import Ledger
from orchestrator.records.results import model_entry, recorded_sweep, sweep_name
from orchestrator.records.workspace import Workspace
from orchestrator.report.data import ReportData, StudyData
from orchestrator.report.gathering import report_data
from orchestrator.spec.sweep import SweepSpec

LONGEST_NAME = 100
"""Characters of a file's name that is made of sweeps' names."""


def write_report(spec: SweepSpec, ledger: Ledger, workspace: Workspace, path: Path | None = None) -> Path:
    """Write a finished sweep's report, by default into the home folder, and return where it is.

    Raises AdaptuneError if the sweep is not finished or the place cannot be written.
    """
    from orchestrator.report.page import render_report

    path = path or workspace.reports / f"{spec.name}.html"
    return _write(path, render_report(report_data(spec, ledger, workspace)))


def write_study_report(
    name: str,
    sweeps: Sequence[str],
    ledger: Ledger,
    workspace: Workspace,
    path: Path | None = None,
    whole: bool = False,
) -> tuple[Path, StudyData]:
    """Write one report of several sweeps, each as it was last run, those of one task also side by side.

    Returns where it is, and what is on it. Raises AdaptuneError if none of the sweeps has anything to show; where
    the report has to be `whole`, if one of them has nothing.
    """
    from orchestrator.report.page import render_study

    specs: list[SweepSpec] = []
    reports: list[ReportData] = []
    unfinished: dict[str, str] = {}
    for sweep in sweeps:
        try:
            spec = recorded_sweep(sweep, ledger)
            reports.append(report_data(spec, ledger, workspace))
            specs.append(spec)
        except AdaptuneError as error:
            unfinished[sweep] = str(error) if sweep_name(sweep) in str(error) else f"{sweep}: {error}"
    if not reports:
        raise AdaptuneError("\n".join(["there is nothing to report yet", *unfinished.values()]))
    if whole and unfinished:
        raise AdaptuneError("\n".join(["no report was written", *unfinished.values()]))
    contenders = [
        Contender(report.comparison, ledger.sweep_data(spec.name), model_entry(spec, ledger, workspace))
        for spec, report in zip(specs, reports, strict=True)
    ]
    study = StudyData(
        name, reports, unfinished, side_by_side(contenders), datetime.now(UTC).isoformat(timespec="seconds")
    )
    return _write(
        path or workspace.reports / f"study-{name.replace(', ', '-')[:LONGEST_NAME]}.html",
        render_study(study),
    ), study


def _write(path: Path, page: str) -> Path:
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(page, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise AdaptuneError(f"the report cannot be written to {path}: {error.strerror}") from error
    return path
