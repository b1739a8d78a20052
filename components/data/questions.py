"""The prepared form of question answering: passages, questions, and the simulated users who ask them.

P passages, T tokens of all passages, Q questions, W words, K kinds of question, S styles of answer, U users,
E events, N pairs, F profile fields.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


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
