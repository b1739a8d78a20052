import random
import string

import pytest
from torchmetrics.functional.text import squad

from components.metrics.reading import exact_match, f1, normalize

WORDS = (
    *(
        "the",
        "The",
        "a",
        "an",
        "An",
        "cat",
        "Cat's",
        "cats",
        "1,000",
        "$5",
        "re-entry",
        "U.S.",
        "naïve",
        "ﬁ",
        "x.",
    ),
    *(
        "Ω",
        "ß",
        "İstanbul",
        "don't",
        "(both)",
        "«quoted»",
        "en\u2013dash",
        "…",
        "北京",
        "the.",
        "a-the",
        "theatre",
        "--",
        "_",
    ),
)
BLANKS = (" ", "  ", "\t", "\n", "\u00a0", "\u2003")
ODD: tuple[tuple[str, list[str]], ...] = (
    ("", [""]),
    ("", ["cat"]),
    ("cat", [""]),
    ("the", ["a"]),
    ("the a an", ["the"]),
    ("...", ["!?"]),
    ("The cat", ["cat."]),
    ("cat cat", ["cat"]),
    ("cat", ["cat cat cat"]),
    ("cats", ["cat", "the cats!", "dog"]),
    ("İstanbul", ["istanbul", "i̇stanbul"]),
    ("STRASSE", ["straße"]),
    ("“cat”", ["cat"]),
    ("e\u0301", ["é"]),
    ("theatre", ["atre"]),
    ("a_the_b", ["the"]),
    ("1,000", ["1000"]),
    ("a\u00a0cat", ["cat"]),
)


def reference_words(text: str) -> list[str]:
    """Normalise character by character and word by word, without regular expressions."""
    kept = "".join(character for character in text.lower() if character not in set(string.punctuation))
    spaced, word = "", ""
    for character in kept + " ":
        if character.isalnum() or character == "_":
            word += character
            continue
        spaced += (" " if word in ("a", "an", "the") else word) + character
        word = ""
    return spaced.split()


def reference_f1(prediction: str, reference: str) -> float:
    found, left, same = reference_words(prediction), reference_words(reference), 0
    expected = len(left)
    for word in found:
        if word in left:
            left.remove(word)
            same += 1
    if same == 0:
        return 0.0
    precision, recall = same / len(found), same / expected
    return 2 * precision * recall / (precision + recall)


def generated(count: int) -> list[tuple[str, list[str]]]:
    chance = random.Random(5)

    def text() -> str:
        words = chance.choices(WORDS, k=chance.randrange(0, 7))
        return "".join(word + chance.choice(BLANKS) for word in words)

    return [(text(), [text() for _ in range(chance.randrange(1, 5))]) for _ in range(count)]


CASES = [*ODD, *generated(400)]


def test_agrees_with_an_independent_reference():
    for prediction, references in CASES:
        assert normalize(prediction).split() == reference_words(prediction), prediction
        equal = any(reference_words(prediction) == reference_words(each) for each in references)
        assert exact_match(prediction, references) == equal, (prediction, references)
        expected = max(reference_f1(prediction, each) for each in references)
        assert f1(prediction, references) == pytest.approx(expected, abs=1e-12), (prediction, references)
    assert len({exact_match(*case) for case in CASES}) == 2
    assert len({f1(*case) for case in CASES}) > 20


def test_agrees_with_torchmetrics():
    for prediction, references in CASES:
        target = {"answers": {"answer_start": [0] * len(references), "text": references}, "id": "1"}
        result = squad({"prediction_text": prediction, "id": "1"}, target)
        assert 100 * exact_match(prediction, references) == pytest.approx(
            float(result["exact_match"]), abs=1e-4
        )
        if reference_words(
            prediction
        ):  # of two empty answers torchmetrics says 1, as the script of version 2.0
            assert 100 * f1(prediction, references) == pytest.approx(float(result["f1"]), abs=1e-4)


def test_hand_computed_cases():
    assert normalize(" The  U.S. re-entry, a   success! ") == "us reentry success"
    assert f1("solar power plant", ["solar power", "wind"]) == pytest.approx(0.8)
    assert exact_match("the Solar power.", ["wind", "solar power"]) == 1.0
    assert exact_match("", ["the"]) == 1.0  # both are empty once normalised, which version 1.1 calls a match
    assert f1("", ["the"]) == 0.0
    assert exact_match("x", []) == f1("x", []) == 0.0
