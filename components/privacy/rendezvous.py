"""The meeting of all seats: a store at the rendezvous, what must be equal, a key with each other seat.

Everything that differs between two protocol versions is compared here before the first share leaves a process.
"""

import hashlib
import json
import os
import socket
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import psutil
import torch.distributed as dist

from components.privacy.failures import (
    Disagreement,
    NotWhoTheySay,
    PartyLost,
    ProtocolError,
    SeatTaken,
    Stalled,
)
from components.privacy.streams import KeyExchange, Stream
from components.privacy.waiting import Absent, Worker
from components.privacy.watching import Watch, seat_name

if TYPE_CHECKING:
    from components.privacy.seat import Seat

PROTOCOL = 2
"""Raise it with every change after which two versions would misunderstand each other."""

_POLL = 0.02


@dataclass(frozen=True)
class Met:
    """What a seat has once it has met all others."""

    store: dist.TCPStore
    watch: Watch
    streams: dict[int, Stream]
    """By rank: the randomness shared with that seat alone."""


def meet(seat: "Seat", worker: Worker) -> Met:
    """Meet all others; raises a `ProtocolError` when somebody is missing, comes twice, or comes with other settings.

    With an identity, each seat signs what all have said; nobody goes on before all signatures are right.
    """
    deadline = time.monotonic() + seat.timeout
    store, watch, taken = _open(seat, worker)
    meeting = _Meeting(seat, store, watch, deadline)
    if taken:
        meeting.refuse(
            SeatTaken(
                f"Two processes came as {seat_name(seat.rank, seat.parties)}. Give each seat to one process and "
                "start over.",
                seat.rank,
            )
        )
    exchange = KeyExchange()
    own = json.dumps({"settings": _settings(seat), "key": exchange.public.hex()}, sort_keys=True)
    meeting.tell("hello", own)
    # what this seat itself said is not asked for: whoever keeps the store could have changed it for all
    heard = [own if rank == seat.rank else meeting.hear("hello", rank) for rank in range(seat.parties + 1)]
    hellos = [json.loads(text) for text in heard]
    for rank, hello in enumerate(hellos):
        meeting.compare(hello["settings"], rank)
    if seat.identity is not None:
        transcript = hashlib.sha256(json.dumps(heard).encode()).digest()
        meeting.tell("proof", seat.identity.sign(seat.rank, transcript))
        for rank in meeting.others:
            if not seat.identity.verifies(rank, transcript, meeting.hear("proof", rank)):
                meeting.doubt(rank)
    streams = {
        rank: exchange.agree(
            bytes.fromhex(hellos[rank]["key"]),
            f"adaptune {PROTOCOL} seats {min(rank, seat.rank)} {max(rank, seat.rank)}",
        )
        for rank in meeting.others
    }
    return Met(store, watch, streams)


class _Meeting:
    """What one seat says to all at the rendezvous, and hears of the others."""

    def __init__(self, seat: "Seat", store: dist.TCPStore, watch: Watch, deadline: float) -> None:
        self._seat, self._store, self._watch, self._deadline = seat, store, watch, deadline
        self._name = seat_name(seat.rank, seat.parties)
        self.others = [rank for rank in range(seat.parties + 1) if rank != seat.rank]

    def tell(self, what: str, text: str) -> None:
        """Say something to all."""
        self._watch.wait(lambda: self._store.set(f"{what}/{self._seat.rank}", text))

    def hear(self, what: str, rank: int) -> str:
        """Wait for what one seat says."""
        key = f"{what}/{rank}"
        while not self._watch.wait(lambda: self._store.check([key])):
            if time.monotonic() > self._deadline:
                missing = seat_name(rank, self._seat.parties)
                self.refuse(
                    PartyLost(
                        f"No sign of {missing} within {self._seat.timeout:g} s. Start it and try again.", rank
                    )
                )
            time.sleep(_POLL)
        return self._watch.wait(lambda: self._store.get(key)).decode()

    def compare(self, theirs: dict[str, Any], rank: int) -> None:
        """Refuse a seat whose settings are not ours."""
        for what, ours in _settings(self._seat).items():
            if theirs.get(what) != ours:
                other = f"{theirs.get(what)} at {seat_name(rank, self._seat.parties)}"
                self.refuse(
                    Disagreement(
                        f"The {what} differs: {other}, {ours} at {self._name}. Make them equal.", rank
                    )
                )

    def doubt(self, rank: int) -> NoReturn:
        """Refuse a seat whose signature is wrong."""
        assert self._seat.identity is not None
        self.refuse(
            NotWhoTheySay(
                f"{seat_name(rank, self._seat.parties).capitalize()} has not proven who it is: what {self._name} "
                f"heard is not signed by the key listed for it ({self._seat.identity.public_keys[rank]}). Either it "
                "was started with another key, or somebody in between has altered what the seats say to each other.",
                rank,
            )
        )

    def refuse(self, failure: ProtocolError) -> NoReturn:
        """Leave, and tell the others why."""
        self._watch.report(failure)
        self._watch.end()
        raise failure


def _settings(seat: "Seat") -> dict[str, Any]:
    """Return what must be equal at all seats."""
    return {
        "protocol version": PROTOCOL,
        "number of parties": seat.parties,
        "receiver": seat.receiver,
        "insecure simulation": seat.insecure_simulation,
        "list of roles and keys": None if seat.identity is None else seat.identity.roles,
    }


def _open(seat: "Seat", worker: Worker) -> tuple[dist.TCPStore, Watch, bool]:
    """Reach the store, start the pulse, and find whether the seat is taken."""
    host, port = _address(seat.rendezvous)

    def reach() -> tuple[dist.TCPStore, Watch, bool]:
        store = _connect(seat, host, port, master=seat.rank == 0)
        taken = store.add(f"seat/{seat.rank}", 1) > 1
        return store, Watch(_connect(seat, host, port), worker, seat.rank, seat.parties, seat.timeout), taken

    try:
        return worker.wait(reach, seat.timeout)
    except socket.gaierror as error:
        raise ProtocolError(
            f"The rendezvous {seat.rendezvous} has no known address: {error.strerror}."
        ) from error
    except (RuntimeError, TimeoutError) as error:
        raise PartyLost(
            f"Party 0, who keeps the rendezvous, was not found at {seat.rendezvous} within {seat.timeout:g} s. "
            "Start it, and check the address and the firewall.",
            0,
        ) from error
    except Absent as absence:
        raise Stalled(
            f"This process was {absence}, longer than the others wait. Start over.", seat.rank
        ) from absence
    except OSError as error:
        raise SeatTaken(
            f"Rank 0 cannot listen on {seat.rendezvous} ({error.strerror}). Another rank 0 may be running, or "
            "the address is not this host's.",
            seat.rank,
        ) from error


def _connect(seat: "Seat", host: str, port: int, master: bool = False) -> dist.TCPStore:
    _choose_interface(host, port)
    options: dict[str, Any] = {
        "is_master": master,
        "wait_for_workers": False,
        "timeout": timedelta(seconds=seat.timeout),
    }
    if master:  # listen on the address that was given and on no other
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family)
        options["master_listen_fd"] = listener.detach()
    else:
        _await_listener(host, port, time.monotonic() + seat.timeout)
    return dist.TCPStore(host, port, None, **options)


def _await_listener(host: str, port: int, deadline: float) -> None:
    """Return once somebody listens: torch would print a page for each attempt that fails."""
    while True:
        try:
            socket.create_connection((host, port), max(0.1, deadline - time.monotonic())).close()
            return
        except socket.gaierror:
            raise
        except OSError:
            if time.monotonic() > deadline:
                raise TimeoutError from None
        time.sleep(5 * _POLL)


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
