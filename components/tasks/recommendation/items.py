"""The item side of the recommendation model: identity, genres, title, overview, poster and vectors as modalities.

A modality that an item lacks gets no attention, and so neither a share in the item's vectors nor a part in what
attention is normalised by, wherever scores are computed from `ItemTable`. Genres and titles count as there always:
an item without has a zero vector for them.

Dimensions: I items, M modalities, E embedding, S succession vectors, C content (E + S), D decays, N needed items.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.config import RecommendationSettings
from components.personalization.modulation import NeutralLinear
from components.tasks.recommendation.catalogue import Catalogue
from components.tasks.recommendation.posters import PosterEncoder

INITIAL_SUCCESSION = 6.0


class ItemTable(NamedTuple):
    """The item side of a forward pass, computed once for the whole catalogue."""

    modality_IME: Tensor
    attention_IM: Tensor
    """Unnormalised attention: exp(item logits), 0 for what an item lacks."""
    content_IC: Tensor
    """Fused without any user's say, and what the item leads to: what events carry and attention is asked about."""


class ItemEncoder(nn.Module):
    """Each item's modalities as vectors."""

    genre_IG: Tensor
    lead_IS: Tensor
    follow_IS: Tensor
    word_IL: Tensor
    overview_word_IL: Tensor
    overview_weight_IL: Tensor
    poster_I3HW: Tensor
    pictured_I: Tensor
    vector_ID: Tensor
    present_IM: Tensor | None
    met_I: Tensor | None

    def __init__(self, catalogue: Catalogue, settings: RecommendationSettings) -> None:
        super().__init__()
        size, chosen = settings.embedding, settings.modalities
        self.modalities = ("identity", *(name for name, on in chosen.model_dump().items() if on))
        self.register_buffer("lead_IS", torch.from_numpy(catalogue.lead), persistent=False)
        self.register_buffer("follow_IS", torch.from_numpy(catalogue.follow), persistent=False)
        self.identity = SmallEmbedding(len(catalogue.item_ids), size)
        self.counted = catalogue.lead.shape[1] > 0
        if self.counted:
            self.lead = nn.Linear(catalogue.lead.shape[1], size, bias=False)
            self.follow = nn.Linear(catalogue.lead.shape[1], size, bias=False)
        if chosen.genres:
            genre_IG = torch.from_numpy(catalogue.genre_matrix())
            share_IG = genre_IG / genre_IG.sum(-1, keepdim=True).clamp_min(1)
            self.register_buffer("genre_IG", share_IG, persistent=False)
            self.genre = nn.Linear(max(1, len(catalogue.genres)), size, bias=False)
        if chosen.title:
            self.register_buffer("word_IL", torch.from_numpy(catalogue.word_matrix()), persistent=False)
            self.word = SmallEmbedding(len(catalogue.words) + 1, size)
        if chosen.overview:
            word_IL, weight_IL = catalogue.weighted_overviews()
            self.register_buffer("overview_word_IL", torch.from_numpy(word_IL), persistent=False)
            self.register_buffer("overview_weight_IL", torch.from_numpy(weight_IL), persistent=False)
            self.overview = NeutralEmbedding(len(catalogue.overview_words) + 1, size)
        if chosen.poster:
            assert catalogue.posters is not None
            self.register_buffer("poster_I3HW", torch.tensor(catalogue.posters), persistent=False)
            self.register_buffer("pictured_I", torch.tensor(catalogue.has_poster), persistent=False)
            self.poster = PosterEncoder(size)
        if chosen.vectors:
            assert catalogue.vectors is not None
            vector_ID = F.normalize(torch.tensor(catalogue.vectors), dim=-1)
            self.register_buffer("vector_ID", vector_ID, persistent=False)
            self.vector = nn.Linear(vector_ID.shape[1], size, bias=False)
        present = self._presence(catalogue)
        self.register_buffer("present_IM", None if present.all() else present.float(), persistent=False)
        met = torch.from_numpy(catalogue.count > 0).float() if settings.cold_start else None
        self.register_buffer("met_I", met, persistent=False)
        self.attention = NeutralLinear(size, 1)
        self.slots = ModalitySlots(len(self.modalities), size)
        self.dropout = nn.Dropout(settings.dropout)
        self.forgetting = nn.Dropout1d(settings.dropout)

    def forward(self, needed_N: Tensor | None = None) -> ItemTable:
        """Encode the catalogue; overviews and posters, which cost most, of the items `needed_N` alone (None: all)."""
        if needed_N is None:
            needed_N = torch.arange(len(self.lead_IS), device=self.lead_IS.device)
        vectors = [self._identity()]
        if "genres" in self.modalities:
            some = self.genre_IG.shape[1] > 0
            vectors.append(self.genre(self.genre_IG) if some else torch.zeros_like(vectors[0]))
        if "title" in self.modalities:
            words = F.embedding_bag(self.word_IL, self.word.weight, mode="mean", padding_idx=0)
            vectors.append(words)
        if "overview" in self.modalities:
            vectors.append(self._spread(self._overviews(needed_N), needed_N))
        if "poster" in self.modalities:
            pictured_N = needed_N[self.pictured_I[needed_N]]
            vectors.append(self._spread(self.poster(self.poster_I3HW[pictured_N]), pictured_N))
        if "vectors" in self.modalities:
            vectors.append(self.vector(self.vector_ID))
        modality = self.dropout(torch.stack(vectors, dim=1))
        attention = (self.attention(modality + self.slots.weight)[..., 0]).clamp(-8, 8).exp()
        if self.present_IM is not None:
            attention = attention * self.present_IM
        content = torch.einsum("im,ime->ie", attention / attention.sum(-1, keepdim=True), modality)
        return ItemTable(modality, attention, torch.cat([content, self.lead_IS], dim=-1))

    def _identity(self) -> Tensor:
        identity = self.forgetting(self.identity.weight)
        if self.met_I is not None:
            identity = identity * self.met_I[:, None]
        if self.counted:
            identity = identity + self.lead(self.lead_IS) + self.follow(self.follow_IS)
        return identity

    def _overviews(self, item_N: Tensor) -> Tensor:
        word_NL, weight_NL = self.overview_word_IL[item_N], self.overview_weight_IL[item_N]
        return F.embedding_bag(word_NL, self.overview.weight, per_sample_weights=weight_NL, mode="sum")

    def _spread(self, vector_NE: Tensor, item_N: Tensor) -> Tensor:
        """Lay the vectors of some items out over the catalogue: (I, E), zeros elsewhere."""
        return vector_NE.new_zeros(len(self.lead_IS), vector_NE.shape[1]).index_copy(0, item_N, vector_NE)

    def _presence(self, catalogue: Catalogue) -> Tensor:
        """Return which modalities items have, (I, M); an overview of unknown words is none."""
        items = len(catalogue.item_ids)
        has = {
            "overview": self.overview_weight_IL.any(-1) if "overview" in self.modalities else None,
            "poster": catalogue.has_poster,
            "vectors": catalogue.has_vector,
        }
        every = np.ones(items, bool)
        columns = [np.asarray(has.get(name, every), bool) for name in self.modalities]
        return torch.from_numpy(np.stack(columns, axis=1))


class SmallEmbedding(nn.Embedding):
    """An embedding with small initial values: an untrained row says little."""

    def reset_parameters(self) -> None:
        """Draw from a normal distribution of deviation 0.1."""
        nn.init.normal_(self.weight, std=0.1)


class NeutralEmbedding(nn.Embedding):
    """An embedding that starts at zero: the many words of an overview would be noise that takes long to unlearn."""

    def reset_parameters(self) -> None:
        """Start at zero."""
        nn.init.zeros_(self.weight)


class ModalitySlots(nn.Module):
    """A learned key for each modality: what attention over modalities looks at."""

    def __init__(self, modalities: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(modalities, size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw from a normal distribution."""
        nn.init.normal_(self.weight, std=self.weight.shape[1] ** -0.5)


class ConstantVector(nn.Module):
    """A learned vector: what everybody has in common."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start at zero."""
        nn.init.zeros_(self.weight)


class SuccessionQuery(nn.Module):
    """Maps running means of `lead` vectors, (..., D, S), to a query for `follow` vectors; starts as their sum."""

    def __init__(self, size: int, decays: int) -> None:
        super().__init__()
        self.weight_DSS = nn.Parameter(torch.empty(decays, size, size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start with the same multiple of the identity for every decay."""
        with torch.no_grad():
            self.weight_DSS.copy_(torch.eye(self.weight_DSS.shape[1]) * INITIAL_SUCCESSION)

    def forward(self, lead: Tensor) -> Tensor:
        """Return (..., S)."""
        return torch.einsum("...ds,dst->...t", lead, self.weight_DSS)
