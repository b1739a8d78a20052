"""A sweep's results, gathered from the ledger and the trials' folders."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from components.errors import AdaptuneError, DataError
from components.tasks import TASKS, TaskInfo
from orchestrator.planning.plan import FINAL, GRID
from orchestrator.planning.stages import CONTROL, MODEL, TRIVIAL, role_of
from orchestrator.records.ledger import Ledger, Member, TrialRow
from orchestrator.records.workspace import Workspace
from orchestrator.running.jobs import Look
from orchestrator.spec.problems import last_line
from orchestrator.spec.sweep import SweepSpec

if TYPE_CHECKING:
    from components.data.traits import Trait
    from orchestrator.judging.comparison import Comparison, Entry, Role

Part = Literal["validation", "test"]


def sweep_name(argument: str) -> str:
    """Return the name of the sweep that is meant by its name or by its file."""
    from orchestrator.spec.load import load_sweep

    is_file = argument.endswith((".yaml", ".yml")) or Path(argument).is_file()
    return load_sweep(Path(argument), recorded=True).name if is_file else argument


def differs_from_last_run(argument: str, spec: SweepSpec) -> bool:
    """Whether `argument` is a file that says something else than the sweep of its name that was last run."""
    from orchestrator.spec.load import load_sweep

    return Path(argument).is_file() and load_sweep(Path(argument), recorded=True) != spec


def has_other_gates(argument: str, spec: SweepSpec) -> bool:
    """Whether `argument` is a file whose gates are not those that the sweep was last run with."""
    from orchestrator.spec.load import load_sweep

    return Path(argument).is_file() and load_sweep(Path(argument), recorded=True).promote != spec.promote


def recorded_sweep(argument: str, ledger: Ledger) -> SweepSpec:
    """Return a sweep as it was last run, by its name or by its file.

    Raises AdaptuneError if it has never been run, or if the file is about another task.
    """
    from orchestrator.spec.load import load_sweep, sweep_from_values

    specs = ledger.sweep_specs()
    name = sweep_name(argument)
    if name not in specs:
        known = ", ".join(ledger.sweep_names()) or "none"
        raise AdaptuneError(
            f"the sweep {name!r} has not been run in this home folder (known: {known}): run it first"
        )
    spec = sweep_from_values(specs[name], recorded=True)
    if Path(argument).is_file() and (task := load_sweep(Path(argument), recorded=True).task) != spec.task:
        raise AdaptuneError(
            f"{argument} is about {task}, and the sweep {name!r} of this home folder was last run as {spec.task}: "
            "give the file another name, or run it"
        )
    return spec


def best_seed(spec: SweepSpec, ledger: Ledger) -> TrialRow:
    """Return the winner of a sweep: of the model at its chosen point, the seed with the best validation objective.

    Raises AdaptuneError while the sweep has no final rows.
    """
    trials = [member.trial_id for member in ledger.members(spec.name, FINAL) if member.name == MODEL]
    rows = ledger.trials(trials)
    metric, sign = spec.objective.metric, 1 if spec.objective.mode == "max" else -1
    known = [rows[trial] for trial in trials if trial in rows and metric in (rows[trial].metrics or {})]
    if not known:
        raise AdaptuneError(_unfinished(spec, ledger))
    return max(known, key=lambda row: sign * (row.metrics or {})[metric])


def compare_sweep(
    spec: SweepSpec,
    ledger: Ledger,
    workspace: Workspace,
    part: Part = "test",
    all_slices: bool = True,
    group: str | None = None,
) -> "Comparison":
    """Compare the final rows of a sweep on one part, over one group (by default the task's main one).

    What is known of users is read from the prepared data, as long as the home folder has it.
    Raises AdaptuneError while the sweep has no final rows, no trial has a value of the objective, or a row lacks a
    seed.
    """
    from orchestrator.judging.compare import compare_entries

    if problem := unmeasured_objective(spec, ledger):
        raise AdaptuneError(problem)
    data = ledger.sweep_data(spec.name)
    traits, unknown = _traits(TASKS[spec.task], workspace.data / data, part)
    return compare_entries(
        spec.name,
        TASKS[spec.task],
        spec.objective,
        _entries(spec, ledger, workspace, part),
        spec.compare.against,
        spec.seeds,
        ledger.test_looks(data),
        part,
        level=spec.compare.confidence,
        all_slices=all_slices,
        source=spec.data.source,
        group=group,
        traits=traits,
        unknown_traits=unknown,
    )


def _traits(task: TaskInfo, folder: Path, part: Part) -> "tuple[tuple[Trait, ...], str]":
    """Return what is known of a task's users, or why that cannot be read; of passages or images nothing is."""
    from components.data.traits import read_traits

    if task.unit != "user" or task.form != "interactions":
        return (), ""
    if not folder.is_dir():
        return (), f"its prepared data is no longer in {folder.parent}: `adaptune run` prepares it again"
    try:
        return read_traits(folder, part), ""
    except DataError as error:  # prepared by an older version, say: the comparison itself does not need it
        return (), str(error)


def unmeasured_objective(spec: SweepSpec, ledger: Ledger) -> str:
    """Say that the data does not let the objective be measured, if no finished trial has a value; else nothing."""
    members = ledger.members(spec.name, GRID)
    rows = ledger.trials([member.trial_id for member in members])
    measured = [row.metrics for row in rows.values() if row.state == "finished" and row.metrics is not None]
    metric = spec.objective.metric
    if not measured or any(metric in metrics for metrics in measured):
        return ""
    others = sorted(set.intersection(*(set(metrics) for metrics in measured)) & set(TASKS[spec.task].metrics))
    return (
        f"{spec.name}: no trained trial has a value of `objective.metric` {metric}, because this data does not let "
        f"it be measured: so nothing could be chosen. Take one of {', '.join(others)}, and run it again"
    )


def _unfinished(spec: SweepSpec, ledger: Ledger) -> str:
    return unmeasured_objective(spec, ledger) or (
        f"{spec.name} has no final results yet: `adaptune run` it to its end, with --retry-failed if trials failed; "
        "`adaptune status` tells how far it is"
    )


def _entries(spec: SweepSpec, ledger: Ledger, workspace: Workspace, part: Part) -> "list[Entry]":
    final = ledger.members(spec.name, FINAL)
    if not final:
        raise AdaptuneError(_unfinished(spec, ledger))
    entries = []
    for name in dict.fromkeys(member.name for member in final):
        members = [member for member in final if member.name == name]
        entries.append(_entry(spec, name, role_of(spec, name), members, Look(part), ledger, workspace))
    model = [member for member in final if member.name == MODEL]
    for control in spec.controls:
        entries.append(_entry(spec, control, CONTROL, model, Look(part, control), ledger, workspace))
    for member in ledger.members(spec.name, TRIVIAL):
        entries.append(_entry(spec, member.name, TRIVIAL, [member], Look(part), ledger, workspace))
    return entries


def model_entry(spec: SweepSpec, ledger: Ledger, workspace: Workspace, part: Part = "test") -> "Entry":
    """Return what a sweep's model scored on a part, by seed."""
    members = [member for member in ledger.members(spec.name, FINAL) if member.name == MODEL]
    return _entry(spec, MODEL, MODEL, members, Look(part), ledger, workspace)


def _entry(
    spec: SweepSpec,
    name: str,
    role: "Role",
    members: Iterable[Member],
    look: Look,
    ledger: Ledger,
    workspace: Workspace,
) -> "Entry":
    from components.metrics.rows import read_rows
    from orchestrator.judging.comparison import Entry

    members = list(members)
    known = ledger.trials([member.trial_id for member in members])
    tables, failures = {}, {}
    for member in members:
        path = workspace.trial(member.trial_id) / f"{look.stem}.arrow"
        row = known.get(member.trial_id)
        if row is not None and row.has_failed(spec.budget.max_failures):
            failures[member.seed] = last_line(row.cause or "")
        elif path.exists():
            tables[member.seed] = read_rows(path)
    parameters = next((row.parameters for row in known.values() if row.parameters is not None), None)
    return Entry(name, role, parameters, tables, failures)
