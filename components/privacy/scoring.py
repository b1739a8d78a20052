"""Scores of a private model over private examples, computed on shares without any rounding in between.

Inputs become whole numbers once, at the parties (16 bits after the point), and everything after that is exact
arithmetic modulo 2**64 below a bound that is checked before: products keep all their bits, and no truncation, the
source of CrypTen's rare catastrophic errors, takes place. Only the rounding of the inputs is left of all deviations.

N examples, D dimensions, H hidden units, K items.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from components.privacy.beaver import Operation, product
from components.privacy.comparison import negative
from components.privacy.failures import Disagreement, OutOfBounds

if TYPE_CHECKING:
    from components.privacy.wire import Wire

BITS = 16
LARGEST_ENTRY = 16.0
BARRED = 1 << 60
"""Taken from the score of an item that does not compete; scores are below half of it in size."""
_CAPACITY = 2.0**62
_CHUNK = 1 << 18


@dataclass(frozen=True)
class DotHead:
    """score = vectors @ weights + bias; `weights` is [D]."""

    weights: NDArray[np.floating]
    bias: float = 0.0


@dataclass(frozen=True)
class MlpHead:
    """score = relu(vectors @ hidden + hidden_bias) @ weights + bias; [D, H], [H], [H] and a number."""

    hidden: NDArray[np.floating]
    hidden_bias: NDArray[np.floating]
    weights: NDArray[np.floating]
    bias: float = 0.0


Head = DotHead | MlpHead


@dataclass(frozen=True)
class Confusion:
    """Whole-number counts over all parties' examples."""

    true_positive: int
    predicted_positive: int
    actual_positive: int
    examples: int

    @staticmethod
    def checked(opened: NDArray[np.int64], examples: int) -> "Confusion":
        """Return the counts, unless no data could have given them."""
        hits, predicted, actual = (int(value) for value in opened)
        possible = 0 <= hits <= min(predicted, actual) and max(predicted, actual) <= examples
        if not possible or predicted + actual - hits > examples:
            raise OutOfBounds(
                "What was opened cannot be counts of examples: a party did not follow the protocol."
            )
        return Confusion(hits, predicted, actual, examples)


class Scorer:
    """The arithmetic of one party's seat."""

    def __init__(self, wire: "Wire", zero: Callable[[tuple[int, ...]], torch.Tensor]) -> None:
        """Compute over `wire`; `zero` gives this party's share of zeros of a shape."""
        self._wire, self._zero = wire, zero
        self._rank, self._parties = wire.seat.rank, wire.seat.parties

    def confusion(
        self, vectors: NDArray[np.floating], labels: NDArray[np.integer], head: Head | None, owner: int
    ) -> tuple[torch.Tensor, int]:
        """Return shares of (true positive, predicted positive, actual positive), and the number of examples."""
        vectors, labels = np.asarray(vectors, dtype=np.float64), np.asarray(labels)
        if vectors.ndim != 2 or labels.shape != vectors.shape[:1] or not np.isin(labels, (0, 1)).all():
            raise OutOfBounds(
                f"Party {self._rank} passed vectors that are not [n, D] or labels that are not n of 0 and 1."
            )
        shape = [0, 0]
        if self._rank == owner and head is not None:
            shape = _fits(head)
        sizes = self._sizes(vectors.shape, shape, owner, head is not None)
        rows, (dimensions, units) = sizes[0], sizes[1]
        if not sum(rows):
            return torch.zeros(3, dtype=torch.int64), 0
        inputs = self._rows(whole(vectors, self._rank), rows)
        truth = self._rows(labels.astype(np.int64)[:, None], rows)[:, 0]
        if units == 0:
            weights = self._from_owner(_dot_parts(head), [(dimensions,), (1,)], owner)
            width = max(1, 8 * _CHUNK // max(1, dimensions))
            scores = (
                torch.cat([self._product("matmul", part, weights[0]) for part in inputs.split(width)])
                + weights[1]
            )
        else:
            shapes = [(dimensions, units), (units,), (units,), (1,)]
            hidden, hidden_bias, last, bias = self._from_owner(_mlp_parts(head), shapes, owner)
            parts = []
            for chunk in inputs.split(max(1, _CHUNK // units)):
                before = self._product("matmul", chunk, hidden) + hidden_bias
                positive = self._constant(before, 1) - self._negative(before)
                parts.append(self._product("matmul", self._product("mul", before, positive), last))
            scores = torch.cat(parts) + bias if parts else inputs.new_zeros(0)
        predicted = (
            torch.cat([self._negative(-part) for part in scores.split(_CHUNK)]) if len(scores) else scores
        )
        hits = self._product("mul", predicted, truth) if len(scores) else scores
        return torch.stack([hits.sum(), predicted.sum(), truth.sum()]), sum(rows)

    def ranks(
        self,
        users: NDArray[np.floating],
        targets: NDArray[np.integer],
        excluded: NDArray[np.bool_],
        items: NDArray[np.floating] | None,
        owner: int,
        cutoff: int,
    ) -> tuple[torch.Tensor, int]:
        """Return shares [cutoff] of how many targets have at most 0, 1, … items above them, and the users' number."""
        users = np.asarray(users, dtype=np.float64)
        if users.ndim != 2:
            raise OutOfBounds(f"Party {self._rank} passed users' vectors that are not [n, D].", self._rank)
        shape = [0, 0]
        if self._rank == owner and items is not None:
            worst = LARGEST_ENTRY * float(np.abs(items).sum(axis=1).max(initial=0.0))
            check_capacity(worst * 4, 2 * BITS)
            shape = [items.shape[1], items.shape[0]]
        rows, (dimensions, count) = self._sizes(users.shape, shape, owner, items is not None)
        targets, excluded = np.asarray(targets), np.asarray(excluded, dtype=bool)
        own = len(users)
        if (
            targets.shape != (own,)
            or excluded.shape != (own, count)
            or (own and not 0 <= targets.min() <= targets.max() < count)
        ):
            raise OutOfBounds(
                f"Party {self._rank} passed targets that are not n item numbers, or exclusions that are not [n, K]."
            )
        chosen = np.zeros((own, count), dtype=np.int64)
        chosen[np.arange(own), targets] = 1
        barred = (excluded & (chosen == 0)).astype(np.int64) * BARRED
        catalogue = self._from_owner(
            None if items is None else [(items.T, BITS)], [(dimensions, count)], owner
        )[0]
        shared = [self._rows(part, rows) for part in (whole(users, self._rank), chosen, barred)]
        total = torch.zeros(cutoff, dtype=torch.int64)
        if not sum(rows):
            return total, 0
        for vectors, choice, penalty in zip(
            *(part.split(max(1, _CHUNK // count)) for part in shared), strict=True
        ):
            scores = self._product("matmul", vectors, catalogue)
            total += self._places(scores, choice, penalty, cutoff).sum(0)
        return total, sum(rows)

    def _places(
        self, scores: torch.Tensor, chosen: torch.Tensor, barred: torch.Tensor, cutoff: int
    ) -> torch.Tensor:
        """Return shares [n, cutoff] of whether fewer than 1, 2, … items score higher than the chosen one.

        `chosen` [n, K] holds a one in each row, `barred` [n, K] holds `BARRED` where an item does not compete.
        """
        target = self._product("mul", scores, chosen).sum(1, keepdim=True)
        above = self._negative(target - scores + barred).sum(1, keepdim=True).expand(-1, cutoff)
        return self._negative(above - self._constant(above, torch.arange(1, cutoff + 1)))

    def at_least(self, values: torch.Tensor, least: int) -> torch.Tensor:
        """Return shares of 1 where the shared value is at least the public `least`, else of 0."""
        flat = values.reshape(-1)
        reached = self._constant(flat, 1) - self._negative(flat - self._constant(flat, least))
        return reached.reshape(values.shape)

    def _sizes(
        self, own: tuple[int, ...], model: list[int], owner: int, has_model: bool
    ) -> tuple[list[int], tuple[int, int]]:
        if (self._rank == owner) != has_model:
            raise Disagreement(f"Party {self._rank} and the others differ in who owns the model.", self._rank)
        gathered = [row.tolist() for row in self._wire.gather_all(torch.tensor([*own, *model, owner]))]
        dimensions, units = gathered[owner][2:4]
        for rank, (_, width, _, _, named) in enumerate(gathered):
            if width != dimensions or named != owner:
                raise Disagreement(
                    f"Party {rank} has vectors of {width} dimensions, the model wants {dimensions}.", rank
                )
        return [row[0] for row in gathered], (dimensions, units)

    def _rows(self, own: NDArray[np.int64], rows: list[int]) -> torch.Tensor:
        """Share all parties' rows, one below the other: this party's share of [sum of rows, …]."""
        share = self._zero((sum(rows), own.shape[1]))
        start = sum(rows[: self._rank])
        share[start : start + len(own)] += torch.from_numpy(own)
        return share

    def _from_owner(
        self, parts: list[tuple[NDArray[np.floating], int]] | None, shapes: list[tuple[int, ...]], owner: int
    ) -> list[torch.Tensor]:
        shares = [self._zero(shape) for shape in shapes]
        if self._rank == owner and parts is not None:
            for share, (values, bits) in zip(shares, parts, strict=True):
                share += torch.from_numpy(
                    np.rint(np.asarray(values, dtype=np.float64) * 2.0**bits).astype(np.int64)
                )
        return shares

    def _product(self, operation: Operation, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return product(self._wire, operation, left, right)

    def _negative(self, values: torch.Tensor) -> torch.Tensor:
        return negative(self._wire, values)

    def _constant(self, like: torch.Tensor, value: int | torch.Tensor) -> torch.Tensor:
        """Return a sharing of a public value: party 0 holds it, the others hold zeros."""
        return torch.zeros_like(like) + (
            value if self._rank == 0 else torch.zeros_like(torch.as_tensor(value))
        )


def whole(
    values: NDArray[np.floating], rank: int, bits: int = BITS, largest: float = LARGEST_ENTRY
) -> NDArray[np.int64]:
    """Return `values` of the party of `rank` with so many bits after the point. Raises `OutOfBounds`."""
    if not np.isfinite(values).all() or (values.size and np.abs(values).max() > largest):
        raise OutOfBounds(
            f"Party {rank} passed a vector with an entry above {largest:g} in size, or not a number.", rank
        )
    return np.rint(np.asarray(values, np.float64) * 2.0**bits).astype(np.int64)


def _fits(head: Head) -> list[int]:
    """Return (D, H), H being 0 for a dot product, after checking that no admissible vector can overflow."""
    if isinstance(head, DotHead):
        weights = np.asarray(head.weights, dtype=np.float64)
        check_capacity(LARGEST_ENTRY * np.abs(weights).sum() + abs(head.bias), 2 * BITS)
        return [len(weights), 0]
    hidden = LARGEST_ENTRY * np.abs(head.hidden).sum(axis=0) + np.abs(head.hidden_bias)
    check_capacity(float(hidden.max()), 2 * BITS)
    check_capacity(float(hidden @ np.abs(head.weights)) + abs(head.bias), 3 * BITS)
    return [*np.shape(head.hidden)]


def check_capacity(worst: float, bits: int) -> None:
    """Refuse a model with which a number of so many bits after the point could become too large to be exact."""
    if not worst * 2.0**bits < _CAPACITY / 2:
        raise OutOfBounds(
            "The model's weights are so large that a score could exceed what can be computed exactly."
        )


def _dot_parts(head: Head | None) -> list[tuple[NDArray[np.floating], int]] | None:
    return [(head.weights, BITS), (np.array([head.bias]), 2 * BITS)] if isinstance(head, DotHead) else None


def _mlp_parts(head: Head | None) -> list[tuple[NDArray[np.floating], int]] | None:
    if not isinstance(head, MlpHead):
        return None
    return [
        (head.hidden, BITS),
        (head.hidden_bias, 2 * BITS),
        (head.weights, BITS),
        (np.array([head.bias]), 3 * BITS),
    ]
