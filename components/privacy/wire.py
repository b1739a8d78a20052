"""The connection of one seat to the others: meeting, agreeing on keys, and the exchanges of the protocol, counted.

Everything that differs between two protocol versions is compared here before the first share leaves a process.
"""

import json
import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import psutil
import torch
import torch.distributed as dist

from components.privacy.crypten_setup import load_crypten
from components.privacy.failures import Disagreement, PartyLost, ProtocolError, SeatTaken
from components.privacy.streams import KeyExchange, Stream
from components.privacy.watching import Watch, seat_name

if TYPE_CHECKING:
    from components.privacy.seat import Seat

PROTOCOL = 1
"""Raise it with every change after which two versions would misunderstand each other."""

_GRACE = 2.0
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
        self.steps = 0
        self._limit = timedelta(seconds=max(seat.timeout - _GRACE, seat.timeout / 2))
        self._host, self._port = _address(seat.rendezvous)
        self._meet()
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
            other = torch.empty_like(flat)
            sending = dist.isend(flat, 1 - self.seat.rank, group=self.parties)
            dist.recv(other, 1 - self.seat.rank, group=self.parties)
            assert sending is not None
            sending.wait()
            flat = flat ^ other if op == dist.ReduceOp.BXOR else flat + other
        else:
            dist.all_reduce(flat, op=op, group=self.parties)
        parts = flat.split([tensor.numel() for tensor in tensors])
        results = [part.reshape(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]
        return results if isinstance(input, list) else results[0]

    def collect(self, share: torch.Tensor, receiver: int) -> torch.Tensor | None:
        """Send this party's `share` to the receiver alone; the receiver gets the sum, the others None."""
        if self.seat.rank != receiver:
            self._count(share.nbytes)
            dist.send(share.contiguous(), receiver, group=self.parties)
            return None
        self._count(0)
        total = share.clone()
        for rank in range(self.seat.parties):
            if rank != receiver:
                part = torch.empty_like(share)
                dist.recv(part, rank, group=self.parties)
                total += part
        return total

    def gather_all(self, values: torch.Tensor) -> list[torch.Tensor]:
        """Show all parties this party's `values`, which are public, and return everybody's in order of rank."""
        self._count(values.nbytes * (self.seat.parties - 1))
        gathered = [torch.empty_like(values) for _ in range(self.seat.parties)]
        dist.all_gather(gathered, values, group=self.parties)
        return gathered

    def send(self, values: torch.Tensor, rank: int) -> None:
        """Send `values` to one seat, the dealer included."""
        self._count(values.nbytes, rounds=0)
        dist.send(values.contiguous(), rank)

    def receive(self, values: torch.Tensor, rank: int) -> torch.Tensor:
        """Fill `values` from one seat, the dealer included."""
        self._count(0)
        dist.recv(values, rank)
        return values

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
        with suppress(RuntimeError):  # the others may be gone already, which no longer matters
            if not failed:
                left = self._store.add("left", 1)
                deadline = time.monotonic() + _GRACE
                while self.seat.rank == 0 and left <= self.seat.parties and time.monotonic() < deadline:
                    time.sleep(0.01)
                    left = self._store.add("left", 0)
        self.watch.end()
        if not failed:
            dist.destroy_process_group()

    def measured(self) -> Traffic:
        """Return the traffic so far."""
        self.traffic.seconds = time.perf_counter() - self.start
        return self.traffic

    def _count(self, sent: int, rounds: int = 1) -> None:
        self.steps += 1
        self.traffic.rounds += rounds
        self.traffic.bytes += sent

    def _meet(self) -> None:
        seat = self.seat
        name = seat_name(seat.rank, seat.parties)
        deadline = time.monotonic() + seat.timeout
        try:
            self._store = self._connect(master=seat.rank == 0)
            taken = self._store.add(f"seat/{seat.rank}", 1) > 1
            self.watch = Watch(self._connect(), seat.rank, seat.parties, seat.timeout, lambda: self.steps)
        except socket.gaierror as error:
            raise ProtocolError(
                f"The rendezvous {seat.rendezvous} has no known address: {error.strerror}."
            ) from error
        except OSError as error:
            raise SeatTaken(
                f"Rank 0 cannot listen on {seat.rendezvous} ({error.strerror}). Another rank 0 may be running, or "
                "the address is not this host's.",
                seat.rank,
            ) from error
        except RuntimeError as error:
            raise PartyLost(
                f"Party 0, who keeps the rendezvous, was not found at {seat.rendezvous} within {seat.timeout:g} s. "
                "Start it, and check the address and the firewall.",
                0,
            ) from error
        if taken:
            self._refuse(
                SeatTaken(
                    f"Two processes came as {name}. Give each seat to one process and start over.", seat.rank
                )
            )
        exchange = KeyExchange()
        settings = {
            "protocol version": PROTOCOL,
            "number of parties": seat.parties,
            "receiver": seat.receiver,
            "insecure simulation": seat.insecure_simulation,
        }
        self._store.set(
            f"hello/{seat.rank}", json.dumps({"settings": settings, "key": exchange.public.hex()})
        )
        others = [rank for rank in range(seat.parties + 1) if rank != seat.rank]
        self.streams: dict[int, Stream] = {}
        for rank in others:
            hello = self._hello(rank, deadline)
            for what, ours in settings.items():
                theirs = hello["settings"].get(what)
                if theirs != ours:
                    other = seat_name(rank, seat.parties)
                    self._refuse(
                        Disagreement(
                            f"The {what} differs: {theirs} at {other}, {ours} at {name}. Make them equal.",
                            rank,
                        )
                    )
            pair = f"adaptune {PROTOCOL} seats {min(rank, seat.rank)} {max(rank, seat.rank)}"
            self.streams[rank] = exchange.agree(bytes.fromhex(hello["key"]), pair)
        try:
            dist.init_process_group(
                "gloo", store=dist.PrefixStore("gloo", self._store), rank=seat.rank,
                world_size=seat.parties + 1, timeout=self._limit,
            )  # fmt: skip
            self.parties = dist.new_group(list(range(seat.parties)), timeout=self._limit)
        except RuntimeError as error:
            raise self.watch.diagnose(error) from error

    def _hello(self, rank: int, deadline: float) -> dict:
        while not self._present(f"hello/{rank}"):
            if self.watch.cause is not None:
                raise self.watch.cause
            if time.monotonic() > deadline:
                missing = seat_name(rank, self.seat.parties)
                self._refuse(
                    PartyLost(
                        f"No sign of {missing} within {self.seat.timeout:g} s. Start it and try again.", rank
                    )
                )
            time.sleep(0.02)
        return json.loads(self._store.get(f"hello/{rank}"))

    def _present(self, key: str) -> bool:
        try:
            return self._store.check([key])
        except RuntimeError as error:  # torch's errors of a lost store are of several kinds
            raise self.watch.diagnose(error) from error

    def _refuse(self, failure: ProtocolError) -> NoReturn:
        self.watch.report(failure)
        self.watch.end()
        raise failure

    def _connect(self, master: bool = False) -> dist.TCPStore:
        _choose_interface(self._host, self._port)
        options: dict[str, Any] = {
            "is_master": master,
            "wait_for_workers": False,
            "timeout": timedelta(seconds=self.seat.timeout),
        }
        if master:  # listen on the address that was given and on no other
            family = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)[0][0]
            listener = socket.create_server((self._host, self._port), family=family)
            options["master_listen_fd"] = listener.detach()
        return dist.TCPStore(self._host, self._port, None, **options)


def communicate_through(wire: Wire) -> None:
    """Make CrypTen use `wire`; its own communicator would pickle, and would know no timeout."""
    load_crypten()
    import crypten.communicator as communicator

    setattr(communicator, "get", lambda: wire)  # noqa: B010  the name belongs to an untyped module


def _address(rendezvous: str) -> tuple[str, int]:
    host, separator, port = rendezvous.rpartition(":")
    if not (separator and host and port.isdecimal() and 0 < int(port) < 65536):
        raise ProtocolError(
            f"The rendezvous must read host:port, as in 10.0.0.1:29400; it is {rendezvous!r}."
        )
    return host.strip("[]"), int(port)


def _choose_interface(host: str, port: int) -> None:
    """Let gloo use the network interface from which the rendezvous is reached, unless the environment names one."""
    if "GLOO_SOCKET_IFNAME" in os.environ:
        return
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(address)
        own = probe.getsockname()[0]
    for interface, addresses in psutil.net_if_addrs().items():
        if any(entry.address == own for entry in addresses) or (own.startswith("127.") and interface == "lo"):
            os.environ["GLOO_SOCKET_IFNAME"] = interface
            return
