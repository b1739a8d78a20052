"""Reads a question and its passage, the same for every user.

Dimensions: B questions, L words of a question, T tokens of a passage, W word forms, C characters, E word vector,
H hidden units, F features, K kinds.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.tasks.question_answering_batches import Texts
from components.tasks.question_answering_features import FEATURES
from components.tasks.question_answering_recurrence import Bidirectional, SharedDropout

CHARACTER_SIZE = 16
CHARACTER_FILTERS = 32
CHARACTER_REACH = 5
LAYERS = 2
"""Recurrent layers of the question, and of the passage before and after it meets the question."""
LEAST_PROBABILITY = 1e-5
LOG_SCALE = 0.2
"""Log probabilities are scaled by this where they stand among features."""


class Reading(NamedTuple):
    """What was read."""

    token_BTH: Tensor
    """Each token of the passage, given passage and question."""
    question_BLH: Tensor
    """Each word of the question."""
    likeness_BTL: Tensor
    """Attention logits of each token for the words of the question."""
    feature_BTF: Tensor
    place_BT: Tensor
    """How probable it is that the answer's core is at this token; sums to 1."""
    mask_BT: Tensor
    mask_BL: Tensor
    texts: Texts


class WordEncoder(nn.Module):
    """A vector for each word form: learned for known words, plus what its spelling tells, for all."""

    def __init__(self, words: int, characters: int, size: int, dropout: float) -> None:
        super().__init__()
        self.word = nn.Embedding(words + 1, size)
        self.character = nn.Embedding(characters, CHARACTER_SIZE)
        self.filters = nn.Conv1d(
            CHARACTER_SIZE, CHARACTER_FILTERS, CHARACTER_REACH, padding=CHARACTER_REACH // 2
        )
        self.spelling = nn.Linear(CHARACTER_FILTERS, size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, word_W: Tensor, character_WC: Tensor) -> Tensor:
        """Encode word forms: (W, E)."""
        spelling = F.relu(self.filters(self.character(character_WC).transpose(1, 2))).amax(dim=2)
        return self.dropout(0.5 * self.word(word_W) + self.spelling(spelling))


class Reader(nn.Module):
    """Recurrent layers over the passage, before and after it meets the question."""

    def __init__(
        self, words: int, characters: int, kinds: int, embedding: int, hidden: int, dropout: float
    ) -> None:
        super().__init__()
        self.words = WordEncoder(words, characters, embedding, dropout)
        self.kind = nn.Embedding(kinds, hidden)
        self.enter_question = nn.Linear(embedding, hidden)
        self.question = _layers(hidden, dropout)
        self.pooling = nn.Linear(hidden, 1)
        self.asked = nn.Linear(hidden, hidden)
        self.align = nn.Linear(embedding, hidden)
        self.enter_passage = nn.Linear(2 * embedding + FEATURES, hidden)
        self.passage = _layers(hidden, dropout)
        self.likeness = nn.Linear(hidden, hidden, bias=False)
        self.meet = nn.Linear(4 * hidden + FEATURES, hidden)
        self.deliberation = _layers(hidden, dropout)
        self.place = nn.Linear(hidden, 1)
        self.dropout = SharedDropout(dropout)

    def forward(self, texts: Texts) -> Reading:
        """Read a batch of questions and passages."""
        mask_BT, mask_BL = texts.mask_BT(), texts.mask_BL()
        vector_WE = self.words(texts.word_W, texts.character_WC)
        asked_BLE, seen_BTE = vector_WE[texts.question_BL], vector_WE[texts.passage_BT]

        question_BLH = self.enter_question(asked_BLE)
        for layer in self.question:
            question_BLH = layer(question_BLH, mask_BL)
        weight_BL = self.pooling(question_BLH)[..., 0].masked_fill(~mask_BL, float("-inf")).softmax(-1)
        whole_BH = self.asked((weight_BL[..., None] * question_BLH).sum(1)) + self.kind(texts.kind_B)

        # Which words of the question is this token like, before any context?
        key_WH = F.relu(self.align(vector_WE))
        alike_BTL = key_WH[texts.passage_BT] @ key_WH[texts.question_BL].transpose(1, 2)
        aligned_BTE = _attend(alike_BTL, mask_BL) @ asked_BLE
        entered = torch.cat([seen_BTE, aligned_BTE, texts.feature_BTF], dim=-1)
        passage_BTH = F.relu(self.enter_passage(entered) + whole_BH[:, None])
        for layer in self.passage:
            passage_BTH = layer(passage_BTH, mask_BT)

        size = passage_BTH.shape[-1]
        likeness_BTL = self.likeness(passage_BTH) @ question_BLH.transpose(1, 2) / size**0.5
        found_BTH = _attend(likeness_BTL, mask_BL) @ question_BLH
        met = torch.cat(
            [passage_BTH, found_BTH, passage_BTH * found_BTH, passage_BTH * whole_BH[:, None],
             texts.feature_BTF], dim=-1
        )  # fmt: skip
        token_BTH = F.relu(self.meet(met))
        for layer in self.deliberation:
            token_BTH = layer(token_BTH, mask_BT)
        token_BTH = self.dropout(token_BTH)
        place_BT = self.place(token_BTH)[..., 0].masked_fill(~mask_BT, float("-inf")).softmax(-1)
        return Reading(
            token_BTH, question_BLH, likeness_BTL, texts.feature_BTF, place_BT, mask_BT, mask_BL, texts
        )


def _layers(hidden: int, dropout: float) -> nn.ModuleList:
    return nn.ModuleList(Bidirectional(hidden, dropout) for _ in range(LAYERS))


def _attend(logit_BTL: Tensor, mask_BL: Tensor) -> Tensor:
    return logit_BTL.masked_fill(~mask_BL[:, None], float("-inf")).softmax(-1)


def log_place(probability: Tensor) -> Tensor:
    """Log of a probability as a feature, bounded."""
    return LOG_SCALE * probability.clamp_min(LEAST_PROBABILITY).log()


def total_by_group(value_BT: Tensor, group_BT: Tensor) -> Tensor:
    """Sum values over the tokens of each token's own sentence or clause: (B, T)."""
    groups = int(group_BT.max()) + 1
    total = value_BT.new_zeros(len(value_BT), groups).scatter_add(1, group_BT, value_BT)
    return total.gather(1, group_BT)
