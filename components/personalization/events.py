"""What the core reads (events) and what it keeps of them (states).

Dimensions: B users, T events, Q questions, C content, K facets, R residuals, L layers, H hidden units, M memory row,
W window, D decays.
"""

from typing import NamedTuple

from torch import Tensor

State = dict[str, Tensor]
"""Everything the core remembers of B users, of fixed size whatever the length of their histories."""


class Events(NamedTuple):
    """A padded batch of histories, oldest event first. A single step has the same fields without T."""

    content_BTC: Tensor
    """The task's encoding of what each event was about."""
    facet_BTK: Tensor
    """Weights >= 0: how much the content shows of each facet that a taste may be about, such as genres."""
    value_BT: Tensor
    """Feedback in [-1, 1]."""
    kind_BT: Tensor
    """What happened, as an index."""
    gap_BT: Tensor
    """Time since the user's previous event; see `scaled_gap`."""
    residual_BTR: Tensor
    """Feedback minus what was to be expected of anybody: what an event says about the user, not about the content."""

    def one_long(self) -> "Events":
        """Turn a step (B, ...) into histories of one event (B, 1, ...)."""
        return Events(*(field.unsqueeze(1) for field in self))


class Encoded(NamedTuple):
    """The states after 0..T events of each history, laid out for computing on all of them at once."""

    hidden_BTLH: Tensor
    """T + 1 states of the history encoder."""
    memory_BTM: Tensor
    """T memory rows: what attention looks at."""
    totals: dict[str, Tensor]
    """T + 1 running totals (B, T + 1, D, F) each."""


GAP_SCALE = 15.0


def scaled_gap(seconds: Tensor) -> Tensor:
    """Map a time in seconds to about [0, 1]: log(1 + seconds) / 15, where 1 is a little over a month."""
    return seconds.clamp_min(0).log1p() / GAP_SCALE
