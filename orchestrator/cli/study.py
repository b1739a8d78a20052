"""The command that takes the sweeps of a folder as one."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.output import (
    DEFAULT_HOME,
    GOOD,
    TRIALS_FAILED,
    HomeOption,
    JsonOption,
    emit,
    err,
)
from orchestrator.cli.run import INTERRUPTED, has_ledger, open_ledger, print_outcome
from orchestrator.spec.problems import last_line

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.study import StudyOutcome, StudyPlan


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(study)


def study(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A folder of sweep files.", show_default=False)
    ],
    plan: Annotated[
        bool, typer.Option("--plan", "--dry-run", help="Show what would run, without starting anything.")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report", help="Write the report of all sweeps in the end.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="[NAME:]KEY=VALUE",
            help="Change every sweep file, or only NAME.yaml, for this call; may be repeated.",
        ),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="A Ray cluster to run on; by default Ray starts on this machine.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed trials again.")] = False,
    accept_stale: Annotated[
        bool, typer.Option("--accept-stale", help="Keep results of trials whose code has changed since.")
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Run all sweeps of a folder, one after another on one cluster, as far as the ledger does not have them."""
    from orchestrator.records.workspace import Workspace
    from orchestrator.running.live import LiveTable
    from orchestrator.secure.live import shown_seats
    from orchestrator.study import load_study, plan_study, run_study

    loaded, workspace = load_study(folder, set_ or (), parties=True), Workspace(home)
    if plan:
        ledger = open_ledger(home)[1] if has_ledger(workspace) else None
        planned = plan_study(loaded, ledger, workspace)
        emit(planned.to_json(), as_json, lambda console: _print_plan(console, planned))
        return
    try:
        outcome = run_study(
            loaded,
            workspace,
            lambda spec: LiveTable(err(), spec.objective, spec.name),
            address,
            retry_failed,
            accept_stale,
            shown_seats(err()),
        )
    except KeyboardInterrupt:
        err().print(f"{loaded.name}: stopped; the same command goes on from here")
        raise typer.Exit(INTERRUPTED) from None
    document = outcome.to_json()
    if report and not outcome.stopped:
        from orchestrator.report.writing import write_study_report

        names = [spec.name for spec in loaded.sweeps.values()]
        document["report"], _ = write_study_report(loaded.name, names, open_ledger(home)[1], workspace)
    emit(document, as_json, lambda console: _print_outcome(console, outcome, document))
    if outcome.stopped:
        sys.exit(INTERRUPTED)
    sys.exit(TRIALS_FAILED if outcome.failed else GOOD)


def _print_plan(console: "Console", plan: "StudyPlan") -> None:
    from rich.table import Table

    document = plan.to_json()
    counts = ("trials", "done", "stale", "failed", "to_run", "epochs_to_run")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("sweep", "task", *counts, "minutes"):
        heading = {"epochs_to_run": "epochs to train"}.get(name, name.replace("_", " "))
        table.add_column(heading, justify="left" if name in ("sweep", "task") else "right")
    for sweep in document["sweeps"]:
        seconds = sweep["seconds_per_epoch"]
        minutes = "?" if seconds is None else f"{sweep['epochs_to_run'] * seconds / 60:,.0f}"
        table.add_row(sweep["sweep"], sweep["task"], *(f"{sweep[name]:,}" for name in counts), minutes)
    table.add_section()
    table.add_row("together", "", *(f"{document[name]:,}" for name in counts), "")
    console.print(f"study {document['study']}: {len(document['sweeps'])} sweep(s), one after another")
    console.print(table)
    console.print(
        "minutes of one worker, by what finished trials took; ? where there is none yet. Epochs of ablations that "
        "await a choice count at most. `adaptune plan FILE` has the phases",
        style="dim",
    )


def _print_outcome(console: "Console", outcome: "StudyOutcome", document: dict[str, Any]) -> None:
    for one in outcome.outcomes:
        print_outcome(console, one)
    for name, cause in outcome.problems.items():
        console.print(f"{name}: could not be run: {last_line(cause)}")
    if outcome.waiting:
        console.print(f"not begun: {', '.join(outcome.waiting)}; the same command goes on from here")
    if "report" in document:
        console.print(f"report: {document['report']}")
