"""Running totals of what the events carried: statistics that a recurrent net would learn slowly, if at all."""

import torch
from torch import Tensor, nn

DECAYS = (0.9, 0.97, 1.0)
"""Weight that a total keeps at each further event: recent taste, and taste of all time."""
PRIOR_EVENTS = 5.0
"""Events' worth of zeros in every mean, so that a single event moves it little."""
CHUNK = 128


class RunningTotals(nn.Module):
    """Exponentially decayed sums of row vectors, (..., D, F) with one row a decay; without parameters."""

    decays_D: Tensor

    def __init__(self, decays: tuple[float, ...] = DECAYS) -> None:
        super().__init__()
        self.register_buffer("decays_D", torch.tensor(decays), persistent=False)

    def step(self, total_BDF: Tensor, rows_BF: Tensor) -> Tensor:
        """Add one event's row."""
        return total_BDF * self.decays_D[:, None] + rows_BF[:, None]

    def sequence(self, rows_BTF: Tensor) -> Tensor:
        """Return the totals (B, T + 1, D, F) after 0..T events: what `step` gives one after the other.

        Works in chunks, each a matrix product.
        """
        batch, length, features = rows_BTF.shape
        total = rows_BTF.new_zeros(batch, len(self.decays_D), features)
        parts = [total[:, None]]
        for start in range(0, length, CHUNK):
            chunk = rows_BTF[:, start : start + CHUNK]
            place = torch.arange(chunk.shape[1], device=chunk.device)
            age = place[:, None] - place[None, :]
            weight_DTT = (self.decays_D[:, None, None] ** age.clamp_min(0)) * (age >= 0)
            kept_TD = self.decays_D ** (place[:, None] + 1.0)
            sums = (
                torch.einsum("dts,bsf->btdf", weight_DTT, chunk) + kept_TD[None, :, :, None] * total[:, None]
            )
            parts.append(sums)
            total = sums[:, -1]
        return torch.cat(parts, dim=1)


def shrunk_mean(total: Tensor, weight: Tensor) -> Tensor:
    """Divide weighted sums by the sums of their weights, shrunk towards zero."""
    return total / (weight + PRIOR_EVENTS)
