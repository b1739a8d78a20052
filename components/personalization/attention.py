"""Attention over a user's last W events, for one state or for all the states of a batch of histories."""

import torch
from torch import Tensor, nn

QUERY_BLOCK = 64


class MemoryAttention(nn.Module):
    """Multi-head attention with a slope by age for each head, and an empty slot for "nothing relevant"."""

    def __init__(self, memory_size: int, query_size: int, hidden: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.key = nn.Linear(memory_size, hidden, bias=False)
        self.value = nn.Linear(memory_size, hidden, bias=False)
        self.query = nn.Linear(query_size, hidden)
        self.empty_key = nn.Parameter(torch.empty(hidden))
        self.age_slope = nn.Parameter(torch.empty(heads))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Reset the parameters that belong to no sub-module."""
        nn.init.zeros_(self.empty_key)
        nn.init.constant_(self.age_slope, -0.1)

    def forward(self, query_BQX: Tensor, memory_BKH: Tensor, age_BQK: Tensor) -> Tensor:
        """Read the memory.

        `age_BQK` counts the events since each memory row, as seen by each query; a row whose age is negative or
        at least the window is invisible. Returns (B, Q, H).
        """
        return self._read(self.query(query_BQX), self.key(memory_BKH), self.value(memory_BKH), age_BQK)

    def sequence(self, query_BQX: Tensor, memory_BTH: Tensor, before_BQ: Tensor) -> Tensor:
        """Read as each query's user could when `before_BQ` events had happened.

        Works in blocks of queries, each over the band of events that any of them can see.
        """
        query, key, value = self.query(query_BQX), self.key(memory_BTH), self.value(memory_BTH)
        blocks = []
        for start in range(0, query.shape[1], QUERY_BLOCK):
            before = before_BQ[:, start : start + QUERY_BLOCK]
            low, high = max(0, int(before.min()) - self.window), int(before.max())
            age = before[:, :, None] - 1 - torch.arange(low, high, device=before.device)
            block = query[:, start : start + QUERY_BLOCK]
            blocks.append(self._read(block, key[:, low:high], value[:, low:high], age))
        return torch.cat(blocks, dim=1)

    def _read(self, query_BQH: Tensor, key_BKH: Tensor, value_BKH: Tensor, age_BQK: Tensor) -> Tensor:
        batch, queries, hidden = query_BQH.shape
        size = hidden // self.heads

        def split(tensor: Tensor) -> Tensor:
            return tensor.unflatten(-1, (self.heads, size)).transpose(1, 2)

        query = split(query_BQH) * size**-0.5
        visible = (age_BQK >= 0) & (age_BQK < self.window)
        age = age_BQK.clamp_min(0).to(query.dtype).log1p()
        logits = query @ split(key_BKH).transpose(-1, -2) + self.age_slope[:, None, None] * age[:, None]
        logits = logits.masked_fill(~visible[:, None], float("-inf"))
        empty = query @ self.empty_key.view(self.heads, size, 1)
        weight = torch.softmax(torch.cat([empty, logits], dim=-1), dim=-1)[..., 1:]
        read = weight @ split(value_BKH)
        return read.transpose(1, 2).reshape(batch, queries, hidden)
