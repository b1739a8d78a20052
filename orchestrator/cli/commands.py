"""The commands that the orchestrator contributes to `adaptune`."""

import typer

from orchestrator.cli import check


def register(app: typer.Typer) -> None:
    """Add the orchestrator's commands to `app`."""
    check.register(app)
