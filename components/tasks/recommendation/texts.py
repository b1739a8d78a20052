"""Words of titles and overviews as numbers. I items, L words of the longest text."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

WORD = re.compile(r"\w+")
LEAST_WORD_COUNT = 2
"""Words rarer than this say nothing about other items and are left out."""
MOST_WORDS = 12
"""Of a title, this many words count, from the first on."""
MOST_OVERVIEW_WORDS = 64
"""Of an overview, this many different words count, the most telling ones."""


def known_words(texts: Sequence[str]) -> list[str]:
    """Return the words that occur in at least `LEAST_WORD_COUNT` of the texts, in order."""
    seen = Counter(word for text in texts for word in set(_words(text)))
    return sorted(word for word, times in seen.items() if times >= LEAST_WORD_COUNT)


def word_matrix(titles: Sequence[str], words: Sequence[str]) -> NDArray[np.int64]:
    """Return the numbers of each title's first `MOST_WORDS` words in `words`, [I, L], from 1; 0 is padding."""
    number = {word: index + 1 for index, word in enumerate(words)}
    rows = [[number[word] for word in _words(title) if word in number][:MOST_WORDS] for title in titles]
    return _padded(rows, np.int64)


def weighted_words(
    texts: Sequence[str], words: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the numbers of each text's different words, as in `word_matrix`, and their weights: [I, L] each.

    A word's weight is its tf-idf, times in the text x log(texts / texts that have it), most telling words first;
    those of a text have length 1 (Salton & Buckley, Term-weighting approaches in automatic text retrieval, 1988).
    """
    number = {word: index + 1 for index, word in enumerate(words)}
    counts = [Counter(number[word] for word in _words(text) if word in number) for text in texts]
    having = Counter(index for count in counts for index in count)
    rarity = {index: np.log(len(texts) / times) for index, times in having.items()}
    rows, weights = [], []
    for count in counts:
        telling = sorted(((times * rarity[index], -index) for index, times in count.items()), reverse=True)
        kept = telling[:MOST_OVERVIEW_WORDS]
        length = np.sqrt(sum(weight**2 for weight, _ in kept)) or 1
        rows.append([-index for _, index in kept])
        weights.append([weight / length for weight, _ in kept])
    return _padded(rows, np.int64), _padded(weights, np.float32)


def word_presence(word_IL: NDArray[np.int64], words: int) -> NDArray[np.float32]:
    """Return [I, words]: 1 where a text has a word."""
    matrix = np.zeros((len(word_IL), words + 1), np.float32)
    np.put_along_axis(matrix, word_IL, 1, axis=1)
    return matrix[:, 1:]


def _padded(rows: Sequence[Sequence[float]], kind: type[Any]) -> NDArray[Any]:
    matrix = np.zeros((len(rows), max(1, max(map(len, rows), default=0))), kind)
    for row, numbers in enumerate(rows):
        matrix[row, : len(numbers)] = numbers
    return matrix


def _words(text: str) -> list[str]:
    return WORD.findall(text.lower())
