"""What may go wrong between parties: each failure has a name, the rank to blame, and what to do about it.

The text of a failure is passed on to all parties, so it never holds anything that was computed from data.
"""

import json

from components.errors import AdaptuneError


class ProtocolError(AdaptuneError):
    """A secure evaluation ended early, and nothing was opened after that."""

    def __init__(self, message: str, rank: int | None = None) -> None:
        """Say what happened and what to do; `rank` is the seat to blame, where one is known."""
        super().__init__(message)
        self.rank = rank

    def to_text(self) -> str:
        """Return this failure in the form in which the seats tell each other of it."""
        return json.dumps({"kind": type(self).__name__, "rank": self.rank, "message": str(self)})

    @staticmethod
    def from_text(text: str) -> "ProtocolError":
        """Return the failure that another seat has told of; one of an unknown kind is a plain `ProtocolError`."""
        told = json.loads(text)
        return FAILURES.get(told["kind"], ProtocolError)(told["message"], told["rank"])


class PartyLost(ProtocolError):
    """A party or the dealer never came, or its process or connection is gone."""


class Stalled(ProtocolError):
    """A party or the dealer is there, or was, and has made no progress within the timeout."""


class Disagreement(ProtocolError):
    """Parties differ in what all of them must share: protocol version, model, metrics, shapes."""


class OutOfBounds(ProtocolError):
    """An input is larger than what the protocol can add without error, or what was opened cannot be a count."""


class SeatTaken(ProtocolError):
    """Two processes claim the same rank."""


class NotWhoTheySay(ProtocolError):
    """A seat did not sign with the key that the party file lists for it."""


class Withdrawn(ProtocolError):
    """A party left because of an error of its own, which stays with it."""


FAILURES: dict[str, type[ProtocolError]] = {
    kind.__name__: kind
    for kind in (PartyLost, Stalled, Disagreement, OutOfBounds, SeatTaken, NotWhoTheySay, Withdrawn)
}
