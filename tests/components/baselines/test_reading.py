"""The rows of no model: lexical rules, and answers in one style."""

import json

import numpy as np
import pytest

from components.baselines.reading import trivial_rows
from components.data import store
from components.data.questions import open_questions
from components.metrics.rows import macro
from components.tasks import TASKS
from components.tasks.question_answering.vocabulary import MONTHS
from tests.components.tasks.question_answering.fixtures import tiny_data, tiny_settings

INFO = TASKS["question-answering"]
PASSAGE = (
    "The quiet harbour was painted by Clara Berg in 1893, although nobody in Lund had asked for it. "
    "The tower was built of red stone because wood was too expensive in the town."
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_data(tmp_path_factory.mktemp("squad"), drift=0.0)


def article(title, context, question, answer):
    answers = [{"text": answer, "answer_start": context.index(answer)}]
    asked = {"id": f"about {title}", "question": question, "answers": answers}
    return {"title": title, "paragraphs": [{"context": context, "qas": [asked]}]}


def one_question(folder, question, answer):
    """The data of one validation question; what there is to train on only says which words are common."""
    folder.mkdir(parents=True)
    contexts = (
        "The quiet house of the town was built in 1900.",
        "The tower was of stone.",
        "It was of wood by now.",
    )
    known = [article(f"a{number}", text, "What was it?", "was") for number, text in enumerate(contexts)]
    for name, articles in (("train", known), ("validation", [article("b", PASSAGE, question, answer)])):
        (folder / f"{name}.json").write_text(json.dumps({"version": "1.1", "data": articles}))
    prepared = store.prepare(tiny_settings(folder, drift=0.0), folder / "prepared", form="questions")
    return open_questions(prepared)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Who painted the harbour?", "Clara Berg"),
        ("When was the harbour painted?", "1893"),
    ],
)
def test_the_lexical_rule_finds_the_stretch_that_suits_the_question(tmp_path, question, answer):
    data = one_question(tmp_path / "squad", question, answer)
    assert macro(trivial_rows("lexical", data, "validation"), "unseen")["official_em"] == 1


@pytest.mark.parametrize("month", sorted(MONTHS))
def test_the_lexical_rule_knows_the_months(tmp_path, monkeypatch, month):
    monkeypatch.setitem(globals(), "PASSAGE", f"The fair opened in {month.capitalize()} near Lund Cathedral.")
    data = one_question(tmp_path / "squad", "When did the fair open?", month.capitalize())
    assert macro(trivial_rows("lexical", data, "validation"), "unseen")["official_em"] == 1


def test_who_is_told_of_the_clause_widens_to_it(tmp_path):
    data = one_question(tmp_path / "squad", "Who painted the harbour?", "Clara Berg")
    told = macro(trivial_rows("lexical-told", data, "validation"), "unseen")
    assert told["em"] == told["em_clause"] == told["em_short"] == 1
    assert macro(trivial_rows("lexical", data, "validation"), "unseen")["em_clause"] == 0


def test_each_style_is_right_for_those_who_want_it(data):
    for style in data.styles:
        means = macro(trivial_rows(f"style-{style}", data, "test"), "unseen")
        assert means[f"em_{style}"] == 1 and means["em"] < 1
    assert macro(trivial_rows("style-short", data, "test"), "unseen")["official_em"] == 1


def test_every_row_of_no_model_has_the_rows_of_a_model(data):
    names = INFO.trivial + INFO.oracles["squad"]
    expected = None
    for name in names:
        rows = trivial_rows(name, data, "validation")
        keys = rows.select(["user", "group", "history", "examples"]).to_pylist()
        expected = expected or keys
        assert keys == expected and set(rows.column_names[4:]) == set(INFO.metrics)
    assert {key["group"] for key in expected} <= set(INFO.groups)


def test_being_told_helps(data):
    told, blind = (macro(trivial_rows(name, data, "test"), "unseen") for name in ("lexical-told", "lexical"))
    assert told["em_clause"] > blind["em_clause"] and told["em_short"] == blind["em_short"]
    assert told["f1"] > blind["f1"]
    assert np.isnan(told["adapted"])


def test_answers_follow_from_the_data_alone(data):
    one, two = (trivial_rows("lexical", data, "validation") for _ in range(2))
    assert one.equals(two)
