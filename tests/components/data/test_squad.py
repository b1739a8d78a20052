"""SQuAD is read as published, and whatever is not as published is said with its place."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.config import SquadSettings
from components.data import squad
from components.errors import DataError
from tests.components.tasks.question_answering.fixtures import write_squad


def settings(root: Path) -> SquadSettings:
    return SquadSettings(source="squad", root=root)


def changed(root: Path, change: Callable[[Any], None], name: str = "train.json") -> SquadSettings:
    path = write_squad(root) / name
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    return settings(root)


def test_reads_passages_with_their_questions(tmp_path):
    found = squad.read(settings(write_squad(tmp_path, articles=3)))
    assert [passage.article for passage in found["validation"]] == ["validation 0"] * 5 + ["validation 1"] * 5
    assert len(found["train"]) == 15
    first = found["train"][0]
    assert all(first.text[start:].startswith(text) for q in first.questions for text, start in q.answers)
    assert len({question.id for passage in found["train"] for question in passage.questions}) == 15 * 9


def drop(name: str) -> Callable[[Any], None]:
    return lambda document: document["data"][1]["paragraphs"][2]["qas"][0].pop(name)


def put(name: str, value: object) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        document["data"][1]["paragraphs"][2]["qas"][0]["answers"][1][name] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda document: document.pop("data"), "the whole file: expected 'data' in it, got 'version'"),
        (
            drop("question"),
            r"data\[1\].paragraphs\[2\].qas\[0\]: expected 'question' in it, got 'answers', 'id'",
        ),
        (put("text", None), r"qas\[0\].answers\[1\].text: expected a text, got null"),
        (put("text", "  "), r"answers\[1\].text: expected a text, got an empty one"),
        (put("text", "nowhere"), r"answers\[1\]: the answer 'nowhere' does not occur in its paragraph"),
        (put("answer_start", "3"), r"answers\[1\].answer_start: expected a whole number, got \"3\""),
        (
            put("answer_start", -3),
            r"answers\[1\].answer_start: expected a character of the paragraph.*got -3",
        ),
        (lambda document: document.update(version="v2.0"), "unanswerable questions; take version 1.1"),
        (lambda document: document.update(data=[]), "no question in it"),
        (lambda document: document.update(data=[4]), r"data\[0\]: expected an object with 'title', got 4"),
        (
            lambda document: document["data"][0].update(title="validation 0"),
            "'validation 0' stands in train.json too; an article that is trained on cannot be evaluated on",
        ),
        (
            lambda document: document["data"].append({**document["data"][0], "title": "again"}),
            "stands there twice; ids are unique",
        ),
        (
            lambda document: document["data"][0]["paragraphs"][0]["qas"][0].update(answers=[]),
            r"data\[0\].paragraphs\[0\].qas\[0\]: no answer",
        ),
    ],
)
def test_what_is_not_as_published_is_located(tmp_path, change, message):
    with pytest.raises(DataError, match=message):
        squad.read(changed(tmp_path, change))


@pytest.mark.parametrize("place", ["title", "context", "question", "id", "text", "answer_start"])
def test_half_a_character_is_located(tmp_path, place):
    def change(document: Any) -> None:
        article = document["data"][1]
        paragraph = article["paragraphs"][2]
        question = paragraph["qas"][0]
        for holder in (article, paragraph, question, question["answers"][1]):
            if place in holder:
                holder[place] = "so \ud800 it is"

    said = rf"data\[1\].*\.{place}: expected whole characters, got half a character, \\ud800, at position 3; write"
    if place == "answer_start":
        said = r'answer_start: expected a whole number, got "so \\ud800 it is"'
    with pytest.raises(DataError, match=said) as refusal:
        squad.read(changed(tmp_path, change))
    assert refusal.value.path == tmp_path / "train.json" and str(refusal.value).encode()


def test_both_halves_of_a_character_are_one(tmp_path):
    def change(document: Any) -> None:
        document["data"][0]["paragraphs"][0]["qas"][0]["question"] = "Who built \ud83c\udff0?"

    found = squad.read(changed(tmp_path, change))
    assert found["train"][0].questions[0].text == "Who built \N{EUROPEAN CASTLE}?"


@pytest.mark.parametrize(
    ("content", "message", "line"),
    [
        (b'{"data": [\n{"title": "x", "para', "the file is cut off: Unterminated string", 2),
        (b'{"data":\n oops}', "this is not JSON", 2),
        (b'{"data":\n "\xff"}', "expected UTF-8 text, got the byte 0xff", 2),
        (b"", "the file is empty", 1),
        (b"<!DOCTYPE html><html>", "this is a web page", 1),
    ],
)
def test_damaged_files_are_located(tmp_path, content, message, line):
    (write_squad(tmp_path) / "validation.json").write_bytes(content)
    with pytest.raises(DataError, match=message) as refusal:
        squad.read(settings(tmp_path))
    assert refusal.value.line == line and refusal.value.path == tmp_path / "validation.json"


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(DataError, match="no such folder; expected one with train"):
        squad.files(settings(tmp_path / "nowhere"))
    (write_squad(tmp_path) / "validation.json").rename(tmp_path / "dev.json")
    with pytest.raises(DataError, match=r"nor validation.json; the folder holds dev.json, train.json"):
        squad.files(settings(tmp_path))
    with pytest.raises(DataError, match="must be a folder"):
        squad.files(settings(tmp_path / "train.json"))


def test_files_may_have_the_names_that_they_are_published_under(tmp_path):
    as_parts = squad.read(settings(write_squad(tmp_path)))
    for name, published in (("train.json", "train-v1.1.json"), ("validation.json", "dev-v1.1.json")):
        (tmp_path / name).rename(tmp_path / published)
    assert squad.read(settings(tmp_path)) == as_parts
    write_squad(tmp_path)
    with pytest.raises(DataError, match=r"train-v1.1.json and train.json are both there"):
        squad.files(settings(tmp_path))


@pytest.mark.skipif("ADAPTUNE_DATA" not in os.environ, reason="ADAPTUNE_DATA is not set")
def test_the_real_set_is_read_whole():
    found = squad.read(settings(Path(os.environ["ADAPTUNE_DATA"]) / "squad"))
    assert [sum(len(passage.questions) for passage in part) for part in found.values()] == [8024, 1080]
    for part in found.values():
        for passage in part:
            for question in passage.questions:
                assert all(passage.tokens.locate(*answer) for answer in question.answers)
