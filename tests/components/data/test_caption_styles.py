"""The classifier of styles: it equals scikit-learn's, and survives its file."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from components.data import caption_styles
from components.data.caption_styles import features_of, fit, open_styles
from components.errors import AdaptuneError

WORDS = ("dog", "cat", "runs", "sits", "in", "the", "snow", "red", "a")
MARKS = (("now", "today"), ("funny", "clown"), ("love", "joy"))


def captions(count: int, styles: int) -> tuple[list[str], list[int]]:
    generator = np.random.default_rng(styles)
    style = generator.integers(0, styles, count).tolist()
    texts = []
    for each in style:
        words = [*generator.choice(WORDS, generator.integers(2, 8)), generator.choice(MARKS[each])]
        texts.append(" ".join(generator.permutation(words)) + " .")
    return texts, style


def test_captions_without_a_word_in_common_are_refused():
    with pytest.raises(
        AdaptuneError, match="by the 2 captions of the training pictures: no word stands in 2"
    ):
        fit(["one dog", "two cats"], [0, 1])


@pytest.mark.parametrize("styles", [2, 3])
def test_it_equals_scikit_learn(styles, tmp_path):
    texts, style = captions(300, styles)
    fit(texts[:200], style[:200]).write(tmp_path)
    classifier = open_styles(tmp_path)
    vectorizer = TfidfVectorizer(analyzer=features_of, min_df=caption_styles.LEAST, dtype=np.float64)
    model = LogisticRegression(
        C=caption_styles.INVERSE_REGULARISATION, class_weight="balanced", max_iter=1000
    ).fit(vectorizer.fit_transform(texts[:200]), style[:200])
    odd = ["", "never seen words", "Dog, dog; DOG!"]
    unseen = [*texts[200:], *odd]
    expected = model.predict_log_proba(vectorizer.transform(unseen))
    assert classifier.log_probability(unseen) == pytest.approx(expected, abs=1e-9)
    assert (classifier.classify(texts[200:]) == style[200:]).mean() > 0.95


def test_punctuation_and_case_change_nothing():
    classifier = fit(*captions(100, 3))
    one, other = classifier.log_probability(["A funny dog .", "a FUNNY dog"])
    assert np.array_equal(one, other)


def test_features_are_words_and_pairs():
    assert features_of("A red dog .") == ["a", "red", "dog", "a red", "red dog"]
