"""The best items of the catalogue for users in given states: what evaluation measures and serving answers."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.personalization.events import State
from components.tasks.recommendation.items import ItemTable
from components.tasks.recommendation.model import Reading, RecommendationModel

SHORTLIST = 200
"""Items with the best ranking logits, among which the like probability has its say; more where more are asked for."""


class Ranking(NamedTuple):
    """The K best items of each user, best first; -1 and minus infinity where nothing is left."""

    item_BK: Tensor
    score_BK: Tensor
    like_logit_BK: Tensor


def rank(
    model: RecommendationModel,
    table: ItemTable,
    state: State,
    profile_BF: Tensor,
    excluded: Sequence[NDArray[np.integer]],
    count: int,
) -> Ranking:
    """Rank the catalogue without each user's `excluded` items.

    By the ranking logit, what counting alone says (`counting_weight`), and `like_weight` x log-odds of a like.
    """
    users = len(profile_BF)
    reading = model.read(state, profile_BF)
    logits = _scores(model, table, reading).expand(users, -1).clone()
    for row, items in enumerate(excluded):
        logits[row, torch.from_numpy(np.asarray(items, np.int64)).to(logits.device)] = float("-inf")
    best, item = logits.topk(min(max(SHORTLIST, count), logits.shape[1]))
    like = model.like_logits(table, state, reading, item).expand(item.shape)
    score, place = (best + model.settings.like_weight * like).topk(min(count, best.shape[1]))
    item = item.gather(1, place).masked_fill(score == float("-inf"), -1)
    return Ranking(item, score, like.gather(1, place))


def ranking_scores(model: RecommendationModel, table: ItemTable, state: State, profile_BF: Tensor) -> Tensor:
    """Score the catalogue by all that ranks it but the like probability: (B, I), or (1, I) without users."""
    return _scores(model, table, model.read(state, profile_BF))


def _scores(model: RecommendationModel, table: ItemTable, reading: Reading | None) -> Tensor:
    return (model.ranking_logits(table, reading, None) + model.counted(reading))[:, 0]
