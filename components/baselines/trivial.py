"""The evaluation rows of what any recommendation model must beat."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.baselines import bias, ranking
from components.data.interactions import Interactions
from components.data.splits import TEST, VALIDATION
from components.metrics.classification import per_user_classification
from components.metrics.ranking import ranking_metrics, satisfaction
from components.metrics.rows import FULL_HISTORY, concat_rows, evaluation_rows
from components.tasks import TASKS
from components.tasks.recommendation.lists import ListMetrics

PARTS = {"validation": VALIDATION, "test": TEST}

LIKES: dict[str, Callable[[Interactions, int], NDArray[np.float64]]] = {
    "always-like": bias.always_like,
    "item-bias": bias.item_bias,
    "user-item-bias": bias.user_item_bias,
    "running-residual": bias.running_residual,
    "oracle": bias.oracle,
}
"""Baselines that predict likes; they have no ranking metrics."""

RANKINGS: dict[str, Callable[[Interactions, int], NDArray[np.int64]]] = {
    "popularity": ranking.popularity,
    "ease": ranking.ease,
    "ease-recency": ranking.ease_recency,
    "markov": ranking.markov,
    "co-occurrence": ranking.co_occurrence,
}
"""Baselines that rank the catalogue; they have only ranking metrics."""

TRIVIAL = (*LIKES, *RANKINGS)


def trivial_rows(name: str, data: Interactions, part: Literal["validation", "test"]) -> pa.Table:
    """Evaluate the trivial baseline `name` on users seen and unseen, with their full histories.

    Users without an event in the part have no row.
    """
    users = len(data.user_ids)
    chosen = data.part == PARTS[part]
    user = bias.event_users(data)[chosen]
    if name in LIKES:
        probability = LIKES[name](data, PARTS[part])
        metrics = per_user_classification(user, probability, data.like[chosen], users)
        metrics["satisfaction"] = satisfaction(user, probability, data.value[chosen], users)
    else:
        top = RANKINGS[name](data, PARTS[part])
        metrics = ranking_metrics(top, ranking.relevant_items(data, PARTS[part]))
        metrics |= ListMetrics.of(data, PARTS[part])(top)

    undefined = np.full(users, np.nan)
    metrics = {metric: metrics.get(metric, undefined) for metric in TASKS["recommendation"].metrics}
    examples = np.bincount(user, minlength=users)

    def rows_of(group: str, members: NDArray[np.bool_]) -> pa.Table:
        index = np.flatnonzero(members & (examples > 0))
        ids = [data.user_ids[one] for one in index]
        values = {metric: value[index] for metric, value in metrics.items()}
        return evaluation_rows(ids, group, FULL_HISTORY, examples[index], values)

    return concat_rows([rows_of("seen", ~data.unseen), rows_of("unseen", data.unseen)])
