"""A party's users as the open encoder of a private model reads them: what goes into the protocol as shares.

Dimensions: N examples, R users who are ranked for, I items, M modalities, E embedding, L linear inputs.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from components.data.interactions import Interactions
from components.personalization.events import Encoded, State
from components.privacy.divided_model import Encoder, Shape
from components.tasks.recommendation.batches import gather_history, stretch_rows
from components.tasks.recommendation.evaluation import (
    Examples,
    Stretch,
    in_batches,
    met_before,
    questions,
    state_before,
    whole_histories,
)

Floats = NDArray[np.float32]
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class LikeQuestions:
    """Would these users like these items? All that is asked of the private model, and what is counted of it."""

    item: Whole
    """[N]"""
    user: Whole
    """[N] number of the user in the party's data."""
    like: NDArray[np.bool_]
    """[N] the truth."""
    vector: Floats
    """[N, M * E] the query, once for each modality, times the modality's weight."""
    weight: Floats
    """[N, M] of each modality."""
    base: Floats
    """[N] log-odds of the item's like rate, which is open."""
    linear: Floats
    """[N, L + 1], the last column 1."""
    hidden: Floats
    """[N, rows of `Kept.hidden`], the last column 1."""


@dataclass(frozen=True)
class RankQuestions:
    """Where does the private model rank the next item that each user turned to?"""

    user: Whole
    """[R] number of the user."""
    target: Whole
    """[R] the next item."""
    barred: NDArray[np.bool_]
    """[R, I] items that the user had met, which do not compete."""
    query: Floats
    """[R, E]"""
    weight: Floats
    """[R, I, M] of each modality of each item."""
    base: Floats
    """[R, I] what the open part scores without the items' vectors: habits and popularity."""


@dataclass(frozen=True)
class EncodedUsers:
    """One party's users."""

    likes: LikeQuestions
    ranks: RankQuestions
    unseen: NDArray[np.bool_]
    """[U]"""

    def members(self, group: str) -> NDArray[np.bool_]:
        """Return which users are of a group and are asked about, [U]."""
        asked = np.zeros(len(self.unseen), bool)
        asked[self.likes.user] = True
        return asked & (self.unseen if group == "unseen" else ~self.unseen)

    @classmethod
    def nobody(cls, shape: Shape) -> "EncodedUsers":
        """Return what a party without users puts in: no rows."""
        items, vector = shape.items, shape.vector
        none, numbers = np.zeros(0, np.int64), np.zeros(0, np.float32)
        likes = LikeQuestions(
            item=none,
            user=none,
            like=np.zeros(0, bool),
            vector=np.zeros((0, vector), np.float32),
            weight=np.zeros((0, shape.modalities), np.float32),
            base=numbers,
            linear=np.zeros((0, shape.linear + 1), np.float32),
            hidden=np.zeros((0, shape.hidden + 1), np.float32),
        )
        ranks = RankQuestions(
            user=none,
            target=none,
            barred=np.zeros((0, items), bool),
            query=np.zeros((0, shape.embedding), np.float32),
            weight=np.zeros((0, items, shape.modalities), np.float32),
            base=np.zeros((0, items), np.float32),
        )
        return cls(likes, ranks, np.zeros(0, bool))


def encode_users(encoder: Encoder, data: Interactions, part: Literal["validation", "test"]) -> EncodedUsers:
    """Read all users of a part with the open encoder, each example from strictly earlier events only."""
    examples = Examples.of(data, part)
    likes, ranks = _Rows(), _Rows()
    with torch.inference_mode():
        for batch in in_batches(whole_histories(data, examples, np.arange(len(data.user_ids)))):
            history = gather_history(data, stretch_rows(batch.start, batch.length))
            profile = torch.from_numpy(data.profile[batch.reader].astype(np.int64))
            source = encoder.model.encode(encoder.table, history)
            likes.add(**_likes(encoder, data, examples, batch, source, profile))
            ranks.add(**_ranks(encoder, data, examples, batch, source, profile))
    if not len(examples.row):
        return EncodedUsers.nobody(Shape.of(encoder))
    return EncodedUsers(LikeQuestions(**likes.joined()), RankQuestions(**ranks.joined()), data.unseen)


def _likes(
    encoder: Encoder,
    data: Interactions,
    examples: Examples,
    batch: Stretch,
    source: Encoded | State,
    profile: torch.Tensor,
) -> dict[str, NDArray[Any]]:
    """Return the fields of `LikeQuestions` for one batch."""
    model = encoder.model
    before, item, index, asked = questions(data, examples, batch, torch.device("cpu"))
    reading = model.read(source, profile, before)
    known = model.signals(encoder.table, source, reading.summary if reading else None, item, before)
    weight = model.modality_weights(encoder.table, reading, item)
    one = torch.ones(*item.shape, 1)
    linear = [part for part in known if part is not None]
    hidden = [part for part in (reading.user_BQH if reading else None, known.context_BQH) if part is not None]
    query = model.liked(reading).expand(*item.shape, -1)
    vector = (weight[..., None] * query[..., None, :]).flatten(-2)

    def real(part: torch.Tensor) -> NDArray[Any]:
        return part.expand(*item.shape, *part.shape[2:]).numpy()[asked]

    example = index[asked]
    return {
        "item": real(item),
        "user": examples.user[example],
        "like": data.like[examples.row[example]],
        "vector": real(vector),
        "weight": real(weight),
        "base": real(model.base_I[item]),
        "linear": np.concatenate([real(part) for part in [*linear, one]], axis=1),
        "hidden": np.concatenate([real(part) for part in [*hidden, one]], axis=1),
    }


def _ranks(
    encoder: Encoder,
    data: Interactions,
    examples: Examples,
    batch: Stretch,
    source: Encoded | State,
    profile: torch.Tensor,
) -> dict[str, NDArray[Any]]:
    """Return the fields of `RankQuestions` for one batch."""
    model, items = encoder.model, len(encoder.catalogue.item_ids)
    ranked = np.flatnonzero(batch.ranked >= 0)
    users = batch.user[ranked]
    reading = model.read(state_before(model, source, batch.ranked[ranked], ranked), profile[ranked])
    every_item = torch.arange(items).expand(len(ranked), -1)
    barred = np.zeros((len(ranked), items), bool)
    for row, met in enumerate(met_before(data, examples, users)):
        barred[row, met] = True
    first = np.searchsorted(examples.user, users)
    weight = model.modality_weights(encoder.table, reading, every_item)
    base = model.ranking_base(reading) + model.counted(reading)
    return {
        "user": users,
        "target": data.content[examples.row[first]].astype(np.int64),
        "barred": barred,
        "query": model.wanted(reading).expand(len(ranked), 1, -1)[:, 0].numpy(),
        "weight": weight.numpy(),
        "base": base.expand(len(ranked), 1, -1)[:, 0].numpy(),
    }


class _Rows:
    """Columns that grow batch by batch."""

    def __init__(self) -> None:
        self._columns: dict[str, list[NDArray[Any]]] = {}

    def add(self, **columns: NDArray[Any]) -> None:
        """Append a batch's rows."""
        for name, rows in columns.items():
            self._columns.setdefault(name, []).append(rows)

    def joined(self) -> dict[str, NDArray[Any]]:
        """Return all rows."""
        return {name: np.concatenate(parts) for name, parts in self._columns.items()}
