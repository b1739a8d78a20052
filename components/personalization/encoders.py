"""From events to vectors, and from vectors to a recurrent summary."""

import torch
from torch import Tensor, nn

from components.personalization.events import Events


class EventEncoder(nn.Module):
    """One vector an event: content, kind and time, and with `feedback` what the user thought of it.

    Feedback enters by itself and by scaling the content, so that liking and disliking the same thing point in
    opposite directions from the first step of training.
    """

    def __init__(self, content_size: int, kinds: int, residuals: int, hidden: int, feedback: bool) -> None:
        super().__init__()
        self.content = nn.Linear(content_size, hidden)
        self.kind = nn.Embedding(kinds, hidden)
        self.gap = nn.Linear(1, hidden, bias=False)
        self.value = nn.Linear(1 + residuals, hidden, bias=False) if feedback else None
        self.valued_content = nn.Linear(content_size, hidden, bias=False) if feedback else None

    def forward(self, events: Events) -> Tensor:
        """Encode (B, T, ...) events as (B, T, H)."""
        vector = (
            self.content(events.content_BTC) + self.kind(events.kind_BT) + self.gap(events.gap_BT[..., None])
        )
        if self.value is not None and self.valued_content is not None:
            feedback = torch.cat([events.value_BT[..., None], events.residual_BTR], dim=-1)
            vector = vector + self.value(feedback)
            vector = vector + self.valued_content(events.content_BTC * feedback[..., -1:])
        return torch.tanh(vector)


class GRUEncoder(nn.Module):
    """A stack of GRU layers that hands out the state of every layer after every event."""

    def __init__(self, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.GRU(hidden, hidden, batch_first=True) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)

    def forward(self, vectors_BTH: Tensor, hidden_BLH: Tensor) -> Tensor:
        """Return the states (B, T, L, H) after each of T further events, from the state `hidden_BLH` on."""
        outputs = []
        vectors = vectors_BTH
        for index, layer in enumerate(self.layers):
            vectors, _ = layer(vectors, hidden_BLH[:, index].unsqueeze(0).contiguous())
            outputs.append(vectors)
            vectors = self.dropout(vectors)
        return torch.stack(outputs, dim=2)
