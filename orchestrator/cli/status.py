"""The command that tells how far sweeps are, once or as long as one watches."""

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.output import DEFAULT_HOME, HomeOption, JsonOption, emit, err
from orchestrator.cli.run import open_ledger, over_parties

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from orchestrator.records.ledger import Ledger
    from orchestrator.records.progress import Progress
    from orchestrator.records.workspace import Workspace

WATCH_SECONDS = 2.0
PLAIN_SECONDS = 10.0
"""How often `--watch` prints a line where the output is no terminal."""


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(status)


def status(
    sweep: Annotated[
        str | None,
        typer.Argument(
            metavar="[SWEEP]", help="List this sweep's trials: its file or its name.", show_default=False
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Show the progress of what runs until it has ended; Ctrl-C leaves."),
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """List the sweeps of this home folder and how far they are, or the trials of one of them."""
    from components.errors import AdaptuneError

    workspace, ledger = open_ledger(home)
    if watch and as_json:
        raise AdaptuneError("--watch is for people and --json for programs: call it without one of the two")
    if watch:
        _watch(ledger, workspace, sweep)
    if sweep is None:
        unreadable: dict[str, str] = {}
        sweeps = [progress.to_json() for progress in _all_progress(ledger, workspace, unreadable)]
        document = {"sweeps": sweeps, "unreadable": unreadable}
        emit(document, as_json, lambda console: _print_sweeps(console, sweeps, unreadable))
    else:
        _status_of_one(sweep, ledger, workspace, as_json)


def _all_progress(ledger: "Ledger", workspace: "Workspace", unreadable: dict[str, str]) -> "list[Progress]":
    """Look at every sweep of the home folder; why one cannot be read any more is left in `unreadable`."""
    from components.errors import AdaptuneError

    found = []
    for name in ledger.sweep_names():
        try:
            found.append(_progress(ledger, workspace, name))
        except AdaptuneError as error:
            unreadable[name] = str(error)
    return found


def _progress(ledger: "Ledger", workspace: "Workspace", sweep: str) -> "Progress":
    """Look at one sweep; raises AdaptuneError if it was never run, or cannot be read as it was recorded."""
    from orchestrator.records.progress import progress_of
    from orchestrator.records.results import recorded_sweep
    from orchestrator.running.lease import is_alive

    spec = recorded_sweep(sweep, ledger)
    lease = ledger.lease(spec.name)
    return progress_of(spec, ledger, workspace, lease is not None and is_alive(lease))


def _watch(ledger: "Ledger", workspace: "Workspace", sweep: str | None) -> None:
    """Show what runs on standard error until nothing does, or until Ctrl-C."""
    from orchestrator.running.display import Display

    def look() -> "list[Progress]":
        return (
            _all_progress(ledger, workspace, {}) if sweep is None else [_progress(ledger, workspace, sweep)]
        )

    said = 0.0
    try:
        with Display(err()) as display:
            while running := [one for one in look() if one.running]:
                if display.redraws:
                    display.show(_live(running))
                elif time.monotonic() - said > PLAIN_SECONDS or not said:
                    said = time.monotonic()
                    for progress in running:
                        display.console.print(_line(progress))
                time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        sys.stderr.write("\n")


def _live(running: "list[Progress]") -> "RenderableType":
    from rich.console import Group
    from rich.table import Table

    from orchestrator.running.display import bar

    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("sweep", "row", "", "epoch", "objective"):
        table.add_column(name, justify="right" if name in ("epoch", "objective") else "left")
    for progress in running:
        for run in progress.working:
            value = "" if run.value is None else f"{run.value:.4f}"
            share = bar(run.epoch, run.epochs)
            table.add_row(progress.sweep, run.row, share, f"{run.epoch}/{run.epochs}", value)
    return Group(table, *(_line(progress) for progress in running))


def _line(progress: "Progress") -> str:
    from orchestrator.running.display import clock, memory

    trials = progress.trials
    parts = [
        f"{progress.sweep}: {trials.get('finished', 0)} of {sum(trials.values())} trials done",
        f"epoch {progress.epochs_done} of {progress.epochs}",
    ]
    if progress.best is not None:
        parts.append(f"best {progress.best:.4f}")
    if progress.failed_trials:
        parts.append(f"{len(progress.failed_trials)} failed")
    parts.append(f"memory {memory()}")
    if progress.seconds_left is not None:
        parts.append(f"about {clock(progress.seconds_left)} left")
    return "  ·  ".join(parts)


def _status_of_one(sweep: str, ledger: "Ledger", workspace: "Workspace", as_json: bool) -> None:
    from orchestrator.planning.plan import FINAL, GRID, MODEL
    from orchestrator.records.progress import awaiting, state_of
    from orchestrator.records.results import recorded_sweep
    from orchestrator.secure.kept import shortened
    from orchestrator.secure.winner import newest_result

    spec = recorded_sweep(sweep, ledger)
    progress = _progress(ledger, workspace, spec.name)
    members = ledger.members(spec.name)
    rows = ledger.trials(sorted({member.trial_id for member in members}))
    final = {member.trial_id for member in members if member.phase == FINAL}
    stops = ledger.stops([trial_id for trial_id, row in rows.items() if row.state == "stopped"])
    trials = [
        {
            "trial": member.trial_id,
            "phase": member.phase,
            "row": member.name,
            "point": member.point,
            "seed": member.seed,
            "state": "waiting" if row is None else state_of(row, progress.running),
            "stopped_after": stops[member.trial_id].epoch if member.trial_id in stops else None,
            "metrics": (row.metrics if row is not None else None) or {},
            "chosen": member.trial_id in final,
        }
        for member in members
        if member.phase != FINAL
        for row in [rows.get(member.trial_id)]
    ]
    trials += [
        {
            "trial": None,
            "phase": one.phase,
            "row": one.row,
            "point": dict(one.change),
            "seed": one.seed,
            "state": "waiting",
            "stopped_after": None,
            "metrics": {},
            "chosen": False,
        }
        for one in awaiting(spec, members)
    ]
    found = newest_result(spec, ledger, workspace)
    made = [trial for trial in trials if trial["phase"] == GRID and trial["row"] == MODEL]
    document = {
        "sweep": spec.name,
        "objective": spec.objective.metric,
        "suggested": len(made) if spec.search is not None and spec.search.method == "optuna" else None,
        "suggestions": spec.search.trials if spec.search is not None else None,
        "progress": progress.to_json(),
        "trials": trials,
        "secure_evaluation": shortened(found) if found else None,
    }
    emit(document, as_json, lambda console: _print_trials(console, document))


def _print_trials(console: "Console", document: dict[str, Any]) -> None:
    from rich.table import Table

    from orchestrator.spec.points import point_text

    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("trial", "row", "point", "seed", "state", document["objective"]):
        table.add_column(name, justify="right" if name in ("seed", document["objective"]) else "left")
    for trial in document["trials"]:
        value = trial["metrics"].get(document["objective"])
        table.add_row(
            (trial["trial"] or "-") + ("*" if trial["chosen"] else ""),
            trial["row"],
            point_text(trial["point"]),
            str(trial["seed"]),
            trial["state"] + (f" after {trial['stopped_after']}" if trial["stopped_after"] else ""),
            "" if value is None else f"{value:.4f}",
        )
    console.print(table)
    console.print("* chosen for the comparison; figures are validation results", style="dim")
    if not all(trial["trial"] for trial in document["trials"]):
        console.print("- no trial yet: awaits the choice of the best point", style="dim")
    if any(trial["stopped_after"] for trial in document["trials"]):
        console.print("stopped after so many epochs: `adaptune show TRIAL` says why", style="dim")
    if document["suggested"] is not None and document["suggested"] < document["suggestions"]:
        console.print(f"{document['suggested']} of {document['suggestions']} points are suggested so far")
    if document["secure_evaluation"] is not None:
        console.print(over_parties(document["secure_evaluation"]))


def _print_sweeps(console: "Console", sweeps: list[dict[str, Any]], unreadable: dict[str, str]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    states = ["finished", "stopped", "running", "failed", "interrupted", "waiting"]
    if not any(line["trials"].get("stopped") for line in sweeps):
        states.remove("stopped")
    for name in ("sweep", "", *states):
        table.add_column(name, justify="left" if name in ("sweep", "") else "right")
    for line in sweeps:
        counts = [str(line["trials"].get(state, 0)) for state in states]
        table.add_row(line["sweep"], "live" if line["running"] else "", *counts)
    console.print(table if sweeps or unreadable else "no sweep has been run in this home folder yet")
    for line in sweeps:
        if line["failed_trials"]:
            some = ", ".join(line["failed_trials"][:4]) + (" …" if len(line["failed_trials"]) > 4 else "")
            console.print(f"{line['sweep']}: not finished: {some}; `adaptune show TRIAL` says why")
    for name, reason in unreadable.items():
        console.print(
            f"{name}: cannot be read as it was recorded; `adaptune run` with its file records it anew. {reason}",
        )
