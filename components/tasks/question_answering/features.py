"""Where a passage repeats its question: the cheapest large gain of a reader that is trained from scratch.

Dimensions: T tokens of the passage, L tokens of the question, F features.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.tasks.question_answering.vocabulary import SHAPES, Lexicon

NEAR, FAR = 3, 10
"""Reach of the two windows in which overlap with the question is counted."""
TELLING = 0.3
"""Rarity from which on a shared word counts as a landmark that an answer may be near to."""
OWN_FEATURES = 15
FEATURES = OWN_FEATURES + SHAPES


class Passage(NamedTuple):
    """A passage's tokens, as numbers of word forms, and how it is divided; all [T]."""

    word: NDArray[np.integer]
    sentence: NDArray[np.integer]
    clause_start: NDArray[np.bool_]
    clause_end: NDArray[np.bool_]


def triangle(reach: int) -> NDArray[np.float32]:
    """Weights that fall linearly to both sides."""
    distance = np.abs(np.arange(-reach, reach + 1))
    return (1 - distance / (reach + 1)).astype(np.float32)


NEAR_WEIGHTS, FAR_WEIGHTS = triangle(NEAR), triangle(FAR)


def overlap_features(
    lexicon: Lexicon, question: NDArray[np.integer], passage: Passage
) -> NDArray[np.float32]:
    """Describe each token of a passage by its likeness to the question, [T, F].

    Overlaps are shares of the question's total rarity, so a shared rare word counts more than a shared common one.
    """
    length = len(passage.word)
    stem, rarity = lexicon.stem_W[passage.word], lexicon.rarity_W[passage.word]
    asked_stem, first = np.unique(lexicon.stem_W[question], return_index=True)
    total = float(lexicon.rarity_W[question][first].sum()) + 1e-3
    shared = np.isin(stem, asked_stem)
    exact = np.isin(lexicon.lower_W[passage.word], lexicon.lower_W[question])
    weight = rarity * shared / total
    clause = np.cumsum(passage.clause_start, dtype=np.int64)
    by_sentence = _distinct_overlap(passage.sentence, stem, weight)
    by_clause = _distinct_overlap(clause, stem, weight)
    asked = lexicon.lower_W[question]
    pairs = asked[:-1] * len(lexicon.lower_W) + asked[1:]
    lower = lexicon.lower_W[passage.word]
    paired = np.zeros(length + 1, bool)
    paired[1:-1] = np.isin(lower[:-1] * len(lexicon.lower_W) + lower[1:], pairs)
    landmark = shared & (rarity > TELLING)
    features = np.empty((length, FEATURES), np.float32)
    columns = (
        exact,
        shared,
        rarity * shared,
        rarity,
        _window(weight, NEAR_WEIGHTS),
        _window(weight, FAR_WEIGHTS),
        by_sentence,
        by_sentence - by_sentence.max(initial=0),
        by_clause,
        _closeness(landmark),
        _closeness(landmark[::-1])[::-1],
        paired[1:] | paired[:-1],
        passage.clause_start,
        passage.clause_end,
        np.arange(length) / max(1, length),
    )
    for number, column in enumerate(columns):
        features[:, number] = column
    features[:, OWN_FEATURES:] = lexicon.shape_WS[passage.word]
    return features


def _window(weight: NDArray[np.floating], kernel: NDArray[np.float32]) -> NDArray[np.floating]:
    reach = len(kernel) // 2
    return np.convolve(weight, kernel)[reach : reach + len(weight)]


def _distinct_overlap(
    group: NDArray[np.integer], stem: NDArray[np.integer], weight: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Sum of `weight` over each token's group, every stem once."""
    if len(stem) == 0:
        return np.zeros(0)
    base = int(stem.max()) + 1
    _, first = np.unique(group.astype(np.int64) * base + stem, return_index=True)
    return np.bincount(group[first], weights=weight[first])[group]


def _closeness(landmark: NDArray[np.bool_]) -> NDArray[np.floating]:
    """1 at a landmark, falling with the distance to the last one before, 0 where there is none."""
    place = np.arange(len(landmark))
    last = np.maximum.accumulate(np.where(landmark, place, -1))
    return np.where(last >= 0, np.exp((last - place) / 6.0), 0.0)
