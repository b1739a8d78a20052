"""What a recommender's predictions score for each user, with the counts that are added up over users.

N examples, U users.
"""

import numpy as np
from numpy.typing import NDArray

from components.data.interactions import Interactions
from components.metrics.classification import THRESHOLD, per_user_classification
from components.metrics.ranking import ranking_metrics, satisfaction
from components.privacy.totals import BANDS, FIRST_HIT, Numbers, Scores
from components.tasks.recommendation.evaluation import Examples


class UserScorer:
    """Scores predictions of the same examples again and again."""

    def __init__(self, data: Interactions, examples: Examples) -> None:
        """Look up what is true of the examples."""
        self._user, self._users = examples.user, len(data.user_ids)
        self._like, self._value = data.like[examples.row], data.value[examples.row]
        item = data.content[examples.row]
        self._bounds = np.searchsorted(examples.user, np.arange(self._users + 1))
        self._relevant = [
            np.unique(item[self._bounds[user] : self._bounds[user + 1]]) for user in range(self._users)
        ]

    def score(
        self, logits: NDArray[np.floating], top: NDArray[np.integer] | None
    ) -> tuple[dict[str, Scores], dict[str, Numbers]]:
        """Score like logits [N] and top items [U, 10]; without `top` there are no scores and counts of rankings.

        Returns scores, [U] each and NaN where undefined, and counts, [U, K] each.
        """
        users, like = self._users, self._like
        probability = 1 / (1 + np.exp(-logits))
        scores = per_user_classification(self._user, probability, like, users)
        if top is not None:
            scores |= ranking_metrics(top, self._relevant)
        scores["satisfaction"] = satisfaction(self._user, logits, self._value, users)
        predicted = probability >= THRESHOLD
        marks = (predicted & like, predicted, like, np.ones_like(like))
        confusion = [np.bincount(self._user[mark], minlength=users) for mark in marks]
        counts = {"confusion": np.stack(confusion, axis=1).astype(np.int64)}
        if top is not None:
            counts["first_hit"] = self._first_hits(top)
            counts["first_hit_bands"] = np.add.reduceat(counts["first_hit"], BANDS, axis=1)
        return scores, counts

    def _first_hits(self, top: NDArray[np.integer]) -> Numbers:
        first_hit = np.zeros((self._users, FIRST_HIT), np.int64)
        for user in np.flatnonzero(np.diff(self._bounds)):
            hits = np.flatnonzero(np.isin(top[user], self._relevant[user]))
            first_hit[user, hits[0] if len(hits) else -1] = 1
        return first_hit
