"""A demonstration over HTTP: in every task in service a newcomer posts a few events, and the answers follow."""

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import typer
from rich.console import Console
from rich.table import Column, Table

from components.tasks import TASKS
from serve.demo_items import TOP, Shift, demonstrate
from serve.demo_styles import MATERIALS, POSTS, StyleShift, checked, demonstrate_styles


def show(url: str, home: Path, as_json: bool, again: str) -> None:
    """Demonstrate every task that the endpoint at `url` serves from `home`, and print the outcome.

    `again` is the command that serves them.
    """
    shown: dict[str, Any] = {}
    with httpx.Client(base_url=url, timeout=60) as client:
        health = checked(client.get("/healthz"))
        data = {each["name"]: each["provenance"] for each in checked(client.get("/v1/models"))["models"]}
        for task, state in health["tasks"].items():
            model = state["model"]
            if model is None:
                continue
            material = MATERIALS.get(TASKS[task].servable)
            folder = home / "data" / str(data[model].get("data_digest"))
            if material is None:
                shift: Shift | StyleShift = demonstrate(client)
            elif folder.is_dir():
                shift = demonstrate_styles(client, material(folder))
            else:
                typer.echo(f"{model} is not shown: its data set is not in {folder}", err=True)
                continue
            shown[task] = asdict(shift)
            if not as_json:
                _print_items(shift, url) if isinstance(shift, Shift) else _print_styles(shift, url)
    if as_json:
        typer.echo(json.dumps(shown))
    else:
        _go_on(home, again)


def _go_on(home: Path, again: str) -> None:
    option = "" if home == Path("runs") else f" --home {shlex.quote(str(home))}"
    typer.echo("\nTo go on:")
    for command, purpose in (
        (again, "keep the endpoint running, and print requests to try"),
        (f"adaptune models{option}", "list the promoted models"),
        ("adaptune plan sweeps/recommendation-small.yaml", "see what a sweep on MovieLens would run"),
    ):
        typer.echo(f"  {command:<48} {purpose}")


def _print_items(shift: Shift, url: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{shift.model} answers on {url}. A newcomer, of whom it knows nothing, is shown first:")
    for place, title in enumerate(shift.first, 1):
        console.print(f"  {place}. {title}", markup=False)
    console.print(f"\nThe newcomer posts events. Genres among the top {TOP} items that were not posted:")
    console.print(_table("genre", shift))
    _print_control(console, shift.control_unchanged, "is shown", "was shown")


def _print_styles(shift: StyleShift, url: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    asked = sum(shift.before.values())
    console.print(
        f"\n{shift.model} answers on {url}. A newcomer, of whom it knows nothing, asks for {asked} {shift.outputs}, "
        f"posts events, and asks again. Styles among the {shift.outputs}:"
    )
    console.print(_table("style", shift))
    console.print(f"  asked   {shift.asked}\n  before  {shift.first}\n  after   {shift.then}", markup=False)
    _print_control(console, shift.control_unchanged, "is told", "was told")


def _table(what: str, shift: Shift | StyleShift) -> Table:
    table = Table(what, "posted", Column("before", justify="right"), Column("after", justify="right"))
    posted = {shift.liked: f"{POSTS} likes", shift.disliked: f"{POSTS} dislikes"}
    others = sorted((shift.before.keys() | shift.after.keys()) - posted.keys())
    for name in [shift.liked, shift.disliked, *others]:
        colour = "green" if name == shift.liked else "red" if name == shift.disliked else None
        counts = (str(counts.get(name, 0)) for counts in (shift.before, shift.after))
        table.add_row(name, posted.get(name, ""), *counts, style=colour)
    return table


def _print_control(console: Console, unchanged: bool, now: str, then: str) -> None:
    same = f"exactly what {then} before" if unchanged else "[red]something else than before[/red]"
    console.print(f"A control user, who posted nothing, {now} {same}.")
