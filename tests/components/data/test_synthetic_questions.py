"""Generated texts: every fact has rivals, three answers and other words in its question; users are shared."""

import numpy as np
import pytest

from components.config import SyntheticSettings
from components.data import store, synthetic, synthetic_questions
from components.data.interactions import open_interactions
from components.data.passages import KINDS, kind_of
from components.data.questions import Questions, open_questions
from components.data.synthetic_grammar import (
    GROUPS,
    PATTERNS,
    PHRASES,
    TOWN_BEGINNINGS,
    TOWN_ENDINGS,
    WORDS,
)

SMALL = {"source": "synthetic", "users": 200, "articles": 12, "passages": 4}


def generate(root, **changes: object) -> Questions:
    settings = SyntheticSettings.model_validate(SMALL | changes)
    return open_questions(store.prepare(settings, root, "questions"))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Questions:
    return generate(tmp_path_factory.mktemp("store"))


def test_sizes_and_parts_are_as_the_settings_say(data):
    articles = np.array(data.article)
    assert len(set(articles)) == 12 and len(articles) == 48 and len(data.question_ids) == 48 * 6
    parts = [set(articles[data.passage_of[data.part == part]]) for part in range(3)]
    assert [len(part) for part in parts] == [
        8,
        2,
        2,
    ]  # one in six to validate, one in six of the rest to test
    assert sum(map(len, parts)) == len(set.union(*parts))


def test_every_kind_of_question_is_asked(data):
    assert set(data.kind) == set(range(len(KINDS)))
    share = np.bincount(data.kind) / len(data.kind)
    assert share.max() < 0.35


def test_the_three_styles_differ_and_contain_each_other(data):
    start, end = (bounds.astype(int) for bounds in (data.answer_start, data.answer_end))
    assert (start[:, 1] <= start[:, 0]).all() and (end[:, 0] <= end[:, 1]).all()  # short inside long
    assert (start[:, 2] <= start[:, 0]).all() and (end[:, 0] <= end[:, 2]).all()  # short inside clause
    length = end - start
    assert (length[:, 1] > length[:, 0]).mean() > 0.95 and (length[:, 2] > length[:, 1]).mean() > 0.9


def test_every_fact_has_rivals_of_its_own_kind():
    """In every passage, each of three things is described in one pattern."""
    for passage in synthetic_questions.read(SyntheticSettings(**SMALL))["train"]:
        sentences = passage.text.count(". ") + 1
        assert sentences == 4 and len(passage.questions) == 6
        things = {word for question in passage.questions for word in question.text.rstrip("?.").split()}
        assert things & set(synthetic_questions.THINGS)


def test_a_question_uses_no_word_of_its_sentence_that_has_another(data):
    grouped = {word for words in GROUPS.values() for word in words}
    checked = 0
    for question, text in enumerate(data.question_text):
        passage = int(data.passage_of[question])
        first, last = data.passage_offsets[passage : passage + 2]
        sentence = data.sentence[first:last]
        inside = np.flatnonzero(sentence == sentence[data.answer_start[question, 0]])
        told = {data.words[word].lower() for word in data.passage_word[first + inside]} & grouped
        asked = set(text.lower().rstrip("?.").split()) & grouped
        checked += bool(asked)
        assert not told & asked, text
    assert checked > 100


def test_there_is_a_town_for_every_article():
    most = next(
        each.le for each in SyntheticSettings.model_fields["articles"].metadata if hasattr(each, "le")
    )
    assert len({first + last for first in TOWN_BEGINNINGS for last in TOWN_ENDINGS}) == most


def test_the_grammar_is_whole():
    for pattern in PATTERNS:
        for sentence in pattern.sentences:
            slots = {
                slot for _, slot, is_group in synthetic_questions._parts(sentence) if slot and not is_group
            }
            assert slots - {"thing"} <= set(PHRASES) and set(pattern.questions) <= slots
        for ways in pattern.questions.values():
            assert len({kind_of(way) for way in ways}) <= 2 and all("{thing}" in way for way in ways)
    for phrases in PHRASES.values():
        for phrase in phrases:
            assert phrase.count("[") == phrase.count("]") == 1
            drawn = {slot for _, slot, _ in synthetic_questions._parts(phrase) if slot}
            assert drawn <= set(WORDS) | {"name", "number_year", "town"}


def test_a_passage_answers_no_question_of_another_article(data):
    """The control that asks a question of another passage can only collapse."""
    short = [data.span_text(int(data.passage_of[q]), *map(int, bounds)) for q, bounds in enumerate(
        zip(data.answer_start[:, 1], data.answer_end[:, 1], strict=True))]  # fmt: skip
    generator = np.random.default_rng(0)
    other = generator.permutation(len(data.passage_text))
    found = [text in data.passage_text[other[data.passage_of[q]]] for q, text in enumerate(short)]
    assert np.mean(found) < 0.1


def test_users_are_those_of_recommendation(data, tmp_path):
    interactions = open_interactions(store.prepare(SyntheticSettings(**SMALL), tmp_path))
    assert interactions.user_ids == data.user_ids
    assert (interactions.unseen == data.unseen).all() and data.unseen.sum() == 13
    assert data.unseen[data.pair_user].all()
    for sort in (data.drift_at >= 0, data.conditional, ~data.conditional & (data.drift_at < 0)):
        assert (data.unseen & sort).any()


def test_the_same_seed_gives_the_same_texts_and_another_one_others(data, tmp_path):
    again, other = generate(tmp_path), generate(tmp_path, seed=1)
    for path in data.folder.iterdir():
        assert path.read_bytes() == (again.folder / path.name).read_bytes()
    assert not set(data.passage_text) & set(other.passage_text)


def test_new_settings_leave_the_digest_of_interactions_as_it_was():
    """Prepared folders and finished trials of recommendation stay valid."""
    assert store.data_digest(SyntheticSettings(source="synthetic")) == "d700d713b67fba97"
    assert store.data_digest(SyntheticSettings(source="synthetic", users=60, seed=3)) == "caa33ed298d354c3"


def test_only_a_population_of_its_own_says_who_is_unseen(tmp_path):
    from components.config import SquadSettings

    assert synthetic.unseen(SquadSettings(source="squad", root=tmp_path)) is None
