"""From a user's answered questions to the events that the core reads.

Dimensions: N histories, T events, L words of a question, X extents, C content; the core's B is N here.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from components.data.questions import Questions
from components.personalization.events import Events, scaled_gap
from components.tasks.question_answering.extents import EXTENTS
from components.tasks.question_answering.vocabulary import Lexicon, Vocabulary

QUESTION_SIZE = 16
MOST_WORDS = 16
"""Of a longer question, an event keeps the beginning."""
KIND_WEIGHT = 3.0
"""Weight of the kind of question in the content: untrained attention finds events with questions of the same kind."""
QUESTION_WEIGHT = 0.5
EXTENT_WEIGHT = 0.5
EVENT_KINDS = ("answered",)

Indices = NDArray[np.int64]


class History(NamedTuple):
    """Answers that users were shown, oldest first; what follows a history's end is padding."""

    kind_NT: Tensor
    """Kind of question."""
    word_NTL: Tensor
    """The question's words as the vocabulary numbers them, 0 where unknown and for padding."""
    extent_NTX: Tensor
    value_NT: Tensor
    """1 liked to -1 disliked."""
    gap_NT: Tensor


@dataclass(frozen=True)
class AnswerLog:
    """The prepared events of all users in the form that histories are cut from; E events, Q questions."""

    offsets: Indices
    question_E: Indices
    passage_E: Indices
    kind_E: Indices
    extent_EX: NDArray[np.float32]
    value_E: NDArray[np.float32]
    timestamp_E: Indices
    word_QL: Indices

    @classmethod
    def of(cls, data: Questions, vocabulary: Vocabulary, lexicon: Lexicon) -> "AnswerLog":
        """Describe every event once; `lexicon` is that of the data's word forms."""
        question = data.event_question.astype(np.int64)
        return cls(
            offsets=data.event_offsets.astype(np.int64),
            question_E=question,
            passage_E=data.passage_of[question].astype(np.int64),
            kind_E=data.kind[question].astype(np.int64),
            extent_EX=vocabulary.extent_scale.extents(data, question, data.event_start, data.event_end),
            value_E=np.asarray(data.event_value, np.float32),
            timestamp_E=data.event_timestamp.astype(np.int64),
            word_QL=question_words(data, lexicon),
        )

    def history(self, row_NT: Indices) -> History:
        """Collect histories of the events in these rows of the log; the first of each counts as without a gap."""
        row = np.minimum(row_NT, len(self.question_E) - 1)
        time = self.timestamp_E[row]
        seconds = np.diff(time, axis=1, prepend=time[:, :1])
        return History(
            torch.from_numpy(self.kind_E[row]),
            torch.from_numpy(self.word_QL[self.question_E[row]]),
            torch.from_numpy(self.extent_EX[row]),
            torch.from_numpy(self.value_E[row]),
            scaled_gap(torch.from_numpy(seconds.astype(np.float32))),
        )


def question_words(data: Questions, lexicon: Lexicon) -> Indices:
    """The first words of every question as the vocabulary numbers them, [Q, L]."""
    words = np.zeros((len(data.question_ids), MOST_WORDS), np.int64)
    number = lexicon.word_W[data.question_word]
    for question, (first, last) in enumerate(
        zip(data.question_offsets[:-1].tolist(), data.question_offsets[1:].tolist(), strict=True)
    ):
        shown = number[first:last][:MOST_WORDS]
        words[question, : len(shown)] = shown
    return words


class AnswerEvents(nn.Module):
    """The content of an event is (kind of question | mean of its words | extent of the answer).

    A question at hand is asked of the memory in the same form, with its extent still open (zero, the mean). What an
    event says about the user is the extent of an answer that was liked, and the opposite of one that was not.
    """

    def __init__(self, words: int, kinds: int) -> None:
        super().__init__()
        self.kinds = kinds
        self.word = nn.Embedding(words + 1, QUESTION_SIZE, padding_idx=0)

    @property
    def content_size(self) -> int:
        """Size of an event's content."""
        return self.kinds + QUESTION_SIZE + EXTENTS

    def query(self, kind: Tensor, word: Tensor) -> Tensor:
        """Encode questions of kinds (...) with words (..., L): (..., C)."""
        known = (word > 0).sum(-1, keepdim=True).clamp_min(1)
        mean = self.word(word).sum(-2) / known
        of_kind = F.one_hot(kind, self.kinds).to(mean.dtype)
        return torch.cat(
            [KIND_WEIGHT * of_kind, QUESTION_WEIGHT * mean, mean.new_zeros(*kind.shape, EXTENTS)], dim=-1
        )

    def forward(self, history: History) -> Events:
        """Encode histories."""
        content = self.query(history.kind_NT, history.word_NTL)
        content = torch.cat([content[..., :-EXTENTS], EXTENT_WEIGHT * history.extent_NTX], dim=-1)
        return Events(
            content_BTC=content,
            facet_BTK=content[..., :0],
            value_BT=history.value_NT,
            kind_BT=torch.zeros_like(history.kind_NT),
            gap_BT=history.gap_NT,
            residual_BTR=history.extent_NTX * history.value_NT[..., None],
        )
