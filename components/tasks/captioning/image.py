"""What a picture shows: regions for the decoder to look at, and tags, the words that its captions would hold.

Dimensions: B pictures, R regions, D units of a region, G tags; pixels are (B, height, width, 3), 0 to 255.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

MEAN, SPREAD = 0.45, 0.27
"""About the mean and standard deviation of photographs' channels, between 0 and 1."""
WIDTHS = (32, 64, 128)
MOST_SHARE = 0.98


class ImageEncoder(Protocol):
    """Whatever turns pictures, or what is stored of them, into regions."""

    region_size: int
    """D."""
    regions: int
    """R."""

    def __call__(self, pixels: Tensor) -> Tensor:
        """Describe the regions of pictures: (B, R, D)."""


class ConvolutionalEncoder(nn.Module):
    """A small convolutional network, trained from scratch: an eighth of the height and width in regions."""

    def __init__(self, picture_size: int, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        side = picture_size
        blocks: list[nn.Module] = []
        for before, after in zip((3, *widths), widths, strict=False):
            blocks.append(ConvolutionBlock(before, after, stride=2))
            side = -(-side // 2)
        blocks.append(ResidualBlock(widths[-1]))
        self.blocks = nn.Sequential(*blocks)
        self.region_size = widths[-1]
        self.regions = side * side

    def forward(self, pixels: Tensor) -> Tensor:
        """Describe the regions of pictures: (B, R, D)."""
        scaled = (pixels.permute(0, 3, 1, 2).float() / 255 - MEAN) / SPREAD
        grid = self.blocks(scaled.contiguous(memory_format=torch.channels_last))
        return grid.flatten(2).transpose(1, 2).contiguous()


class StoredRegions(nn.Module):
    """What a pretrained encoder has seen, as it was stored, each region standardised: nothing of it is trained."""

    def __init__(self, regions: int, region_size: int) -> None:
        super().__init__()
        self.regions = regions
        self.region_size = region_size

    def forward(self, regions: Tensor) -> Tensor:
        """Standardise regions: (B, R, D)."""
        return F.layer_norm(regions.float(), (self.region_size,))


class ConvolutionBlock(nn.Module):
    """A 3x3 convolution, normalised and rectified."""

    def __init__(self, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(after)

    def forward(self, grid: Tensor) -> Tensor:
        """Map (B, before, height, width) to (B, after, height / stride, width / stride)."""
        return F.relu(self.norm(self.convolution(grid)))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside the identity (He et al., CVPR 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = ConvolutionBlock(width, width)
        self.second = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, grid: Tensor) -> Tensor:
        """Map (B, width, height, width) to the same shape."""
        return F.relu(grid + self.norm(self.second(self.first(grid))))


class Picture(NamedTuple):
    """What the model sees in pictures."""

    region_BRH: Tensor
    tag_BG: Tensor
    """Logits: whether a plain caption of the picture would hold each tag."""


class Sight(nn.Module):
    """An image encoder with what the model makes of its regions: decoder slots and tags."""

    log_odds_G: Tensor

    def __init__(
        self, encoder: ImageEncoder, tag_share: Sequence[float], hidden: int, dropout: float
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.slot = nn.Linear(encoder.region_size, hidden)
        self.place = nn.Embedding(encoder.regions, hidden)
        self.tag = nn.Linear(2 * encoder.region_size, len(tag_share))
        self.tag_slot = nn.Linear(len(tag_share), hidden)
        self.norm = nn.LayerNorm(hidden)
        self.darkness = nn.Embedding(1, hidden)
        self.dropout = nn.Dropout(dropout)
        odds = np.clip(np.array(tag_share), 1e-4, MOST_SHARE)
        log_odds = torch.from_numpy(np.log(odds / (1 - odds)).astype(np.float32))
        self.register_buffer("log_odds_G", log_odds)

    def forward(self, pixels: Tensor) -> Picture:
        """See pictures: their regions and, as one more slot, what is on them altogether."""
        region = self.encoder(pixels)
        whole = torch.cat([region.mean(1), region.amax(1)], dim=-1)
        tag = self.tag(self.dropout(whole)) + self.log_odds_G
        # What the tags say beyond what is usual; the decoder's loss does not bend them to its purposes.
        surprise = tag.detach().sigmoid() - self.log_odds_G.sigmoid()
        slots = self.slot(region) + self.place.weight
        slots = torch.cat([slots, self.tag_slot(surprise)[:, None]], dim=1)
        # The same units of all regions are dropped.
        kept = self.dropout(torch.ones_like(slots[:, :1]))
        return Picture(self.norm(slots) * kept, tag)

    def unseen(self, batch: int) -> Tensor:
        """What the decoder looks at where there is no picture to be seen: one slot, (B, 1, H)."""
        return self.darkness.weight.expand(batch, 1, -1)

    def darkened(self, region_BRH: Tensor, share: float) -> Tensor:
        """Take random pictures away from the decoder, about a `share` of them: (B, R, H)."""
        dark_B = torch.rand(len(region_BRH), device=region_BRH.device) < share
        return torch.where(dark_B[:, None, None], self.darkness.weight[0], region_BRH)


def tag_loss(tag_BG: Tensor, share_BG: Tensor) -> Tensor:
    """Cross-entropy with the share of a picture's plain captions that hold each tag: summed over tags, a mean."""
    return F.binary_cross_entropy_with_logits(tag_BG, share_BG, reduction="none").sum(-1).mean()
