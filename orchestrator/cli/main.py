"""The console command `adaptune`: it gathers the commands that the installed packages contribute."""

import sys
from importlib.metadata import entry_points, version
from typing import Annotated

import typer

from components.errors import AdaptuneError
from orchestrator.cli.output import BAD_INPUT, complain, err
from orchestrator.spec.problems import SpecErrors

COMMANDS = "adaptune.commands"
"""Entry points of this group are functions `register(app)` that import nothing heavy."""


def main() -> None:
    """Run the command line. Bad input ends with a message and code 2, Ctrl-C with code 130."""
    try:
        build()()
    except SpecErrors as errors:
        for error in errors.errors:
            err().print(str(error))
        sys.exit(BAD_INPUT)
    except AdaptuneError as error:
        complain(str(error))
        sys.exit(BAD_INPUT)


def build() -> typer.Typer:
    """Make the application with all commands, those of the orchestrator first."""
    app = typer.Typer(
        name="adaptune",
        help="Experiments on personalised multimodal models: from one YAML file to a served winner.",
        epilog="One sweep file describes it all. Start with [bold]adaptune run sweeps/quickstart.yaml[/bold]",
        rich_markup_mode="rich",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for entry in sorted(entry_points(group=COMMANDS), key=lambda entry: entry.name):
        try:
            register = entry.load()
        except ImportError as error:
            complain(f"the commands of {entry.value} are missing: {error}")
        else:
            register(app)
    return app


def _print_version(asked: bool | None) -> None:
    if asked:
        typer.echo(f"adaptune {version('adaptune')}")
        raise typer.Exit()


def _options(
    _version: Annotated[
        bool | None,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version and leave."
        ),
    ] = None,
) -> None:
    pass


if __name__ == "__main__":
    main()
