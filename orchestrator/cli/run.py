"""The commands that plan and run sweeps, and look after trials."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.output import (
    DEFAULT_HOME,
    GOOD,
    TRIALS_FAILED,
    HomeOption,
    JsonOption,
    SetOption,
    SweepArgument,
    emit,
    err,
)
from orchestrator.spec.problems import counted, last_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from orchestrator.planning.plan import Plan
    from orchestrator.records.ledger import Ledger
    from orchestrator.records.workspace import Workspace
    from orchestrator.running.driver import Outcome
    from orchestrator.secure.winner import Judged

INTERRUPTED = 130


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    for command in (plan, run, show, cancel, gc):
        app.command()(command)


def open_ledger(home: "HomeOption", create: bool = False) -> "tuple[Workspace, Ledger]":
    """Return the workspace in `home` and its ledger; raises AdaptuneError if there is none to read."""
    from orchestrator.records.ledger import Ledger
    from orchestrator.records.workspace import Workspace

    workspace = Workspace(home)
    return workspace, Ledger(workspace.ledger_url, create=create)


def plan(
    sweep: SweepArgument,
    set_: SetOption = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Show what a sweep would run, without starting anything."""
    from orchestrator.planning.plan import make_plan
    from orchestrator.records.workspace import Workspace
    from orchestrator.spec.load import load_sweep

    spec = load_sweep(sweep, set_ or (), parties=True)
    workspace = Workspace(home)
    known = workspace.ledger_url if has_ledger(workspace) else None
    ledger = open_ledger(home)[1] if known else None
    planned = make_plan(spec, ledger, workspace)
    planned.check_budget()
    emit(planned.to_json(), as_json, lambda console: _print_plan(console, planned))


def has_ledger(workspace: "Workspace") -> bool:
    """Whether there may be a ledger to read; one in a database server is asked, a file may not exist yet."""
    from pathlib import Path

    kind, _, path = workspace.ledger_url.partition(":///")
    return kind != "sqlite" or Path(path).exists()


def _print_plan(console: "Console", plan: "Plan") -> None:
    from rich.table import Table

    document = plan.to_json()
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("phase", "trials", "runs", "epochs", "without sharing"):
        table.add_column(name, justify="left" if name == "phase" else "right")
    for phase, counts in zip(plan.phases, document["phases"], strict=True):
        mark = "*" if phase.provisional and phase.trials else ""
        counts = [f"{counts[key]:,}" for key in ("trials", "runs", "epochs", "epochs_without_sharing")]
        table.add_row(phase.name + mark, *counts)
    console.print(f"{document['sweep']} ({document['task']}), data {plan.data_digest}")
    console.print(table)
    if any(phase.provisional and phase.trials for phase in plan.phases):
        chooser = "grid" if plan.spec.search is None else "search"
        console.print(f"* at most: the {chooser} will choose the point and with it the epochs", style="dim")
    stopped = "" if plan.spec.stop is None else f"{document['stopped']:,} stopped early, "
    console.print(
        f"{counted(document['trials'], 'trial')}: {document['done']:,} done, {stopped}{document['stale']:,} stale "
        f"(their code has changed since), {document['failed']:,} failed, {document['to_run']:,} to run"
    )
    if plan.spec.secure_evaluation is not None:
        file = plan.spec.secure_evaluation.parties
        console.print(f"then the winner is evaluated, once, over the users of the parties in {file}")
    if plan.epochs_to_run:
        cost = "no finished trial on this data yet to estimate the time from"
        if plan.seconds_per_epoch is not None:
            minutes = plan.epochs_to_run * plan.seconds_per_epoch / 60
            cost = f"about {counted(max(round(minutes), 1), 'minute')} of one worker, by what finished trials took"
        console.print(f"{counted(plan.epochs_to_run, 'epoch')} to train: {cost}")
    if document["failed"]:
        console.print("failed trials are run again only with --retry-failed")


def run(
    sweep: SweepArgument,
    set_: SetOption = None,
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
    """Run what a sweep asks for and the ledger does not have yet."""
    from orchestrator.records.workspace import Workspace
    from orchestrator.running.driver import run_sweep
    from orchestrator.running.live import LiveTable
    from orchestrator.secure.live import shown_seats
    from orchestrator.secure.winner import conclude
    from orchestrator.spec.load import load_sweep

    spec = load_sweep(sweep, set_ or (), parties=True)
    try:
        with LiveTable(err(), spec.objective, spec.name) as table:
            outcome = run_sweep(spec, Workspace(home), address, retry_failed, accept_stale, table)
        outcome = conclude(spec, outcome, Workspace(home), shown_seats(err()), address)
    except KeyboardInterrupt:
        err().print(f"{spec.name}: stopped; the same command goes on from here")
        raise typer.Exit(INTERRUPTED) from None
    emit(outcome.to_json(), as_json, lambda console: print_outcome(console, outcome))
    if outcome.stopped:
        sys.exit(INTERRUPTED)
    sys.exit(TRIALS_FAILED if outcome.failures_told else GOOD)


def print_outcome(console: "Console", outcome: "Outcome") -> None:
    """Say how a sweep ended."""
    early = f", {outcome.stopped_early} stopped early" if outcome.stopped_early else ""
    idle = not outcome.finished and not outcome.stopped_early
    if idle and not outcome.failed and not outcome.stopped and outcome.wall_seconds:
        console.print(f"{outcome.sweep}: nothing to do, all {outcome.skipped} trials are done")
    else:
        console.print(
            f"{outcome.sweep}: {counted(outcome.finished, 'trial')} finished{early}, {outcome.failed} failed, "
            f"{outcome.skipped} done before, in {outcome.wall_seconds:.0f} s"
        )
    causes: dict[str, list[str]] = {}
    for name, cause in outcome.failures.items():
        causes.setdefault(last_line(cause), []).append(name)
    for cause, names in causes.items():
        console.print(f"failed: {cause} ({len(names)}: {', '.join(names[:4])}{' …' if names[4:] else ''})")
    if causes:
        console.print(
            "`adaptune show TRIAL` has the traceback; failed trials run again only with --retry-failed"
        )
    if outcome.best is not None:
        point = (
            ", ".join(f"{path} {value}" for path, value in outcome.best["point"].items()) or "the base point"
        )
        metrics = ", ".join(f"{name} {value:.4f}" for name, value in outcome.best["metrics"].items())
        console.print(f"best on validation: {point}; trial {outcome.best['trial']}: {metrics}")
    if outcome.left_out:
        counts = ", ".join(f"{reason} ({count:,})" for reason, count in outcome.left_out.items())
        console.print(f"left out of the data: {counts}")
    for note in outcome.notes:
        console.print(f"on the data: {note}")
    for problem in outcome.mirror_problems:
        console.print(f"not mirrored to Weights & Biases: {problem}")
    if outcome.judged is not None:
        _print_judged(console, outcome.judged)
    if outcome.stopped:
        console.print("stopped before its end; the same command goes on from here")


def _off_by(metric: str, margins: dict[str, float] | None) -> str:
    """Say how far noise may have moved a metric; nothing where there is no noise."""
    if margins is None:
        return ""
    return f" ± {margins[metric]:.4f}" if metric in margins else " ± ?"


def _print_judged(console: "Console", judged: "Judged") -> None:
    """Say how the evaluation of the winner over parties stands."""
    if judged.result is not None:
        before = f"evaluated on {judged.result['created']}: " if judged.state == "known" else ""
        console.print(f"{before}{over_parties(judged.result)}")
        return
    what = {
        "failed": "failed; the sweep's results stand, and the next `run` or `promote` tries again",
        "waiting": "not begun",
    }.get(judged.state, "not done yet")
    console.print(f"secure evaluation: {what}: {judged.cause}")


def over_parties(result: "Mapping[str, Any]") -> str:
    """Say in a line what came out of an evaluation over parties, in the task's main group where it was opened."""
    from components.tasks import TASKS

    name = next(
        group for group in (*TASKS[result["task"]].groups, *result["groups"]) if group in result["groups"]
    )
    group = result["groups"][name]
    metrics = ", ".join(
        f"{metric} {value:.4f}" + _off_by(metric, group.get("margins"))
        for metric, value in group["metrics"].items()
    )
    warning = "NOT SECURE (`insecure_simulation`), " if result["insecure_simulation"] else ""
    return (
        f"{warning}over {group['users']} {name} users of {', '.join(result['parties'])}, {result['part']} part: "
        f"{metrics}; kept: {result['kept']}"
    )


def show(
    trial: Annotated[str, typer.Argument(metavar="TRIAL", help="A trial's id, or the beginning of it.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Show a trial: its config, metrics, log, and traceback if it failed."""
    from dataclasses import asdict

    workspace, ledger = open_ledger(home)
    row = ledger.find_trial(trial)
    logs = [workspace.trial(row.id) / "log.txt", *sorted(workspace.runs.glob(f"{row.run_id}-*/log.txt"))]
    if row.state != "finished":
        logs.insert(0, workspace.run(row.run_id, row.validity or "") / "log.txt")
    log = next((path.read_text(encoding="utf-8", errors="replace") for path in logs if path.exists()), "")
    document = {**asdict(row), "log": log}
    emit(document, as_json, lambda console: _print_trial(console, document))


def _print_trial(console: "Console", document: dict[str, Any]) -> None:
    import json

    console.print(f"trial {document['id']} ({document['task']}): {document['state']}")
    for key in ("seed", "epochs", "parameters", "seconds", "attempts", "updated", "mirror_problem"):
        if document[key] is not None:
            console.print(f"  {key}: {document[key]}")
    for key in ("config", "metrics"):
        console.print(f"{key}: {json.dumps(document[key], indent=2)}")
    for key in ("cause", "log"):
        if document[key]:
            console.print(f"{key}:\n{document[key]}")


def cancel(
    sweep: Annotated[str, typer.Argument(metavar="SWEEP", help="A running sweep: its file or its name.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Ask a running sweep to stop; what is unfinished can be resumed by running it again."""
    from components.errors import AdaptuneError
    from orchestrator.records.results import sweep_name
    from orchestrator.running.lease import is_alive

    _, ledger = open_ledger(home)
    sweep = sweep_name(sweep)
    lease = ledger.lease(sweep)
    if lease is None or not is_alive(lease) or not ledger.cancel(sweep):
        raise AdaptuneError(f"nobody is running {sweep!r}: `adaptune status` lists what runs")
    document = {"sweep": sweep, "cancelled": True}
    emit(document, as_json, lambda console: console.print(f"{sweep} will stop within a few seconds"))


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be dropped.")] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Drop checkpoints and weights that no comparison, promoted version or resumable trial needs."""
    from dataclasses import asdict

    from orchestrator.records.collect import collect_garbage

    workspace, ledger = open_ledger(home)
    dropped = collect_garbage(ledger, workspace, dry_run)
    verb = "would drop" if dry_run else "dropped"
    text = (
        f"{verb} {counted(dropped.runs, 'training run')}, {counted(dropped.models, 'model')} and "
        f"{counted(dropped.leftovers, 'leftover')}: "
        f"{dropped.bytes / 1e6:.1f} MB"
    )
    emit({**asdict(dropped), "dry_run": dry_run}, as_json, lambda console: console.print(text))
