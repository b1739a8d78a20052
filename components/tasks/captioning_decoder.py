"""The transformer decoder: writes captions word by word, steered by the user in its attention and its fusion.

Pre-norm layers (Xiong et al., ICML 2020), each of which fuses three modalities: the text so far (self-attention), the
picture (cross-attention over its regions) and the user.

Dimensions: B pictures, Q captions of each, T words, R regions, H units, N heads, V user vector, W vocabulary.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.personalization.modulation import AttentionBias, FusionGate
from components.tasks.captioning_vocabulary import MOST_WORDS

MODALITIES = 3
MOST_STEPS = MOST_WORDS + 1
"""Words and the end."""
WIDENING = 2


class Seen(NamedTuple):
    """What a layer needs of the pictures and of the users who look at them, computed once a caption."""

    key_BNRD: Tensor
    value_BNRD: Tensor
    bias_BQR: Tensor | None
    gate_BQM: Tensor | None
    user_BQH: Tensor | None


class Cache(NamedTuple):
    """Keys and values of the words so far, of one layer: (B, Q, N, T, H / N)."""

    key: Tensor
    value: Tensor


class Decoder(nn.Module):
    """Words to logits of the next words. Without a user size it is the same for all users."""

    def __init__(
        self,
        words: int,
        hidden: int,
        layers: int,
        heads: int,
        dropout: float,
        user_size: int,
        attention_modulation: bool,
        fusion_modulation: bool,
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.word = nn.Embedding(words, hidden)
        self.place = nn.Embedding(MOST_STEPS, hidden)
        self.layers = nn.ModuleList(
            DecoderLayer(hidden, heads, dropout, user_size, attention_modulation, fusion_modulation)
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(hidden)
        self.output_bias = WordBias(words)
        self.dropout = nn.Dropout(dropout)

    def look(self, region_BRH: Tensor, user_BQV: Tensor | None) -> list[Seen]:
        """Prepare pictures and users for `forward` and `step`; one user in place of Q serves all captions."""
        return [layer.look(region_BRH, user_BQV) for layer in self.layers]

    def forward(self, seen: list[Seen], word_BQT: Tensor) -> Tensor:
        """Read whole captions, each from its beginning: (B, Q, T, H), of which `logits` makes the next words."""
        place = torch.arange(word_BQT.shape[2], device=word_BQT.device)
        state = self._embed(word_BQT, place)
        for layer, look in zip(self.layers, seen, strict=True):
            state, _ = layer(state, look, None)
        return self.dropout(self.norm(state))

    def step(
        self, seen: list[Seen], word_BQ: Tensor, caches: list[Cache] | None
    ) -> tuple[Tensor, list[Cache]]:
        """Read one more word of each caption: (B, Q, H), and what the next step needs."""
        steps = 0 if caches is None else caches[0].key.shape[3]
        state = self._embed(word_BQ[..., None], torch.tensor([steps], device=word_BQ.device))
        after = []
        for place, (layer, look) in enumerate(zip(self.layers, seen, strict=True)):
            state, cache = layer(state, look, None if caches is None else caches[place])
            after.append(cache)
        return self.norm(state)[:, :, 0], after

    def logits(self, state: Tensor) -> Tensor:
        """Logits of the next word, from states (..., H); words are written by the vectors they are read by."""
        return F.linear(state, self.word.weight, self.output_bias.bias) * self.hidden**-0.5

    def _embed(self, word: Tensor, place: Tensor) -> Tensor:
        return self.dropout(self.word(word) + self.place(place))


class WordBias(nn.Module):
    """A bias for each word."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(words))

    def reset_parameters(self) -> None:
        """Start at zero."""
        nn.init.zeros_(self.bias)


class DecoderLayer(nn.Module):
    """Self-attention over the text, cross-attention over the picture and the user, fused; then a feed-forward net."""

    def __init__(
        self,
        hidden: int,
        heads: int,
        dropout: float,
        user_size: int,
        attention_modulation: bool,
        fusion_modulation: bool,
    ) -> None:
        super().__init__()
        assert hidden % heads == 0, (hidden, heads)
        self.heads = heads
        self.text_norm = nn.LayerNorm(hidden)
        self.text = nn.Linear(hidden, 3 * hidden)
        self.from_text = nn.Linear(hidden, hidden)
        self.image_norm = nn.LayerNorm(hidden)
        self.image_query = nn.Linear(hidden, hidden)
        self.image = nn.Linear(hidden, 2 * hidden)
        self.from_image = nn.Linear(hidden, hidden)
        self.forward_norm = nn.LayerNorm(hidden)
        self.widen = nn.Linear(hidden, WIDENING * hidden)
        self.narrow = nn.Linear(WIDENING * hidden, hidden)
        self.dropout = nn.Dropout(dropout)
        self.user: nn.Linear | None = None
        self.bias: AttentionBias | None = None
        self.gate: FusionGate | None = None
        if user_size:
            self.user = nn.Linear(user_size, hidden, bias=False)
            if attention_modulation:
                self.bias = AttentionBias(user_size, hidden)
            if fusion_modulation:
                self.gate = FusionGate(user_size, MODALITIES)

    def look(self, region_BRH: Tensor, user_BQV: Tensor | None) -> Seen:
        """Prepare pictures and users."""
        key, value = (self._split(part) for part in self.image(region_BRH).chunk(2, dim=-1))
        if self.user is None or user_BQV is None:
            return Seen(key, value, None, None, None)
        bias = None if self.bias is None else self.bias(user_BQV, region_BRH[:, None])
        gate = None if self.gate is None else self.gate(user_BQV)
        return Seen(key, value, bias, gate, self.user(user_BQV))

    def forward(self, state_BQTH: Tensor, seen: Seen, cache: Cache | None) -> tuple[Tensor, Cache]:
        """Read words after those in the cache; T is 1 where there is one."""
        modality = [0, 0, 0] if seen.gate_BQM is None else seen.gate_BQM[..., None, None, :].unbind(-1)
        gated = seen.gate_BQM is not None
        text, after = self._read_text(self.text_norm(state_BQTH), cache)
        text = self.dropout(text)
        state = state_BQTH + (modality[0] * text if gated else text)
        image = self.dropout(self._read_image(self.image_norm(state), seen))
        state = state + (modality[1] * image if gated else image)
        if seen.user_BQH is not None:
            user = seen.user_BQH[:, :, None]
            state = state + (modality[2] * user if gated else user)
        wide = F.gelu(self.widen(self.forward_norm(state)))
        return state + self.dropout(self.narrow(wide)), after

    def _read_text(self, state_BQTH: Tensor, cache: Cache | None) -> tuple[Tensor, Cache]:
        query, key, value = (self._split(part) for part in self.text(state_BQTH).chunk(3, dim=-1))
        if cache is not None:
            key, value = torch.cat([cache.key, key], dim=3), torch.cat([cache.value, value], dim=3)
        read = F.scaled_dot_product_attention(query, key, value, is_causal=cache is None)
        return self.from_text(self._merge(read)), Cache(key, value)

    def _read_image(self, state_BQTH: Tensor, seen: Seen) -> Tensor:
        batch, captions, words, _ = state_BQTH.shape
        # All captions of a picture look at the same regions: one product a picture.
        query = self._split(self.image_query(state_BQTH).flatten(1, 2))
        bias = None
        if seen.bias_BQR is not None:
            bias = seen.bias_BQR.expand(-1, captions, -1).repeat_interleave(words, dim=1)[:, None]
        read = F.scaled_dot_product_attention(query, seen.key_BNRD, seen.value_BNRD, attn_mask=bias)
        return self.from_image(self._merge(read)).unflatten(1, (captions, words))

    def _split(self, state: Tensor) -> Tensor:
        """(..., T, H) to (..., N, T, H / N)."""
        return state.unflatten(-1, (self.heads, -1)).transpose(-2, -3)

    @staticmethod
    def _merge(state: Tensor) -> Tensor:
        """(..., N, T, H / N) to (..., T, H)."""
        return state.transpose(-2, -3).flatten(-2)
