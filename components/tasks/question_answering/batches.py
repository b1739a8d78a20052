"""From prepared questions to padded batches.

Dimensions: B questions, U users of each, L words of a question, T tokens of a passage, W distinct word forms,
F features; N = B * U histories, question by question.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.data.questions import Questions
from components.data.simulation import preference_after
from components.personalization.wish import TOLD_SHARE
from components.randomness import derive_seed
from components.tasks.question_answering.events import AnswerLog, History
from components.tasks.question_answering.features import FEATURES, Passage, overlap_features
from components.tasks.question_answering.vocabulary import Lexicon, Vocabulary

LENGTH_JITTER = 0.15
"""Relative noise on the lengths by which passages are sorted into batches, so that batches differ between epochs."""

HISTORY_SPREAD = 4
"""Histories of one batch differ in length by about so many events."""

Indices = NDArray[np.int64]


class Asked(NamedTuple):
    """One question about one passage."""

    question: NDArray[np.integer]
    """Numbers of word forms."""
    kind: int
    passage: Passage


class Texts(NamedTuple):
    """A padded batch of questions and the passages that they are about."""

    word_W: Tensor
    """What the vocabulary knows of each word form that occurs here, ..."""
    character_WC: Tensor
    """... and how it is spelt."""
    question_BL: Tensor
    """Number of a word form among these."""
    question_length_B: Tensor
    kind_B: Tensor
    passage_BT: Tensor
    length_B: Tensor
    feature_BTF: Tensor
    sentence_BT: Tensor
    clause_BT: Tensor
    """Number of the token's clause."""
    clause_start_BT: Tensor
    clause_end_BT: Tensor

    def part(self, rows: slice) -> "Texts":
        """Return these texts alone; the word forms stay, so that their numbers do."""
        return Texts(self.word_W, self.character_WC, *(values[rows] for values in self[2:]))

    def mask_BT(self) -> Tensor:
        """False at padding of the passages."""
        return torch.arange(self.passage_BT.shape[1], device=self.length_B.device) < self.length_B[:, None]

    def mask_BL(self) -> Tensor:
        """False at padding of the questions."""
        place = torch.arange(self.question_BL.shape[1], device=self.length_B.device)
        return place < self.question_length_B[:, None]


class Readers(NamedTuple):
    """Who asks: U users of each question, what is known of them, in the order of the questions."""

    history: History
    before_N: Tensor
    """How many events of each history are real."""
    profile_NF: Tensor
    wanted_N: Tensor
    """Truth: number of the style that each wants. Only a model that is told of it may read it."""


class Batch(NamedTuple):
    """Questions, users, and the answers that are acceptable in each style, of which each user wants one."""

    texts: Texts
    readers: Readers
    start_BS: Tensor
    end_BS: Tensor
    """The last token of the answer, inclusive."""
    told_BU: Tensor
    """Whether the model is told what the user wants, in place of its guess."""

    @property
    def size(self) -> int:
        """Number of questions."""
        return len(self.start_BS)

    def part(self, rows: slice) -> "Batch":
        """Return the batch with these questions alone, and with their users."""

        def of_users(values: Tensor) -> Tensor:
            return values.unflatten(0, (self.size, -1))[rows].flatten(0, 1)

        readers = Readers(History(*map(of_users, self.readers.history)), *map(of_users, self.readers[1:]))
        return Batch(
            self.texts.part(rows), readers, self.start_BS[rows], self.end_BS[rows], self.told_BU[rows]
        )

    def wanted_BU(self) -> Tensor:
        """Number of the style that each user wants."""
        return self.readers.wanted_N.unflatten(0, (len(self.start_BS), -1))


def texts_of(lexicon: Lexicon, asked: Sequence[Asked]) -> Texts:
    """Pad questions and passages to the longest of each."""
    passages = [one.passage for one in asked]
    lengths = np.array([len(passage.word) for passage in passages])
    question_lengths = np.array([len(one.question) for one in asked])
    shape = (len(asked), int(lengths.max()))
    form_BL = np.zeros((len(asked), int(question_lengths.max())), np.int64)
    form_BT, sentence, clause = (np.zeros(shape, np.int64) for _ in range(3))
    begins, ends = np.zeros(shape, bool), np.zeros(shape, bool)
    feature = np.zeros((*shape, FEATURES), np.float32)
    for row, one in enumerate(asked):
        passage, length = one.passage, lengths[row]
        form_BL[row, : question_lengths[row]] = one.question
        form_BT[row, :length] = passage.word
        form_BT[row, length:] = passage.word[0]
        sentence[row, :length] = passage.sentence
        clause[row, :length] = np.cumsum(passage.clause_start)
        begins[row, :length], ends[row, :length] = passage.clause_start, passage.clause_end
        feature[row, :length] = overlap_features(lexicon, one.question, passage)
    form, local = np.unique(np.concatenate([form_BL.ravel(), form_BT.ravel()]), return_inverse=True)
    return Texts(
        torch.from_numpy(lexicon.word_W[form]),
        torch.from_numpy(lexicon.character_WC[form]),
        torch.from_numpy(local[: form_BL.size].reshape(form_BL.shape)),
        torch.from_numpy(question_lengths),
        torch.tensor([one.kind for one in asked]),
        torch.from_numpy(local[form_BL.size :].reshape(shape)),
        torch.from_numpy(lengths),
        *map(torch.from_numpy, (feature, sentence, clause, begins, ends)),
    )


@dataclass(frozen=True)
class Library:
    """Prepared questions with everything that batches are made of, computed once."""

    data: Questions
    vocabulary: Vocabulary
    lexicon: Lexicon
    log: AnswerLog

    @classmethod
    def of(cls, data: Questions, vocabulary: Vocabulary) -> "Library":
        """Look up all word forms and describe all events."""
        lexicon = vocabulary.lexicon(data.words)
        return cls(data, vocabulary, lexicon, AnswerLog.of(data, vocabulary, lexicon))

    def texts(self, questions: Indices, passages: Indices) -> Texts:
        """Collect questions and the passages that each is asked of."""
        data = self.data
        asked = []
        for question, passage in zip(questions.tolist(), passages.tolist(), strict=True):
            tokens = slice(data.passage_offsets[passage], data.passage_offsets[passage + 1])
            words = slice(data.question_offsets[question], data.question_offsets[question + 1])
            asked.append(
                Asked(
                    data.question_word[words],
                    int(data.kind[question]),
                    Passage(
                        data.passage_word[tokens],
                        data.sentence[tokens],
                        data.clause_start[tokens],
                        data.clause_end[tokens],
                    ),
                )
            )
        return texts_of(self.lexicon, asked)

    def readers(self, row_NT: Indices, before_N: Indices, user_N: Indices, wanted_N: Indices) -> Readers:
        """Collect histories from rows of the log, profiles of users, and the styles that they want."""
        return Readers(
            self.log.history(row_NT),
            torch.from_numpy(before_N),
            torch.from_numpy(self.data.profile[user_N].astype(np.int64)),
            torch.from_numpy(wanted_N),
        )

    def lengths(self, passages: NDArray[np.integer]) -> Indices:
        """Tokens of passages."""
        return np.diff(self.data.passage_offsets)[passages]


class TrainingBatches:
    """The batches of one epoch: every training question once, passages of similar length together.

    Each question is asked by random seen users, each with a random part of their events, none of them about the
    question's own passage, and wants what they wanted at the time of the newest of these. All follows from
    (seed, epoch) alone.
    """

    def __init__(self, library: Library, batch_size: int, users_per_question: int, seed: int) -> None:
        data = library.data
        self.library = library
        self.batch_size = batch_size
        self.users_per_question = users_per_question
        self.seed = seed
        self.questions = np.flatnonzero(data.part == 0)
        self.users = np.flatnonzero(~data.unseen)
        self.length = library.lengths(data.passage_of[self.questions])

    def __len__(self) -> int:
        return -(-len(self.questions) // self.batch_size)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of epoch number `epoch`, from 0."""
        generator = np.random.default_rng(derive_seed(self.seed, "batches", epoch))
        noise = 1 + LENGTH_JITTER * generator.uniform(-1, 1, len(self.questions))
        order = np.argsort(self.length * noise, kind="stable")
        for start in generator.permutation(np.arange(0, len(order), self.batch_size)):
            yield self._batch(self.questions[order[start : start + self.batch_size]], generator)

    def _batch(self, question_B: Indices, generator: np.random.Generator) -> Batch:
        data = self.library.data
        user_BU = generator.choice(self.users, (len(question_B), self.users_per_question))
        user_N = user_BU.ravel()
        passage_B = data.passage_of[question_B].astype(np.int64)
        row_NT, before_N = self._histories(user_N, np.repeat(passage_B, self.users_per_question), generator)
        newest_N = row_NT[np.arange(len(user_N)), np.maximum(before_N, 1) - 1]
        number_N = np.where(before_N > 0, newest_N - self.library.log.offsets[user_N] + 1, 0)
        preference_NK = preference_after(
            data.preference, data.preference_before, data.drift_at, user_N, number_N
        )
        kind_N = np.repeat(data.kind[question_B], self.users_per_question)
        wanted_N = preference_NK[np.arange(len(user_N)), kind_N].astype(np.int64)
        return Batch(
            self.library.texts(question_B, passage_B),
            self.library.readers(row_NT, before_N, user_N, wanted_N),
            torch.from_numpy(data.answer_start[question_B].astype(np.int64)),
            torch.from_numpy(data.answer_end[question_B].astype(np.int64) - 1),
            torch.from_numpy(generator.random(user_BU.shape) < TOLD_SHARE),
        )

    def _histories(
        self, user_N: Indices, passage_N: NDArray[np.integer], generator: np.random.Generator
    ) -> tuple[Indices, Indices]:
        """Rows of the log (N, T), oldest first, and how many of each are real: 0 to all that are allowed."""
        log = self.library.log
        first, available = log.offsets[user_N], np.diff(log.offsets)[user_N]
        step = np.arange(max(1, int(available.max(initial=0))))
        row = np.minimum(first[:, None] + step, len(log.question_E) - 1)
        allowed = (step < available[:, None]) & (log.passage_E[row] != passage_N[:, None])
        # Of similar length in one batch: the recurrence takes as many steps as the longest history has events.
        about = int(generator.integers(0, len(step) + HISTORY_SPREAD, endpoint=True))
        wanted = about - generator.integers(0, HISTORY_SPREAD, len(user_N), endpoint=True)
        wanted = np.clip(wanted, 0, allowed.sum(axis=1))
        draw = np.where(allowed, generator.random(row.shape), np.inf)
        rank = draw.argsort(axis=1).argsort(axis=1)
        kept = rank < wanted[:, None]
        row = np.take_along_axis(row, np.argsort(~kept, axis=1, kind="stable"), axis=1)
        return row[:, : max(1, int(wanted.max(initial=0)))], wanted
