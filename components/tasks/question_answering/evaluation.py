"""Evaluation of the question answering model: per passage, with full and with cut histories, and under controls.

Users unseen in training ask questions of articles unseen in training.

Dimensions: N pairs of user and question, B questions, U users of each, Q all questions.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from components.data.questions import Questions
from components.metrics.answers import Answers, answer_rows
from components.metrics.rows import FULL_HISTORY, concat_rows
from components.tasks.question_answering.batches import Library, Readers, Texts
from components.tasks.question_answering.model import QuestionAnsweringModel
from components.tasks.question_answering.pointers import Spans

PARTS = {"validation": 1, "test": 2}
HISTORY_CUTS = (0, 1, 2, 5, 20)
BATCH_QUESTIONS = 48
SHUFFLED_USERS, SHUFFLED_PASSAGES = "shuffled-users", "shuffled-passages"

Indices = NDArray[np.int64]


def rows_of(
    model: QuestionAnsweringModel,
    library: Library,
    part: Literal["validation", "test"],
    control: str | None,
    slices: bool,
) -> pa.Table:
    """Return the evaluation rows of a part; see `components.tasks.protocol.Task.evaluate`."""
    assert control in (None, SHUFFLED_USERS, SHUFFLED_PASSAGES), control
    data = library.data
    asked = data.part[data.pair_question] == PARTS[part]
    pair = np.flatnonzero(asked if slices else asked & (data.drift_at[data.pair_user] < 0))
    reader = data.another_user() if control == SHUFFLED_USERS else np.arange(len(data.user_ids))
    passage = another_passage(data) if control == SHUFFLED_PASSAGES else data.passage_of.astype(np.int64)
    was_training = model.training
    model.eval()
    cuts = (FULL_HISTORY, *HISTORY_CUTS) if slices else (FULL_HISTORY,)
    with torch.inference_mode():
        answers = predict(model, library, pair, reader, passage, cuts)
    model.train(was_training)
    return concat_rows([
        answer_rows(data, answered, cut, slices) for cut, answered in zip(cuts, answers, strict=True)
    ])  # fmt: skip


def another_passage(data: Questions) -> Indices:
    """Assign every question, [Q], another passage of its own part, if there is one.

    The passages of a part, ordered by article, are turned by as many places as the longest article has: to another
    article, unless one has more than half of them.
    """
    assigned = data.passage_of.astype(np.int64)
    for part in np.unique(data.part):
        question = np.flatnonzero(data.part == part)
        passage, place = np.unique(assigned[question], return_inverse=True)
        article = np.array([data.article[number] for number in passage])
        order = np.argsort(article, kind="stable")
        longest = int(np.unique(article, return_counts=True)[1].max())
        turned = np.empty_like(passage)
        turned[order] = np.roll(passage[order], -(longest % len(passage) or len(passage) // 2))
        assigned[question] = turned[place]
    return assigned


def predict(
    model: QuestionAnsweringModel,
    library: Library,
    pair: Indices,
    reader: Indices,
    passage: Indices,
    cuts: tuple[int, ...],
) -> list[Answers]:
    """Answer pairs under each cut of the history.

    `reader` names the user whose history and profile stand in for each user's own, [U]; `passage` the passage that is
    read for each question, [Q].
    """
    data = library.data
    read = passage[data.pair_question[pair]]
    device = next(model.parameters()).device
    spans = [np.zeros((2, len(pair)), np.int64) for _ in cuts]
    for place_BU, texts in _batches(library, pair, passage):
        texts = Texts(*(field.to(device) for field in texts))
        reading = model.read(texts)
        user_N = reader[data.pair_user[pair[place_BU]].ravel()]
        known: dict[bytes, Spans] = {}
        for cut, span in zip(cuts, spans, strict=True):
            first_N, last_N = shown_events(data, user_N, cut)
            shown = b"" if model.events is None else np.stack([first_N, last_N]).tobytes()
            if shown not in known:
                readers = _readers(library, user_N, first_N, last_N, texts.kind_B.cpu().numpy(), device)
                known[shown] = model.answer(reading, model.users(texts, readers))
            answer = known[shown]
            span[0, place_BU] = answer.start.expand(place_BU.shape).cpu().numpy()
            span[1, place_BU] = answer.end.expand(place_BU.shape).cpu().numpy() + 1
    return [Answers(pair, start, end, read) for start, end in spans]


def shown_events(data: Questions, user_N: Indices, cut: int) -> tuple[Indices, Indices]:
    """Return the events `first:last` of each user's own that a cut shows: the `cut` most recent ones.

    Of a user whose preference has changed, they are all before the change and the first `cut` after it.
    """
    count = np.diff(data.event_offsets)[user_N]
    if cut == FULL_HISTORY:
        return np.zeros_like(count), count
    drift_at = data.drift_at[user_N]
    drifts = drift_at >= 0
    first = np.where(drifts, 0, np.maximum(count - cut, 0))
    return first, np.where(drifts, np.minimum(drift_at + cut, count), count)


def _readers(
    library: Library,
    user_N: Indices,
    first_N: Indices,
    last_N: Indices,
    kind_B: Indices,
    device: torch.device,
) -> Readers:
    """Users who are known by their events `first_N:last_N`, and asked questions of these kinds, N / B each."""
    length_N = last_N - first_N
    step = np.arange(max(1, int(length_N.max(initial=0))))
    row = (library.log.offsets[user_N] + first_N)[:, None]
    row = row + np.minimum(step, np.maximum(length_N, 1)[:, None] - 1)
    wanted = library.data.preference[user_N, np.repeat(kind_B, len(user_N) // len(kind_B))]
    readers = library.readers(row, length_N, user_N, wanted.astype(np.int64))
    history = type(readers.history)(*(field.to(device) for field in readers.history))
    return Readers(history, *(field.to(device) for field in readers[1:]))


def _batches(library: Library, pair: Indices, passage: Indices) -> Iterator[tuple[Indices, Texts]]:
    """Yield places in `pair` (B, U) by question, and the questions; users repeat where a question has fewer."""
    question, count = np.unique(library.data.pair_question[pair].astype(np.int64), return_counts=True)
    by_question = np.argsort(library.data.pair_question[pair], kind="stable")
    first = np.cumsum(count) - count
    order = np.argsort(library.lengths(passage[question]), kind="stable")
    for start in range(0, len(order), BATCH_QUESTIONS):
        chosen = order[start : start + BATCH_QUESTIONS]
        step = np.arange(int(count[chosen].max()))
        within = np.minimum(step, count[chosen][:, None] - 1)
        yield (
            by_question[first[chosen][:, None] + within],
            library.texts(question[chosen], passage[question[chosen]]),
        )
