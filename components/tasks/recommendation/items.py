"""The item side of the recommendation model: identity, genres and title as three modalities.

Dimensions: I items, M modalities, E embedding, S succession vectors, C content (E + S), D decays.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.personalization.modulation import NeutralLinear
from components.tasks.recommendation.catalogue import Catalogue

MODALITIES = 3
INITIAL_SUCCESSION = 6.0


class ItemTable(NamedTuple):
    """The item side of a forward pass, computed once for the whole catalogue."""

    modality_IME: Tensor
    attention_IM: Tensor
    """Unnormalised attention: exp(item logits)."""
    content_IC: Tensor
    """Fused without any user's say, and what the item leads to: what events carry and attention is asked about."""


class ItemEncoder(nn.Module):
    """Identity, genres and title of each item as three vectors."""

    genre_IG: Tensor
    lead_IS: Tensor
    follow_IS: Tensor
    word_IL: Tensor

    def __init__(self, catalogue: Catalogue, size: int, dropout: float) -> None:
        super().__init__()
        genre_IG = torch.from_numpy(catalogue.genre_matrix())
        share_IG = genre_IG / genre_IG.sum(-1, keepdim=True).clamp_min(1)
        self.register_buffer("genre_IG", share_IG, persistent=False)
        self.register_buffer("lead_IS", torch.from_numpy(catalogue.lead), persistent=False)
        self.register_buffer("follow_IS", torch.from_numpy(catalogue.follow), persistent=False)
        self.register_buffer("word_IL", torch.from_numpy(catalogue.word_matrix()), persistent=False)
        self.identity = SmallEmbedding(len(catalogue.item_ids), size)
        self.counted = catalogue.lead.shape[1] > 0
        if self.counted:
            self.lead = nn.Linear(catalogue.lead.shape[1], size, bias=False)
            self.follow = nn.Linear(catalogue.lead.shape[1], size, bias=False)
        self.genre = nn.Linear(max(1, len(catalogue.genres)), size, bias=False)
        self.word = SmallEmbedding(len(catalogue.words) + 1, size)
        self.attention = NeutralLinear(size, 1)
        self.slots = ModalitySlots(MODALITIES, size)
        self.dropout = nn.Dropout(dropout)
        self.forgetting = nn.Dropout1d(dropout)

    def forward(self) -> ItemTable:
        """Encode the whole catalogue."""
        words = F.embedding_bag(self.word_IL, self.word.weight, mode="mean", padding_idx=0)
        genres = self.genre(self.genre_IG) if self.genre_IG.shape[1] else torch.zeros_like(words)
        identity = self.forgetting(self.identity.weight)
        if self.counted:
            identity = identity + self.lead(self.lead_IS) + self.follow(self.follow_IS)
        modality = self.dropout(torch.stack([identity, genres, words], dim=1))
        attention = (self.attention(modality + self.slots.weight)[..., 0]).clamp(-8, 8).exp()
        content = torch.einsum("im,ime->ie", attention / attention.sum(-1, keepdim=True), modality)
        return ItemTable(modality, attention, torch.cat([content, self.lead_IS], dim=-1))


class SmallEmbedding(nn.Embedding):
    """An embedding with small initial values: an untrained row says little."""

    def reset_parameters(self) -> None:
        """Draw from a normal distribution of deviation 0.1."""
        nn.init.normal_(self.weight, std=0.1)


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
