"""CIDEr-D and ROUGE-L of captions.

Both take captions as lists of words.
"""

import math
from collections import Counter
from collections.abc import Sequence

Words = Sequence[str]
Vector = dict[tuple[str, ...], float]

ORDERS = 4
"""n-grams of one to four words count, each order the same."""
SPREAD = 6.0
"""Difference in words at which the penalty for another length is exp(-1/2)."""
SCALE = 10.0
RECALL_WEIGHT = 1.2
"""ROUGE-L weighs recall this many times as much as precision."""


class Cider:
    """CIDEr-D (Vedantam, Zitnick and Parikh, CIDEr: Consensus-based Image Description Evaluation, CVPR 2015).

    The mean over orders and references of the cosine between tf-idf vectors of n-grams, in which an output's counts
    are clipped to the reference's, times a penalty for another length, times 10. How rare an n-gram is is counted in
    `documents`: the captions of each picture of the evaluated part are one.
    """

    def __init__(self, documents: Sequence[Sequence[Words]]) -> None:
        """Count in how many documents each n-gram occurs."""
        self._documents = len(documents)
        self._frequency = Counter(
            gram for captions in documents for gram in {gram for words in captions for gram in _grams(words)}
        )
        self._known: dict[tuple[str, ...], tuple[list[Vector], list[float]]] = {}

    def score(self, output: Words, references: Sequence[Words]) -> float:
        """Return the CIDEr-D, from 0 to 10, of an output with at least one reference."""
        vectors, lengths = self._weigh(output)
        total = 0.0
        for reference in references:
            others, other_lengths = self._weighed(tuple(reference))
            penalty = math.exp(-((len(output) - len(reference)) ** 2) / (2 * SPREAD**2))
            for order in range(ORDERS):
                norm = lengths[order] * other_lengths[order]
                if norm:
                    other = others[order]
                    common = sum(
                        min(weight, other[gram]) * other[gram]
                        for gram, weight in vectors[order].items()
                        if gram in other
                    )
                    total += penalty * common / norm
        return SCALE * total / (ORDERS * len(references))

    def _weighed(self, reference: tuple[str, ...]) -> tuple[list[Vector], list[float]]:
        """Weigh a reference, once: there are few, and each is compared with many outputs."""
        if reference not in self._known:
            self._known[reference] = self._weigh(reference)
        return self._known[reference]

    def _weigh(self, words: Words) -> tuple[list[Vector], list[float]]:
        """Return the tf-idf vector of each order, and its length."""
        vectors: list[Vector] = [{} for _ in range(ORDERS)]
        for gram, count in Counter(_grams(words)).items():
            rarity = math.log(self._documents / max(1, self._frequency[gram]))
            vectors[len(gram) - 1][gram] = count * rarity
        return vectors, [math.sqrt(sum(weight**2 for weight in vector.values())) for vector in vectors]


def rouge_l(output: Words, references: Sequence[Words]) -> float:
    """Return ROUGE-L, from 0 to 1, as it is used for captions (Lin, ROUGE, ACL workshop 2004; Chen et al. 2015).

    Recall and precision are the longest common subsequence over the length of the reference and of the output, each
    the best over the references; recall weighs 1.2 times as much.
    """
    common = [(_common(output, reference), len(reference)) for reference in references]
    recall = max((shared / length for shared, length in common if length), default=0.0)
    precision = max((shared for shared, _ in common), default=0) / max(1, len(output))
    if not recall or not precision:
        return 0.0
    return (1 + RECALL_WEIGHT**2) * precision * recall / (recall + RECALL_WEIGHT**2 * precision)


def _grams(words: Words) -> list[tuple[str, ...]]:
    """List all n-grams of one to four words."""
    return [tuple(words[i : i + n]) for n in range(1, ORDERS + 1) for i in range(len(words) - n + 1)]


def _common(one: Words, other: Words) -> int:
    """Return the length of the longest common subsequence."""
    longest = [0] * (len(other) + 1)
    for word in one:
        diagonal = 0
        for place, against in enumerate(other, 1):
            above = longest[place]
            longest[place] = diagonal + 1 if word == against else max(above, longest[place - 1])
            diagonal = above
    return longest[-1]
