"""What the items of the embedded data set show and say beyond title and genres: drawn posters and written overviews.

A poster shows one subject of a colour in a place. The colour is what users may have a taste in; subject and place
say nothing of anybody. None of the three has anything to do with an item's title, genres, overview or popularity.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.data import synthetic_pictures
from components.data.posters import HEIGHT, WIDTH
from components.data.synthetic_pictures import COLOURS, PLACES, SUBJECTS, Scene, draw

VERSION = [1, synthetic_pictures.VERSION]
"""Raised whenever the same settings give other posters, overviews or cold items."""

_OPENINGS = (
    *("It begins with", "Nobody expects", "Two strangers share", "A family comes home to"),
    *("Years later there is still", "A small town wakes up to", "One summer brings", "Everyone talks about"),
)
_ENDINGS = (
    *("Before long nothing is as it was.", "Somebody has to pay for it.", "In the end they laugh about it."),
    *("What follows takes one night.", "Who can be trusted now?", "An old friend knows more than he says."),
)


@dataclass(frozen=True)
class Posters:
    """Drawn posters of I items."""

    colour_I: NDArray[np.int64]
    """Index into `COLOURS`."""
    pixels: NDArray[np.uint8]
    """[I, 3, 36, 24] red, green and blue."""


def draw_posters(items: int, generator: np.random.Generator) -> Posters:
    """Draw a poster of each item; all colours are equally frequent."""
    colours, subjects, places = list(COLOURS), list(SUBJECTS), list(PLACES)
    colour_I = generator.permutation(np.arange(items) % len(colours))
    subject_I, place_I = (generator.integers(0, len(names), items) for names in (subjects, places))
    pixels = np.empty((items, 3, HEIGHT, WIDTH), np.uint8)
    for item, (colour, subject, place) in enumerate(zip(colour_I, subject_I, place_I, strict=True)):
        scene = Scene(subjects[subject], colours[colour], places[place], big=True, count=1)
        pixels[item] = draw(scene, generator, HEIGHT, WIDTH).transpose(2, 0, 1)
    return Posters(colour_I, pixels)


def write_overviews(
    nouns: Sequence[Sequence[str]], genres_IG: NDArray[np.bool_], generator: np.random.Generator
) -> list[str]:
    """Write a text about each item; `nouns` of each genre hint at the item's."""
    texts = []
    for row in genres_IG:
        hints = [words for words, has in zip(nouns, row, strict=True) if has]
        words = [_pick(each, generator) for each in hints]
        said = " and ".join(f"the {word.lower()}" for word in words)
        opening, ending = _pick(_OPENINGS, generator), _pick(_ENDINGS, generator)
        texts.append(f"{opening} {said}. {ending}")
    return texts


def _pick(texts: Sequence[str], generator: np.random.Generator) -> str:
    return texts[int(generator.integers(len(texts)))]


def choose_cold(items: int, share: float, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Mark the share of the items that nobody meets before the test part, [I]."""
    return np.isin(np.arange(items), generator.permutation(items)[: round(share * items)])
