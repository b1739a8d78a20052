"""The commands that judge and hand on a sweep's results."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from components.errors import AdaptuneError
from orchestrator.cli.output import DEFAULT_HOME, GATE_REFUSED, GOOD, HomeOption, JsonOption, emit, err
from orchestrator.cli.run import open_ledger, over_parties
from orchestrator.spec.problems import counted

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.records.ledger import Ledger
    from orchestrator.records.results import Part
    from orchestrator.release.promote import Promotion
    from orchestrator.spec.sweep import SweepSpec

FinishedArgument = Annotated[
    str,
    typer.Argument(metavar="SWEEP", help="A sweep that was run: its file or its name.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    for command in (compare, report, promote, models, predict):
        app.command()(command)


def _last_run(sweep: str, ledger: "Ledger") -> "SweepSpec":
    """Return a sweep as it was last run, and say so where the file that names it has changed since."""
    from orchestrator.records.results import differs_from_last_run, recorded_sweep

    spec = recorded_sweep(sweep, ledger)
    if differs_from_last_run(sweep, spec):
        err().print(f"note: {sweep} is not what was last run as {spec.name}; this is about the last run")
    return spec


def compare(
    sweep: FinishedArgument,
    validation: Annotated[
        bool, typer.Option("--validation", help="Compare on the validation part instead of the test part.")
    ] = False,
    group: Annotated[
        str | None,
        typer.Option("--group", help="Compare over another of the task's groups, such as unseen users."),
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Say which of a sweep's rows differ from the baseline, and how sure that is."""
    from orchestrator.judging.paper import paper_tables
    from orchestrator.judging.tables import comparison_view
    from orchestrator.records.results import compare_sweep
    from orchestrator.secure.kept import shortened
    from orchestrator.secure.winner import newest_result

    workspace, ledger = open_ledger(home)
    part: Part = "validation" if validation else "test"
    spec = _last_run(sweep, ledger)
    comparison = compare_sweep(spec, ledger, workspace, part, all_slices=False, group=group)
    paper = paper_tables(comparison)
    private = newest_result(spec, ledger, workspace)
    document = {
        **comparison.to_json(),
        "paper": paper.to_json() if paper else None,
        "secure_evaluation": shortened(private) if private else None,
    }

    def render(console: "Console") -> None:
        console.print(comparison_view(comparison))
        if private:
            console.print(over_parties(private))

    emit(document, as_json, render)


def report(
    sweeps: Annotated[
        list[str],
        typer.Argument(
            metavar="SWEEP…",
            help="A sweep that was run, its file or its name; several, to hold them against the first; or a folder "
            "of sweep files.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write it; by default in the home.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Write the report of a sweep, or of several side by side: one HTML file that needs nothing else."""
    from orchestrator.report.writing import write_report, write_study_report
    from orchestrator.running.mirror import mirror_report

    workspace, ledger = open_ledger(home)
    title, names = _on_one_page(sweeps, ledger)
    if not title:
        spec = _last_run(names[0], ledger)
        path = write_report(spec, ledger, workspace, out)
        for problem in mirror_report(spec.name, spec.task, spec.tracking, workspace.mirror, path):
            err().print(f"not mirrored to Weights & Biases: {problem}")
        emit({"sweep": spec.name, "report": path}, as_json, lambda console: console.print(f"report: {path}"))
        return
    named = len(sweeps) > 1  # of a folder's sweeps, some may still be to come
    path, written = write_study_report(title, names, ledger, workspace, out, whole=named)
    document = {
        "study": title,
        "report": path,
        "unfinished": dict(written.unfinished),
        "side_by_side": [between.to_json() for between in written.between],
    }
    emit(document, as_json, lambda console: _print_study_report(console, document))


def _on_one_page(arguments: list[str], ledger: "Ledger") -> tuple[str, list[str]]:
    """Return what a page of several sweeps is called, and their names; one sweep is returned as it was given."""
    from orchestrator.records.results import sweep_name
    from orchestrator.study import is_folder, load_study

    known = ledger.sweep_names()
    folders = [one for one in arguments if one not in known and is_folder(one)]
    if folders and arguments[1:]:
        raise AdaptuneError(f"{folders[0]} is a folder: name it alone, or name sweeps")
    if folders:
        study = load_study(Path(folders[0]))
        return study.name, [spec.name for spec in study.sweeps.values()]
    names = list(dict.fromkeys(one if one in known else sweep_name(one) for one in arguments))
    return (", ".join(names), names) if names[1:] else ("", arguments[:1])


def _print_study_report(console: "Console", document: dict[str, Any]) -> None:
    for reason in document["unfinished"].values():
        console.print(f"not on it: {reason}")
    console.print(f"report: {document['report']}")


def promote(
    sweep: FinishedArgument,
    alias: Annotated[str, typer.Option("--alias", help="The alias to move to the new version.")] = "champion",
    address: Annotated[
        str | None,
        typer.Option(
            help="The Ray cluster for a gate over parties with `run: ray`; by default on this machine."
        ),
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Make a sweep's winner a version in the registry, if the gates of its file let it pass."""
    from orchestrator.records.results import has_other_gates
    from orchestrator.release.promote import promote_sweep
    from orchestrator.release.registry import Registry
    from orchestrator.secure.live import shown_seats

    workspace, ledger = open_ledger(home)
    spec = _last_run(sweep, ledger)
    if has_other_gates(sweep, spec):
        err().print(
            f"note: {sweep} has other gates under `promote` than {spec.name} was last run with, which are judged; "
            f"`adaptune run {sweep}` takes the others over, without doing again what is done",
        )
    registry = Registry(workspace.registry)
    promotion = promote_sweep(spec, ledger, workspace, registry, alias, shown_seats(err()), address)
    emit(promotion.to_json(), as_json, lambda console: _print_promotion(console, promotion))
    sys.exit(GOOD if promotion.version else GATE_REFUSED)


def _print_promotion(console: "Console", promotion: "Promotion") -> None:
    for verdict in promotion.verdicts:
        found = "not measured" if verdict.value is None else f"{verdict.value:.4f}"
        console.print(f"{'passed ' if verdict.passed else 'refused'}  {verdict.gate}: {found}")
    if promotion.version is None:
        console.print("nothing was promoted: a gate refused")
    else:
        console.print(
            f"{promotion.version.name} is now {promotion.alias} (digest {promotion.version.digest})"
        )


def models(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """List the promoted versions and the aliases that point at them."""
    from dataclasses import asdict

    from orchestrator.records.workspace import Workspace
    from orchestrator.release.registry import Registry

    listings = Registry(Workspace(home).registry).versions()
    document = {"models": [asdict(listing) for listing in listings]}
    emit(document, as_json, lambda console: _print_models(console, document["models"]))


def _print_models(console: "Console", listings: list[dict[str, Any]]) -> None:
    if not listings:
        console.print(
            "no model has been promoted yet: `adaptune promote SWEEP` makes one of a finished sweep"
        )
    for listing in listings:
        aliases = ", ".join(listing["aliases"]) or "no alias"
        state = (
            listing["problem"] or f"created {listing['created']}, from {listing['provenance'].get('sweep')}"
        )
        console.print(f"{listing['name']}  [{aliases}]  {state}")


def predict(
    version: Annotated[
        str,
        typer.Argument(
            metavar="VERSION", help="A version, such as `recommendation/1` or `recommendation/champion`."
        ),
    ],
    users: Annotated[Path, typer.Option("--users", help="CSV or Parquet file with a column `user`.")],
    out: Annotated[Path, typer.Option("--out", help="Where to write: .csv or .parquet.")],
    k: Annotated[int, typer.Option("--k", min=1, max=1000, help="Recommendations a user.")] = 10,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Score many users at once with a promoted version."""
    from orchestrator.records.workspace import Workspace
    from orchestrator.release.predict import predict as predict_users
    from orchestrator.release.registry import Registry

    document = predict_users(Registry(Workspace(home).registry), version, users, out, k)
    lines = [f"wrote {counted(document['rows'], 'row')} to {out}"]
    lines += [f"no profile field of the model, so ignored: {name}" for name in document["ignored_columns"]]
    lines += [
        f"{name}: the model does not know {', '.join(values[:10])}{' and others' if values[10:] else ''}"
        for name, values in document["unknown_values"].items()
    ]
    emit(document, as_json, lambda console: console.print("\n".join(lines), markup=False))
