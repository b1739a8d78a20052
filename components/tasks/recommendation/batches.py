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

MOST_EVENTS = 1000
"""Of a longer log, a presentation shows this many events from a random one on; bounds the memory of a step."""
FORGOTTEN = 0.5
"""A user's events are left out of the history, at each presentation, with a chance drawn from 0 to this."""

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
    earlier_BQ: Tensor
    """In training, where the questions are a user's whole log: how many of them lie at earlier instants."""
    negative_N: Tensor
    """Items that the ranking loss contrasts with; in training only."""

    @property
    def size(self) -> int:
        """Number of users."""
        return len(self.item_BQ)

    def part(self, rows: slice) -> "Batch":
        """Return the batch with these users alone."""
        return Batch(
            History(*(values[rows] for values in self.history)),
            self.profile_BF[rows],
            self.before_BQ[rows],
            self.item_BQ[rows],
            self.like_BQ[rows],
            self.mask_BQ[rows],
            self.earlier_BQ[rows],
            self.negative_N,
        )

    def needed_items(self) -> Tensor:
        """Return the items that this batch needs to know, each once."""
        return torch.cat([self.history.item_BT.flatten(), self.item_BQ.flatten(), self.negative_N]).unique()


def stretch_rows(start: Indices, length: Indices) -> Indices:
    """Rows of the log (B, T) for stretches of `length` events from row `start` on, padded by their last event."""
    step = np.arange(max(1, int(length.max(initial=0))))
    return start[:, None] + np.minimum(step, np.maximum(length, 1)[:, None] - 1)


def gather_history(data: Interactions, row_BT: Indices) -> History:
    """Collect histories of the events in these rows of the log; the first of each counts as without a gap."""
    row = np.minimum(row_BT, len(data.content) - 1)
    seconds = np.diff(data.timestamp[row], axis=1, prepend=data.timestamp[row[:, :1]])
    return History(
        torch.from_numpy(data.content[row].astype(np.int64)),
        torch.from_numpy(data.value[row]),
        torch.from_numpy(data.kind[row].astype(np.int64)),
        scaled_gap(torch.from_numpy(seconds.astype(np.float32))),
    )


class TrainingBatches:
    """The batches of one epoch: every training user once, users of similar length together.

    Questions are asked about all of a user's events; the history is a random part of them, another one in each epoch,
    so that a user is not known by heart. Order, histories and negatives follow from (seed, epoch) alone. A step draws
    `negatives` items; with None it takes the whole catalogue.
    """

    def __init__(self, data: Interactions, batch_size: int, negatives: int | None, seed: int) -> None:
        self.data = data
        self.batch_size = batch_size
        self.negatives = len(data.item_ids) if negatives is None else negatives
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
        skipped = generator.integers(0, np.maximum(length - MOST_EVENTS, 0), endpoint=True)
        length = np.minimum(length, MOST_EVENTS)
        row_BQ = stretch_rows(data.user_offsets[user] + skipped, length)
        step = np.arange(row_BQ.shape[1])
        real_BQ = step < length[:, None]
        kept_BQ = real_BQ & (
            generator.random(row_BQ.shape) >= generator.uniform(0, FORGOTTEN, (len(user), 1))
        )
        kept = np.maximum(kept_BQ.sum(axis=1), 1)
        row_BT = np.take_along_axis(row_BQ, np.argsort(~kept_BQ, axis=1, kind="stable"), axis=1)
        row_BT = np.take_along_axis(row_BT, stretch_rows(np.zeros_like(kept), kept), axis=1)
        earlier_BQ = np.maximum(data.before[row_BQ].astype(np.int64) - skipped[:, None], 0)
        kept_before: Indices = np.cumsum(kept_BQ, axis=1) - kept_BQ
        items = len(data.item_ids)
        if self.negatives < items:
            negative = generator.choice(items, self.negatives, replace=False)
        else:
            negative = np.arange(items)
        return Batch(
            gather_history(data, row_BT),
            torch.from_numpy(data.profile[user].astype(np.int64)),
            torch.from_numpy(np.take_along_axis(kept_before, earlier_BQ, axis=1)),
            torch.from_numpy(data.content[row_BQ].astype(np.int64)),
            torch.from_numpy(data.like[row_BQ]),
            torch.from_numpy(real_BQ),
            torch.from_numpy(earlier_BQ),
            torch.from_numpy(negative),
        )
