"""Where a user's answer begins and, given that, where it ends.

Dimensions: B questions, U users of each (1 where all are treated alike), S starts, T tokens, L words of the question,
H hidden units, V user vector, P properties of a span's end, G token slots.

A token is seen in three modalities: in the context of passage and question, by its features, and by the words of the
question that the user's attention finds it related to. The user gates their fusion.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.personalization.modulation import AttentionBias, FusionGate, NeutralLinear
from components.tasks.question_answering.features import FEATURES
from components.tasks.question_answering.reader import Reading, log_place, total_by_group

MODALITIES = 3
TOKEN_SLOTS = FEATURES + 6
LENGTH_BOUNDS = (1, 2, 3, 5, 8, 12, 18, 26)
"""Lengths beyond the first token at which the next class of lengths begins."""
CUT_COUNTS = 3
PROPERTIES = len(LENGTH_BOUNDS) + 1 + CUT_COUNTS + 4
MOST_TOKENS = 80
"""No answer is longer than this."""
IMPOSSIBLE = -1e4


class Focus(NamedTuple):
    """A passage in the eyes of its users."""

    fused_BUTH: Tensor
    start_BUT: Tensor
    """Log-probability of each start."""
    end_bias_BUT: Tensor
    """Logits for each end that do not depend on the start."""


class Spans(NamedTuple):
    """The best answers, (B, U) each; `end` is the last token, inclusive."""

    start: Tensor
    end: Tensor
    score: Tensor
    """Log-probability."""


class Pointers(nn.Module):
    """Start and end pointers. Without a user size they are the same for all."""

    def __init__(
        self, hidden: int, user_size: int, attention_modulation: bool, fusion_modulation: bool
    ) -> None:
        super().__init__()
        self.context = nn.Linear(hidden, hidden)
        self.feature = nn.Linear(FEATURES, hidden)
        self.relation = nn.Linear(hidden, hidden)
        self.start = nn.Linear(hidden, 1)
        self.start_slots = NeutralLinear(TOKEN_SLOTS, 1, bias=False)
        self.end_query = nn.Linear(hidden, hidden)
        self.end_slots = NeutralLinear(TOKEN_SLOTS, 1, bias=False)
        self.extent = NeutralLinear(PROPERTIES, 1, bias=False)
        self.question_bias: AttentionBias | None = None
        self.start_bias: AttentionBias | None = None
        self.gate: FusionGate | None = None
        self.personal = user_size > 0
        if self.personal:
            self.user = nn.Linear(user_size, hidden, bias=False)
            self.user_end = nn.Linear(user_size, hidden, bias=False)
            self.end_bias = AttentionBias(user_size, TOKEN_SLOTS)
            self.user_extent = NeutralLinear(user_size, PROPERTIES, bias=False)
            if attention_modulation:
                self.question_bias = AttentionBias(user_size, hidden)
                self.start_bias = AttentionBias(user_size, TOKEN_SLOTS)
            if fusion_modulation:
                self.gate = FusionGate(user_size, MODALITIES)

    def focus(self, reading: Reading, user_BUV: Tensor | None) -> Focus:
        """See a passage as its users do."""
        unmasked_B1L = reading.mask_BL[:, None]
        logit_BUTL = reading.likeness_BTL.masked_fill(~unmasked_B1L, float("-inf"))[:, None]
        if self.question_bias is not None and user_BUV is not None:
            bias_BUL = self.question_bias(user_BUV, reading.question_BLH[:, None])
            logit_BUTL = logit_BUTL + bias_BUL[:, :, None]
        fused_BUTH = self._fuse(reading, logit_BUTL.softmax(-1), user_BUV)
        slot_BTG = token_slots(reading)
        start = self.start(fused_BUTH)[..., 0] + self.start_slots(slot_BTG)[..., 0][:, None]
        end_bias = self.end_slots(slot_BTG)[..., 0][:, None]
        if user_BUV is not None:
            end_bias = end_bias + self.end_bias(user_BUV, slot_BTG[:, None])
            if self.start_bias is not None:
                start = start + self.start_bias(user_BUV, slot_BTG[:, None])
        start = start.masked_fill(~reading.mask_BT[:, None], IMPOSSIBLE).log_softmax(-1)
        return Focus(fused_BUTH, start, end_bias)

    def _fuse(self, reading: Reading, weight_BUTL: Tensor, user_BUV: Tensor | None) -> Tensor:
        """Fuse the modalities as tanh(gated context + gated features + gated relation * context + user).

        What is the same at every token of a user's passage enters as one more column of the matrix products.
        """
        users = 1 if user_BUV is None else user_BUV.shape[1]
        weight_BUTL = weight_BUTL.expand(-1, users, -1, -1)
        batch, _, tokens, _ = weight_BUTL.shape
        constant, of_feature = self.feature.bias, self.feature.weight.t()
        of_context = weight_BUTL.new_ones(())
        if self.gate is not None and user_BUV is not None:
            of_context, gate, of_relation = self.gate(user_BUV)[..., None, None].unbind(2)
            constant, of_feature, weight_BUTL = gate * constant, gate * of_feature, of_relation * weight_BUTL
        if user_BUV is not None:
            constant = constant + self.user(user_BUV)[:, :, None]
        hidden = of_feature.shape[-1]
        weight_BUTX = torch.cat([weight_BUTL, of_context.expand(batch, users, tokens, 1)], dim=-1)
        relation_BLH = self.relation(reading.question_BLH)
        relation_BXH = torch.cat([relation_BLH, torch.ones_like(relation_BLH[:, :1])], dim=1)
        factor_BUTH = (weight_BUTX.flatten(1, 2) @ relation_BXH).unflatten(1, (users, tokens))
        of_feature_BUFH = of_feature.expand(batch, users, -1, -1)
        column_BUXH = torch.cat([of_feature_BUFH, constant.expand(batch, users, 1, hidden)], dim=2)
        added_BUTH = F.pad(reading.feature_BTF, (0, 1), value=1)[:, None] @ column_BUXH
        context_BTH = self.context(reading.token_BTH)
        return torch.tanh(torch.addcmul(added_BUTH, factor_BUTH, context_BTH[:, None]))

    def end(self, reading: Reading, focus: Focus, user_BUV: Tensor | None, start_BUS: Tensor) -> Tensor:
        """Log-probability of each end, given starts: (B, U, S, T)."""
        batch, users = start_BUS.shape[:2]
        size = focus.fused_BUTH.shape[-1]
        fused = focus.fused_BUTH.expand(-1, users, -1, -1)
        at_start = fused.gather(2, start_BUS[..., None].expand(-1, -1, -1, size))
        query = self.end_query(at_start)
        weight_P = self.extent.weight[0]
        if user_BUV is not None:
            query = query + self.user_end(user_BUV)[:, :, None]
            weight_BUP = weight_P + self.user_extent(user_BUV)
        else:
            weight_BUP = weight_P.expand(batch, users, -1)
        logit = query @ focus.fused_BUTH.transpose(2, 3) / size**0.5 + focus.end_bias_BUT[:, :, None]
        logit = logit + span_logits(reading, start_BUS, weight_BUP.expand(batch, users, -1))
        place = torch.arange(logit.shape[-1], device=logit.device)
        length = place - start_BUS[..., None]
        possible = (length >= 0) & (length < MOST_TOKENS) & reading.mask_BT[:, None, None]
        return logit.masked_fill(~possible, IMPOSSIBLE).log_softmax(-1)

    def answer(self, reading: Reading, user_BUV: Tensor | None, beam: int) -> Spans:
        """Find the most probable span among those from the `beam` best starts."""
        focus = self.focus(reading, user_BUV)
        first, start = focus.start_BUT.topk(min(beam, focus.start_BUT.shape[-1]), dim=-1)
        last, end = self.end(reading, focus, user_BUV, start).max(dim=-1)
        score, best = (first + last).max(dim=-1, keepdim=True)
        return Spans(start.gather(-1, best)[..., 0], end.gather(-1, best)[..., 0], score[..., 0])


def token_slots(reading: Reading) -> Tensor:
    """Describe tokens by their features and by where the answer's core is thought to be, (B, T, G)."""
    texts, place = reading.texts, reading.place_BT
    begins, ends = texts.clause_start_BT.to(place.dtype), texts.clause_end_BT.to(place.dtype)
    clause, sentence = (
        log_place(total_by_group(place, group)) for group in (texts.clause_BT, texts.sentence_BT)
    )
    own = log_place(place)
    extra = torch.stack([own, clause, sentence, clause * begins, clause * ends, begins * ends], dim=-1)
    return torch.cat([reading.feature_BTF, extra], dim=-1)


def span_logits(reading: Reading, start_BUS: Tensor, weight_BUP: Tensor) -> Tensor:
    """Weigh properties of the spans from each start to each end, (B, U, S, T).

    Properties: the class of the length; how many clauses end inside the span, alone and where a clause ends with it;
    whether it leaves the sentence; how much of the answer's core it covers.
    """
    texts, place = reading.texts, reading.place_BT
    users, starts = start_BUS.shape[1:]
    bounds = torch.tensor(LENGTH_BOUNDS, device=place.device)
    step = torch.arange(place.shape[1], device=place.device)
    length = (step - start_BUS[..., None]).clamp_min(0)
    by_length, by_cut, (cut_here, any_cut, leaves, covers) = (
        weight_BUP[..., : len(bounds) + 1],
        weight_BUP[..., len(bounds) + 1 : len(bounds) + 1 + CUT_COUNTS],
        weight_BUP[..., -4:].unbind(-1),
    )
    logit = _look_up(by_length, torch.bucketize(length, bounds, right=True))

    flat = start_BUS.flatten(1)

    def at_start(value_BT: Tensor) -> Tensor:
        return value_BT.gather(1, flat).unflatten(1, (users, starts))[..., None]

    ends = texts.clause_end_BT.to(place.dtype)
    before = ends.cumsum(1) - ends
    cuts = (before[:, None, None] - at_start(before)).clamp(0, CUT_COUNTS - 1)
    here = ends[:, None, None]
    logit = logit + here * _look_up(by_cut, cuts.long())
    logit = logit + here * cut_here[..., None, None] + cuts * any_cut[..., None, None]
    outside = texts.sentence_BT[:, None, None] != at_start(texts.sentence_BT)
    logit = logit + outside * leaves[..., None, None]
    total = place.cumsum(1)
    covered = total[:, None, None] - at_start(total - place)
    return logit + log_place(covered) * covers[..., None, None]


def _look_up(table_BUX: Tensor, index_BUST: Tensor) -> Tensor:
    """Take entries of each user's table."""
    flat = index_BUST.expand(*table_BUX.shape[:2], -1, -1).flatten(2)
    return table_BUX.gather(2, flat).unflatten(2, index_BUST.shape[2:])
