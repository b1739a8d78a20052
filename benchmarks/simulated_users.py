"""Users whose truth is known: values per user, row and seed as sweeps have them, skewed and full of ties.

U users, C comparisons side by side, R rows, S seeds.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """A kind of metric: how the chances and the numbers of examples are spread over users."""

    name: str
    chances: Callable[[np.random.Generator, tuple[int, ...]], Floats]
    examples: Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.int64]]
    mean: float
    """Mean of the chances, which is what a mean over users estimates."""


SHAPES = (
    Shape(
        # Most users are predicted well, a few badly; some have one example, some two hundred.
        "shares",
        lambda generator, shape: generator.beta(4, 1.5, shape),
        lambda generator, shape: np.clip(np.rint(generator.lognormal(2.2, 1.0, shape)), 1, 200).astype(int),
        4 / 5.5,
    ),
    Shape(
        # Most users have next to no hits among their ten items, a few have many.
        "hits",
        lambda generator, shape: generator.beta(0.5, 3, shape),
        lambda generator, shape: np.full(shape, 10),
        0.5 / 3.5,
    ),
)


def draw_values(
    shape: Shape, generator: np.random.Generator, users: int, comparisons: int, rows: int, seeds: int
) -> Floats:
    """Draw values [U, C, R, S] of rows among which there is no difference.

    A user has the same chance and number of examples in all rows and seeds of a comparison, and is luckier in some.
    """
    chance_UC = shape.chances(generator, (users, comparisons))
    count_UC = shape.examples(generator, (users, comparisons))
    hits = generator.binomial(
        count_UC[..., None, None], chance_UC[..., None, None], (users, comparisons, rows, seeds)
    )
    return hits / count_UC[..., None, None]
