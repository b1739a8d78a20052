"""Which of many shared numbers are negative: the top bit of the sum of the parties' shares, by a circuit on bits.

CrypTen adds the shares with all their carries, bit by bit of whole words. Only the carry into bit 63 is wanted, which
a tree of 62 nodes gives (Brent and Kung, "A regular layout for parallel adders", 1982):

    carry out of bits i … k = G(j+1 … k) ^ (P(j+1 … k) & G(i … j)),   P(i … k) = P(j+1 … k) & P(i … j)

with G = x & y and P = x ^ y of single bits x, y of two shares. Bits lie in planes, so that no word that is sent is
filled with anything else: word w of plane j holds bit j of 64 numbers. Three parties' shares become two by one layer
of full adders, and so on. A number takes 40 bytes instead of 170, in as many rounds.

W words a plane; numbers are [64, W], number i of word w being bit i of that word.
"""

from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from components.privacy.crypten_setup import load_crypten

if TYPE_CHECKING:
    from components.privacy.wire import Wire

_WORD = 64


def negative(wire: "Wire", values: torch.Tensor) -> torch.Tensor:
    """Return this party's share of 1 where the shared number is below 0, else of 0; of any shape."""
    count = values.numel()
    if not count:
        return torch.zeros_like(values)
    width = -(-count // _WORD)
    padded = torch.zeros(_WORD * width, dtype=torch.int64)
    padded[:count] = values.reshape(-1)
    sign = _top_bit(wire, transpose_bits(padded.view(_WORD, width)))
    return _as_numbers(wire, sign).reshape(-1)[:count].view(values.shape)


def transpose_bits(words: torch.Tensor) -> torch.Tensor:
    """Return [64, W] with bit i of word (j, w) where `words` [64, W] has bit j of word (i, w).

    Warren, "Hacker's Delight", section 7-3: swap halves, then halves of halves.
    """
    words = words.clone()
    size = _WORD // 2
    mask = (1 << size) - 1
    while size:
        above, below = words.view(_WORD // (2 * size), 2, size, -1).unbind(1)
        swap = ((above >> size) ^ below) & mask
        below ^= swap
        above ^= swap << size
        size //= 2
        mask = mask ^ _signed(mask << size) if size else 0
    return words


def _signed(word: int) -> int:
    """Return the 64-bit number with these bits as Python writes an int64."""
    word &= 2**_WORD - 1
    return word - 2**_WORD if word >> (_WORD - 1) else word


def _top_bit(wire: "Wire", own: torch.Tensor) -> torch.Tensor:
    """Add the parties' numbers, each knowing its `own` planes [64, W]; return a share [W], by xor, of bit 63."""
    rank = wire.seat.rank
    first, second, *others = [
        own if rank == party else torch.zeros_like(own) for party in range(wire.seat.parties)
    ]
    for third in others:
        carry = _both(first ^ third, second ^ third) ^ third
        first, second = first ^ second ^ third, torch.cat([torch.zeros_like(carry[:1]), carry[:-1]])
    top = first[-1] ^ second[-1]
    first, second = first[:-1], second[:-1]
    generates, propagates = _both(first, second), first ^ second
    while len(generates) > 1:
        even = len(generates) // 2 * 2
        low, high = slice(0, even, 2), slice(1, even, 2)
        carried, passed = _both(propagates[high], torch.stack([generates[low], propagates[low]]))
        generates = torch.cat([generates[high] ^ carried, generates[even:]])
        propagates = torch.cat([passed, propagates[even:]])
    return top ^ generates[0]


def _both(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return a share of left & right, with broadcasting, by CrypTen's protocol."""
    from crypten.mpc.primitives import BinarySharedTensor, beaver

    wrap = BinarySharedTensor.from_shares
    return beaver.AND(wrap(left.contiguous(), precision=0), wrap(right.contiguous(), precision=0)).share


def _as_numbers(wire: "Wire", bits: torch.Tensor) -> torch.Tensor:
    """Turn bits shared by xor, [W], into numbers shared by sum, [64, W].

    CrypTen's protocol: open the bits under a random bit that is shared in both ways. It sends a word a bit.
    """
    provider = load_crypten().mpc.get_default_provider()
    random, random_bits = provider.B2A_rng((_WORD, len(bits)))
    place = torch.arange(_WORD)[:, None]
    packed = (random_bits.share << place).sum(0)
    opened = wire.all_reduce(bits ^ packed, op=dist.ReduceOp.BXOR)
    assert isinstance(opened, torch.Tensor)
    flipped = (opened >> place) & 1
    share = random.share * (1 - 2 * flipped)
    return share + flipped if wire.seat.rank == 0 else share
