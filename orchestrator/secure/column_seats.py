"""A party's seat where columns of the same users are divided: from opening its folder to the opened sums."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from components.data.column_folders import held
from components.errors import AdaptuneError

if TYPE_CHECKING:
    from components.privacy.column_tallies import Logs, Profiles
    from components.privacy.evaluation import Request
    from components.privacy.seat import Session
    from orchestrator.secure.seats import Assignment
    from orchestrator.secure.work import Groups

TASK = "recommendation"
"""The one task whose data can be divided by columns."""


def check_task(task: str) -> None:
    """Raise AdaptuneError where a model's task cannot be evaluated over columns."""
    if task != TASK:
        raise AdaptuneError(
            f"`divided: columns` is for models of {TASK}, and this one is of {task}: divide its data by users"
        )


class ColumnWork:
    """What a party does with its columns."""

    def __init__(self, assignment: "Assignment", request: "Request") -> None:
        """Check that the model's data can be divided by columns."""
        from components.privacy.column_evaluation import metric_set_of
        from components.privacy.column_tallies import combinations_of

        assert assignment.model is not None
        check_task(assignment.task)
        self.request, self.metric_set = request, metric_set_of(request)
        self.holds: dict[str, str] | None = None
        self._assignment = assignment
        self._combinations = combinations_of(Path(assignment.model))
        self._own: Profiles | Logs | None = None

    def alone(self) -> int | None:
        """Read this party's folder; who holds the logs also evaluates the model, for all profiles there can be."""
        from components.privacy.column_tallies import logs_in, profiles_in

        if self._assignment.data is None:
            return None
        assert self._assignment.model is not None
        data, model = Path(self._assignment.data), Path(self._assignment.model)
        if held(data) == "profiles":
            self._own = profiles_in(data, model)
        else:
            self._own = logs_in(data, model, self._assignment.part)
        return len(self._own.tokens)

    def together(
        self, session: "Session", permit: Callable[[], None], say: Callable[[str], None]
    ) -> "Groups":
        """Join users and look their numbers up."""
        from components.privacy.column_evaluation import evaluate_columns, holders_by_name

        found, holders = evaluate_columns(
            session, self._assignment.rank, self.request, self._own, self._combinations, permit, say
        )
        self.holds = dict(holders_by_name(holders, self._assignment.parties))
        return found
