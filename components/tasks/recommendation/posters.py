"""What is on the items' pictures, as a vector each. Dimensions: I items, E embedding, H and W pixels."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from components.personalization.modulation import NeutralLinear

MEAN, SPREAD = 0.42, 0.33
"""About the mean and standard deviation of posters' channels, between 0 and 1."""
WIDTHS = (16, 32, 64)
TOGETHER = 2_048
"""Posters that go through the network at a time."""


class PosterEncoder(nn.Module):
    """A small convolutional network: what is on a poster, wherever it is."""

    def __init__(self, size: int, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for before, after in zip((3, *widths), widths, strict=False):
            blocks += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU()]
        self.blocks = nn.Sequential(*blocks)
        self.out = NeutralLinear(widths[-1], size)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode pictures, (I, 3, H, W) from 0 to 255: (I, E)."""
        return torch.cat([self._encode(some) for some in pixels.split(TOGETHER)])

    def _encode(self, pixels: Tensor) -> Tensor:
        scaled = (pixels.float() / 255 - MEAN) / SPREAD
        grid = self.blocks(scaled.contiguous(memory_format=torch.channels_last))
        return self.out(grid.mean(dim=(2, 3)))
