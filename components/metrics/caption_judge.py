"""Judges single captions: style, length and content without references, and CIDEr-D, ROUGE-L and BLEU with them.

N captions to judge, S styles.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.data.caption_styles import open_styles
from components.data.captions import Captions, open_captions, split_words
from components.data.splits import TRAIN
from components.metrics.bleu import bleu_statistics
from components.metrics.cider import Cider, rouge_l

Values = NDArray[np.float64]
Indices = NDArray[np.integer]
Flags = NDArray[np.bool_]

LENGTHS = (10, 90)
"""Percentiles of the length of training captions in a style between which a caption is as long as preferred."""
NAMED_BY = 0.5
"""Share of a picture's captions that name a word which is then its content."""

_LITTLE_WORDS = """
    a an the and or but of in on at to by for with from as into onto over under through up down out off near next
    while is are was were be being been has have had do does there it its his her their he she they him them this that
    who which some one two other another
"""
_LITTLE = frozenset(_LITTLE_WORDS.split())


@dataclass(frozen=True)
class Compared:
    """What captions score against references."""

    cider: Values
    """[N]"""
    rouge_l: Values
    """[N]"""
    statistics: NDArray[np.int64]
    """[N, 10] as `bleu_statistics` counts them."""


@lru_cache(maxsize=4)
def judge_of(folder: Path) -> "Judge":
    """Return the judge of a prepared folder, whose files never change; what it knows is gathered once."""
    return Judge(open_captions(folder))


class Judge:
    """Knows the references of every picture and what captions in each style are like."""

    def __init__(self, data: Captions) -> None:
        """Open the classifier of styles and measure the training captions."""
        self._data = data
        self.styles = open_styles(data.folder)
        self._low, self._high = _preferred_lengths(data)
        self._content: dict[int, frozenset[str]] = {}
        self._references: dict[tuple[int, int], list[list[str]]] = {}
        self._cider: dict[tuple[int, ...], Cider] = {}

    def has_length(self, texts: Sequence[str], style: Indices) -> Flags:
        """Say of each caption, [N], whether it is as long as most training captions in the style given for it."""
        length = np.array([len(split_words(text)) for text in texts])
        return (self._low[style] <= length) & (length <= self._high[style])

    def names_content(self, texts: Sequence[str], image: Indices) -> Flags:
        """Say of each caption, [N], whether it names something that most people name in its picture."""
        for number in set(image.tolist()) - self._content.keys():
            self._content[number] = _content(self._data, number)
        pairs = zip(texts, image.tolist(), strict=True)
        return np.array(
            [not self._content[number].isdisjoint(split_words(text)) for text, number in pairs], bool
        )

    def compare(
        self,
        image: Indices,
        style: Indices,
        texts: Sequence[str],
        parts: tuple[int, ...],
        others: bool = False,
    ) -> Compared:
        """Compare captions with those of their pictures in the styles given for them.

        With `others`, a caption that is itself one of these is compared with the other ones, if there are any. How
        rare an n-gram is for CIDEr-D is counted in all captions of the pictures of `parts`.
        """
        words = [tuple(split_words(text)) for text in texts]
        keys = list(zip(image.tolist(), style.tolist(), words, strict=True))
        place = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        known = [self._known(number, each) for number, each, _ in place]
        if others:
            known = [
                [reference for reference in references if tuple(reference) != output] or references
                for references, (_, _, output) in zip(known, place, strict=True)
            ]
        cider = self._cider_of(parts)
        outputs = [output for _, _, output in place]
        scored = list(zip(outputs, known, strict=True))
        statistics = bleu_statistics(
            [" ".join(output) for output in outputs],
            [[" ".join(reference) for reference in references] for references in known],
        )
        rows = np.array([place[key] for key in keys], np.int64)
        return Compared(
            cider=np.array([cider.score(*each) for each in scored])[rows],
            rouge_l=np.array([rouge_l(*each) for each in scored])[rows],
            statistics=statistics[rows],
        )

    def _known(self, image: int, style: int) -> list[list[str]]:
        if (image, style) not in self._references:
            captions = self._data.captions_of(image, style)
            self._references[image, style] = [split_words(self._data.caption_text[each]) for each in captions]
        return self._references[image, style]

    def _cider_of(self, parts: tuple[int, ...]) -> Cider:
        if parts not in self._cider:
            images = np.flatnonzero(np.isin(self._data.part, parts)).tolist()
            styles = range(len(self._data.styles))
            self._cider[parts] = Cider(
                [[words for style in styles for words in self._known(image, style)] for image in images]
            )
        return self._cider[parts]


def _preferred_lengths(data: Captions) -> tuple[Values, Values]:
    """Return the shortest and the longest preferred number of words of each style, [S] each."""
    trained = data.part[data.caption_image] == TRAIN
    length = np.diff(data.caption_offsets)
    styles = range(len(data.styles))
    bounds = [np.percentile(length[trained & (data.caption_style == style)], LENGTHS) for style in styles]
    return np.array([low for low, _ in bounds]), np.array([high for _, high in bounds])


def _content(data: Captions, image: int) -> frozenset[str]:
    """Return the words that most of a picture's captions name; if people name different things, the most named."""
    captions = range(int(data.image_captions[image]), int(data.image_captions[image + 1]))
    named = [set(split_words(data.caption_text[caption])) - _LITTLE for caption in captions]
    votes = {word: sum(word in each for each in named) for word in set().union(*named)}
    enough = min(NAMED_BY * len(named), max(votes.values(), default=0))
    return frozenset(word for word, count in votes.items() if count >= enough)
