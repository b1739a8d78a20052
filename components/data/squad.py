"""SQuAD v1.1 as published: JSON of articles, their paragraphs, and questions with reference answers.

Rajpurkar et al., SQuAD: 100,000+ Questions for Machine Comprehension of Text, EMNLP 2016.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.config import SquadSettings
from components.data.passages import Passage, Question
from components.data.text import describe_wrong_content
from components.data.word_vectors import check_file
from components.errors import DataError

VERSION = 1

NAMES = {"train": ("train-v1.1.json", "train.json"), "validation": ("dev-v1.1.json", "validation.json")}
"""What the files may be called: as published, or by their part."""
WHERE = "SQuAD v1.1, train-v1.1.json and dev-v1.1.json, is at https://rajpurkar.github.io/SQuAD-explorer/"
VECTORS = "word_vectors"
"""Role of the file of word vectors."""
_KINDS = {list: "a list", dict: "an object", str: "a text", int: "a whole number"}


def files(settings: SquadSettings) -> dict[str, Path]:
    """Name the two files and that of word vectors, having checked that they are there and not something else."""
    root = settings.root
    if root.is_file():
        what = describe_wrong_content(root) or "this is a file"
        raise DataError(
            root, f"{what}; data.root must be a folder with train-v1.1.json and dev-v1.1.json. {WHERE}"
        )
    if not root.is_dir():
        raise DataError(root, f"no such folder; expected one with train-v1.1.json and dev-v1.1.json. {WHERE}")
    found = {}
    for role, names in NAMES.items():
        there = [root / name for name in names if (root / name).is_file()]
        if not there:
            other = ", ".join(sorted(each.name for each in root.glob("*.json"))) or "no JSON file"
            raise DataError(
                root / names[0], f"no such file, nor {names[1]}; the folder holds {other}. {WHERE}"
            )
        if len(there) > 1:
            raise DataError(root, f"{names[0]} and {names[1]} are both there; keep the one that is meant")
        found[role] = path = there[0]
        wrong = describe_wrong_content(path)
        if wrong:
            raise DataError(path, f"{wrong}. {WHERE}", 1)
    if settings.word_vectors is not None:
        check_file(settings.word_vectors)
        found[VECTORS] = settings.word_vectors
    return found


def read(settings: SquadSettings) -> dict[str, list[Passage]]:
    """Parse both files into the passages of each; what is not as published is a `DataError` that says where."""
    paths = files(settings)
    found = {role: list(_passages(paths[role])) for role in NAMES}
    titles: dict[str, Path] = {}
    identities: set[str] = set()
    for role, passages in found.items():
        path = paths[role]
        for passage in passages:
            if titles.setdefault(passage.article, path) != path:
                message = f"the article {passage.article!r} stands in {titles[passage.article].name} too"
                raise DataError(path, f"{message}; an article that is trained on cannot be evaluated on")
            for question in passage.questions:
                if question.id in identities:
                    raise DataError(
                        path, f"the question id {question.id!r} stands there twice; ids are unique"
                    )
                identities.add(question.id)
        if not any(passage.questions for passage in passages):
            raise DataError(path, f"no question in it. {WHERE}")
    return found


def _passages(path: Path) -> Iterator[Passage]:
    document = _load(path)
    if isinstance(document, dict) and str(document.get("version", "")).startswith("v2"):
        message = f"this is version {document['version']}, which has unanswerable questions; take version 1.1"
        raise DataError(path, f"{message}. {WHERE}")
    for place, article in _each(path, "", document, "data"):
        title = _text(path, place, article, "title")
        for inner, paragraph in _each(path, place, article, "paragraphs"):
            context = _text(path, inner, paragraph, "context")
            questions = tuple(
                _question(path, deep, values, context)
                for deep, values in _each(path, inner, paragraph, "qas")
            )
            yield Passage(title, context, questions)


def _question(path: Path, place: str, values: Any, context: str) -> Question:
    answers = []
    for inner, answer in _each(path, place, values, "answers"):
        text = _text(path, inner, answer, "text")
        marked = _member(path, inner, answer, "answer_start", int)
        if marked < 0:
            message = f"expected a character of the paragraph, counted from 0, got {marked}"
            raise DataError(path, f"{inner}.answer_start: {message}")
        if text not in context:
            raise DataError(path, f"{inner}: the answer {text[:60]!r} does not occur in its paragraph")
        answers.append((text, marked))
    if not answers:
        raise DataError(path, f"{place}: no answer; every question of version 1.1 has one")
    identity, question = (_text(path, place, values, name) for name in ("id", "question"))
    return Question(identity, question, tuple(answers))


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DataError(
            path, f"expected UTF-8 text, got the byte {error.object[error.start]:#04x}", line
        ) from error
    except json.JSONDecodeError as error:
        cut = error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated")
        what = "the file is cut off" if cut else "this is not JSON"
        message = f"{what}: {error.msg} (column {error.colno}). {WHERE}"
        raise DataError(path, message, error.lineno) from error


def _each(path: Path, place: str, values: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the members of a list with the place of each, such as `data[3].paragraphs[0]`."""
    base = f"{place}.{name}" if place else name
    for index, value in enumerate(_member(path, place, values, name, list)):
        yield f"{base}[{index}]", value


def _text(path: Path, place: str, values: Any, name: str) -> str:
    text: str = _member(path, place, values, name, str)
    if not text.strip():
        raise DataError(path, f"{place}.{name}: expected a text, got an empty one")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = f"got half a character, \\u{ord(text[error.start]):04x}, at position {error.start}"
        message = f"expected whole characters, {half}; write the whole one, or delete it"
        raise DataError(path, f"{place}.{name}: {message}") from error
    return text


def _member(path: Path, place: str, values: Any, name: str, kind: type) -> Any:
    where = place or "the whole file"
    if not isinstance(values, dict):
        raise DataError(path, f"{where}: expected an object with {name!r}, got {_show(values)}. {WHERE}")
    if name not in values:
        keys = ", ".join(sorted(map(repr, values))) or "nothing"
        raise DataError(path, f"{where}: expected {name!r} in it, got {keys}. {WHERE}")
    value = values[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        base = f"{place}.{name}" if place else name
        raise DataError(path, f"{base}: expected {_KINDS[kind]}, got {_show(value)}")
    return value


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace").decode()
    return text if len(text) <= 40 else f"{text[:40]} ..."
