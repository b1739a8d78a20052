"""The prepared form of question answering: passages, questions, and the simulated users who ask them.

P passages, T tokens of all passages, Q questions, W words, K kinds of question, S styles of answer, U users,
E events, N pairs, F profile fields.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from components.data.arrow import offsets, open_table, read_manifest, view
from components.data.simulated_users import SimulatedUsers, user_fields
from components.data.word_vectors import WordVectors

VERSION = 2
"""Raised whenever the same passages and users are prepared differently."""

_TABLES = ("words", "passages", "tokens", "questions", "question_tokens", "users", "events", "pairs")


@dataclass(frozen=True)
class Questions(SimulatedUsers):
    """Passages, questions, users and what they are asked. The arrays are read-only views of files."""

    event_kind: ClassVar[str] = "answered"

    words: list[str]
    """[W] distinct surface forms of passages and questions, case kept."""
    passage_offsets: NDArray[np.int64]
    """[P + 1]; the tokens of passage p are `passage_offsets[p]:passage_offsets[p + 1]`."""
    passage_word: NDArray[np.int32]
    """[T] index into `words`."""
    token_start: NDArray[np.int32]
    """[T] first character of the token in its passage's text."""
    token_end: NDArray[np.int32]
    """[T] the character after its last."""
    sentence: NDArray[np.int32]
    """[T] number of the token's sentence inside its passage, from 0."""
    clause_start: NDArray[np.bool_]
    """[T] whether a clause begins at this token."""
    clause_end: NDArray[np.bool_]
    """[T] whether a clause ends with this token."""
    passage_text: list[str]
    article: list[str]
    """[P] title of the passage's article."""

    question_offsets: NDArray[np.int64]
    """[Q + 1]; the tokens of question q are `question_offsets[q]:question_offsets[q + 1]`."""
    question_word: NDArray[np.int32]
    """Index into `words` of each token of the questions."""
    question_text: list[str]
    question_ids: list[str]
    passage_of: NDArray[np.int32]
    """[Q] the passage that holds the answer."""
    kind: NDArray[np.int8]
    """[Q] index into `kinds`."""
    kinds: tuple[str, ...]
    part: NDArray[np.int8]
    """[Q] 0 training, 1 validation, 2 test; by article."""
    references: list[list[str]]
    """[Q] the official reference answers."""
    answer_start: NDArray[np.int32]
    """[Q, S] first token, counted inside the passage, of the acceptable answer in each style."""
    answer_end: NDArray[np.int32]
    """[Q, S] the token after its last."""
    styles: tuple[str, ...]

    event_question: NDArray[np.int32]
    event_start: NDArray[np.int32]
    """[E] first token, counted inside the passage, of the answer that the user was shown."""
    event_end: NDArray[np.int32]
    """[E] the token after its last."""
    pair_question: NDArray[np.int32]
    """[N] a validation or test question that the user of `pair_user` asks."""
    word_vectors: WordVectors | None
    """What the source gives of words beside texts."""

    def __reduce__(self) -> tuple[Callable[[Path], "Questions"], tuple[Path]]:
        """Travel to another process as the folder, which is mapped there again."""
        return open_questions, (self.folder,)

    @cached_property
    def passage_ids(self) -> list[str]:
        """[P] `article#number`, numbered inside the article from 0."""
        seen: dict[str, int] = {}
        ids = []
        for article in self.article:
            ids.append(f"{article}#{seen.get(article, 0)}")
            seen[article] = seen.get(article, 0) + 1
        return ids

    def span_text(self, passage: int, start: int, end: int) -> str:
        """Return the text of tokens `start:end` of a passage; nothing if there are none."""
        if end <= start:
            return ""
        first, last = self.span_characters(passage, start, end)
        return self.passage_text[passage][first:last]

    def span_characters(self, passage: int, start: int, end: int) -> tuple[int, int]:
        """Return the first character of tokens `start:end` of a passage, and the one after their last."""
        first = self.passage_offsets[passage]
        return int(self.token_start[first + start]), int(self.token_end[first + end - 1])

    def event_content(self, row: int) -> str:
        """Return an event's content: JSON of question, passage, and first and after-last character of the answer."""
        question = int(self.event_question[row])
        passage = int(self.passage_of[question])
        start, end = self.span_characters(passage, int(self.event_start[row]), int(self.event_end[row]))
        content = {
            "question": self.question_text[question],
            "passage": self.passage_text[passage],
            "start": start,
            "end": end,
        }
        return json.dumps(content, ensure_ascii=False)


def open_questions(folder: Path) -> Questions:
    """Map a prepared folder into memory; the arrays of numbers are views of the files, not copies."""
    manifest = read_manifest(folder, VERSION)
    tables = {name: open_table(folder / f"{name}.arrow") for name in _TABLES}
    tokens, questions, events = (tables[name] for name in ("tokens", "questions", "events"))
    return Questions(
        **user_fields(folder, manifest, tables),
        words=tables["words"].column("word").to_pylist(),
        passage_offsets=offsets(view(tables["passages"], "tokens")),
        passage_word=view(tokens, "word"),
        token_start=view(tokens, "start"),
        token_end=view(tokens, "end"),
        sentence=view(tokens, "sentence"),
        clause_start=view(tokens, "clause_start").view(np.bool_),
        clause_end=view(tokens, "clause_end").view(np.bool_),
        passage_text=tables["passages"].column("text").to_pylist(),
        article=tables["passages"].column("article").to_pylist(),
        question_offsets=offsets(view(questions, "tokens")),
        question_word=view(tables["question_tokens"], "word"),
        question_text=questions.column("text").to_pylist(),
        question_ids=questions.column("id").to_pylist(),
        passage_of=view(questions, "passage"),
        kind=view(questions, "kind"),
        kinds=tuple(manifest["kinds"]),
        part=view(questions, "part"),
        references=questions.column("references").to_pylist(),
        answer_start=view(questions, "answer_start"),
        answer_end=view(questions, "answer_end"),
        styles=tuple(manifest["styles"]),
        event_question=view(events, "question"),
        event_start=view(events, "start"),
        event_end=view(events, "end"),
        pair_question=view(tables["pairs"], "question"),
        word_vectors=_word_vectors(folder),
    )


def _word_vectors(folder: Path) -> WordVectors | None:
    path = folder / "word_vectors.arrow"
    if not path.exists():
        return None
    table = open_table(path)
    return WordVectors(table.column("word").to_pylist(), view(table, "vector"))
