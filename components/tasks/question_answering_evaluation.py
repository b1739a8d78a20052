"""Evaluation of the question answering model: per passage, with full and with cut histories, and with another user's.

Users unseen in training ask questions of articles unseen in training.

Dimensions: N pairs of user and question, B questions, U users of each.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from components.data.questions import Questions
from components.metrics.answers import answer_rows
from components.metrics.rows import FULL_HISTORY, concat_rows
from components.randomness import derive_seed
from components.tasks.question_answering_batches import Library, Readers, Texts
from components.tasks.question_answering_model import QuestionAnsweringModel

PARTS = {"validation": 1, "test": 2}
HISTORY_CUTS = (0, 1, 2, 5, 20)
BATCH_QUESTIONS = 48

Indices = NDArray[np.int64]


def rows_of(
    model: QuestionAnsweringModel,
    library: Library,
    part: Literal["validation", "test"],
    control: str | None,
    slices: bool,
) -> pa.Table:
    """Return the evaluation rows of a part; see `components.tasks.protocol.Task.evaluate`."""
    data = library.data
    pair = np.flatnonzero(data.part[data.pair_question] == PARTS[part])
    reader = np.arange(len(data.user_ids))
    if control is not None:
        assert control == "shuffled-users", control
        reader = another_user(data)
    was_training = model.training
    model.eval()
    cuts = (FULL_HISTORY, *HISTORY_CUTS) if slices else (FULL_HISTORY,)
    with torch.inference_mode():
        spans = predict(model, library, pair, reader, cuts)
    model.train(was_training)
    return concat_rows([
        answer_rows(data, pair, start, end, cut, slices)
        for cut, (start, end) in zip(cuts, spans, strict=True)
    ])  # fmt: skip


def another_user(data: Questions) -> Indices:
    """Assign every unseen user the history and profile of another one who wants something else.

    A cycle through the users in an order that depends on the data alone, repaired by a walk to the next user with
    another table of preferences.
    """
    reader = np.arange(len(data.user_ids))
    generator = np.random.default_rng(derive_seed("shuffled-users", data.digest))
    order = generator.permutation(np.flatnonzero(data.unseen))
    table = data.preference[order]
    for place, user in enumerate(order):
        for further in range(1, len(order)):
            other = (place + further) % len(order)
            if (table[other] != table[place]).any():
                reader[user] = order[other]
                break
    return reader


def predict(
    model: QuestionAnsweringModel,
    library: Library,
    pair: Indices,
    reader: Indices,
    cuts: tuple[int, ...],
) -> list[tuple[Indices, Indices]]:
    """Answer pairs under each cut of the history: first token and the one after the last, [N] each."""
    spans = [(np.zeros(len(pair), np.int64), np.zeros(len(pair), np.int64)) for _ in cuts]
    offsets = library.log.offsets
    for place_BU, texts in _batches(library, pair):
        user_N = reader[library.data.pair_user[pair[place_BU]].ravel()]
        device = next(model.parameters()).device
        texts = Texts(*(field.to(device) for field in texts))
        reading = model.read(texts)
        for cut, (start, end) in zip(cuts, spans, strict=True):
            length_N = np.diff(offsets)[user_N]
            if cut != FULL_HISTORY:
                length_N = np.minimum(length_N, cut)
            user_BUV = model.users(texts, _readers(library, user_N, length_N, device))
            answer = model.answer(reading, user_BUV)
            start[place_BU] = answer.start.expand(place_BU.shape).cpu().numpy()
            end[place_BU] = answer.end.expand(place_BU.shape).cpu().numpy() + 1
    return spans


def _readers(library: Library, user_N: Indices, length_N: Indices, device: torch.device) -> Readers:
    """The most recent `length_N` events of each user."""
    step = np.arange(max(1, int(length_N.max(initial=0))))
    first = library.log.offsets[user_N + 1] - length_N
    row = first[:, None] + np.minimum(step, np.maximum(length_N, 1)[:, None] - 1)
    readers = library.readers(row, length_N, user_N)
    history = type(readers.history)(*(field.to(device) for field in readers.history))
    return Readers(history, readers.before_N.to(device), readers.profile_NF.to(device))


def _batches(library: Library, pair: Indices) -> Iterator[tuple[Indices, Texts]]:
    """Yield places in `pair` (B, U) by question, and the questions; users repeat where a question has fewer."""
    question, count = np.unique(library.data.pair_question[pair].astype(np.int64), return_counts=True)
    by_question = np.argsort(library.data.pair_question[pair], kind="stable")
    first = np.cumsum(count) - count
    order = np.argsort(library.lengths(question), kind="stable")
    for start in range(0, len(order), BATCH_QUESTIONS):
        chosen = order[start : start + BATCH_QUESTIONS]
        step = np.arange(int(count[chosen].max()))
        within = np.minimum(step, count[chosen][:, None] - 1)
        yield by_question[first[chosen][:, None] + within], library.texts(question[chosen])
