"""What a source of captioning holds before it is prepared: pictures with captions in every style.

I pictures, K kinds, S styles, M tables of a conditional preference, R regions, D features.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import permutations

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Picture:
    """A picture and what people wrote about it."""

    name: str
    part: int
    """`TRAIN`, `VALIDATION` or `TEST` of `components.data.splits`."""
    captions: tuple[tuple[str, ...], ...]
    """Its captions in each style, [S]; at least one in each, every one with a word in it."""


@dataclass(frozen=True)
class Album:
    """Pictures, and what decides who prefers which caption of them."""

    pictures: tuple[Picture, ...]
    pixels: NDArray[np.uint8]
    """[I, size, size, 3] red, green and blue."""
    styles: tuple[str, ...]
    kinds: tuple[str, ...]
    kind: NDArray[np.int8]
    """[I] index into `kinds`: what the picture shows."""
    mixed: NDArray[np.int8]
    """[M, K] what a conditional user may prefer: index of the style wanted for each kind."""
    topics: tuple[str, ...]
    topic: NDArray[np.int32]
    """[I] index into `topics`, from 1; 0 where the picture is about none of them."""
    regions: NDArray[np.float16] | None = None
    """[I, R, D] what a pretrained encoder sees, if there is one."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """How many pictures or captions of the source are not used, by reason."""


def mixed_preferences(kinds: int, styles: int) -> NDArray[np.int8]:
    """Tabulate what conditional users may want, [M, K]: one style for the first kinds, another one for the others.

    Every two styles and every border between the kinds make one table, but none sets the last kind alone apart,
    which is what remains.
    """
    rows = [
        [first] * border + [other] * (kinds - border)
        for first, other in permutations(range(styles), 2)
        for border in range(1, max(2, kinds - 1))
    ]
    return np.array(rows, np.int8)
