"""What is replaced in CrypTen before it touches a secret, and the insecure original for comparison.

CrypTen 0.4.1 draws its masks from a Mersenne Twister, and by default lets party 0 make the triples, from which it
can compute everybody's inputs. Here every mask comes from `Stream`, shares of zero from one stream a pair of parties
(CrypTen has a ring of neighbours; with pairs, any two honest parties keep each other's masks secret), and
triples from the dealer. Truncation and fixed-point decoding are not used at all.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from components.privacy.crypten_setup import load_crypten
from components.privacy.dealing import Dealt
from components.privacy.streams import Stream

if TYPE_CHECKING:
    from components.privacy.wire import Wire


def harden(wire: "Wire") -> Dealt:
    """Replace CrypTen's provider and all its generators in this process; returns the provider."""
    crypten = load_crypten()
    from crypten.common import rng
    from crypten.mpc import primitives
    from crypten.mpc.primitives import ArithmeticSharedTensor, BinarySharedTensor, arithmetic, binary
    from crypten.mpc.provider import tfp_provider, ttp_provider

    local = Stream()
    rank = wire.seat.rank
    pairs = {other: stream for other, stream in wire.streams.items() if other < wire.seat.parties}

    def ring(size: Sequence[int], ring_size: int = 2**64, generator: None = None, **_: Any) -> torch.Tensor:
        assert generator is None and ring_size == 2**64, "CrypTen's own generators are out of use"
        return local.ring(size)

    def kbit(
        size: Sequence[int], bitlength: int | None = None, generator: None = None, **_: Any
    ) -> torch.Tensor:
        assert generator is None, "CrypTen's own generators are out of use"
        return local.ring(size) if bitlength in (None, 64) else local.bits(size, int(bitlength))

    def zero_by_sum(size: Sequence[int], device: object = None) -> Any:
        share = torch.zeros(tuple(size), dtype=torch.int64)
        for other, stream in pairs.items():
            share += stream.ring(size) if rank < other else -stream.ring(size)
        return ArithmeticSharedTensor.from_shares(share, precision=0)

    def zero_by_xor(size: Sequence[int], device: object = None) -> Any:
        share = torch.zeros(tuple(size), dtype=torch.int64)
        for stream in pairs.values():
            share ^= stream.ring(size)
        return BinarySharedTensor.from_shares(share, precision=0)

    for module in (rng, arithmetic, tfp_provider, ttp_provider):
        module.generate_random_ring_element = ring
    for module in (rng, binary, tfp_provider, ttp_provider):
        module.generate_kbit_random_tensor = kbit
    ArithmeticSharedTensor.PRZS = staticmethod(zero_by_sum)
    BinarySharedTensor.PRZS = staticmethod(zero_by_xor)
    crypten.generators.clear()
    assert primitives.beaver is not None and crypten.cfg.mpc.protocol == "beaver"
    provider = Dealt(wire)
    crypten.mpc.get_default_provider = lambda: provider
    return provider


def leave_insecure(wire: "Wire") -> None:
    """Keep CrypTen's own generators, with seeds that can be guessed, and triples that party 0 knows."""
    crypten = load_crypten()
    for name, other in (("prev", wire.seat.rank - 1), ("next", wire.seat.rank)):
        pair = (
            1 + other % wire.seat.parties
        )  # known to all, as `torch.manual_seed` makes those of CrypTen's dealer
        crypten.generators[name][torch.device("cpu")] = torch.Generator().manual_seed(pair)
    local = int(torch.randint(2**31, ()))  # CrypTen 0.4.1's dealer takes its seeds from here
    crypten.generators["local"][torch.device("cpu")] = torch.Generator().manual_seed(local)
