"""Which measures stand on enough users to be opened, so that nothing withheld follows from what is opened.

A *cell* is a set of users whose sums could be told from the opened ones: a part of a measure that is opened as a
whole, what is left of the whole beside its parts, one number of a histogram. A cell with a few users in it bars the
measures that would tell it; an empty one bars nothing.

C cells, M measures.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.privacy.totals import Measures, Numbers, Tally

Rows = NDArray[np.bool_]


@dataclass(frozen=True)
class Cell:
    """Users who must be none or enough."""

    barred: tuple[str, ...]
    """Measures that are withheld where they are few."""
    rows: Callable[[Tally], Rows]
    """Which rows of a tally are theirs, [N]."""


def cells_of(measures: Measures) -> list[Cell]:
    """Return all cells, in an order that follows from the measures alone."""

    def part(name: str) -> Callable[[Tally], Rows]:
        return lambda tally: measures.concerned(name, tally)

    def rest(whole: str, parts: tuple[str, ...]) -> Callable[[Tally], Rows]:
        def rows(tally: Tally) -> Rows:
            named = np.any([measures.concerned(name, tally) for name in parts], axis=0)
            return measures.concerned(whole, tally) & ~named

        return rows

    def number(name: str, place: int) -> Callable[[Tally], Rows]:
        return lambda tally: tally.counts[name][:, place] > 0

    cells = []
    for whole, parts in measures.parts.items():
        cells += [Cell(parts, rows) for rows in (*map(part, parts), rest(whole, parts))]
    for name, count in measures.counts.items():
        if count.histogram:
            cells += [Cell((name,), number(name, place)) for place in range(count.numbers)]
    return cells


def standing(measures: Measures, tally: Tally | None) -> Numbers:
    """Return how many of a party's users each measure stands on, and how many are in each cell, [M + C]."""
    cells = cells_of(measures)
    if tally is None:
        return np.zeros(len(measures.names) + len(cells), np.int64)
    users = [measures.users(name, tally) for name in measures.names]
    return np.array(users + [tally.users_of(cell.rows(tally)) for cell in cells], np.int64)


def barring(measures: Measures) -> Numbers:
    """Return 1 where a cell with few users bars a measure, [M, C]."""
    return np.array(
        [[name in cell.barred for cell in cells_of(measures)] for name in measures.names], np.int64
    ).reshape(len(measures.names), -1)
