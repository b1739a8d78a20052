"""BLEU equals sacrebleu's, and its parts add up to it."""

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU

from components.metrics.bleu import bleu_statistics, corpus_bleu, unit_bleu

WORDS = (
    "a",
    "a",
    "the",
    "dog",
    "dog",
    "runs",
    "in",
    "snow",
    "café",
    "北京",
    "don't",
    "x-ray",
    "ß",
    "İ",
    "\u00ad",
    "%",
)
ODD = (
    ([""], [["a dog"]]),
    ([""], [[""]]),
    (["", "a"], [["a dog"], ["a"]]),
    (["a"], [["a"]]),
    (["a dog"], [["a dog"]]),
    (["a dog runs"], [["a dog runs"]]),
    (["a dog runs in"], [["a dog runs in"]]),
    (["a a a a a"], [["a"]]),
    (["the dog"], [["snow in runs"]]),
    (["a dog runs"], [["the dog sat", "a dog", "one dog runs here now and then"]]),
    (["dog dog dog dog"], [["dog", "dog dog", "dog dog dog dog dog"]]),
    (["北京 ß"], [["北京 ß", "ß 北京"]]),
    (["a dog runs in snow", ""], [["a dog runs in the snow"], ["nothing", "at all"]]),
    (["snow runs dog a"], [["a dog runs snow"]]),
)


def generated(count: int) -> list[tuple[list[str], list[list[str]]]]:
    generator = np.random.default_rng(3)

    def caption(least: int) -> str:
        return " ".join(generator.choice(WORDS, generator.integers(least, 12)))

    def corpus() -> tuple[list[str], list[list[str]]]:
        size, references = generator.integers(1, 6), generator.integers(1, 6)
        return [caption(0) for _ in range(size)], [
            [caption(1) for _ in range(references)] for _ in range(size)
        ]

    return [corpus() for _ in range(count)]


CASES = [*ODD, *generated(300)]


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_corpora_score_as_in_sacrebleu(order):
    scores = []
    for outputs, references in CASES:
        most = max(map(len, references))
        streams = [[known[n] if n < len(known) else None for known in references] for n in range(most)]
        expected = (
            BLEU(tokenize="none", max_ngram_order=order, force=True).corpus_score(outputs, streams).score
        )
        found = corpus_bleu(bleu_statistics(outputs, references).sum(axis=0), order)
        assert 100 * found == pytest.approx(expected, abs=1e-6), (outputs, references)
        scores.append(found)
    assert len(scores) > 200 and len(set(np.round(scores, 9))) > 100 and min(scores) == 0 and max(scores) == 1


def test_a_hand_computed_case():
    statistics = bleu_statistics(["the dog runs in the snow"], [["the dog runs through the snow"]])
    assert statistics.tolist() == [[6, 6, 5, 3, 1, 0, 6, 5, 4, 3]]
    assert corpus_bleu(statistics[0], 3) == pytest.approx((5 / 6 * 3 / 5 * 1 / 4) ** (1 / 3))
    assert corpus_bleu(statistics[0], 4) == pytest.approx((5 / 6 * 3 / 5 * 1 / 4 * 1 / 2 / 3) ** (1 / 4))
    short = bleu_statistics(["the dog"], [["the dog runs"]])
    assert corpus_bleu(short[0], 2) == pytest.approx(np.exp(1 - 3 / 2))


@pytest.mark.parametrize("order", [1, 4])
def test_units_average_to_the_corpus(order):
    for outputs, references in CASES:
        statistics = bleu_statistics(outputs, references)
        units = unit_bleu(statistics, order)
        assert units.shape == (len(outputs),)
        assert units.mean() == pytest.approx(float(corpus_bleu(statistics.sum(axis=0), order)), abs=1e-12)


def test_a_unit_that_helps_is_worth_more_than_one_that_hurts():
    outputs = ["a dog runs in the snow", "a dog runs in the snow", "cat cat cat cat cat cat"]
    units = unit_bleu(bleu_statistics(outputs, [["a dog runs in the snow"]] * 3))
    assert units[0] == units[1] > units[2]


def test_the_spread_of_the_units_is_that_of_the_corpus_score():
    """The standard error of the units' mean is close to the bootstrap's of the corpus BLEU."""
    generator = np.random.default_rng(0)
    reference = ["a", "brown", "dog", "runs", "through", "the", "deep", "white", "snow", "today"]
    outputs = []
    for _ in range(200):
        words = list(reference)
        for place in np.flatnonzero(generator.random(len(words)) < 0.3):
            words[place] = "other"
        outputs.append(" ".join(words))
    statistics = bleu_statistics(outputs, [[" ".join(reference)]] * 200)
    units = unit_bleu(statistics)
    draws = generator.integers(0, 200, (2000, 200))
    bootstrapped = corpus_bleu(statistics[draws].sum(axis=1)).std()
    assert units.std() / np.sqrt(200) == pytest.approx(bootstrapped, rel=0.1)
