"""The commands that the orchestrator contributes to `adaptune`."""

import typer

from orchestrator.cli import check, results, run, secure, status, study


def register(app: typer.Typer) -> None:
    """Add the orchestrator's commands to `app`."""
    check.register(app)
    run.register(app)
    status.register(app)
    study.register(app)
    results.register(app)
    secure.register(app)
