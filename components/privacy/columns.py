"""Arithmetic over users whose columns different parties hold: each knows its own, and only sums come out.

`looked_up` serves any open model into which a profile enters by its category: who holds the logs computes its
numbers for every combination of categories, and the secret combination of who holds the profiles selects among them.
Whole numbers, precision 0, so it is exact. `added_up` serves linear heads: each party computes the term of its own
columns, and only the sum of the terms is compared.

U users (or examples), C combinations, K numbers.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from components.privacy.failures import Disagreement, OutOfBounds
from components.privacy.scoring import Scorer

TERM_BITS = 32
"""Terms are rounded to 2**-32."""
LARGEST_TERM = 2.0**24
_LARGEST_SUM = 2**60
_ELEMENTS = 1 << 20
_COMPARED = 1 << 17


class LookUp(NamedTuple):
    """What one party brings to a look-up; who has neither column brings nothing."""

    choice: NDArray[np.integer] | None = None
    """[U] the combination of each user, at the party that holds the profiles."""
    table: NDArray[np.int64] | None = None
    """[U, C, K] the numbers of each user for each combination, at the party that holds the logs."""


class ColumnScorer(Scorer):
    """The arithmetic of one party's seat over columns."""

    def looked_up(self, own: LookUp) -> torch.Tensor:
        """Return this party's share of the sums over users of `table[user, choice[user]]`, [K]."""
        users, combinations, numbers = self._agreed_size(own)
        total = torch.zeros(numbers, dtype=torch.int64)
        width = max(1, _ELEMENTS // max(1, combinations * max(1, numbers)))
        for start in range(0, users, width):
            stop = min(users, start + width)
            chosen = self._zero((1, (stop - start) * combinations))
            if own.choice is not None:
                place = np.arange(stop - start) * combinations + own.choice[start:stop]
                chosen[0, torch.from_numpy(place)] += 1
            values = self._zero(((stop - start) * combinations, numbers))
            if own.table is not None:
                values += torch.from_numpy(own.table[start:stop].reshape(-1, numbers))
            total += self._product("matmul", chosen, values)[0]
        return total

    def added_up(
        self, terms: NDArray[np.floating] | None, labels: NDArray[np.integer] | None
    ) -> tuple[torch.Tensor, int]:
        """Return shares of (true positive, predicted positive, actual positive), and the number of examples."""
        examples = self._agreed_examples(terms, labels)
        counts = torch.zeros(3, dtype=torch.int64)
        for start in range(0, examples, _COMPARED):
            rows = slice(start, min(examples, start + _COMPARED))
            shape = (rows.stop - rows.start,)
            score, truth = self._zero(shape), self._zero(shape)
            if terms is not None:
                score += torch.from_numpy(np.rint(terms[rows] * 2.0**TERM_BITS).astype(np.int64))
            if labels is not None:
                truth += torch.from_numpy(np.asarray(labels[rows], np.int64))
            predicted = self._constant(score, 1) - self._negative(score)
            hits = self._product("mul", predicted, truth)
            counts += torch.stack([hits.sum(), predicted.sum(), truth.sum()])
        return counts, examples

    def _agreed_size(self, own: LookUp) -> tuple[int, int, int]:
        """Return (U, C, K), which the holder of the logs names; raise where the columns do not belong together."""
        size = [0, 0, 0] if own.table is None else [*own.table.shape]
        if own.table is not None:
            worst = float(np.abs(own.table).max(axis=(1, 2), initial=0).astype(np.float64).sum())
            if not worst < _LARGEST_SUM:
                raise OutOfBounds(
                    f"Party {self._rank} passed a table whose sums could be too large.", self._rank
                )
        chosen = -1 if own.choice is None else len(own.choice)
        gathered = [
            row.tolist()
            for row in self._wire.gather_all(torch.tensor([own.table is not None, *size, chosen]))
        ]
        tables = [row[1:4] for row in gathered if row[0]]
        choosers = [rank for rank, row in enumerate(gathered) if row[4] >= 0]
        if len(tables) != 1 or len(choosers) != 1:
            raise Disagreement("Exactly one party must bring choices, and exactly one a table.")
        users, combinations, numbers = tables[0]
        (rank,) = choosers
        if gathered[rank][4] != users:
            raise Disagreement(
                f"Party {rank} has choices of {gathered[rank][4]} users, the table is of {users}.", rank
            )
        if own.choice is not None and users and not 0 <= own.choice.min() <= own.choice.max() < combinations:
            raise OutOfBounds(
                f"Party {self._rank} has a combination that the table, of {combinations}, lacks.", self._rank
            )
        return users, combinations, numbers

    def _agreed_examples(self, terms: NDArray[np.floating] | None, labels: NDArray[np.integer] | None) -> int:
        """Return the number of examples, after all have compared it; raise where inputs are out of bounds."""
        if terms is not None and not (
            np.isfinite(terms).all() and np.abs(terms).max(initial=0) <= LARGEST_TERM
        ):
            raise OutOfBounds(
                f"Party {self._rank} has a term above {LARGEST_TERM:g} in size, or not a number.", self._rank
            )
        if labels is not None and (labels.ndim != 1 or not np.isin(labels, (0, 1)).all()):
            raise OutOfBounds(f"Party {self._rank} passed labels that are not a row of 0 and 1.", self._rank)
        own = [-1 if column is None else len(column) for column in (terms, labels)]
        gathered = [row.tolist() for row in self._wire.gather_all(torch.tensor(own))]
        if sum(row[1] >= 0 for row in gathered) != 1:
            raise Disagreement("Exactly one party must pass labels.")
        (examples,) = [row[1] for row in gathered if row[1] >= 0]
        for rank, (count, _) in enumerate(gathered):
            if count not in (-1, examples):
                raise Disagreement(
                    f"Party {rank} has columns of {count} examples, there are labels of {examples}.", rank
                )
        return int(examples)
