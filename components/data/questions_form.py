"""Preparing question answering: cuts the texts, simulates the users and writes what `questions.py` opens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.data import passages, simulation, squad, synthetic, synthetic_questions
from components.data.arrow import matrix, write_manifest, write_table
from components.data.passages import KINDS, Passage
from components.data.questions import VERSION
from components.data.simulated_users import user_tables
from components.data.splits import TEST, TRAIN, VALIDATION, keyed_hash
from components.data.word_vectors import WordVectors, read_vectors
from components.errors import DataError

SOURCES = {"squad": squad, "synthetic": synthetic_questions}
TEST_SHARE = 1 / 6
"""Share of the training file's articles that are the test part."""
STYLES = ("short", "long", "clause")
"""Styles of an answer: the shortest reference, the longest one, the whole clause around the shortest."""
MOST_TOPICS = 40
FACT_TO_EXPLANATION = ("how many", "when", "who", "where", "which", "what", "how", "why", "other")
"""Kinds of question from those that ask for a fact to those that ask for an explanation."""
BORDERS = (3, 4, 5)
"""How many of these are facts to a conditional user, who wants one style there and another one for the rest."""


def versions(settings: Any) -> Mapping[str, Any]:
    """Name the versions of preparation, cutting, simulation and source."""
    return {
        "form": "questions",
        "preparation": VERSION,
        "passages": passages.VERSION,
        "simulation": simulation.VERSION,
        "source": [settings.source, SOURCES[settings.source].VERSION],
    }


def files(settings: Any) -> Mapping[str, Path]:
    """Name the source's files."""
    return SOURCES[settings.source].files(settings)


@dataclass(frozen=True)
class Content:
    """What a source holds: passages, and the part of each article."""

    texts: Sequence[Passage]
    parts: Mapping[str, int]
    vectors: WordVectors | None = None


def read(settings: Any) -> Content:
    """Parse the source and divide its articles."""
    found = SOURCES[settings.source].read(settings)
    texts = [passage for part in found.values() for passage in part]
    path = getattr(settings, squad.VECTORS, None)
    vectors = None if path is None else read_vectors(path, _words(texts))
    return Content(texts, _parts(settings, found), vectors)


def write(content: Content, settings: Any, digest: str, folder: Path) -> None:
    """Simulate the users and write everything into `folder`."""
    import pyarrow as pa

    texts = content.texts
    asked = [(number, question) for number, passage in enumerate(texts) for question in passage.questions]
    spans = np.array([_spans(texts[number], question) for number, question in asked], np.int32)  # [Q, S, 2]
    article_Q = [texts[number].article for number, _ in asked]
    part = np.array([content.parts[article] for article in article_Q], np.int8)
    topics = _topics(article_Q, part)
    known = simulation.Content(
        kind=np.array([passages.kind_of(question.text) for _, question in asked], np.int8),
        part=part,
        topic=np.array([1 + topics.index(article) if article in topics else 0 for article in article_Q]),
        alike=(spans[:, :, None] == spans[:, None, :]).all(axis=-1),
        mixed=_mixed_preferences(),
    )
    users = simulation.simulate(settings, known, synthetic.unseen(settings))
    tables = _text_tables(texts, asked, known, spans) | _user_tables(users, spans)
    if content.vectors is not None:
        known_words = pa.array(content.vectors.words, pa.string())
        tables["word_vectors"] = {"word": known_words, "vector": matrix(content.vectors.vector_WE)}
    for name, columns in tables.items():
        write_table(folder / f"{name}.arrow", pa.table(columns))
    manifest: dict[str, Any] = {
        **versions(settings),
        "digest": digest,
        "source": settings.source,
        "kinds": KINDS,
        "styles": STYLES,
        "profile_fields": {"topic": ["unknown", *topics]},
    }
    if notes := _notes(texts):
        manifest["notes"] = notes
    write_manifest(folder, manifest)


def _notes(texts: Sequence[Passage]) -> list[str]:
    """Say how many answers had to be looked for, as they do not stand where the source says; nothing if none."""
    misplaced = {name: count for passage in texts for name, count in passage.misplaced().items()}
    if not misplaced:
        return []
    answers = sum(len(question.answers) for passage in texts for question in passage.questions)
    return [
        f"{sum(misplaced.values()):,} of {answers:,} reference answers do not stand at their `answer_start`, "
        f"such as of question {next(iter(misplaced))!r}; their text is taken where it occurs nearest to "
        "there, which may not be the occurrence that was meant"
    ]


def _words(texts: Sequence[Passage]) -> set[str]:
    """Collect the words of passages and questions, lower-cased."""
    cut = [tokens for passage in texts for tokens in _cut(passage)]
    return {word.lower() for tokens in cut for word in tokens.words}


def _cut(passage: Passage) -> list[passages.Tokens]:
    return [passage.tokens, *(passages.Tokens(question.text) for question in passage.questions)]


def _parts(settings: Any, found: Mapping[str, Sequence[Passage]]) -> dict[str, int]:
    """Assign each article to a part: one in six of the training file, by keyed hash of the title, is the test."""
    training = sorted({passage.article for passage in found["train"] if passage.questions})
    if len(training) < 2:
        message = (
            f"{len(training)} article with questions; expected at least 2, as one in six is the test part"
        )
        raise DataError(squad.files(settings)["train"], message)
    order = np.argsort(keyed_hash("adaptune test article", training), kind="stable")
    test = {training[place] for place in order[: max(1, round(len(training) * TEST_SHARE))]}
    parts = {passage.article: TEST if passage.article in test else TRAIN for passage in found["train"]}
    return parts | {passage.article: VALIDATION for passage in found["validation"]}


def _topics(article_Q: Sequence[str], part_Q: NDArray[np.integer]) -> list[str]:
    """Choose the training articles that are topics, by keyed hash of the title; they keep their order."""
    pairs = zip(article_Q, part_Q, strict=True)
    articles = list(dict.fromkeys(article for article, part in pairs if part == TRAIN))
    order = np.argsort(keyed_hash("adaptune topic", articles), kind="stable")
    return [articles[place] for place in sorted(order[:MOST_TOPICS])]


def _mixed_preferences() -> NDArray[np.int8]:
    """Tabulate what conditional users want, [M, K]: one style for facts, another one for explanations."""
    tables = [
        [fact if FACT_TO_EXPLANATION.index(kind) < border else explanation for kind in KINDS]
        for (fact, explanation), border in product(permutations(range(len(STYLES)), 2), BORDERS)
    ]
    return np.array(tables, np.int8)


def _spans(passage: Passage, question: passages.Question) -> list[tuple[int, int]]:
    """Return the tokens (first, after the last) of the acceptable answer in each style: short, long and clause."""
    tokens = passage.tokens
    located = [tokens.locate(*answer) for answer in question.answers]
    spans = sorted({span for span in located if span}, key=lambda span: (_length(tokens, span), span))
    return [spans[0], spans[-1], tokens.clause_around(*spans[0])]


def _length(tokens: passages.Tokens, span: tuple[int, int]) -> int:
    return int(tokens.end[span[1] - 1] - tokens.start[span[0]])


def _text_tables(
    texts: Sequence[Passage],
    asked: Sequence[tuple[int, passages.Question]],
    known: simulation.Content,
    spans: NDArray[np.int32],
) -> dict[str, dict[str, Any]]:
    """Arrange passages, questions, their tokens and the words as columns."""
    import pyarrow as pa

    words: dict[str, int] = {}
    tokens = [passage.tokens for passage in texts]
    questions = [passages.Tokens(question.text) for _, question in asked]
    references = [[text for text, _ in question.answers] for _, question in asked]
    tables = {
        "tokens": {
            "word": _numbered(tokens, words),
            "start": np.concatenate([each.start for each in tokens]),
            "end": np.concatenate([each.end for each in tokens]),
            "sentence": np.concatenate([each.sentence for each in tokens]),
            "clause_start": np.concatenate([each.clauses[0] for each in tokens]).view(np.int8),
            "clause_end": np.concatenate([each.clauses[1] for each in tokens]).view(np.int8),
        },
        "passages": {
            "article": pa.array([passage.article for passage in texts], pa.string()),
            "text": pa.array([passage.text for passage in texts], pa.string()),
            "tokens": np.array([len(each) for each in tokens], np.int64),
        },
        "question_tokens": {"word": _numbered(questions, words)},
        "questions": {
            "id": pa.array([question.id for _, question in asked], pa.string()),
            "text": pa.array([question.text for _, question in asked], pa.string()),
            "tokens": np.array([len(each) for each in questions], np.int64),
            "passage": np.array([number for number, _ in asked], np.int32),
            "kind": known.kind,
            "part": known.part,
            "references": pa.array(references, pa.list_(pa.string())),
            "answer_start": matrix(spans[:, :, 0]),
            "answer_end": matrix(spans[:, :, 1]),
        },
    }
    return {**tables, "words": {"word": pa.array(list(words), pa.string())}}


def _numbered(texts: Sequence[passages.Tokens], words: dict[str, int]) -> NDArray[np.int32]:
    """Number the words of texts one after the other; new ones are added to `words`."""
    return np.array([words.setdefault(word, len(words)) for text in texts for word in text.words], np.int32)


def _user_tables(users: simulation.Simulated, spans: NDArray[np.int32]) -> dict[str, dict[str, Any]]:
    """Arrange the users as columns; an event shows a question's answer in some style."""
    shown = spans[users.event_content, users.event_style.astype(np.int64)]
    event = {
        "question": users.event_content,
        "start": np.ascontiguousarray(shown[:, 0]),
        "end": np.ascontiguousarray(shown[:, 1]),
    }
    return user_tables(users, event, "question")
