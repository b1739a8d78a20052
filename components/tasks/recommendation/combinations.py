"""What the model would answer if users had other profiles: every combination of profile categories, one history.

The profile enters the user's vector by addition, so everything before that sum is computed once and serves all
combinations. Needed where who holds the logs does not know the profiles.

C combinations, F profile fields, N examples, U users, H user vector.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from components.data.interactions import Interactions
from components.metrics.ranking import CUTOFF
from components.tasks.recommendation.batches import gather_history, stretch_rows
from components.tasks.recommendation.evaluation import (
    Examples,
    in_batches,
    met_before,
    questions,
    top_items,
    whole_histories,
)
from components.tasks.recommendation.model import Evidence, Reading, RecommendationModel

_TOGETHER = 16_384
"""Examples whose hidden layers are in memory at once."""

Fields = Mapping[str, Sequence[str]]


class Answers(NamedTuple):
    """What the model answers for each combination."""

    logits_CN: NDArray[np.float64]
    top_CUK: NDArray[np.int64] | None
    """[C, U, 10] top items as `predict` returns them; None where they were not asked for."""


def count_combinations(fields: Fields) -> int:
    """Return C, unknown categories included."""
    return math.prod(len(categories) for categories in fields.values())


def combinations(fields: Fields) -> NDArray[np.int64]:
    """Return all combinations of categories, [C, F], the last field changing fastest."""
    sizes = [len(categories) for categories in fields.values()]
    return np.stack(np.unravel_index(np.arange(count_combinations(fields)), sizes), axis=1)


def combination_of(profile: NDArray[np.integer], fields: Fields) -> NDArray[np.int64]:
    """Return the number of each user's combination, [U], from the categories [U, F]."""
    sizes = [len(categories) for categories in fields.values()]
    return np.ravel_multi_index(tuple(profile.T.astype(np.int64)), sizes)


@torch.inference_mode()
def answer_all(
    model: RecommendationModel,
    data: Interactions,
    examples: Examples,
    profiles_CF: NDArray[np.int64],
    rankings: bool,
) -> Answers:
    """Predict all examples from full histories, once for each of the profiles; with `rankings` also top items."""
    table = model.items()
    device = table.content_IC.device
    profile_CF = torch.from_numpy(profiles_CF).to(device)
    found, base, context = _Rows(len(examples.row)), _Rows(len(examples.row)), _Rows(len(examples.row))
    top = np.full((len(profiles_CF), len(data.user_ids), CUTOFF), -1, np.int64) if rankings else None
    for batch in in_batches(whole_histories(data, examples, np.arange(len(data.user_ids)))):
        source = model.encode(table, gather_history(data, stretch_rows(batch.start, batch.length)))
        before, item, index, asked = questions(data, examples, batch, device)
        summary = None
        if model.core is not None:
            summary = model.core.summary(source, before) if model.core.history else {}
            attended = None
            if model.core.attention is not None:
                attended = model.core.attend(source, model.core.question(summary), before)
            found.put(index, asked, model.core.without_profile(summary, attended))
        evidence = model.evidence(table, source, summary, item, before)
        base.put(index, asked, evidence.base_BQ.expand(item.shape)[..., None])
        context.put(index, asked, evidence.context_BQH)
        ranked = np.flatnonzero(batch.ranked >= 0)
        if top is not None and len(ranked):
            users = batch.user[ranked]
            met = met_before(data, examples, users)
            for number, profile in enumerate(profile_CF):
                same = profile.expand(len(ranked), -1)
                top[number, users] = top_items(model, table, source, batch, ranked, same, met)
    logits = np.zeros((len(profiles_CF), len(examples.row)))
    items = torch.from_numpy(data.content[examples.row].astype(np.int64)).to(device)[:, None]
    for start in range(0, len(items), _TOGETHER):
        rows = slice(start, start + _TOGETHER)
        known = Evidence(base.of(rows)[..., 0], context.of(rows) if context.filled else None)
        for number, profile in enumerate(profile_CF):
            reading = None
            if model.core is not None:
                vector = model.core.with_profile(found.of(rows) if found.filled else None, profile[None])
                reading = Reading({}, vector)
            answer = model.like_logits_given(table, known, reading, items[rows])
            logits[number, rows] = answer.expand(items[rows].shape)[:, 0].cpu().numpy()
    return Answers(logits, top)


class _Rows:
    """A row of numbers for each example, put in batch by batch."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._rows: torch.Tensor | None = None

    @property
    def filled(self) -> bool:
        return self._rows is not None

    def put(
        self, index: NDArray[np.int64], asked: NDArray[np.bool_], values_BQX: torch.Tensor | None
    ) -> None:
        if values_BQX is None:
            return
        if self._rows is None:
            self._rows = values_BQX.new_zeros(self._count, 1, values_BQX.shape[-1])
        chosen = torch.from_numpy(asked)
        self._rows[torch.from_numpy(index[asked])] = values_BQX.expand(*asked.shape, -1)[chosen][:, None]

    def of(self, rows: slice) -> torch.Tensor:
        assert self._rows is not None
        return self._rows[rows]
