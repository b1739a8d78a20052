"""A seat in a computation of several parties, on CrypTen: who meets, and how sums are opened to one of them alone.

CrypTen's arithmetic shares are used with whole numbers only, its dealer is the only source of correlated randomness,
and every random number comes from AES-256 in counter mode under keys of the operating system: CrypTen's own
generators have 32 effective bits. Openings are raw shares that the receiver adds up; nothing is decoded as a
fraction.
"""

import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial, partialmethod
from typing import Any
from unittest import mock

import numpy as np
import psutil
import torch
import torch.distributed as dist
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray
from torch import Tensor

from components.errors import AdaptuneError
from components.privacy.crypten_setup import load_crypten

PROTOCOL = 1
"""Version of what happens between the parties; others are refused when they meet."""
LARGEST = 2**56
"""Absolute values of inputs lie below this, so that sums over parties stay far from the ring's ends."""
KEY_BYTES = 32


class ProtocolError(AdaptuneError):
    """The parties cannot go on together."""


class PartyLost(ProtocolError):
    """A connection ended: somebody died, refused or left."""


class Stalled(ProtocolError):
    """Somebody has not answered in time."""


class Disagreement(ProtocolError):
    """Parties were asked for different things."""


class OutOfBounds(ProtocolError):
    """A number is too large to be added up safely."""


@dataclass(frozen=True)
class Seat:
    """Where somebody sits."""

    rank: int
    """0 … parties - 1; the dealer's is `parties`."""
    parties: int
    rendezvous: str
    """`host:port` at which rank 0 listens."""
    receiver: int
    """Rank of who learns the opened totals."""
    timeout: float
    """Seconds without progress after which everything ends."""
    insecure_simulation: bool = False
    """Draw all keys from a published one, so that runs repeat themselves and nothing is hidden."""


@dataclass
class Traffic:
    """What the protocol has cost at this seat."""

    rounds: int = 0
    bytes: int = 0
    """Sent by this seat."""
    seconds: float = 0.0


class KeyStream:
    """Random numbers from AES-256 in counter mode; two holders of a key draw the same ones."""

    def __init__(self, key: bytes) -> None:
        """Start the stream of `key` at its beginning; a key is used for one stream only."""
        assert len(key) == KEY_BYTES, len(key)
        self._encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    def ring(self, size: Any) -> Tensor:
        """Draw from all 64-bit integers."""
        shape = torch.Size((size,) if isinstance(size, int) else tuple(size))
        stream = self._encryptor.update(bytes(8 * shape.numel()))
        return torch.from_numpy(np.frombuffer(stream, np.int64).copy()).reshape(shape)


def deal(seat: Seat) -> Traffic:
    """Deal correlated randomness until the parties have finished. Raises `ProtocolError` where they do not."""
    assert seat.rank == seat.parties, seat
    started = time.perf_counter()
    crypten = _prepared(seat)
    with _meeting(seat):
        crypten.init()
    communicator = crypten.communicator.get()
    with _causes(seat):
        _serve(crypten, communicator)
    dist.destroy_process_group()
    return Traffic(communicator.comm_rounds, int(communicator.comm_bytes), time.perf_counter() - started)


def _serve(crypten: Any, communicator: Any) -> None:
    """Answer the requests of party 0 until it says that all is done: CrypTen's loop, which hides how it ended."""
    from crypten.mpc.provider.ttp_provider import TTP_FUNCTIONS, TTPServer

    server = TTPServer.__new__(TTPServer)
    server.ttp_group, server.comm_group = communicator.ttp_group, communicator.ttp_comm_group
    server.device = "cpu"
    server._setup_generators()
    while (message := communicator.recv_obj(0, server.ttp_group)) != "terminate":
        if message["function"] not in TTP_FUNCTIONS:
            raise Disagreement(f"party 0 asked the dealer for {message['function']!r}, which is not dealt")
        result = getattr(server, message["function"])(*message["args"], **message["kwargs"])
        communicator.send_obj(result.size(), 0, server.ttp_group)
        communicator.broadcast(result, communicator.get_ttp_rank(), server.comm_group)


@contextmanager
def join(seat: Seat) -> Iterator["Session"]:
    """Meet the others and compute with them. Raises `ProtocolError`; leaving by an error ends it for all."""
    assert 0 <= seat.rank < seat.parties, seat
    crypten = _prepared(seat)
    with _meeting(seat):
        crypten.init()
    session = Session(seat, crypten)
    said = (PROTOCOL, seat.parties, seat.receiver, seat.insecure_simulation)
    session.agree("protocol {}, {} parties, receiver {}, insecure: {}".format(*said))
    try:
        yield session
    except BaseException:
        with suppress(RuntimeError):  # whoever still waits for us is told by the lost connection
            dist.destroy_process_group()
        raise
    with _causes(seat):
        dist.barrier(group=crypten.communicator.get().main_group)
        crypten.uninit()


class Session:
    """What parties do together."""

    def __init__(self, seat: Seat, crypten: Any) -> None:
        """Use the world that `crypten.init` has made."""
        self._seat = seat
        self._crypten = crypten
        self._communicator = crypten.communicator.get()
        self._started = time.perf_counter()
        self._traffic = Traffic()

    @property
    def traffic(self) -> Traffic:
        """What it has cost so far."""
        self._traffic.seconds = time.perf_counter() - self._started
        return self._traffic

    def total(self, counts: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Add up whole numbers, [n], over the parties; the totals are opened to the receiver alone, None elsewhere.

        Raises `OutOfBounds` for numbers of 2^56 and beyond, and `Disagreement` where parties bring different shapes.
        """
        given = np.ascontiguousarray(counts, np.int64)
        if given.size and not ((given > -LARGEST) & (given < LARGEST)).all():
            raise OutOfBounds(f"a number of {np.abs(given).max()} cannot be added up; at most {LARGEST}")
        self.agree(f"total of {given.shape}")
        shared_type = self._crypten.mpc.primitives.ArithmeticSharedTensor
        with _causes(self._seat):
            share = shared_type.PRZS(torch.Size(given.shape)).share + torch.from_numpy(given)
            received = self._gathered(share)
        return None if received is None else sum(received[1:], received[0]).numpy()

    def agree(self, text: str) -> None:
        """Raise `Disagreement` unless all parties pass the same text."""
        digest = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.int64)
        everybody = self.announce(digest)
        different = [rank for rank, other in enumerate(everybody) if (other != digest).any()]
        if different:
            ranks = ", ".join(map(str, different))
            raise Disagreement(
                f"party {self._seat.rank} and party {ranks} were asked for different things, or with other "
                f"versions of code, model or party file. Here it is: {text[:200]}"
            )

    def announce(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tell all parties whole numbers, [n], in the clear; return everybody's, [parties, n]."""
        own = torch.from_numpy(np.array(numbers, np.int64))
        everybody = [torch.empty_like(own) for _ in range(self._seat.parties)]
        with _causes(self._seat):
            dist.all_gather(everybody, own, group=self._communicator.main_group)
        self._count(8 * own.numel() * (self._seat.parties - 1))
        return torch.stack(everybody).numpy()

    def _gathered(self, share: Tensor) -> list[Tensor] | None:
        """Bring all shares to the receiver."""
        receiver, rank = self._seat.receiver, self._seat.rank
        places = [torch.empty_like(share) for _ in range(self._seat.parties)] if rank == receiver else None
        dist.gather(share, places, dst=receiver, group=self._communicator.main_group)
        self._count(0 if rank == receiver else 8 * share.numel())
        return places

    def _count(self, sent: int) -> None:
        self._traffic.rounds += 1
        self._traffic.bytes += sent


def _prepared(seat: Seat) -> Any:
    """Import CrypTen, choose its dealer, and put our random numbers in place of its own."""
    crypten = load_crypten()
    from crypten.config import cfg
    from crypten.mpc.primitives import arithmetic, binary
    from crypten.mpc.provider import ttp_provider

    if crypten.is_initialized() or dist.is_initialized():
        raise ProtocolError("this process has had a seat already: take each seat in a fresh process")
    new_key = _published_key if seat.insecure_simulation else _secret_key
    cfg.mpc.provider = "TTP"
    cfg.mpc.protocol = "beaver"
    for module in (crypten.common.rng, arithmetic, ttp_provider):
        module.generate_random_ring_element = partial(_ring, crypten)
    for module in (crypten.common.rng, binary, ttp_provider):
        module.generate_kbit_random_tensor = partial(_bits, crypten)
    crypten._setup_prng = partial(_exchange_keys, crypten, new_key)
    client = ttp_provider.TTPClient
    client._TTPClient__TTPClient._setup_generators = _receive_key
    ttp_provider.TTPServer._setup_generators = partialmethod(_send_keys, new_key)
    return crypten


def _stream(crypten: Any, generator: Any) -> KeyStream:
    """Return the stream that is meant; anything but ours is refused."""
    chosen = crypten.generators["local"][torch.device("cpu")] if generator is None else generator
    if not isinstance(chosen, KeyStream):
        raise ProtocolError("CrypTen asked its own generator for random numbers: this version does not fit")
    return chosen


def _ring(
    crypten: Any, size: Any, ring_size: int = 2**64, generator: Any = None, device: Any = None
) -> Tensor:
    """Stand in for `crypten.common.rng.generate_random_ring_element`."""
    drawn = _stream(crypten, generator).ring(size)
    bits = ring_size.bit_length() - 1
    assert ring_size == 1 << bits, ring_size
    return drawn if bits == 64 else (drawn & (ring_size - 1)) - ring_size // 2


def _bits(
    crypten: Any, size: Any, bitlength: int | None = None, generator: Any = None, device: Any = None
) -> Tensor:
    """Stand in for `crypten.common.rng.generate_kbit_random_tensor`."""
    drawn = _stream(crypten, generator).ring(size)
    return drawn if bitlength in (None, 64) else drawn & ((1 << bitlength) - 1)


def _secret_key() -> Tensor:
    return torch.from_numpy(np.frombuffer(os.urandom(KEY_BYTES), np.int64).copy())


def _published_key() -> Tensor:
    """The key of simulations, which hide nothing."""
    return torch.zeros(KEY_BYTES // 8, dtype=torch.int64)


def _stream_of(key: Tensor) -> KeyStream:
    return KeyStream(key.numpy().tobytes())


def _exchange_keys(crypten: Any, new_key: Callable[[], Tensor]) -> None:
    """Stand in for `crypten._setup_prng`: a key with each neighbour, one of everybody, and one of our own."""
    communicator = crypten.communicator.get()
    parties, rank, group = communicator.get_world_size(), communicator.get_rank(), communicator.main_group
    following, preceding = new_key(), torch.empty(KEY_BYTES // 8, dtype=torch.int64)
    sending = dist.isend(following, (rank + 1) % parties, group=group)
    dist.recv(preceding, (rank - 1) % parties, group=group)
    sending.wait()
    shared = new_key()
    dist.broadcast(shared, 0, group=group)
    cpu = torch.device("cpu")
    for name, key in (("next", following), ("prev", preceding), ("global", shared), ("local", new_key())):
        crypten.generators[name][cpu] = _stream_of(key)


def _receive_key(client: Any) -> None:
    """Stand in for the party's side of the dealer's keys."""
    key = torch.empty(KEY_BYTES // 8, dtype=torch.int64)
    dist.recv(key, dist.get_world_size() - 1, group=client.ttp_group)
    dist.barrier(group=client.ttp_group)
    client.generator, client.generator_cuda = _stream_of(key), None


def _send_keys(server: Any, new_key: Callable[[], Tensor]) -> None:
    """Stand in for the dealer's side: a key for each party."""
    keys = [new_key() for _ in range(dist.get_world_size() - 1)]
    for rank, key in enumerate(keys):
        dist.send(key, rank, group=server.ttp_group)
    dist.barrier(group=server.ttp_group)
    server.generators = [_stream_of(key) for key in keys]


@contextmanager
def _meeting(seat: Seat) -> Iterator[None]:
    """Tell CrypTen and gloo who and where we are, with our timeout on every step."""
    host, _, port = seat.rendezvous.rpartition(":")
    surroundings = {
        "WORLD_SIZE": str(seat.parties),
        "RANK": str(seat.rank),
        "RENDEZVOUS": f"tcp://{seat.rendezvous}",
        "DISTRIBUTED_BACKEND": "gloo",
        "GLOO_SOCKET_IFNAME": _interface(host, int(port)),
    }
    limit = timedelta(seconds=seat.timeout)
    with (
        mock.patch.dict(os.environ, surroundings),
        mock.patch.object(dist, "init_process_group", partial(dist.init_process_group, timeout=limit)),
        mock.patch.object(dist, "new_group", partial(dist.new_group, timeout=limit)),
        _causes(seat),
    ):
        yield


def _interface(host: str, port: int) -> str:
    """Return the name of the network interface by which `host` is reached."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, port))
            own = probe.getsockname()[0]
    except OSError as error:
        raise ProtocolError(f"the rendezvous {host}:{port} cannot be reached: {error}") from error
    for name, addresses in psutil.net_if_addrs().items():
        if own in (address.address for address in addresses):
            return name
    return "lo" if own.startswith("127.") else ""


@contextmanager
def _causes(seat: Seat) -> Iterator[None]:
    """Say what gloo's errors mean, and end our connections so that the others notice."""
    me = "the dealer" if seat.rank == seat.parties else f"party {seat.rank}"
    try:
        yield
    except ProtocolError:
        raise
    except (RuntimeError, dist.DistError) as error:
        said = str(error).splitlines()[0][:200]
        if "imeout" in said or "imed out" in said:
            raise Stalled(
                f"{me} has had no answer for {seat.timeout:g} seconds: another party or the dealer stalls, "
                f"was never started or cannot be reached at {seat.rendezvous}; nothing more is computed ({said})"
            ) from error
        raise PartyLost(
            f"{me} has lost another party or the dealer: it died, refused or left; nothing more is computed ({said})"
        ) from error
