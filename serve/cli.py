"""The command `adaptune serve`."""

import json
import signal
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add this package's commands to the command line."""
    app.command("serve")(serve)


def serve(
    alias: Annotated[
        str, typer.Option(help="Which promoted model answers; the endpoint follows the alias when it moves.")
    ] = "champion",
    task: Annotated[str, typer.Option(help="The model's task.")] = "recommendation",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes a free one.")
    ] = 8000,
    home: Annotated[
        Path, typer.Option(envvar="ADAPTUNE_HOME", help="Folder of the registry and the users' events.")
    ] = Path("runs"),
    demo: Annotated[
        bool, typer.Option("--demo", help="Show that it adapts to a new user, then stop. Takes a free port.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document: the URL, or the demonstration's result.")
    ] = False,
) -> None:
    """Answer requests with a promoted model on http://127.0.0.1, adapting to each user, until Ctrl-C."""
    from serve.app import check_port, check_promoted, free_port, local_endpoint

    version = check_promoted(home, alias, task)
    chosen = free_port() if demo or port == 0 else port
    check_port(chosen)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    typer.echo(f"starting {version} (`{alias}`) …", err=True)
    try:
        with local_endpoint(home, alias, task, chosen) as url:
            if demo:
                from serve.demo import show

                show(url, home, as_json)
            else:
                _announce(url, version, alias, as_json)
                signal.pause()
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    """End the command; from here on nothing disturbs the shutting down."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _announce(url: str, version: str, alias: str, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"url": url, "model": version, "alias": alias}))
        return
    typer.echo(
        f"""{version} (`{alias}`) answers on {url}  (Ctrl-C stops it; {url}/openapi.json describes it)

  curl {url}/v1/recommend -H 'content-type: application/json' -d '{{"user": "ada", "k": 5}}'

  curl {url}/v1/events -H 'content-type: application/json' -d '{{"user": "ada", "events": [
    {{"id": "1", "timestamp": '$(date +%s)', "content": "ITEM", "kind": "rated", "value": 1.0}}]}}'

  curl {url}/v1/models
  curl {url}/healthz"""
    )
