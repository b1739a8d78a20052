"""A classifier of caption styles, fitted on training captions: the judge of whether an output is in a style.

Multinomial logistic regression over tf-idf of words and pairs of words (scikit-learn), each style weighing the same.
It travels as Arrow beside the prepared data, and is applied without scikit-learn.

C captions, F features, S styles.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.data.arrow import matrix, open_table, view, write_table
from components.data.captions import split_words
from components.errors import AdaptuneError

VERSION = 1
"""Raised whenever the same captions give another classifier."""

FILE = "caption_styles.arrow"
LEAST = 2
"""Captions that a feature must occur in."""
INVERSE_REGULARISATION = 3.0
"""scikit-learn's `C`; 1, 3 and 10 differ by less than a point on validation captions."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class StyleClassifier:
    """Weights of the features, applied to any text."""

    features: list[str]
    """[F] a word, or two words in sequence divided by a space."""
    rarity: Values
    """[F] inverse document frequency."""
    weight: Values
    """[F, S] of the tf-idf vector, which has length 1."""
    bias: Values
    """[S]"""

    @cached_property
    def _place(self) -> dict[str, int]:
        return {feature: place for place, feature in enumerate(self.features)}

    def log_probability(self, captions: Sequence[str]) -> Values:
        """Return the log of each style's probability for each caption, [C, S]."""
        scores = np.tile(self.bias, (len(captions), 1))
        for row, caption in enumerate(captions):
            found = [self._place[each] for each in features_of(caption) if each in self._place]
            if found:
                places, counts = np.unique(found, return_counts=True)
                vector = counts * self.rarity[places]
                scores[row] += vector / np.linalg.norm(vector) @ self.weight[places]
        top = scores.max(axis=1, keepdims=True)
        return scores - top - np.log(np.exp(scores - top).sum(axis=1, keepdims=True))

    def classify(self, captions: Sequence[str]) -> NDArray[np.int64]:
        """Return the most probable style of each caption, [C]."""
        return np.argmax(self.log_probability(captions), axis=1)

    def write(self, folder: Path) -> None:
        """Write `caption_styles.arrow`; its first row is the bias, of no feature."""
        import pyarrow as pa

        table = {
            "feature": pa.array(["", *self.features], pa.string()),
            "rarity": np.concatenate([[0.0], self.rarity]),
            "weight": matrix(np.concatenate([self.bias[None], self.weight])),
        }
        write_table(folder / FILE, pa.table(table))


def open_styles(folder: Path) -> StyleClassifier:
    """Read the classifier of a prepared folder."""
    table = open_table(folder / FILE)
    features, rarity, weight = (
        table.column("feature").to_pylist(),
        view(table, "rarity"),
        view(table, "weight"),
    )
    return StyleClassifier(features[1:], rarity[1:], weight[1:], weight[0])


def features_of(caption: str) -> list[str]:
    """Return a caption's words and pairs of words."""
    words = split_words(caption)
    return words + [f"{one} {other}" for one, other in pairwise(words)]


def fit(captions: Sequence[str], style: Sequence[int]) -> StyleClassifier:
    """Fit the classifier on captions of known style; AdaptuneError where no word stands in `LEAST` of them."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectorizer = TfidfVectorizer(analyzer=features_of, min_df=LEAST, dtype=np.float64)
    try:
        vectors = vectorizer.fit_transform(captions)
    except ValueError as error:
        raise AdaptuneError(
            f"styles cannot be told apart by the {len(captions)} captions of the training pictures: no word stands "
            f"in {LEAST} of them; more captions are needed"
        ) from error
    model = LogisticRegression(C=INVERSE_REGULARISATION, class_weight="balanced", max_iter=1000)
    model.fit(vectors, style)
    weight, bias = model.coef_, model.intercept_
    if len(weight) == 1:  # of two styles, scikit-learn keeps the scores of the second one alone
        weight, bias = np.concatenate([0 * weight, weight]), np.concatenate([0 * bias, bias])
    return StyleClassifier(
        list(vectorizer.get_feature_names_out()), vectorizer.idf_, np.ascontiguousarray(weight.T), bias
    )
