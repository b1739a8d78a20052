"""CIDEr-D and ROUGE-L against hand-computed cases."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.metrics.cider import Cider, rouge_l

CASES = (
    (
        "a dog runs in the snow",
        ["a black dog runs in the snow", "a dog is running through deep snow"],
        4.151229453,
        0.910447761,
    ),
    (
        "two children play on the beach near the water",
        ["two girls play on the beach", "the two girls are playing near the water", "children at the beach"],
        2.421976239,
        0.691609977,
    ),
    ("a man", ["a man rides a red bike"], 1.347035215, 0.458646617),
    (
        "a man climbs the rock in a red red red shirt",
        ["a man in a red shirt climbs a rock", "a climber"],
        1.438352385,
        0.611018364,
    ),
    ("a cat sleeps", ["the dog jumps over a log"], 0.016082145, 0.209621993),
)
"""Outputs, their references, and what pycocoevalcap 1.2 scores them: CIDEr-D over these documents, and ROUGE-L."""


def words(*texts: str) -> list[list[str]]:
    return [text.split() for text in texts]


def test_a_caption_like_its_reference_has_the_most():
    cider = Cider([words("one red dog runs"), words("two cats sleep now")])
    assert cider.score(["one", "red", "dog", "runs"], words("one red dog runs")) == pytest.approx(10)
    assert cider.score(["one", "red", "dog", "runs"], words("two cats sleep now")) == 0
    assert cider.score([], words("two cats sleep now")) == 0


def test_orders_without_an_n_gram_count_as_nothing():
    cider = Cider([words("dog"), words("cat")])
    assert cider.score(["dog"], words("dog")) == pytest.approx(10 / 4)


def test_words_in_every_document_carry_no_weight():
    cider = Cider([words("a dog"), words("a cat")])
    assert cider.score(["a"], words("a dog")) == 0
    # `a` weighs nothing, so only `dog` is compared: cosine 1 of the words, `a dog` 1 of the pairs of words
    assert cider.score(["a", "dog"], words("a dog")) == pytest.approx(10 * 2 / 4)


def test_partly_right_by_hand():
    """Two documents; every n-gram of the reference is in one of them, so it weighs log 2 = b a count."""
    cider = Cider([words("x y"), words("z")])
    # words: output (x: b), reference (x: b, y: b): b * b / (b * b sqrt 2); no pair of words in the output.
    penalty = math.exp(-(1**2) / (2 * 6**2))
    assert cider.score(["x"], words("x y")) == pytest.approx(10 / 4 * penalty / math.sqrt(2))
    # The mean over the references: the second one has nothing in common.
    assert cider.score(["x"], words("x y", "z")) == pytest.approx(10 / 8 * penalty / math.sqrt(2))


def test_repeated_words_are_clipped():
    cider = Cider([words("x y"), words("z")])
    # words: output (x: 2b), reference (x: b, y: b); clipped product b * b, norms 2b and b sqrt 2. Pairs of words:
    # `x x` is in no document, so it weighs log(2 / 1) as well, but has nothing in common with `x y`.
    assert cider.score(["x", "x"], words("x y")) == pytest.approx(10 / 4 / (2 * math.sqrt(2)))


def test_rarer_words_weigh_more():
    cider = Cider([words("x y"), words("y z"), words("z z"), words("w")])
    rare, common = math.log(4 / 1), math.log(4 / 2)
    penalty = math.exp(-1 / 72)
    norm = math.hypot(rare, common)
    assert cider.score(["x"], words("x y")) == pytest.approx(10 / 4 * penalty * rare / norm)
    assert cider.score(["y"], words("x y")) == pytest.approx(10 / 4 * penalty * common / norm)


def test_other_lengths_are_punished():
    cider = Cider([words("x"), words("w")])
    long = ["x", *["w2"] * 6]
    # words: x weighs log 2, as does each of six unknown ones (counted together: 6 log 2)
    expected = math.exp(-(6**2) / 72) / math.sqrt(1 + 36)
    assert cider.score(long, words("x")) == pytest.approx(10 / 4 * expected)


@given(
    st.lists(st.sampled_from("abcd"), max_size=8), st.lists(st.sampled_from("abcd"), min_size=1, max_size=8)
)
def test_scores_stay_in_their_range(output, reference):
    cider = Cider([words("a b c"), words("d d a"), words("e")])
    assert -1e-9 <= cider.score(output, [reference]) <= 10 + 1e-9
    assert 0 <= rouge_l(output, [reference]) <= 1
    assert rouge_l(reference, [reference]) == pytest.approx(1)


def test_rouge_by_hand():
    # longest common subsequence `the dog the snow`, 4 words; recall 4/6, precision 4/5
    precision, recall = 4 / 5, 4 / 6
    expected = (1 + 1.2**2) * precision * recall / (recall + 1.2**2 * precision)
    output = ["the", "dog", "in", "the", "snow"]
    assert rouge_l(output, words("the dog runs through the snow")) == pytest.approx(expected)
    # recall is best against the second reference (2/2), precision against the first (4/5)
    expected = (1 + 1.2**2) * precision / (1 + 1.2**2 * precision)
    assert rouge_l(output, words("the dog runs through the snow", "the snow")) == pytest.approx(expected)
    assert rouge_l(output, words("cats")) == rouge_l([], words("cats")) == rouge_l(["a"], [[]]) == 0


def test_scores_are_those_of_the_reference_tool():
    cider = Cider([words(*references) for _, references, _, _ in CASES])
    for output, references, expected_cider, expected_rouge in CASES:
        assert cider.score(output.split(), words(*references)) == pytest.approx(expected_cider, abs=1e-8)
        assert rouge_l(output.split(), words(*references)) == pytest.approx(expected_rouge, abs=1e-8)
