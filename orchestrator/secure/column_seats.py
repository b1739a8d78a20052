"""A party's seat where columns of the same users are divided: from opening its folder to the opened sums."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.data.column_folders import held
from components.errors import AdaptuneError
from orchestrator.secure.register import Entry, Register, now

if TYPE_CHECKING:
    from components.privacy.column_tallies import Logs, Profiles
    from components.privacy.evaluation import Request
    from components.privacy.seat import Seat
    from orchestrator.secure.seats import Assignment

TASK = "recommendation"
"""The one task whose data can be divided by columns."""


def check_task(task: str) -> None:
    """Raise AdaptuneError where a model's task cannot be evaluated over columns."""
    if task != TASK:
        raise AdaptuneError(
            f"`divided: columns` is for models of {TASK}, and this one is of {task}: divide its data by users"
        )


def take_column_part(
    assignment: "Assignment", request: "Request", seat: Callable[[], "Seat"], did: Callable[..., None]
) -> tuple[dict[str, Any] | None, dict[str, str], dict[str, Any]]:
    """Bring this party's columns to the evaluation; return results (at the receiver), who holds what, and traffic."""
    from components.privacy.column_evaluation import evaluate_columns, holders_by_name, metric_set_of
    from components.privacy.column_tallies import combinations_of
    from components.privacy.seat import join

    assert assignment.model is not None
    check_task(assignment.task)
    if request.noise is not None:
        raise AdaptuneError("no noise is added to columns: leave out `noise`, or write `divided: users`")
    combinations = combinations_of(Path(assignment.model))
    register = entry = own = None
    if assignment.data is not None:
        register = Register(Path(assignment.data))
        entry = _entry(assignment, request, metric_set_of(request))
        register.check(entry)
        own = _columns(assignment)
        did("has read its own columns", users=len(own.tokens))

    def permit() -> None:
        if register is not None and entry is not None:
            register.begin(entry)

    with join(seat()) as session:
        did("has joined")

        def reached(what: str) -> None:
            did(what, traffic=asdict(session.traffic))

        found, holders = evaluate_columns(
            session, assignment.rank, request, own, combinations, permit, reached
        )
        traffic = asdict(session.traffic)
    if register is not None and entry is not None:
        register.finish(entry)
    groups = None if found is None else {name: group.to_json() for name, group in found.items()}
    return groups, dict(holders_by_name(holders, assignment.parties)), traffic


def _columns(assignment: "Assignment") -> "Profiles | Logs":
    """Read this party's folder; who holds the logs also evaluates the model, for every combination of categories."""
    from components.privacy.column_tallies import logs_in, profiles_in

    assert assignment.data is not None and assignment.model is not None
    data, model = Path(assignment.data), Path(assignment.model)
    if held(data) == "profiles":
        return profiles_in(data, model)
    return logs_in(data, model, assignment.part)


def _entry(assignment: "Assignment", request: "Request", metric_set: str) -> Entry:
    from components.data.party_folders import snapshot_digest

    assert assignment.data is not None
    return Entry(
        version=assignment.version,
        model=request.model,
        snapshot=snapshot_digest(Path(assignment.data)),
        metric_set=metric_set,
        request=request.text(),
        began=now(),
    )
