"""A seat in a secure evaluation: a party or the dealer, in a process of its own.

    with join(Seat(rank=1, parties=3, rendezvous="10.0.0.1:29400", receiver=0, timeout=60)) as session:
        session.agree(model_digest)
        session.total(counts)          # the sums at the receiver, None elsewhere

Do what takes long (loading, evaluating) before joining: `timeout` counts while a party computes, too.
Whatever fails raises a `ProtocolError` at every seat within the timeout, and nothing is opened afterwards.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from components.privacy.columns import ColumnScorer, LookUp
from components.privacy.comparing import sufficient
from components.privacy.crypten_setup import load_crypten
from components.privacy.dealing import confirm_presence, dismiss_dealer, serve_requests
from components.privacy.failures import (
    Disagreement,
    NotWhoTheySay,
    OutOfBounds,
    PartyLost,
    ProtocolError,
    SeatTaken,
    Stalled,
    Withdrawn,
)
from components.privacy.hardening import harden, leave_insecure
from components.privacy.identity import Identity
from components.privacy.scoring import Confusion, Head, Scorer
from components.privacy.watching import seat_name
from components.privacy.wire import PROTOCOL, Traffic, Wire, communicate_through

__all__ = [
    "PROTOCOL", "Confusion", "Disagreement", "Identity", "NotWhoTheySay", "OutOfBounds", "PartyLost",
    "ProtocolError", "Seat", "SeatTaken", "Session", "Stalled", "Traffic", "Withdrawn", "deal", "join", "load",
]  # fmt: skip

LARGEST = 2**56
"""No count that a party passes to `total` may be larger in size."""

Program = Callable[[Wire, Callable[[tuple[int, ...]], torch.Tensor]], torch.Tensor]
"""What all parties compute together: from connections and shares of zeros to the shares that are opened."""

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Seat:
    """Who this process is, and where the others are."""

    rank: int
    """0 to parties - 1 for a party; the dealer has rank == parties."""
    parties: int
    """How many parties there are, 2 or more."""
    rendezvous: str
    """host:port on which rank 0 listens."""
    receiver: int
    """The rank of the party that learns what is opened."""
    timeout: float
    """Seconds without progress after which everything ends."""
    insecure_simulation: bool = False
    """Run CrypTen as it comes, with triples that rank 0 knows and guessable generators. Never for real data."""
    identity: Identity | None = None
    """What this seat proves itself with, where the others demand it."""

    def __post_init__(self) -> None:
        """Refuse seats that cannot exist."""
        if self.parties < 2:
            raise ProtocolError(f"A secure evaluation has at least 2 parties, not {self.parties}.")
        if not 0 <= self.rank <= self.parties:
            raise ProtocolError(
                f"Ranks run from 0 to {self.parties}, the dealer's; {self.rank} is none of them."
            )
        if not 0 <= self.receiver < self.parties:
            raise ProtocolError(
                f"The receiver must be a party, 0 to {self.parties - 1}, not {self.receiver}."
            )
        if not self.timeout > 0:
            raise ProtocolError(f"The timeout must be above 0 s, not {self.timeout}.")


def _guarded(
    operation: "Callable[Concatenate[Session, P], R]",
) -> "Callable[Concatenate[Session, P], R]":
    @wraps(operation)
    def guarded(self: "Session", *args: P.args, **kwargs: P.kwargs) -> R:
        self._check()
        return operation(self, *args, **kwargs)

    return guarded


class Session:
    """A party's place in a running evaluation. All parties must call the same operations in the same order."""

    def __init__(self, wire: Wire) -> None:
        """Take the connections of `wire`."""
        from crypten.mpc.primitives import ArithmeticSharedTensor

        self._wire = wire
        self._seat = wire.seat
        self._zero: Callable[[tuple[int, ...]], torch.Tensor] = lambda size: (
            ArithmeticSharedTensor.PRZS(size).share
        )
        self._opened = 0

    @property
    def traffic(self) -> Traffic:
        """Rounds, bytes sent and seconds so far."""
        return self._wire.measured()

    @_guarded
    def announce(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tell all parties the whole `numbers` [n] in the clear; returns everybody's, [parties, n]."""
        return torch.stack(self._wire.gather_all(torch.from_numpy(np.array(numbers, dtype=np.int64)))).numpy()

    @_guarded
    def agree(self, text: str) -> None:
        """Go on only if all parties pass the same `text`; they exchange its SHA-256. Raises `Disagreement`."""
        self._compare(
            np.frombuffer(hashlib.sha256(text.encode()).digest(), dtype=np.int64), "what was to be agreed on"
        )

    @_guarded
    def total(self, counts: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Return the element-wise sum over the parties at the receiver, and None elsewhere.

        `counts` is a row of whole numbers of at most 2**56 in size; all parties pass the same length. With two
        parties, the receiver can subtract its own from the sum: no protocol can prevent that.
        Raises `OutOfBounds` where a count is too large, `Disagreement` where lengths differ.
        """
        values = np.asarray(counts)
        if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
            raise OutOfBounds(
                f"{self._name} passed counts that are not a row of whole numbers.", self._seat.rank
            )
        if values.size and (values.max() > LARGEST or values.min() < -LARGEST):
            raise OutOfBounds(f"{self._name} passed a count of more than 2**56 in size.", self._seat.rank)
        opened = self._open(torch.from_numpy(values.astype(np.int64)))
        if opened is None:
            return None
        if opened.size and np.abs(opened).max() > LARGEST * self._seat.parties:
            raise OutOfBounds(
                "What was opened cannot be a sum of counts: a party did not follow the protocol."
            )
        return opened

    @_guarded
    def sufficient(
        self, standing: NDArray[np.int64], least: int, barring: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Return to all parties which measures stand on enough users, [G, M]; no number of users is opened.

        `standing` [G, M + C] are this party's users behind each measure and in each cell, zeros at the receiver,
        whose own users do not count. A measure needs `least` users over all parties, and each cell that `barring` [M,
        C] marks for it must hold as many, or none.
        """
        values = np.asarray(standing, dtype=np.int64)
        if values.size and (values.max() > LARGEST or values.min() < 0):
            raise OutOfBounds(f"{self._name} passed a number of users that cannot be.", self._seat.rank)
        self._compare(np.array([*values.shape, *barring.shape, least]), "what is to be compared")
        return self._answer(self._zero(tuple(values.shape)) + torch.from_numpy(values), least, barring)

    @_guarded
    def sufficient_columns(
        self,
        standing: NDArray[np.int64],
        least: int,
        barring: NDArray[np.int64],
        choice: NDArray[np.integer] | None = None,
        table: NDArray[np.int64] | None = None,
    ) -> NDArray[np.bool_]:
        """Answer as `sufficient` does, where the users in cells are looked up, [G * C], and not opened."""
        values = np.asarray(standing, dtype=np.int64)
        self._compare(np.array([*values.shape, *barring.shape, least]), "what is to be compared")
        cells = ColumnScorer(self._wire, self._zero).looked_up(LookUp(choice, table))
        share = self._zero(tuple(values.shape)) + torch.from_numpy(values)
        share[:, len(barring) :] += cells.reshape(len(values), -1)
        return self._answer(share, least, barring)

    def _answer(self, share: torch.Tensor, least: int, barring: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Compare shared numbers of users and open the answers to all parties."""
        answers = sufficient(Scorer(self._wire, self._zero), share, least, torch.from_numpy(barring))
        confirm_presence(self._wire)
        self._check()
        opened = self._wire.all_reduce(answers + self._zero(tuple(answers.shape)))
        assert isinstance(opened, torch.Tensor)
        if ((opened != 0) & (opened != 1)).any():
            raise OutOfBounds("What was opened is neither yes nor no: a party did not follow the protocol.")
        return opened.numpy().astype(bool)

    @_guarded
    def score(
        self, vectors: NDArray[np.floating], labels: NDArray[np.integer], head: Head | None, owner: int
    ) -> Confusion | None:
        """Classify every party's examples with the owner's private head; returns the pooled counts at the receiver.

        `vectors` is [n, D] with entries of at most 16 in size, `labels` [n] of 0 and 1, n this party's own (0 is
        allowed); `head` is the owner's, None elsewhere. Predicted positive is what scores above 0.
        """
        counts = Scorer(self._wire, self._zero).confusion(vectors, labels, head, owner)
        examples = counts[1]
        opened = self._open(counts[0])
        return None if opened is None else Confusion.checked(opened, examples)

    @_guarded
    def rank(
        self,
        users: NDArray[np.floating],
        targets: NDArray[np.integer],
        excluded: NDArray[np.bool_],
        items: NDArray[np.floating] | None,
        owner: int,
        cutoff: int = 10,
    ) -> NDArray[np.int64] | None:
        """Rank each user's target among the owner's private items; returns a histogram at the receiver.

        `users` is [n, D], `targets` [n] holds item numbers, `excluded` [n, K] marks items that do not compete;
        `items` is the owner's [K, D], None elsewhere. Entry r < cutoff of the result counts the targets with
        exactly r items scored strictly higher, the last entry all others.
        """
        below, rows = Scorer(self._wire, self._zero).ranks(users, targets, excluded, items, owner, cutoff)
        opened = self._open(below)
        if opened is None:
            return None
        steps = np.diff(opened, prepend=0, append=rows)
        if (steps < 0).any():
            raise OutOfBounds(
                "What was opened cannot be a histogram of ranks: a party did not follow the protocol."
            )
        return steps

    @_guarded
    def look_up(
        self, choice: NDArray[np.integer] | None = None, table: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64] | None:
        """Return the sums over users of `table[user, choice[user]]`, [K], at the receiver; None elsewhere.

        One party passes its users' `choice` [U], another the `table` [U, C, K] of whole numbers over the same users
        in the same order, all others nothing. Public become U, C and K.
        """
        return self._open(ColumnScorer(self._wire, self._zero).looked_up(LookUp(choice, table)))

    @_guarded
    def score_columns(
        self,
        columns: NDArray[np.floating] | None = None,
        weights: NDArray[np.floating] | None = None,
        labels: NDArray[np.integer] | None = None,
        bias: float = 0.0,
    ) -> Confusion | None:
        """Classify examples whose columns several parties hold by an open linear head; counts at the receiver.

        A party passes its `columns` [n, D] and the head's `weights` [D] for them, one party the `labels` [n] of 0 and
        1; n and the order of examples are the same everywhere. Each computes its own term in the clear, rounded to
        2**-32; of the terms only the sum is compared. `bias` is what this party adds to its term. Predicted positive
        is what scores at least 0. Who holds nothing passes nothing, and may receive.
        """
        terms = (
            None if columns is None or weights is None else np.asarray(columns @ weights + bias, np.float64)
        )
        counts, examples = ColumnScorer(self._wire, self._zero).added_up(terms, labels)
        opened = self._open(counts)
        return None if opened is None else Confusion.checked(opened, examples)

    @_guarded
    def exchange(self, numbers: NDArray[np.int64], other: int) -> NDArray[np.int64]:
        """Swap rows of whole numbers, [n, K] for [m, K], with the party `other`, who must swap with this one.

        Nobody else takes part; on the lines the numbers are masked under the two parties' key.
        """
        return self._wire.exchange(torch.from_numpy(np.array(numbers, dtype=np.int64)), other).numpy()

    @_guarded
    def compute(self, program: Program) -> NDArray[np.int64] | None:
        """Run `program` on shares, and open the shares that it returns, [n], to the receiver; None elsewhere.

        `program` takes the connections and what makes shares of zeros of a shape, as `Scorer` does.
        """
        return self._open(program(self._wire, self._zero).reshape(-1))

    def _open(self, share: torch.Tensor) -> NDArray[np.int64] | None:
        """Open the sum of all shares to the receiver, after all have shown that they are there, at the same step."""
        self._opened += 1
        confirm_presence(self._wire)
        self._compare(
            np.array([self._opened, len(share)], dtype=np.int64),
            "the number or length of what is to be opened",
        )
        self._check()
        total = self._wire.collect(share + self._zero(tuple(share.shape)), self._seat.receiver)
        return None if total is None else total.numpy()

    def _compare(self, values: NDArray[np.int64], what: str) -> None:
        gathered = self._wire.gather_all(torch.from_numpy(values.copy()))
        own = gathered[self._seat.rank]
        for rank, theirs in enumerate(gathered):
            if not torch.equal(theirs, own):
                raise Disagreement(
                    f"Parties {min(rank, self._seat.rank)} and {max(rank, self._seat.rank)} differ in {what}. "
                    "Nothing was opened. See that all run the same version over the same model and metrics.",
                    rank,
                )

    def _finish(self) -> None:
        """Leave together with the others: nobody goes while another one still needs it."""
        self._check()
        self._compare(np.zeros(1, dtype=np.int64), "having finished")
        dismiss_dealer(self._wire)

    def _check(self) -> None:
        if self._wire.watch.cause is not None:
            raise self._wire.watch.cause

    @property
    def _name(self) -> str:
        return seat_name(self._seat.rank, self._seat.parties).capitalize()


def load() -> None:
    """Load all that a party needs; it takes seconds, so do it before the others wait."""
    load_crypten()
    torch.broadcast_shapes((1,), (1,))  # imports 500 modules at its first call


@contextmanager
def join(seat: Seat) -> Iterator[Session]:
    """Take a party's seat; returns when all parties and the dealer are there. One seat a process."""
    if seat.rank == seat.parties:
        raise ProtocolError(f"Rank {seat.rank} is the dealer's, who calls `deal`.")
    load()
    wire = Wire(seat)
    with _seated(wire):
        _prepare(wire)
        session = Session(wire)
        yield session
        session._finish()


def deal(seat: Seat) -> Traffic:
    """Take the dealer's seat and serve until the parties have finished; returns what was exchanged."""
    if seat.rank != seat.parties:
        raise ProtocolError(f"The dealer's rank is {seat.parties}, the number of parties, not {seat.rank}.")
    wire = Wire(seat)
    with _seated(wire):
        serve_requests(wire)
    return wire.traffic


@contextmanager
def _seated(wire: Wire) -> Iterator[None]:
    """Leave the seat in the end, and tell the others why where it is before the end."""
    failed = True
    try:
        yield
        failed = False
    except ProtocolError as failure:
        wire.watch.report(failure)
        raise
    except (
        BaseException
    ):  # any other reason to leave, an interrupt included, concerns the others only as a fact
        name = seat_name(wire.seat.rank, wire.seat.parties).capitalize()
        wire.watch.report(
            Withdrawn(f"{name} left because of an error of its own; see its messages.", wire.seat.rank)
        )
        raise
    finally:
        wire.close(failed)


def _prepare(wire: Wire) -> None:
    communicate_through(wire)
    (leave_insecure if wire.seat.insecure_simulation else harden)(wire)
