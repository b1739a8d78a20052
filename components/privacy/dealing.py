"""The dealer's correlated randomness: what it makes, and how the parties ask for it.

This stands in place of CrypTen's TTP provider. The dealer shares a stream with each party, so that of all its numbers
only party 0's share of each result is sent. Party 0 asks by a row of numbers, never by a pickled object or the name
of a function, and nothing but these requests exists: four kinds of
randomness, whether the dealer is there, and stop.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from components.privacy.crypten_setup import load_crypten
from components.privacy.failures import ProtocolError
from components.privacy.ring import matmul
from components.privacy.streams import Stream

if TYPE_CHECKING:
    from components.privacy.wire import Wire

STOP, PRODUCT, MATRIX_PRODUCT, AND, BIT, PRESENCE = range(6)

THERE = torch.ones(1, dtype=torch.int64)
"""What the dealer answers when it is asked whether it is there."""

_DIMENSIONS = 4
_HEADER = 1 + 2 * (1 + _DIMENSIONS)
_LARGEST = 1 << 27
_PRODUCTS = {"mul": PRODUCT, "matmul": MATRIX_PRODUCT}


def serve_requests(wire: "Wire") -> None:
    """Answer party 0's requests until it says stop. The dealer receives shapes and operations, and nothing else."""
    parties = wire.seat.parties
    streams = [wire.streams[rank] for rank in range(parties)]
    while True:
        request = wire.receive(torch.empty(_HEADER, dtype=torch.int64), 0, patient=True).tolist()
        if request[0] == STOP:
            return
        if request[0] == PRESENCE:
            wire.send(THERE, 0)
            continue
        wire.send(_first_share(request[0], _size(request[1:6]), _size(request[6:11]), streams), 0)


def confirm_presence(wire: "Wire") -> None:
    """At party 0, return when the dealer has answered; raises the named cause where it does not."""
    if wire.seat.rank == 0:
        wire.send(torch.tensor([PRESENCE] + [0] * (_HEADER - 1)), wire.seat.parties)
        wire.receive(torch.empty_like(THERE), wire.seat.parties)


def dismiss_dealer(wire: "Wire") -> None:
    """Let the dealer go; party 0 alone says so."""
    if wire.seat.rank == 0:
        wire.send(torch.tensor([STOP] + [0] * (_HEADER - 1)), wire.seat.parties)


def _first_share(kind: int, left: list[int], right: list[int], streams: Sequence[Stream]) -> torch.Tensor:
    """Return party 0's share of the result, the one share that is sent instead of drawn."""
    if kind in (PRODUCT, MATRIX_PRODUCT):
        a, b = _summed(left, streams), _summed(right, streams)
        c = a * b if kind == PRODUCT else matmul(a, b)
        return c - _summed(c.shape, streams[1:])
    if kind == AND:
        a, b = _mixed(left, 64, streams), _mixed(right, 64, streams)
        c = a & b
        return c ^ _mixed(c.shape, 64, streams[1:])
    if kind == BIT:
        bit = _mixed(left, 1, streams)
        return bit - _summed(left, streams[1:])
    raise ProtocolError(
        f"Party 0 asked the dealer for something unknown ({kind}). Run the same version everywhere.", 0
    )


def _summed(size: Sequence[int], streams: Sequence[Stream]) -> torch.Tensor:
    total = streams[0].ring(size)
    for stream in streams[1:]:
        total += stream.ring(size)
    return total


def _mixed(size: Sequence[int], bits: int, streams: Sequence[Stream]) -> torch.Tensor:
    total = _bits(streams[0], size, bits)
    for stream in streams[1:]:
        total ^= _bits(stream, size, bits)
    return total


def _bits(stream: Stream, size: Sequence[int], bits: int) -> torch.Tensor:
    return stream.ring(size) if bits == 64 else stream.bits(size, bits)


def _size(numbers: list[int]) -> list[int]:
    count, size = numbers[0], numbers[1 : 1 + numbers[0]]
    if not 0 <= count <= _DIMENSIONS or any(length < 0 for length in size) or _elements(size) > _LARGEST:
        raise ProtocolError(f"Party 0 asked the dealer for an impossible shape ({numbers}).", 0)
    return size


def _elements(size: Sequence[int]) -> int:
    product = 1
    for length in size:
        product *= length
    return product


class Dealt:
    """A party's side of the dealer: CrypTen's beaver protocol asks it for triples."""

    def __init__(self, wire: "Wire") -> None:
        """Draw from the stream that `wire` shares with the dealer."""
        load_crypten()
        from crypten.mpc.primitives import ArithmeticSharedTensor, BinarySharedTensor

        self._wire = wire
        self._dealer = wire.seat.parties
        self._stream = wire.streams[self._dealer]
        self._arithmetic, self._binary = ArithmeticSharedTensor.from_shares, BinarySharedTensor.from_shares

    def generate_additive_triple(self, size0, size1, op, device=None):  # type: ignore[no-untyped-def]
        """Return shares of random a, b and of their product; `op` is "mul" or "matmul"."""
        a, b = self._stream.ring(size0), self._stream.ring(size1)
        size = torch.broadcast_shapes(size0, size1) if op == "mul" else _matrix_size(size0, size1)
        c = self._drawn_or_asked(_PRODUCTS[op], size0, size1, size, 64)
        return tuple(self._arithmetic(share, precision=0) for share in (a, b, c))

    def generate_binary_triple(self, size0, size1, device=None):  # type: ignore[no-untyped-def]
        """Return shares, by exclusive or, of random a, b and of a & b."""
        a, b = self._stream.ring(size0), self._stream.ring(size1)
        c = self._drawn_or_asked(AND, size0, size1, torch.broadcast_shapes(size0, size1), 64)
        return tuple(self._binary(share) for share in (a, b, c))

    def B2A_rng(self, size, device=None):  # type: ignore[no-untyped-def]
        """Return a random bit shared by sum, and the same bit shared by exclusive or."""
        bit = self._stream.bits(size, 1)
        return self._arithmetic(self._drawn_or_asked(BIT, size, (), size, 64), precision=0), self._binary(bit)

    def _drawn_or_asked(
        self, kind: int, left: Sequence[int], right: Sequence[int], size: Sequence[int], bits: int
    ) -> torch.Tensor:
        if self._wire.seat.rank != 0:
            return _bits(self._stream, size, bits)
        padded = [[len(part), *part, *[0] * (_DIMENSIONS - len(part))] for part in (left, right)]
        self._wire.send(torch.tensor([kind, *padded[0], *padded[1]]), self._dealer)
        return self._wire.receive(torch.empty(tuple(size), dtype=torch.int64), self._dealer)


def _matrix_size(left: Sequence[int], right: Sequence[int]) -> tuple[int, ...]:
    assert len(left) == 2 and len(right) in (1, 2) and left[1] == right[0], (left, right)
    return (left[0], *right[1:])
