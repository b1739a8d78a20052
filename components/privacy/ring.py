"""Matrix products modulo 2**64, exact, through the floating-point units: integer products are several times slower.

A 64-bit number is three limbs of 22 bits with signs, x = x0 + 2**22 x1 + 2**44 x2 (mod 2**64). Sums over K of
products of limbs stay below 2**53 while K is at most 682, so float64 holds them exactly, in any order of addition:

    left @ right = l0 r0 + 2**22 (l0 r1 + l1 r0) + 2**44 (l0 r2 + l1 r1 + l2 r0)   (mod 2**64)

N rows, K inner, M columns.
"""

import torch

_BITS = 22
_HALF = 1 << (_BITS - 1)
_MASK = (1 << _BITS) - 1
_INNER = 2**53 // (3 * _HALF**2)
"""How many triples of products of limbs, each of at most 2**42 in size, may be added: 682."""
_FEWEST, _SMALLEST = 12, 1 << 18
"""Below so many rows, inner or columns, or so many products of numbers, integers were measured to be faster."""
_BLOCK = 1 << 16
"""Numbers of `left` that are worked on at once: their limbs fit the cache."""


def matmul(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return `left` [N, K] @ `right` [K, M] or [K], int64, modulo 2**64; exactly what integer arithmetic gives.

    Raises `TypeError` for other types, `ValueError` for shapes that do not fit.
    """
    if left.dtype != torch.int64 or right.dtype != torch.int64:
        raise TypeError(f"a product modulo 2**64 is of int64, not of {left.dtype} and {right.dtype}")
    if left.dim() != 2 or right.dim() not in (1, 2) or left.shape[1] != right.shape[0]:
        shapes = f"{list(left.shape)} by {list(right.shape)}"
        raise ValueError(f"cannot multiply {shapes}: expected [N, K] by [K, M] or [K]")
    small = right.dim() == 1 or min(*left.shape, right.shape[1]) < _FEWEST
    if small or left.numel() * right.shape[1] < _SMALLEST:
        return left @ right
    return by_limbs(left, right)


def by_limbs(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return the product of matrices, [N, K] and [K, M], computed in float64."""
    total = torch.zeros(left.shape[0], right.shape[1], dtype=torch.int64)
    for lefts, rights in zip(left.split(_INNER, 1), right.split(_INNER), strict=True):
        inner = len(rights)
        tall = torch.cat(_limbs(rights)[::-1])
        rows = max(1, _BLOCK // max(1, inner))
        for part, sums in zip(lefts.split(rows), total.split(rows), strict=True):
            wide = torch.cat(_limbs(part), 1)
            for power in range(3):
                product = wide[:, : (power + 1) * inner] @ tall[(2 - power) * inner :]
                sums += product.long() << (_BITS * power)
    return total


def _limbs(values: torch.Tensor) -> list[torch.Tensor]:
    """Take numbers apart: lowest limb first, each within -2**21 … 2**21 - 1."""
    limbs = []
    for _ in range(2):
        low = ((values + _HALF) & _MASK) - _HALF
        limbs.append(low.double())
        values = (values - low) >> _BITS
    return [*limbs, values.double()]
