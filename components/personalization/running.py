"""Running means of what the events carried: sufficient statistics that a recurrent net learns slowly by itself."""

import torch
from torch import Tensor, nn

DECAYS = (0.95, 1.0)
"""Weight that a total keeps at each further event: recent taste, and taste of all time."""
PRIOR_EVENTS = 5.0
"""Events' worth of zeros in every mean, so that a single event moves it little."""
CHUNK = 128


class RunningMeans(nn.Module):
    """Exponentially decayed means of row vectors; without parameters.

    Totals have the shape (..., D, F + 1), one row a decay; the last column is the decayed number of events.
    """

    decays_D: Tensor

    def __init__(self, decays: tuple[float, ...] = DECAYS) -> None:
        super().__init__()
        self.register_buffer("decays_D", torch.tensor(decays), persistent=False)

    def initial(self, batch: int, features: int, like: Tensor) -> Tensor:
        """Return the totals before any event, on `like`'s device."""
        return like.new_zeros(batch, len(self.decays_D), features + 1)

    def step(self, total_BDF: Tensor, rows_BF: Tensor) -> Tensor:
        """Add one event's row."""
        counted = torch.cat([rows_BF, torch.ones_like(rows_BF[:, :1])], dim=-1)
        return total_BDF * self.decays_D[:, None] + counted[:, None]

    def sequence(self, rows_BTF: Tensor) -> Tensor:
        """Return the totals after 0..T events: what `step` gives one after the other, in chunks of matrix products."""
        counted = torch.cat([rows_BTF, torch.ones_like(rows_BTF[:, :, :1])], dim=-1)
        batch, length, features = counted.shape
        total = counted.new_zeros(batch, len(self.decays_D), features)
        parts = [total[:, None]]
        for start in range(0, length, CHUNK):
            chunk = counted[:, start : start + CHUNK]
            age = torch.arange(chunk.shape[1], device=chunk.device)
            distance = age[:, None] - age[None, :]
            weight_DTT = (self.decays_D[:, None, None] ** distance.clamp_min(0)) * (distance >= 0)
            carried = self.decays_D ** (age[:, None] + 1.0)
            sums = torch.einsum("dts,bsf->btdf", weight_DTT, chunk) + carried[None, :, :, None] * total[:, None]
            parts.append(sums)
            total = sums[:, -1]
        return torch.cat(parts, dim=1)

    @staticmethod
    def means(total: Tensor) -> Tensor:
        """Divide totals (..., D, F + 1) by their counts, shrunk towards zero, and flatten to (..., D * F)."""
        return (total[..., :-1] / (total[..., -1:] + PRIOR_EVENTS)).flatten(-2)
