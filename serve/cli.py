"""The command `adaptune serve`."""

import json
import shlex
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add this package's commands to the command line."""
    app.command("serve")(serve)


def serve(
    alias: Annotated[
        str, typer.Option(help="Which promoted models answer; the endpoint follows the alias when it moves.")
    ] = "champion",
    task: Annotated[
        list[str] | None,
        typer.Option(
            help="Serve this task only; may be repeated.", show_default="every task that is promoted"
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes a free one.")
    ] = 8000,
    home: Annotated[
        Path, typer.Option(envvar="ADAPTUNE_HOME", help="Folder of the registry and the users' events.")
    ] = Path("runs"),
    demo: Annotated[
        bool, typer.Option("--demo", help="Show that it adapts to new users, then stop. Takes a free port.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document: the URL, or the demonstration's result.")
    ] = False,
) -> None:
    """Answer requests with the promoted models on http://127.0.0.1, adapting to each user, until Ctrl-C."""
    from serve.app import check_port, check_promoted, free_port, local_endpoint

    tasks = task or []
    versions = check_promoted(home, alias, tasks)
    chosen = free_port() if demo or port == 0 else port
    check_port(chosen)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    typer.echo(f"starting {', '.join(versions.values())} (`{alias}`) …", err=True)
    try:
        with local_endpoint(home, alias, tasks, chosen) as url:
            if demo:
                from serve.demo import show

                show(url, home, as_json, command_again(alias, tasks, home))
            else:
                _announce(url, versions, alias, as_json)
                signal.pause()
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)


def command_again(alias: str, tasks: Sequence[str], home: Path) -> str:
    """Write the command that serves the same models for good."""
    words = ["adaptune", "serve"]
    words += [] if alias == "champion" else ["--alias", alias]
    words += [word for task in tasks for word in ("--task", task)]
    words += [] if home == Path("runs") else ["--home", str(home)]
    return shlex.join(words)


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    """End the command; from here on nothing disturbs the shutting down."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


_REQUESTS = {
    "recommendation": """curl {url}/v1/recommend {json} -d '{{"user": "ada", "k": 5}}'

  curl {url}/v1/events {json} -d '{{"user": "ada", "events": [
    {{"id": "1", "timestamp": '$(date +%s)', "content": "ITEM", "kind": "rated", "value": 1.0}}]}}'""",
    "question-answering": """curl {url}/v1/answer {json} -d '{{"user": "ada",
    "question": "Who built the mill?", "passage": "The mill was built by Anna, a young baker, in 1777."}}'""",
    "captioning": "curl {url}/v1/caption -F user=ada -F image=@photo.jpg",
}
"""Requests to try, by task."""


def _announce(url: str, versions: Mapping[str, str], alias: str, as_json: bool) -> None:
    first = next(iter(versions.values()))
    if as_json:
        typer.echo(json.dumps({"url": url, "model": first, "alias": alias, "models": versions}))
        return
    names = ", ".join(versions.values())
    typer.echo(f"{names} (`{alias}`) on {url}  (Ctrl-C stops it; {url}/openapi.json describes it)")
    requests = [_REQUESTS[task] for task in versions if task in _REQUESTS]
    for request in [*requests, "curl {url}/v1/models", "curl {url}/healthz"]:
        typer.echo("\n  " + request.format(url=url, json="-H 'content-type: application/json'"))
