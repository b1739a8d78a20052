"""From the prepared log to padded batches; dimensions as in `components.personalization.events`, F profile fields."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.data.interactions import Interactions
from components.personalization.events import scaled_gap
from components.randomness import derive_seed

LENGTH_JITTER = 0.1
"""Relative noise on the lengths by which users are sorted into batches, so that batches differ between epochs."""

Indices = NDArray[np.integer]


class History(NamedTuple):
    """Stretches of logs, padded at the end by repeating the last event."""

    item_BT: Tensor
    value_BT: Tensor
    kind_BT: Tensor
    gap_BT: Tensor


class Batch(NamedTuple):
    """Histories and what is asked about their users: would they like `item_BQ` after `before_BQ` events?"""

    history: History
    profile_BF: Tensor
    before_BQ: Tensor
    item_BQ: Tensor
    like_BQ: Tensor
    mask_BQ: Tensor
    """False where a question is padding."""
    negative_N: Tensor
    """Items that the ranking loss contrasts with; in training only."""


def gather_history(data: Interactions, start: Indices, length: Indices) -> History:
    """Collect `length` events from row `start` of the log on, for each of B stretches; at least one column."""
    width = max(1, int(length.max(initial=0)))
    step = np.minimum(np.arange(width), np.maximum(length, 1)[:, None] - 1)
    row = np.minimum(start[:, None] + step, len(data.content) - 1)
    seconds = np.diff(data.timestamp[row], axis=1, prepend=data.timestamp[row[:, :1]])
    return History(
        torch.from_numpy(data.content[row].astype(np.int64)),
        torch.from_numpy(data.value[row]),
        torch.from_numpy(data.kind[row].astype(np.int64)),
        scaled_gap(torch.from_numpy(seconds.astype(np.float32))),
    )


class TrainingBatches:
    """The batches of one epoch: every training user once, users of similar length together.

    Order, jitter and negatives follow from (seed, epoch) alone.
    """

    def __init__(self, data: Interactions, batch_size: int, negatives: int, seed: int) -> None:
        self.data = data
        self.batch_size = batch_size
        self.negatives = negatives
        self.seed = seed
        owner = np.repeat(np.arange(len(data.user_ids)), np.diff(data.user_offsets))
        length = np.bincount(owner[data.part == 0], minlength=len(data.user_ids))
        self.users = np.flatnonzero((length > 0) & ~data.unseen)
        self.length = length[self.users]

    def __len__(self) -> int:
        return -(-len(self.users) // self.batch_size)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of epoch number `epoch`, from 0."""
        generator = np.random.default_rng(derive_seed(self.seed, "batches", epoch))
        noise = 1 + LENGTH_JITTER * generator.uniform(-1, 1, len(self.users))
        order = np.argsort(self.length * noise, kind="stable")
        starts = generator.permutation(np.arange(0, len(order), self.batch_size))
        for start in starts:
            chosen = order[start : start + self.batch_size]
            yield self._batch(self.users[chosen], self.length[chosen], generator)

    def _batch(self, user: Indices, length: Indices, generator: np.random.Generator) -> Batch:
        data = self.data
        start = data.user_offsets[user]
        history = gather_history(data, start, length)
        step = np.arange(int(length.max()))
        row = start[:, None] + np.minimum(step, length[:, None] - 1)
        items = len(data.item_ids)
        if self.negatives < items:
            negative = generator.choice(items, self.negatives, replace=False)
        else:
            negative = np.arange(items)
        return Batch(
            history,
            torch.from_numpy(data.profile[user].astype(np.int64)),
            torch.from_numpy(data.before[row].astype(np.int64)),
            history.item_BT,
            torch.from_numpy(data.like[row]),
            torch.from_numpy(step < length[:, None]),
            torch.from_numpy(negative),
        )
