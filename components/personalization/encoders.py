"""From events to vectors, and from vectors to a summary of the history.

Suffixes: B users, T events, L rows of a state, H units.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from components.config import PersonalizationSettings
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


class HistoryEncoder(nn.Module):
    """What reads a history, event by event or all at once; made from `PersonalizationSettings` and a dropout.

    Its state is a tensor (B, L, H) of fixed size, whatever the length of the history, and begins as zeros. A
    *recurrent* encoder does its work in `forward`, and its state carries all that it knows. A *windowed* one
    only pushes vectors in `forward`, so that the state holds the latest L of them, and does its work in `read`.
    """

    state_shape: tuple[int, int]
    """L and H."""

    def forward(self, vectors_BTH: Tensor, state_BLH: Tensor) -> Tensor:
        """Return the states (B, T + 1, L, H) after 0 to T further events, from `state_BLH` on.

        Taking the events in several calls, each from the last state of the one before, gives the same. What
        stands after a position changes nothing at it: the histories of a batch are padded at their ends.
        """
        raise NotImplementedError

    def read(self, state: Tensor) -> Tensor:
        """Return what states (..., L, H) say of their users: (..., H)."""
        raise NotImplementedError


class GRUEncoder(HistoryEncoder):
    """A stack of GRU layers; the state is what each of them holds. Recurrent."""

    def __init__(self, settings: PersonalizationSettings, dropout: float) -> None:
        super().__init__()
        hidden, layers = settings.hidden, settings.layers
        self.state_shape = (layers, hidden)
        self.layers = nn.ModuleList(nn.GRU(hidden, hidden, batch_first=True) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)

    def forward(self, vectors_BTH: Tensor, state_BLH: Tensor) -> Tensor:
        """Run through the events, layer by layer."""
        outputs = []
        vectors = vectors_BTH
        for index, layer in enumerate(self.layers):
            vectors, _ = layer(vectors, state_BLH[:, index].unsqueeze(0).contiguous())
            outputs.append(vectors)
            vectors = self.dropout(vectors)
        return torch.cat([state_BLH[:, None], torch.stack(outputs, dim=2)], dim=1)

    def read(self, state: Tensor) -> Tensor:
        """Return what the last layer holds."""
        return state[..., -1, :]


ENCODERS: dict[str, Callable[[PersonalizationSettings, float], HistoryEncoder]] = {"gru": GRUEncoder}
"""By the name that `PersonalizationSettings.encoder` takes."""
