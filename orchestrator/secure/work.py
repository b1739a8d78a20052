"""What a party computes: its own users alone, and then the sums together with the others."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

from orchestrator.secure.column_seats import ColumnWork
from orchestrator.secure.model_files import check_divisible, model_digest, must_be_whole

if TYPE_CHECKING:
    from components.privacy.evaluation import GroupResult, Request
    from components.privacy.seat import Session
    from components.privacy.totals import Tally
    from orchestrator.secure.seats import Assignment

Groups = Mapping[str, "GroupResult"] | None
"""Results by group at the receiver, None elsewhere."""


class Work(Protocol):
    """One party's part in an evaluation."""

    request: "Request"
    """What it is asked for, by the model that it really has."""
    metric_set: str
    """What is measured, in the words of a ledger."""
    holds: dict[str, str] | None
    """Afterwards, where columns are divided: which party holds `profiles`, and which `logs`."""

    def alone(self) -> int | None:
        """Do what takes no other party, and return how many users of this one are evaluated, if that may be told."""

    def together(self, session: "Session", permit: Callable[[], None], say: Callable[[str], None]) -> Groups:
        """Take the steps of the evaluation; `permit` and `say` as in `components.privacy.evaluation`."""


@contextmanager
def work_of(assignment: "Assignment") -> Iterator[Work]:
    """Lay out what a party has to do. Raises AdaptuneError where its model is not what its place asks for."""
    assert assignment.model is not None
    folder = Path(assignment.model)
    if assignment.owner in (None, assignment.rank):
        must_be_whole(folder)
    if assignment.divided == "columns":
        yield ColumnWork(assignment, _request(assignment, folder))
        return
    if assignment.owner is None:
        yield _PublicWork(assignment, folder)
        return
    check_divisible(assignment.task)
    if assignment.owner != assignment.rank:
        yield _PrivateWork(assignment, folder, None)
        return
    from components.privacy.divided_model import write_encoder

    with TemporaryDirectory() as encoder:
        write_encoder(folder, Path(encoder), model_digest(folder))
        yield _PrivateWork(assignment, Path(encoder), folder)


def _request(assignment: "Assignment", model: Path) -> "Request":
    from components.privacy.evaluation import Request
    from components.privacy.noise import Noise

    return Request(
        task=assignment.task,
        model=model_digest(model),
        part=assignment.part,
        parties=assignment.parties,
        receiver=assignment.receiver,
        minimum_cohort=assignment.minimum_cohort,
        owner=assignment.owner,
        noise=None if assignment.noise is None else Noise(**assignment.noise),
    )


class _PublicWork:
    """Every party has the model: it evaluates its own users, and only sums are computed together."""

    holds: dict[str, str] | None = None

    def __init__(self, assignment: "Assignment", model: Path) -> None:
        self.request = _request(assignment, model)
        self.metric_set = self.request.metric_set
        self._assignment, self._model = assignment, model
        self._tallies: Mapping[str, Tally] | None = None

    def alone(self) -> int | None:
        """Evaluate this party's users."""
        from components.privacy.noise import load_opendp
        from components.privacy.tallies import tallies_of

        if self.request.noise is not None:
            load_opendp()
        if self._assignment.data is not None:
            self._tallies = tallies_of(
                self._assignment.task, self._model, Path(self._assignment.data), self._assignment.part
            )
        if self.request.noise is not None or self._tallies is None:
            return None
        return sum(tally.users for tally in self._tallies.values())

    def together(self, session: "Session", permit: Callable[[], None], say: Callable[[str], None]) -> Groups:
        """Add up."""
        from components.privacy.evaluation import evaluate

        return evaluate(session, self._assignment.rank, self.request, self._tallies, permit, say)


class _PrivateWork:
    """One party keeps the model: each reads its own users with the open encoder, and they are scored together."""

    holds: dict[str, str] | None = None

    def __init__(self, assignment: "Assignment", encoder: Path, model: Path | None) -> None:
        from components.privacy.divided_model import load_encoder

        self._assignment, self._model = assignment, model
        self._encoder = load_encoder(encoder)
        self.request = _request(assignment, encoder)
        self.metric_set = self.request.metric_set

    def alone(self) -> int | None:
        """Read this party's users."""
        import numpy as np

        from components.data.interactions import open_interactions
        from components.privacy.divided_model import Kept, Shape
        from components.privacy.encoded_users import EncodedUsers, encode_users
        from components.privacy.tallies import check_fit
        from components.tasks.recommendation.serving import load_servable

        self._shape = Shape.of(self._encoder)
        self._users = EncodedUsers.nobody(self._shape)
        self._kept = None if self._model is None else Kept.of(load_servable(self._model))
        if self._assignment.data is None:
            return None
        data, catalogue = open_interactions(Path(self._assignment.data)), self._encoder.catalogue
        check_fit(data, catalogue.profile_fields, catalogue.item_ids)
        self._users = encode_users(self._encoder, data, self._assignment.part)
        return len(np.unique(self._users.likes.user))

    def together(self, session: "Session", permit: Callable[[], None], say: Callable[[str], None]) -> Groups:
        """Score and count."""
        from components.privacy.private_evaluation import evaluate_private

        return evaluate_private(
            session, self._assignment.rank, self.request, self._users, self._kept, self._shape, permit, say
        )
