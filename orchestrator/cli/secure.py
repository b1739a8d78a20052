"""The commands that evaluate a model over users whom several parties hold."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from components.errors import AdaptuneError
from components.privacy.failures import ProtocolError
from orchestrator.cli.output import (
    BAD_INPUT,
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    SetOption,
    complain,
    emit,
    err,
)

if TYPE_CHECKING:
    from rich.console import Console

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="VERSION",
        help="A version, such as `recommendation/champion`, or a folder that `adaptune export` has made.",
        show_default=False,
    ),
]
PartiesOption = Annotated[
    Path, typer.Option("--parties", help="The party file: who holds which users, who deals, who receives.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    for command in (evaluate, party, split, export):
        app.command()(command)


def evaluate(
    version: ModelArgument,
    parties: PartiesOption,
    address: Annotated[
        str | None, typer.Option(help="With `run: ray`, the cluster; by default Ray starts on this machine.")
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Evaluate a version over several parties' private users; only totals come out, to the receiver."""
    from orchestrator.records.workspace import Workspace
    from orchestrator.release.registry import Registry
    from orchestrator.secure.evaluate import evaluate_version, find_model
    from orchestrator.secure.live import LiveSeats
    from orchestrator.spec.parties import load_parties

    file, workspace = load_parties(parties), Workspace(home)
    model = find_model(version, Registry(workspace.registry))
    with LiveSeats(err()) as live:
        result = evaluate_version(model, file, workspace, live.say, address)
    emit(result, as_json, lambda console: print_result(console, result))


def party(
    parties: Annotated[
        Path | None, typer.Option("--parties", help="The party file, the same at all seats.")
    ] = None,
    version: Annotated[
        str | None,
        typer.Argument(
            metavar="[VERSION]",
            help="A version, or a folder that `adaptune export` has made; the dealer needs none.",
            show_default=False,
        ),
    ] = None,
    rendezvous: Annotated[
        str | None,
        typer.Option(help="`host:port` at which the party of rank 0 listens; by default that of the file."),
    ] = None,
    role: Annotated[
        Literal["party", "dealer"], typer.Option(help="Which seat this process takes.")
    ] = "party",
    rank: Annotated[int | None, typer.Option(min=0, help="Which party of the file, from 0.")] = None,
    name: Annotated[str | None, typer.Option(help="Which party of the file, by its name.")] = None,
    key: Annotated[
        Path | None,
        typer.Option(help="The seat's private key, where the party file lists public keys."),
    ] = None,
    new_key: Annotated[
        Path | None,
        typer.Option(help="Only write a new private key to this file, and print its public key."),
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Take one seat of an evaluation on this host; the others are started by hand on theirs."""
    if new_key is not None:
        _make_key(new_key, as_json)
        return
    if parties is None:
        raise AdaptuneError("expected `--parties FILE`, the party file, or `--new-key FILE`")
    os.environ.setdefault(
        "TORCH_CPP_LOG_LEVEL", "ERROR"
    )  # torch prints a page for each connection that is lost
    from orchestrator.records.workspace import Workspace
    from orchestrator.release.registry import Registry
    from orchestrator.secure.evaluate import find_model
    from orchestrator.secure.live import LiveSeats
    from orchestrator.secure.remote import take_remote_seat

    workspace = Workspace(home)
    model = None if version is None else find_model(version, Registry(workspace.registry))
    try:
        with LiveSeats(err()) as live:
            result = take_remote_seat(model, parties, role, rank, name, rendezvous, workspace, live.say, key)
    except ProtocolError as failure:
        from components.privacy.waiting import end_process

        complain(str(failure))
        end_process(BAD_INPUT)
    emit(result, as_json, lambda console: _print_seat(console, result))


def split(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA", help="A sweep file, or a folder of prepared data.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="New folder for the parties' folders and a party file.")],
    parties: Annotated[int, typer.Option("--parties", min=2, max=16, help="How many parties.")] = 2,
    by: Annotated[
        Literal["users", "columns"],
        typer.Option(
            "--by", help="What is divided: users, or (between two) profiles and logs of the same users."
        ),
    ] = "users",
    set_: SetOption = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Make party folders from a data set, to try an evaluation with."""
    from orchestrator.records.workspace import Workspace
    from orchestrator.secure.splitting import split_data

    document = split_data(data, parties, out, Workspace(home), set_ or (), by)

    def render(console: "Console") -> None:
        for each in document["parties"]:
            unseen = f", {each['unseen']} of them unseen" if "unseen" in each else ""
            holds = f"{each['holds']} of " if "holds" in each else ""
            console.print(f"{each['folder']}: {holds}{each['users']} users{unseen}")
        console.print(f"party file: {document['file']}")

    emit(document, as_json, render)


def export(
    version: ModelArgument,
    out: Annotated[Path, typer.Option("--out", help="New folder for the model's files.")],
    encoder: Annotated[
        bool, typer.Option("--encoder", help="Only what parties get of a model that its owner keeps.")
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Copy a version's model to hand to a party: without the users and events that travel with it for serving."""
    from orchestrator.records.workspace import Workspace
    from orchestrator.release.registry import Registry
    from orchestrator.secure.evaluate import find_model
    from orchestrator.secure.model_files import export_model, model_digest

    model = find_model(version, Registry(Workspace(home).registry))
    files = export_model(model.task, model.folder, out, encoder)
    document = {
        "version": version,
        "model": model_digest(out),
        "out": out,
        "files": [file.name for file in files],
    }
    emit(
        document,
        as_json,
        lambda console: console.print(
            f"{out}: {version}, {'encoder' if encoder else 'model'} {document['model']}"
        ),
    )


def _make_key(path: Path, as_json: bool) -> None:
    from components.privacy.identity import make_key

    public = make_key(path)
    emit({"key": path, "public_key": public}, as_json, lambda console: console.print(public))


def _print_seat(console: "Console", result: dict[str, Any]) -> None:
    if "groups" in result:
        print_result(console, result)
    else:
        console.print(f"{result['seat']}: done; the result is the receiver's alone")


def print_result(console: "Console", result: dict[str, Any]) -> None:
    """Print metrics by group, what it cost, and the statement."""
    from rich.table import Table

    names = list(dict.fromkeys(name for group in result["groups"].values() for name in group["metrics"]))
    metrics = Table(box=None, pad_edge=False, header_style="dim")
    metrics.add_column("")
    for group, found in result["groups"].items():
        metrics.add_column(f"{group} ({found['users']} users)", justify="right")
    for name in names:
        values = (_written(found, name) for found in result["groups"].values())
        metrics.add_row(_label(result["task"], name), *values)
    console.print(
        f"{result['version']} over the users of {', '.join(result['parties'])}, {result['part']} part"
    )
    console.print(metrics)
    if result["noise"]:
        console.print(
            "± is how far the noise moves a metric at most, 19 times of 20; ? where it may be all noise"
        )
    costs = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("seat", "rounds", "MB sent", "seconds in the protocol", "seconds in all"):
        costs.add_column(heading, justify="left" if heading == "seat" else "right")
    for seat, traffic in result["traffic"].items():
        costs.add_row(
            seat,
            str(traffic["rounds"]),
            f"{traffic['bytes'] / 1e6:.2f}",
            f"{traffic['seconds']:.2f}",
            f"{traffic['whole_seconds']:.2f}",
        )
    console.print(costs)
    for part in result["statement"]:
        console.print(f"{part['about']}: {part['text']}")
    console.print(f"kept: {result['kept']}")


def _label(task: str, name: str) -> str:
    from components.privacy.totals import label
    from components.tasks import TASKS

    known = TASKS[task].metrics.get(name)
    return known.label if known else label(name)


def _written(found: dict[str, Any], name: str) -> str:
    """Write one group's metric, with the margin of its noise, if it was given any."""
    if name not in found["metrics"]:
        return "-"
    value = f"{found['metrics'][name]:.4f}"
    if found["margins"] is None:
        return value
    return f"{value} ± {found['margins'][name]:.4f}" if name in found["margins"] else f"{value} ± ?"
