"""What every command shares: the options `--json` and `--home`, and how results and messages are written."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

GOOD, BAD_INPUT, TRIALS_FAILED, GATE_REFUSED = 0, 2, 3, 4

DEFAULT_HOME = Path("runs")
FILE_WIDTH = 120
"""Columns of output that goes into a file or a pipe."""

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout and everything else on stderr.")
]
HomeOption = Annotated[
    Path,
    typer.Option("--home", envvar="ADAPTUNE_HOME", help="Folder of the ledger, results, models and reports."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change the sweep file for this call; may be repeated."),
]
SweepArgument = Annotated[Path, typer.Argument(metavar="SWEEP", help="A sweep file.", show_default=False)]


def out() -> "Console":
    """Return a console on stdout, for results, not read as markup; wide where nobody's terminal limits it."""
    import sys

    from rich.console import Console

    width = None if sys.stdout.isatty() else FILE_WIDTH
    return Console(soft_wrap=True, highlight=False, markup=False, width=width)


def err() -> "Console":
    """Return a console on stderr, for progress and messages, not read as markup."""
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True, highlight=False, markup=False)


def emit(document: Mapping[str, Any], as_json: bool, render: Callable[["Console"], None]) -> None:
    """Write a command's one result: `document` as JSON, or what `render` makes of it for a person."""
    if as_json:
        typer.echo(json.dumps(_finite(document), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        render(out())


def complain(message: str) -> None:
    """Write an error for a person to stderr, never wrapped or read as markup."""
    from rich.text import Text

    err().print(Text.assemble(("error: ", "bold red"), message))


def _finite(value: Any) -> Any:
    """Replace numbers that JSON cannot hold by null, and paths by text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, Path) else value
