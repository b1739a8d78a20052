"""`adaptune validate` and `adaptune schema`: is a file right, and what may be in it?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.output import BAD_INPUT, DEFAULT_HOME, HomeOption, JsonOption, emit, err

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.spec.problems import SpecError

FilesArgument = Annotated[
    list[Path],
    typer.Argument(metavar="FILE…", help="Sweep files, or cluster files for `ray up`.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Add both commands to `app`."""
    app.command()(validate)
    app.command()(schema)


def validate(files: FilesArgument, as_json: JsonOption = False, home: HomeOption = DEFAULT_HOME) -> None:
    """Check files and report every error of all of them, with line and column. Runs nothing."""
    results = [(file, *_check(file)) for file in files]
    document = {"files": [{"file": str(file), "errors": _listed(errors)} for file, _, errors in results]}

    def render(console: "Console") -> None:
        for file, summary, errors in results:
            if not errors:
                console.print(f"{file}: {summary}")

    emit(document, as_json, render)
    problems = [error for _, _, errors in results for error in errors]
    for error in problems if not as_json else ():
        err().print(str(error))
    if problems:
        raise typer.Exit(BAD_INPUT)


def schema(as_json: JsonOption = False, home: HomeOption = DEFAULT_HOME) -> None:
    """Print the JSON Schema of sweep files, for completion and checks in editors.

    Save it, and start a sweep file with `# yaml-language-server: $schema=FILE`.
    """
    from orchestrator.spec.schema import sweep_schema

    emit(sweep_schema(), True, lambda console: None)


def _check(file: Path) -> tuple[str, list["SpecError"]]:
    from orchestrator.spec.cluster import check_cluster, is_cluster
    from orchestrator.spec.load import SpecErrors, load_sweep
    from orchestrator.spec.problems import counted

    try:
        if is_cluster(file):
            check_cluster(file)
            return "a cluster file, as Ray expects it", []
        spec = load_sweep(file, parties=True)
    except SpecErrors as errors:
        return "", errors.errors
    points, seeds = counted(spec.grid_size, "grid point"), counted(len(spec.seeds), "seed")
    if spec.search is not None:
        drawn = counted(spec.search.trials, f"{spec.search.method} point")
        points = f"{drawn} x {points}" if spec.grid else drawn
    if spec.choosing_seeds != spec.seeds:
        return f"a sweep of {spec.task}, {points}, the best one x {seeds}", []
    return f"a sweep of {spec.task}, {points} x {seeds}", []


def _listed(errors: list["SpecError"]) -> list[dict[str, Any]]:
    return [{"line": error.line, "column": error.column, "message": error.message} for error in errors]
