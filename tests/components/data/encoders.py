"""Stand-ins for pretrained image encoders, exported as a user would export a real one."""

from pathlib import Path

import torch

SIZE = 12


class Patches(torch.nn.Module):
    """The mean colours of a grid of patches, each with a bright and a dark version: (1, 9, grid, grid)."""

    def __init__(self, grid: int = 2) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        mean = torch.nn.functional.adaptive_avg_pool2d(picture, self.grid)
        return torch.cat([mean, mean**2, (1 - mean) ** 2], dim=1)


class Regions(Patches):
    """The same as regions, (1, grid * grid, 9)."""

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return super().forward(picture).flatten(2).transpose(1, 2)


class Vector(Patches):
    """The same as one vector, (1, 9 * grid * grid)."""

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return super().forward(picture).flatten(1)


def write_encoder(path: Path, encoder: torch.nn.Module | None = None, *shape: int) -> Path:
    """Export an encoder for pictures of `SIZE` pixels a side, or of another shape."""
    example = torch.zeros(shape or (1, 3, SIZE, SIZE))
    torch.export.save(torch.export.export((encoder or Patches()).eval(), (example,)), path)
    return path
