"""The recommendation model: item modalities, a user who steers how they are attended to and fused, two answers.

Dimensions: B users, T events, Q questions, I items, M modalities, E embedding, H user vector, N negatives.

An item's vector for a user is a fusion of its modalities, f(u, i) = sum over m of a_m(u, i) g_m(u) v_m(i), where
the attention a = softmax(item logits + user bias) and the gates g come from the user vector. The sum splits into user
and item factors, so a whole catalogue is scored by two matrix products.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.config import RecommendationSettings
from components.personalization.core import PersonalizationCore
from components.personalization.events import Encoded, Events, State
from components.personalization.modulation import AttentionBias, FusionGate, NeutralLinear
from components.tasks.recommendation.batches import History
from components.tasks.recommendation.catalogue import Catalogue
from components.tasks.recommendation.items import (
    ConstantVector,
    ItemEncoder,
    ItemTable,
    SuccessionQuery,
)

HEAD_UNITS = 64
TREND_GAIN = 10.0
"""Mean residuals are small, and a residual of .1 is worth .4 in log-odds: the weights have a long way to go."""
RESIDUALS = 2
LATEST = 0
"""Number of the running means that forget fastest."""
LEAST_DEVIATION = 1e-6


class Reading(NamedTuple):
    """What is known of users at Q moments."""

    summary: State
    user_BQH: Tensor


class Signals(NamedTuple):
    """What histories tell of Q likes, (B, Q, …); None for what the model does not look at."""

    trend_BQX: Tensor | None = None
    taste_BQX: Tensor | None = None
    context_BQH: Tensor | None = None


class Evidence(NamedTuple):
    """What is known of Q likes before the user's vector, and with it the profile, has its say."""

    base_BQ: Tensor
    """Log-odds so far."""
    context_BQH: Tensor | None
    """What attention finds about the items; None without attention."""


class RecommendationModel(nn.Module):
    """Predicts whether a user likes an item, and which items the user turns to next."""

    facet_IG: Tensor
    base_I: Tensor
    rate_I: Tensor
    mean_value_I: Tensor
    popularity_I: Tensor
    count_I: Tensor
    likes_I: Tensor
    prior_I: Tensor

    def __init__(self, settings: RecommendationSettings, catalogue: Catalogue) -> None:
        super().__init__()
        self.settings = settings
        self.least_liked_value = catalogue.least_liked_value
        self._register_statistics(catalogue)
        size = settings.embedding
        self.items = ItemEncoder(catalogue, settings)
        transitions = min(settings.transitions, len(catalogue.item_ids) - 1)
        sizes = (transitions, catalogue.lead.shape[1] - transitions)
        self.knowledge = [size for size in sizes if size > 0]
        self.core: PersonalizationCore | None = None
        self.attention_bias: AttentionBias | None = None
        self.fusion_gate: FusionGate | None = None
        chosen = settings.personalization
        profile_sizes = [len(categories) for categories in catalogue.profile_fields.values()]
        if chosen is not None and (chosen.history or (chosen.profile and profile_sizes)):
            self.core = PersonalizationCore(
                chosen,
                size + catalogue.lead.shape[1],
                len(catalogue.kinds),
                profile_sizes,
                facets=len(catalogue.genres),
                residuals=RESIDUALS,
                dropout=settings.dropout,
            )
            user_size = self.core.user_size
            if chosen.attention_modulation:
                self.attention_bias = AttentionBias(user_size, size)
            if chosen.fusion_modulation:
                self.fusion_gate = FusionGate(user_size, len(self.items.modalities))
            self.like_query = nn.Linear(user_size, size, bias=False)
            self.ranking_query = nn.Linear(user_size, size, bias=False)
            self.head_user = nn.Linear(user_size, HEAD_UNITS, bias=False)
            if self.core.history and self.items.counted:
                self.ranking_habits = SuccessionQuery(catalogue.lead.shape[1], self.core.decays)
            if self.core.feedback:
                self.like_trend = NeutralLinear(self.core.trend_size, 1, bias=False, gain=TREND_GAIN)
            if self.core.feedback and self.core.facets:
                self.like_taste = NeutralLinear(self.core.trend_size, 1, bias=False)
            if self.core.attention is not None:
                self.like_context = NeutralLinear(user_size, 1, bias=False)
                self.head_context = nn.Linear(user_size, HEAD_UNITS, bias=False)
        self.head_item = nn.Linear(size, HEAD_UNITS)
        self.head_out = NeutralLinear(HEAD_UNITS, 1)
        self.like_constant = ConstantVector(size)
        self.ranking_constant = ConstantVector(size)
        self.popularity_scale = ConstantVector(1)

    def _register_statistics(self, catalogue: Catalogue) -> None:
        count, likes = torch.from_numpy(catalogue.count), torch.from_numpy(catalogue.likes)
        value, prior = torch.from_numpy(catalogue.value_sum), torch.from_numpy(catalogue.prior_rate)
        self.prior_events = catalogue.prior_events
        prior_value = value.sum() / count.sum().clamp_min(1)
        rate = (likes + self.prior_events * prior) / (count + self.prior_events)
        mean_value = (value + self.prior_events * prior_value) / (count + self.prior_events)
        self.register_buffer("facet_IG", torch.from_numpy(catalogue.genre_matrix()), persistent=False)
        self.register_buffer("count_I", count, persistent=False)
        self.register_buffer("likes_I", likes, persistent=False)
        self.register_buffer("prior_I", prior, persistent=False)
        self.register_buffer("rate_I", rate, persistent=False)
        self.register_buffer("base_I", torch.logit(rate, eps=1e-3), persistent=False)
        self.register_buffer("mean_value_I", mean_value, persistent=False)
        expected = count if catalogue.expected is None else torch.from_numpy(catalogue.expected)
        self.register_buffer(
            "popularity_I", torch.log((expected + 1) / count.sum().clamp_min(1)), persistent=False
        )

    def events(self, table: ItemTable, history: History) -> Events:
        """Describe logged events to the core, with residuals of like and value against what all users gave."""
        item = history.item_BT
        like = (history.value_BT >= self.least_liked_value - 1e-6).to(history.value_BT.dtype)
        residual = torch.stack([like - self.rate_I[item], history.value_BT - self.mean_value_I[item]], dim=-1)
        content = F.embedding(item, table.content_IC)
        facet = F.embedding(item, self.facet_IG)
        return Events(content, facet, history.value_BT, history.kind_BT, history.gap_BT, residual)

    def encode(self, table: ItemTable, history: History) -> Encoded | State:
        """Read whole histories; an empty state where the model has no use for them."""
        if self.core is None or not self.core.history:
            return {}
        return self.core.encode(self.events(table, history))

    def read(
        self, source: Encoded | State, profile_BF: Tensor, before_BQ: Tensor | None = None
    ) -> Reading | None:
        """Sum up users after `before_BQ` of the encoded events, or in the given states; None without a core."""
        if self.core is None:
            return None
        summary = self.core.summary(source, before_BQ) if self.core.history else {}
        context = None
        if self.core.attention is not None:
            context = self.core.attend(source, self.core.question(summary), before_BQ)
        return Reading(summary, self.core.user_vector(summary, context, profile_BF))

    def like_logits(
        self,
        table: ItemTable,
        source: Encoded | State,
        reading: Reading | None,
        item_BQ: Tensor,
        before_BQ: Tensor | None = None,
        base_BQ: Tensor | None = None,
    ) -> Tensor:
        """Log-odds that users like items, (B, Q); a reading of one moment serves all of its user's Q items.

        `base_BQ` replaces the items' like rates (as log-odds) where training leaves the example's own vote out.
        """
        evidence = self.evidence(
            table, source, None if reading is None else reading.summary, item_BQ, before_BQ, base_BQ
        )
        return self.like_logits_given(table, evidence, reading, item_BQ)

    def evidence(
        self,
        table: ItemTable,
        source: Encoded | State,
        summary: State | None,
        item_BQ: Tensor,
        before_BQ: Tensor | None = None,
        base_BQ: Tensor | None = None,
    ) -> Evidence:
        """Collect what does not depend on the profile; `summary` is None without a core. See `like_logits`."""
        base = self.base_I[item_BQ] if base_BQ is None else base_BQ
        found = self.signals(table, source, summary, item_BQ, before_BQ)
        if found.trend_BQX is not None:
            base = base + self.like_trend(found.trend_BQX)[..., 0]
        if found.taste_BQX is not None:
            base = base + self.like_taste(found.taste_BQX)[..., 0]
        if found.context_BQH is not None:
            base = base + self.like_context(found.context_BQH)[..., 0]
        return Evidence(base, found.context_BQH)

    def signals(
        self,
        table: ItemTable,
        source: Encoded | State,
        summary: State | None,
        item_BQ: Tensor,
        before_BQ: Tensor | None = None,
    ) -> Signals:
        """Read off histories what tells of Q likes, without any weight of the head."""
        if summary is None or self.core is None:
            return Signals()
        trend = taste = context = None
        if self.core.feedback:
            trend = self.core.trend(summary)
        if self.core.feedback and self.core.facets:
            taste = self.core.taste(summary, F.embedding(item_BQ, self.facet_IG))
        if self.core.attention is not None:
            context = self.core.attend(source, F.embedding(item_BQ, table.content_IC), before_BQ)
        return Signals(trend, taste, context)

    def like_logits_given(
        self, table: ItemTable, evidence: Evidence, reading: Reading | None, item_BQ: Tensor
    ) -> Tensor:
        """Log-odds that users like items, (B, Q), given the evidence; of the reading, the user's vector counts."""
        fused = self._fuse(table, reading, item_BQ)
        query = self.liked(reading)
        hidden = self.head_item(fused)
        if reading is not None and self.core is not None:
            hidden = hidden + self.head_user(reading.user_BQH)
            if evidence.context_BQH is not None:
                hidden = hidden + self.head_context(evidence.context_BQH)
        return evidence.base_BQ + (query * fused).sum(-1) + self.head_out(F.relu(hidden))[..., 0]

    def ranking_logits(self, table: ItemTable, reading: Reading | None, item_N: Tensor | None) -> Tensor:
        """Score items `item_N` (None: the whole catalogue) at each moment: (B, Q, N), or (1, 1, N) without users."""
        vectors, attention, prior = table.modality_IME, table.attention_IM, self.popularity_I
        if item_N is not None:
            vectors, attention, prior = vectors[item_N], attention[item_N], prior[item_N]
        left, weight = self._ranking_factors(reading)
        right = (attention[..., None] * vectors).flatten(1)
        scores = (left @ right.T) / (weight @ attention.T)
        habits = self._habits_query(reading)
        if habits is not None:
            follow = self.items.follow_IS if item_N is None else self.items.follow_IS[item_N]
            scores = scores + habits @ follow.T
        return scores + prior * (1 + self.popularity_scale.weight)

    def ranking_logits_of(self, table: ItemTable, reading: Reading | None, item_BQ: Tensor) -> Tensor:
        """Score one item for every moment, (B, Q): the entries of `ranking_logits` that `item_BQ` picks."""
        left, weight = self._ranking_factors(reading)
        attention = F.embedding(item_BQ, table.attention_IM)
        right = attention[..., None] * _of_items(item_BQ, table.modality_IME)
        scores = (left * right.flatten(-2)).sum(-1) / (weight * attention).sum(-1)
        habits = self._habits_query(reading)
        if habits is not None:
            scores = scores + (habits * F.embedding(item_BQ, self.items.follow_IS)).sum(-1)
        return scores + self.popularity_I[item_BQ] * (1 + self.popularity_scale.weight)

    def liked(self, reading: Reading | None) -> Tensor:
        """Return the query that likes are told by, (B, Q, E), or (E,) without users."""
        query = self.like_constant.weight
        return query if reading is None else query + self.like_query(reading.user_BQH)

    def wanted(self, reading: Reading | None) -> Tensor:
        """Return the query that items are ranked by, (B, Q, E), or (1, 1, E) without users."""
        query = self.ranking_constant.weight.view(1, 1, -1)
        return query if reading is None else query + self.ranking_query(reading.user_BQH)

    def ranking_base(self, reading: Reading | None) -> Tensor:
        """Return what of `ranking_logits` does not depend on the items' vectors: (B, Q, I), or (I,) without users."""
        base = self.popularity_I * (1 + self.popularity_scale.weight)
        habits = self._habits_query(reading)
        return base if habits is None else base + habits @ self.items.follow_IS.T

    def counted(self, reading: Reading | None) -> Tensor:
        """Weigh what counting alone says of the catalogue after the latest events: (B, Q, I), or (1,) without events.

        What is learned on top of counts knows its training users too well; the counts themselves hardly do.
        Transitions and co-occurrence are standardised over the catalogue, and count the same.
        """
        weight = self.settings.counting_weight
        if weight == 0 or self._habits_query(reading) is None or reading is None or self.core is None:
            return self.popularity_I.new_zeros(1)
        lead_BQS = self.core.habits(reading.summary)[..., LATEST, self.settings.embedding :]
        total = self.popularity_I.new_zeros(())
        for lead, follow in zip(
            lead_BQS.split(self.knowledge, dim=-1),
            self.items.follow_IS.split(self.knowledge, dim=-1),
            strict=True,
        ):
            score = lead @ follow.T
            deviation = score - score.mean(-1, keepdim=True)
            total = total + deviation / (score.std(-1, keepdim=True) + LEAST_DEVIATION)
        return weight * total

    def _habits_query(self, reading: Reading | None) -> Tensor | None:
        """What the user's recent items lead to, to be compared with what each item follows: (B, Q, S)."""
        if reading is None or self.core is None or not (self.core.history and self.items.counted):
            return None
        return self.ranking_habits(self.core.habits(reading.summary)[..., self.settings.embedding :])

    def _ranking_factors(self, reading: Reading | None) -> tuple[Tensor, Tensor]:
        """User factors: (B, Q, M * E) of the scores' numerator and (B, Q, M) of its denominator."""
        query = self.wanted(reading)
        attention, gate = self._steer(reading)
        left = (attention * gate)[..., None] * query[..., None, :]
        return left.flatten(-2), attention.expand(*query.shape[:2], -1)

    def _fuse(self, table: ItemTable, reading: Reading | None, item_BQ: Tensor) -> Tensor:
        vectors = _of_items(item_BQ, table.modality_IME)
        weight = self.modality_weights(table, reading, item_BQ)
        return torch.einsum("bqm,bqme->bqe", weight, vectors)

    def modality_weights(self, table: ItemTable, reading: Reading | None, item_BQ: Tensor) -> Tensor:
        """Return how much each modality of an item counts for the user, (B, Q, M): attention times gates."""
        user_attention, gate = self._steer(reading)
        attention = F.embedding(item_BQ, table.attention_IM) * user_attention
        return attention * gate / attention.sum(-1, keepdim=True)

    def _steer(self, reading: Reading | None) -> tuple[Tensor, Tensor]:
        """Return the user's factor of the attention over modalities, exp(bias), and the gates: (B, Q, M) each."""
        neutral = self.items.slots.weight.new_ones(1, 1, len(self.items.modalities))
        attention = gate = neutral
        if reading is not None and self.attention_bias is not None:
            attention = self.attention_bias(reading.user_BQH, self.items.slots.weight).clamp(-8, 8).exp()
        if reading is not None and self.fusion_gate is not None:
            gate = self.fusion_gate(reading.user_BQH)
        return attention, gate


def _of_items(item_BQ: Tensor, modality_IME: Tensor) -> Tensor:
    """Look up items' modalities: (B, Q, M, E)."""
    return F.embedding(item_BQ, modality_IME.flatten(1)).unflatten(-1, modality_IME.shape[1:])
