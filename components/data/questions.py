"""The prepared form of question answering: passages, questions, and the simulated users who ask them.

P passages, T tokens of all passages, Q questions, W words, K kinds of question, S styles of answer, U users,
E events, N pairs, F profile fields.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from components.data.arrow import open_table, read_manifest, view
from components.data.events import Event

if TYPE_CHECKING:
    from components.data.population import EventColumns

VERSION = 2
"""Raised whenever the same passages and users are prepared differently."""

EVENT_KIND = "answered"
_TABLES = ("words", "passages", "tokens", "questions", "question_tokens", "users", "events", "pairs")


@dataclass(frozen=True)
class Questions:
    """Passages, questions, users and what they are asked. The arrays are read-only views of files."""

    folder: Path
    digest: str
    name: str
    """The source's name, such as `squad`."""

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

    user_ids: list[str]
    unseen: NDArray[np.bool_]
    """[U] whether nothing of the user may train anything."""
    conditional: NDArray[np.bool_]
    """[U] whether the user's preference depends on the kind of question."""
    preference: NDArray[np.int8]
    """[U, K] truth: index into `styles` of what the user wants. No model may read it except as a target."""
    preference_before: NDArray[np.int8]
    """[U, K] truth: what the user wanted at first; another style for users who drift, else the same."""
    drift_at: NDArray[np.int32]
    """[U] truth: the number of the user's events before the preference changed; -1 where it never did."""
    profile: NDArray[np.int32]
    """[U, F] category of each field; 0 is unknown."""
    profile_fields: dict[str, list[str]]
    """Name of each field to its categories; the first is `unknown`."""

    event_offsets: NDArray[np.int64]
    """[U + 1]; the events of user u are `event_offsets[u]:event_offsets[u + 1]`, in order of time."""
    event_question: NDArray[np.int32]
    event_start: NDArray[np.int32]
    """[E] first token, counted inside the passage, of the answer that the user was shown."""
    event_end: NDArray[np.int32]
    """[E] the token after its last."""
    event_value: NDArray[np.float32]
    """[E] the user's feedback: 1 liked, -1 disliked."""
    event_timestamp: NDArray[np.int64]
    """[E] seconds since 1970, strictly increasing for each user."""

    pair_user: NDArray[np.int32]
    """[N] an unseen user ..."""
    pair_question: NDArray[np.int32]
    """[N] ... and a validation or test question that is evaluated for this user."""

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

    def event_columns(self) -> "EventColumns":
        """Return all events as they travel with a promoted model."""
        import pyarrow as pa

        from components.data.population import EventColumns, coded

        count = len(self.event_question)
        content = pa.array([self.event_content(row) for row in range(count)], pa.string())
        kind = coded(np.zeros(count, np.int32), [EVENT_KIND])
        return EventColumns(self.event_offsets, self.event_timestamp, content, kind, self.event_value)

    def events_of(self, user: int) -> Iterator[Event]:
        """Replay the history of the user with this index; an event holds its question, passage and answer."""
        for row in range(int(self.event_offsets[user]), int(self.event_offsets[user + 1])):
            yield Event(
                id=f"{self.digest}-{row}",
                user=self.user_ids[user],
                timestamp=float(self.event_timestamp[row]),
                content=self.event_content(row),
                kind=EVENT_KIND,
                value=float(self.event_value[row]),
            )

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
    tokens, questions, users, events = (tables[name] for name in ("tokens", "questions", "users", "events"))
    return Questions(
        folder=folder,
        digest=manifest["digest"],
        name=manifest["source"],
        words=tables["words"].column("word").to_pylist(),
        passage_offsets=_offsets(view(tables["passages"], "tokens")),
        passage_word=view(tokens, "word"),
        token_start=view(tokens, "start"),
        token_end=view(tokens, "end"),
        sentence=view(tokens, "sentence"),
        clause_start=view(tokens, "clause_start").view(np.bool_),
        clause_end=view(tokens, "clause_end").view(np.bool_),
        passage_text=tables["passages"].column("text").to_pylist(),
        article=tables["passages"].column("article").to_pylist(),
        question_offsets=_offsets(view(questions, "tokens")),
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
        user_ids=users.column("id").to_pylist(),
        unseen=view(users, "unseen").view(np.bool_),
        conditional=view(users, "conditional").view(np.bool_),
        preference=view(users, "preference"),
        preference_before=view(users, "preference_before"),
        drift_at=view(users, "drift_at"),
        profile=view(users, "profile"),
        profile_fields=manifest["profile_fields"],
        event_offsets=_offsets(view(users, "events")),
        event_question=view(events, "question"),
        event_start=view(events, "start"),
        event_end=view(events, "end"),
        event_value=view(events, "value"),
        event_timestamp=view(events, "timestamp"),
        pair_user=view(tables["pairs"], "user"),
        pair_question=view(tables["pairs"], "question"),
    )


def _offsets(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
