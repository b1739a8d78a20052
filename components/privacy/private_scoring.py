"""A private recommender over private users, on shares: which likes it predicts, and where it ranks the next item.

Like `components.privacy.scoring`, exact: inputs become whole numbers once (16 bits after the point), and no product
is rounded. Which item an example is about is secret, too: its vectors are picked by a product with a row of zeros
and a one.

Dimensions: n rows, I items, M modalities, E embedding, U head units, K tests, G groups, R ranks.
"""

from collections.abc import Iterator
from dataclasses import fields

import numpy as np
import torch
from numpy.typing import NDArray

from components.privacy.divided_model import Kept, Shape
from components.privacy.encoded_users import LikeQuestions, RankQuestions
from components.privacy.failures import OutOfBounds
from components.privacy.scoring import BARRED, BITS, LARGEST_ENTRY, Scorer, check_capacity, whole
from components.tasks.recommendation.model import HEAD_UNITS

Share = torch.Tensor

_PICKED = 1 << 22
"""Entries of the matrix that picks items, at a time."""
_COMPARED = 1 << 17
"""Comparisons at a time."""
_LARGEST_BASE = 256.0
"""What the open part adds to a score is at most this in size."""


class RecommendationScorer(Scorer):
    """One party's side of the arithmetic. All parties call the same methods in the same order."""

    def share_model(self, kept: Kept | None, shape: Shape, owner: int) -> None:
        """Share what the owner keeps (`kept`, None elsewhere) among all. Raises `OutOfBounds` for huge weights."""
        if kept is not None:
            _check(kept, shape)
        parts = None if kept is None else [(getattr(kept, field.name), BITS) for field in fields(kept)]
        sizes: list[tuple[int, ...]] = [
            (shape.items, shape.width),
            (shape.linear + 1, 1),
            (shape.hidden + 1, HEAD_UNITS),
            (HEAD_UNITS, 1),
        ]
        self._shape = shape
        self._items, self._linear, self._hidden, self._last = self._from_owner(parts, sizes, owner)

    def liked(self, asked: LikeQuestions, tests: NDArray[np.int64], rows: list[int]) -> Share:
        """Return shares [K] of the sum of `tests` [n, K] over all parties' examples that are predicted to be liked.

        `rows` says how many examples each party has. Log-odds of at least 0 predict a like.
        """
        total = torch.zeros(tests.shape[1], dtype=torch.int64)
        size = max(1, min(_PICKED // self._shape.items, _COMPARED // HEAD_UNITS))
        for party, part in _chunks(rows, size):
            mine = part if party == self._rank else slice(0)
            count = part.stop - part.start
            choice = np.zeros((len(asked.item[mine]), self._shape.items), np.int64)
            choice[np.arange(len(choice)), asked.item[mine]] = 1
            picked = self._product("matmul", self._given(choice, count), self._items)
            vectors, through_head = picked.split(
                [self._shape.vector, self._shape.modalities * HEAD_UNITS], dim=1
            )
            vector, linear, hidden = (
                self._given(self._whole(part[mine]), count)
                for part in (asked.vector, asked.linear, asked.hidden)
            )
            weight = self._given(self._whole(asked.weight[mine]), count)
            plain = (
                self._product("mul", vector, vectors).sum(1)
                + self._product("matmul", linear, self._linear)[:, 0]
            )
            weighted = self._product(
                "mul",
                weight[..., None].expand(-1, -1, HEAD_UNITS).contiguous(),
                through_head.unflatten(1, (self._shape.modalities, -1)),
            )
            before = weighted.sum(1) + self._product("matmul", hidden, self._hidden)
            after = self._product("mul", before, self._constant(before, 1) - self._negative(before))
            score = plain * (1 << BITS) + self._product("matmul", after, self._last)[:, 0]
            score = score + self._given(self._base(asked.base[mine, None]), count)[:, 0]
            liked = self._constant(score, 1) - self._negative(score)
            counted = self._given(tests[mine], count)
            total += self._product("mul", liked[:, None].expand_as(counted).contiguous(), counted).sum(0)
        return total

    def next_item_ranks(
        self, asked: RankQuestions, members: NDArray[np.int64], rows: list[int], cutoff: int
    ) -> Share:
        """Return shares [G, R = cutoff + 1] of how many targets have exactly 0, 1, … items above them, and more.

        `members` [n, G] holds 1 where a row belongs to a group; `rows` says how many rows each party has.
        """
        items, modalities = self._shape.items, self._shape.modalities
        vectors = self._items[:, : self._shape.vector].unflatten(1, (modalities, self._shape.embedding))
        within = torch.zeros(cutoff, members.shape[1], dtype=torch.int64)
        for party, part in _chunks(rows, max(1, _COMPARED // items)):
            mine = part if party == self._rank else slice(0)
            count = part.stop - part.start
            query = self._given(self._whole(asked.query[mine]), count)
            weight = self._given(self._whole(asked.weight[mine].reshape(-1, items * modalities)), count)
            weight = weight.unflatten(1, (items, modalities))
            score = self._given(self._base(asked.base[mine]), count)
            for modality in range(modalities):
                alike = self._product("matmul", query, vectors[:, modality].T.contiguous())
                score = score + self._product("mul", alike, weight[..., modality].contiguous())
            chosen = np.zeros((len(asked.target[mine]), items), np.int64)
            chosen[np.arange(len(chosen)), asked.target[mine]] = 1
            barred = (asked.barred[mine] & (chosen == 0)) * np.int64(BARRED)
            reached = self._places(score, self._given(chosen, count), self._given(barred, count), cutoff)
            group = self._given(members[mine], count)
            shape = (count, cutoff, members.shape[1])
            within += self._product(
                "mul",
                reached[:, :, None].expand(shape).contiguous(),
                group[:, None].expand(shape).contiguous(),
            ).sum(0)
        everybody = torch.from_numpy(members.sum(0, dtype=np.int64))
        return torch.diff(
            torch.cat([torch.zeros_like(within[:1]), within, everybody[None]]), dim=0
        ).T.contiguous()

    def _given(self, own: NDArray[np.int64], count: int) -> Share:
        """Share the rows of the one party that has any now: [count, …]."""
        share = self._zero((count, *own.shape[1:]))
        return share + torch.from_numpy(own) if len(own) else share

    def _whole(self, values: NDArray[np.floating]) -> NDArray[np.int64]:
        return whole(values, self._rank)

    def _base(self, values: NDArray[np.floating]) -> NDArray[np.int64]:
        return whole(values, self._rank, 3 * BITS, _LARGEST_BASE)


def _chunks(rows: list[int], size: int) -> Iterator[tuple[int, slice]]:
    """Walk through all parties' rows, `size` at a time."""
    for party, count in enumerate(rows):
        for start in range(0, count, size):
            yield party, slice(start, min(start + size, count))


def _check(kept: Kept, shape: Shape) -> None:
    """Refuse weights with which an admissible vector could overflow. Weights of modalities are at most 2."""
    vectors, through_head = np.split(np.abs(kept.items), [shape.vector], axis=1)
    if kept.items.shape[1] != shape.width or kept.hidden.shape[0] != shape.hidden + 1:
        raise OutOfBounds("The model is not the one whose encoder the parties have.")
    hidden = 2 * through_head.reshape(-1, shape.modalities, HEAD_UNITS).sum(1).max(0)
    hidden = hidden + LARGEST_ENTRY * np.abs(kept.hidden).sum(0)
    plain = LARGEST_ENTRY * (vectors.sum(1).max() + np.abs(kept.linear).sum())
    check_capacity(float(hidden.max()), 2 * BITS)
    check_capacity(float(plain + hidden @ np.abs(kept.last)[:, 0]) + _LARGEST_BASE, 3 * BITS)
    check_capacity(4 * float(2 * LARGEST_ENTRY * vectors.sum(1).max() + _LARGEST_BASE), 3 * BITS)
