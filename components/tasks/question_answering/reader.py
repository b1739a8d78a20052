"""Reads a question and its passage, the same for every user.

Dimensions: B questions, L words of a question, T tokens of a passage, W word forms, C characters, E word vector,
H hidden units, F features, K kinds.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.tasks.question_answering.batches import Texts
from components.tasks.question_answering.features import FEATURES
from components.tasks.question_answering.recurrence import BidirectionalLayers, SharedDropout

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

    def start_from(self, number_K: Tensor, vector_KE: Tensor) -> None:
        """Give the words of these numbers vectors, scaled as a whole to the deviation that others start with."""
        with torch.no_grad():
            self.word.weight[number_K] = vector_KE / vector_KE.std()

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
        self.question = BidirectionalLayers(LAYERS, hidden, dropout)
        self.pooling = nn.Linear(hidden, 1)
        self.asked = nn.Linear(hidden, hidden)
        self.align = nn.Linear(embedding, hidden)
        self.enter_passage = nn.Linear(2 * embedding + FEATURES, hidden)
        self.passage = BidirectionalLayers(LAYERS, hidden, dropout)
        self.likeness = nn.Linear(hidden, hidden, bias=False)
        self.meet = nn.Linear(4 * hidden + FEATURES, hidden)
        self.deliberation = BidirectionalLayers(LAYERS, hidden, dropout)
        self.place = nn.Linear(hidden, 1, bias=False)
        self.dropout = SharedDropout(dropout)

    def forward(self, texts: Texts) -> Reading:
        """Read a batch of questions and passages."""
        mask_BT, mask_BL = texts.mask_BT(), texts.mask_BL()
        vector_WE = self.words(texts.word_W, texts.character_WC)
        asked_BLE = F.embedding(texts.question_BL, vector_WE)
        question_BLH = self.question(self.enter_question(asked_BLE), mask_BL)
        weight_BL = self.pooling(question_BLH)[..., 0].masked_fill(~mask_BL, float("-inf")).softmax(-1)
        whole_BH = self.asked((weight_BL[..., None] * question_BLH).sum(1)) + self.kind(texts.kind_B)
        passage_BTH = self.passage(self._enter(texts, vector_WE, asked_BLE, whole_BH, mask_BL), mask_BT)
        likeness_BTL = (
            self.likeness(passage_BTH) @ question_BLH.transpose(1, 2) / passage_BTH.shape[-1] ** 0.5
        )
        met_BTH = self._meet(texts, passage_BTH, question_BLH, whole_BH, _weights(likeness_BTL, mask_BL))
        token_BTH = self.deliberation(met_BTH, mask_BT)
        token_BTH = self.dropout(token_BTH)
        place_BT = self.place(token_BTH)[..., 0].masked_fill(~mask_BT, float("-inf")).softmax(-1)
        return Reading(
            token_BTH, question_BLH, likeness_BTL, texts.feature_BTF, place_BT, mask_BT, mask_BL, texts
        )

    def _enter(
        self, texts: Texts, vector_WE: Tensor, asked_BLE: Tensor, whole_BH: Tensor, mask_BL: Tensor
    ) -> Tensor:
        """Map (token, the words of the question that it is like before any context, features), (B, T, H).

        Products with the parts of the weights come before words are looked up and before attention, as there are
        fewer words than tokens. Attention adds up to 1: what every word of the question has, every token gets.
        """
        of_seen, of_aligned, of_feature = self.enter_passage.weight.split(
            [vector_WE.shape[-1], vector_WE.shape[-1], FEATURES], dim=1
        )
        key_WH = F.relu(self.align(vector_WE))
        both_BTX = F.embedding(texts.passage_BT, torch.cat([key_WH, F.linear(vector_WE, of_seen)], dim=-1))
        key_BTH, seen_BTH = both_BTX.chunk(2, dim=-1)
        alike_BTL = key_BTH @ F.embedding(texts.question_BL, key_WH).transpose(1, 2)
        aligned_BLH = F.linear(asked_BLE, of_aligned, self.enter_passage.bias) + whole_BH[:, None]
        entered_BTH = torch.baddbmm(seen_BTH, _weights(alike_BTL, mask_BL), aligned_BLH)
        return F.relu(entered_BTH + F.linear(texts.feature_BTF, of_feature))

    def _meet(
        self, texts: Texts, passage_BTH: Tensor, question_BLH: Tensor, whole_BH: Tensor, weight_BTL: Tensor
    ) -> Tensor:
        """Map (token, what it found in the question, token * found, token * whole question, features), (B, T, H)."""
        hidden = passage_BTH.shape[-1]
        of_token, of_found, of_both, of_whole, of_feature = self.meet.weight.split(
            [hidden, hidden, hidden, hidden, FEATURES], dim=1
        )
        found_BTX = weight_BTL @ torch.cat([question_BLH, F.linear(question_BLH, of_found)], dim=-1)
        found_BTH, mapped_BTH = found_BTX.chunk(2, dim=-1)
        of_token_BHH = (of_token + of_whole * whole_BH[:, None]).transpose(1, 2)
        met_BTH = torch.baddbmm(mapped_BTH, passage_BTH, of_token_BHH)
        met_BTH = met_BTH + F.linear(passage_BTH * found_BTH, of_both, self.meet.bias)
        return F.relu(met_BTH + F.linear(texts.feature_BTF, of_feature))


def _weights(logit_BTL: Tensor, mask_BL: Tensor) -> Tensor:
    return logit_BTL.masked_fill(~mask_BL[:, None], float("-inf")).softmax(-1)


def log_place(probability: Tensor) -> Tensor:
    """Log of a probability as a feature, bounded."""
    return LOG_SCALE * probability.clamp_min(LEAST_PROBABILITY).log()


def total_by_group(value_BT: Tensor, group_BT: Tensor) -> Tensor:
    """Sum values over the tokens of each token's own sentence or clause: (B, T)."""
    groups = int(group_BT.max()) + 1
    total = value_BT.new_zeros(len(value_BT), groups).scatter_add(1, group_BT, value_BT)
    return total.gather(1, group_BT)
