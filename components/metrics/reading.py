"""Exact match and F1 of an answer, as the official evaluation script of SQuAD v1.1 computes them.

Rajpurkar et al., SQuAD: 100,000+ Questions for Machine Comprehension of Text, EMNLP 2016. Both are from 0 to 1 here,
where the script prints percent.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLE = re.compile(r"\b(a|an|the)\b")


@lru_cache(maxsize=1 << 16)
def normalize(text: str) -> str:
    """Lower the case, drop ASCII punctuation, then English articles, and join what is left by single spaces."""
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, references: Sequence[str]) -> float:
    """1 if the normalised prediction equals one of the normalised references, else 0."""
    found = normalize(prediction)
    return float(any(found == normalize(reference) for reference in references))


def f1(prediction: str, references: Sequence[str]) -> float:
    """Return the largest F1 between the bag of the prediction's words and that of a reference.

    As in version 1.1 of the script, two answers without a word in common score 0, also if both are empty.
    """
    return max((_f1(prediction, reference) for reference in references), default=0.0)


def _f1(prediction: str, reference: str) -> float:
    predicted, expected = normalize(prediction).split(), normalize(reference).split()
    common = (Counter(predicted) & Counter(expected)).total()
    if not common:
        return 0.0
    precision, recall = common / len(predicted), common / len(expected)
    return 2 * precision * recall / (precision + recall)
