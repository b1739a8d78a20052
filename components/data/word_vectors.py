"""Word vectors from a file, in the text format of GloVe and word2vec: a word and its numbers on each line.

Pennington, Socher and Manning, GloVe: Global Vectors for Word Representation, EMNLP 2014. A first line of two whole
numbers, how many words and how many numbers each, is what word2vec adds, and is passed over.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from components.config import QuestionAnsweringSettings
from components.data.text import check_data_file
from components.errors import DataError

WHERE = "expected GloVe's text format, such as glove.6B.100d.txt: a word and its numbers on each line"


@dataclass(frozen=True)
class WordVectors:
    """The vectors of W words, each of E numbers."""

    words: list[str]
    """Lower-cased, sorted."""
    vector_WE: NDArray[np.float32]


def check_file(path: Path) -> None:
    """Raise `DataError` where there is no such file, or it cannot hold vectors."""
    check_data_file(path, WHERE, line=1)


def read_vectors(path: Path, wanted: Collection[str]) -> WordVectors:
    """Read the vectors of `wanted` lower-cased words, as far as the file has them; a word's first line counts.

    Raises `DataError` with the line of the first one that is not as expected.
    """
    check_file(path)
    found: dict[str, NDArray[np.float32]] = {}
    size = None
    with path.open("rb") as file:
        for line, raw in enumerate(file, start=1):
            try:
                word, *numbers = raw.decode("utf-8").rstrip().split(" ")
            except UnicodeDecodeError as error:
                raise DataError(
                    path, f"expected UTF-8 text, got the byte {raw[error.start]:#04x}", line
                ) from error
            if line == 1 and len(numbers) == 1:
                continue
            if size is None:
                size = _check_size(path, line, word, len(numbers))
            if len(numbers) != size:
                message = (
                    f"{len(numbers)} numbers after {word[:40]!r}, and {size} on the lines before; {WHERE}"
                )
                raise DataError(path, message, line)
            if word.lower() in wanted and word.lower() not in found:
                found[word.lower()] = _vector(path, line, word, numbers)
    if not found:
        raise DataError(path, f"none of the {len(wanted)} words of the data is in it; {WHERE}")
    words = sorted(found)
    return WordVectors(words, np.stack([found[word] for word in words]))


def _check_size(path: Path, line: int, word: str, size: int) -> int:
    """Return the size of the vectors; a `DataError` where no model can be as wide."""
    try:
        QuestionAnsweringSettings(embedding=size)
    except ValidationError as error:
        limit = error.errors()[0]["msg"].removeprefix("Input should be ")
        message = (
            f"{size} numbers after {word[:40]!r}, and `model.embedding`, which must equal that, is {limit}"
        )
        raise DataError(path, f"{message}; {WHERE}", line) from error
    return size


def _vector(path: Path, line: int, word: str, numbers: list[str]) -> NDArray[np.float32]:
    try:
        vector = np.array(numbers, np.float32)
    except ValueError as error:
        raise DataError(
            path, f"what follows {word[:40]!r} is not numbers ({error}); {WHERE}", line
        ) from error
    if not np.isfinite(vector).all():
        raise DataError(path, f"a number of {word[:40]!r} is not finite", line)
    return vector
