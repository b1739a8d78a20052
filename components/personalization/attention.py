"""Attention over a user's last W events, for one state or for all the states of a batch of histories."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

QUERY_BLOCK = 64
INITIAL_SHARPNESS = 8.0
INITIAL_EMPTY = 4.0


class MemoryAttention(nn.Module):
    """Multi-head attention by likeness of content, with a slope by age and an empty slot for "nothing relevant".

    A memory row is (content C | event vector H | residuals R). Queries and contents pass the same projection and are
    compared by their cosine, so that before any training attention already finds events about similar content.
    Each head reads the rows' residuals as they are, beside a learned projection of their event vectors: a kernel
    regression of what the user thought of similar content, shrunk to zero by the empty slot.
    """

    def __init__(
        self, content_size: int, vector_size: int, residuals: int, hidden: int, heads: int, window: int
    ) -> None:
        super().__init__()
        assert hidden % heads == 0 and hidden // heads > residuals, (hidden, heads, residuals)
        self.sizes = [content_size, vector_size, residuals]
        self.heads = heads
        self.window = window
        self.likeness = nn.Linear(content_size, hidden, bias=False)
        self.value = nn.Linear(vector_size, hidden - heads * residuals, bias=False)
        self.sharpness = nn.Parameter(torch.empty(heads))
        self.age_slope = nn.Parameter(torch.empty(heads))
        self.empty = nn.Parameter(torch.empty(heads))
        self.reset_parameters()

    @property
    def memory_size(self) -> int:
        """Size of a memory row."""
        return sum(self.sizes)

    def reset_parameters(self) -> None:
        """Reset the parameters that belong to no sub-module."""
        nn.init.constant_(self.sharpness, INITIAL_SHARPNESS)
        nn.init.constant_(self.age_slope, -0.1)
        nn.init.constant_(self.empty, INITIAL_EMPTY)

    def forward(self, query_BQC: Tensor, memory_BKM: Tensor, age_BQK: Tensor) -> Tensor:
        """Read the memory.

        `age_BQK` counts the events since each memory row, as seen by each query (Q may be 1 for all of them); a row
        whose age is negative or at least the window is invisible. Returns (B, Q, H).
        """
        return self._read(self._query(query_BQC), *self._rows(memory_BKM), age_BQK)

    def sequence(self, query_BQC: Tensor, memory_BTM: Tensor, before_BQ: Tensor) -> Tensor:
        """Read as each query's user could when `before_BQ` events had happened.

        Works in blocks of queries, each over the band of events that any of them can see.
        """
        query = self._query(query_BQC)
        key, value = self._rows(memory_BTM)
        blocks = []
        for start in range(0, query.shape[2], QUERY_BLOCK):
            before = before_BQ[:, start : start + QUERY_BLOCK]
            low, high = max(0, int(before.min()) - self.window), int(before.max())
            age = before[:, :, None] - 1 - torch.arange(low, high, device=before.device)
            block = query[:, :, start : start + QUERY_BLOCK]
            blocks.append(self._read(block, key[:, :, low:high], value[:, :, low:high], age))
        return torch.cat(blocks, dim=1)

    def _split(self, tensor: Tensor) -> Tensor:
        """(B, X, H) to (B, heads, X, H / heads), laid out so that batched matrix products need no copies."""
        return tensor.unflatten(-1, (self.heads, -1)).transpose(1, 2).contiguous()

    def _query(self, query_BQC: Tensor) -> Tensor:
        return F.normalize(self._split(self.likeness(query_BQC)), dim=-1) * self.sharpness[:, None, None]

    def _rows(self, memory_BKM: Tensor) -> tuple[Tensor, Tensor]:
        content, vector, residual = memory_BKM.split(self.sizes, dim=-1)
        key = F.normalize(self._split(self.likeness(content)), dim=-1)
        plain = residual[:, None].expand(-1, self.heads, -1, -1)
        return key, torch.cat([plain, self._split(self.value(vector))], dim=-1)

    def _read(self, query: Tensor, key: Tensor, value: Tensor, age_BQK: Tensor) -> Tensor:
        hidden = (age_BQK < 0) | (age_BQK >= self.window)
        age = age_BQK.clamp_min(0).to(key.dtype).log1p()[:, None]
        likeness = torch.bmm(query.flatten(0, 1), key.flatten(0, 1).transpose(1, 2))
        score = torch.addcmul(likeness.unflatten(0, query.shape[:2]), self.age_slope[:, None, None], age)
        score = score.masked_fill(hidden[:, None], float("-inf"))
        # The empty slot competes for the weight and has nothing to be read.
        empty = self.empty[:, None, None].expand(*score.shape[:-1], 1)
        weight = torch.cat([score, empty], dim=-1).softmax(-1)[..., :-1]
        read = torch.bmm(weight.flatten(0, 1), value.flatten(0, 1)).unflatten(0, query.shape[:2])
        return read.transpose(1, 2).flatten(2)
