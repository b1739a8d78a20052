"""The connection of one seat to the others: the exchanges of the protocol, counted, each with an end and a cause."""

import math
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from components.privacy.crypten_setup import load_crypten
from components.privacy.failures import Disagreement, ProtocolError
from components.privacy.rendezvous import PROTOCOL, meet
from components.privacy.waiting import Absent, Worker

if TYPE_CHECKING:
    from components.privacy.seat import Seat

__all__ = ["PROTOCOL", "Traffic", "Wire", "communicate_through"]

_GRACE = 4.0
"""How long a seat that has finished waits for the others to have finished, too."""
_NEVER = timedelta(days=30)
"""Gloo's own timeout: the waiting ends elsewhere, and for all seats."""
_MOST_SWAPPED = 1 << 27


@dataclass
class Traffic:
    """What a seat has exchanged: `rounds` of waiting, payload `bytes` sent, `seconds` since all had met."""

    rounds: int = 0
    bytes: int = 0
    seconds: float = 0.0


class Wire:
    """One seat's connections; CrypTen uses it as its communicator."""

    def __init__(self, seat: "Seat") -> None:
        """Meet all others at the rendezvous, compare what must be equal, and agree on a key with each.

        Raises a `ProtocolError` when somebody is missing, comes twice, or comes with other settings.
        """
        self.seat = seat
        self.traffic = Traffic()
        self._worker = Worker(seat.timeout)
        met = meet(seat, self._worker)
        self._store, self.watch, self.streams = met.store, met.watch, met.streams
        try:
            self.watch.wait(self._connect)
        except ProtocolError as failure:
            self.watch.report(failure)
            self.watch.end()
            raise
        self.start = time.perf_counter()

    def get_rank(self) -> int:
        """Return this seat's rank, under the name that CrypTen asks for."""
        return self.seat.rank

    def get_world_size(self) -> int:
        """Return the number of parties, under the name that CrypTen asks for."""
        return self.seat.parties

    def all_reduce(
        self,
        input: torch.Tensor | list[torch.Tensor],
        op: "dist.ReduceOp.RedOpType" = dist.ReduceOp.SUM,
        batched: bool = False,
    ) -> torch.Tensor | list[torch.Tensor]:
        """Open masked shares to all parties: sum, or exclusive or, over the parties, in one round."""
        tensors = input if isinstance(input, list) else [input]
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        self._count(flat.nbytes * (1 if self.seat.parties == 2 else 2))
        if self.seat.parties == 2:
            other = self.watch.wait(lambda: self._both_ways(flat))
            flat = flat ^ other if op == dist.ReduceOp.BXOR else flat + other
        else:
            self.watch.wait(lambda: dist.all_reduce(flat, op=op, group=self.parties))
        parts = flat.split([tensor.numel() for tensor in tensors])
        results = [part.reshape(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]
        return results if isinstance(input, list) else results[0]

    def collect(self, share: torch.Tensor, receiver: int) -> torch.Tensor | None:
        """Send this party's `share` to the receiver alone; the receiver gets the sum, the others None."""
        if self.seat.rank != receiver:
            self._count(share.nbytes)
            self.watch.wait(lambda: dist.send(share.contiguous(), receiver, group=self.parties))
            return None
        self._count(0)
        total = share.clone()
        for rank in range(self.seat.parties):
            if rank != receiver:
                total += self._received(torch.empty_like(share), rank, self.parties)
        return total

    def gather_all(self, values: torch.Tensor) -> list[torch.Tensor]:
        """Show all parties this party's `values`, which are public, and return everybody's in order of rank."""
        self._count(values.nbytes * (self.seat.parties - 1))
        gathered = [torch.empty_like(values) for _ in range(self.seat.parties)]
        self.watch.wait(lambda: dist.all_gather(gathered, values, group=self.parties))
        return gathered

    def send(self, values: torch.Tensor, rank: int) -> None:
        """Send `values` to one seat, the dealer included."""
        self._count(values.nbytes, rounds=0)
        self.watch.wait(lambda: dist.send(values.contiguous(), rank))

    def receive(self, values: torch.Tensor, rank: int, patient: bool = False) -> torch.Tensor:
        """Fill `values` from one seat, the dealer included; `patient` as long as no seat is lost or reports."""
        self._count(0)
        return self._received(values, rank, None, math.inf if patient else None)

    def exchange(self, values: torch.Tensor, rank: int) -> torch.Tensor:
        """Swap `values` [n, K] for those of one party, [m, K], masked by the pair's stream; both must call this."""
        count = int(self._swap(torch.tensor([len(values)]), torch.empty(1, dtype=torch.int64), rank))
        if not 0 <= count * values.shape[1] <= _MOST_SWAPPED:
            raise Disagreement(
                f"Party {rank} has a list of impossible length. Run the same version everywhere.", rank
            )
        return self._swap(values, torch.empty((count, values.shape[1]), dtype=torch.int64), rank)

    def _swap(self, own: torch.Tensor, theirs: torch.Tensor, rank: int) -> torch.Tensor:
        """Send `own` and fill `theirs`, the lower rank sending first: both draw the same masks in the same order."""
        for turn in sorted((self.seat.rank, rank)):
            if turn == self.seat.rank:
                self.send(own + self.streams[rank].ring(own.shape), rank)
            else:
                mask = self.streams[rank].ring(theirs.shape)
                theirs = self.receive(theirs, rank) - mask
        return theirs

    def close(self, failed: bool) -> None:
        """Part: rank 0, who keeps the store, goes last. After a failure nobody waits."""
        self.measured()
        if failed:
            self.watch.end()
            return
        # the others may be gone already, which no longer matters
        with suppress(RuntimeError, TimeoutError, Absent):
            self._worker.wait(self._leave, _GRACE)
        self.watch.end()
        with suppress(RuntimeError, TimeoutError, Absent):
            self._worker.wait(dist.destroy_process_group, _GRACE)

    def measured(self) -> Traffic:
        """Return the traffic so far."""
        self.traffic.seconds = time.perf_counter() - self.start
        return self.traffic

    def _count(self, sent: int, rounds: int = 1) -> None:
        self.traffic.rounds += rounds
        self.traffic.bytes += sent

    def _connect(self) -> None:
        """Let gloo connect each seat with each other."""
        dist.init_process_group(
            "gloo", store=dist.PrefixStore("gloo", self._store), rank=self.seat.rank,
            world_size=self.seat.parties + 1, timeout=_NEVER,
        )  # fmt: skip
        self.parties = dist.new_group(list(range(self.seat.parties)), timeout=_NEVER)

    def _both_ways(self, values: torch.Tensor) -> torch.Tensor:
        """Send `values` to the other one of two parties and return what it sends."""
        other, rank = torch.empty_like(values), 1 - self.seat.rank
        sending = dist.isend(values, rank, group=self.parties)
        dist.recv(other, rank, group=self.parties)
        assert sending is not None
        sending.wait()
        return other

    def _received(
        self, values: torch.Tensor, rank: int, group: "dist.ProcessGroup | None", seconds: float | None = None
    ) -> torch.Tensor:
        self.watch.wait(lambda: dist.recv(values, rank, group=group), seconds)
        return values

    def _leave(self) -> None:
        """Say that this seat has finished; rank 0 waits for all others to say so."""
        left = self._store.add("left", 1)
        deadline = time.monotonic() + _GRACE
        while self.seat.rank == 0 and left <= self.seat.parties and time.monotonic() < deadline:
            time.sleep(0.01)
            left = self._store.add("left", 0)


def communicate_through(wire: Wire) -> None:
    """Make CrypTen use `wire`; its own communicator would pickle, and would know no timeout."""
    load_crypten()
    import crypten.communicator as communicator

    setattr(communicator, "get", lambda: wire)  # noqa: B010  the name belongs to an untyped module
