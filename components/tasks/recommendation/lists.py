"""Metrics of users' top lists that ask for no held-out events: novelty, diversity, popularity, even exposure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.baselines.bias import event_users, known_before, training_events
from components.data.interactions import Interactions
from components.metrics.exposure import exposure_metrics
from components.metrics.lists import diversity, novelty, popularity_lift
from components.tasks.recommendation.catalogue import genre_matrix


@dataclass(frozen=True)
class ListMetrics:
    """Measures lists that are made at the start of one part. U users, I items, G genres."""

    events_I: NDArray[np.int64]
    """Training events of each item."""
    met_U: NDArray[np.float64]
    """Mean number of training events of what each user met before the part; NaN where that is nothing."""
    genre_IG: NDArray[np.float32]
    groups: tuple[NDArray[np.bool_], ...]
    """[U] each: whose lists are measured together."""

    @classmethod
    def of(cls, data: Interactions, part: int) -> "ListMetrics":
        """Count what is popular in training, and look up what the users of a part met before it."""
        users = len(data.user_ids)
        events = np.bincount(data.content[training_events(data)], minlength=len(data.item_ids))
        met, owner = known_before(data, part), event_users(data)
        count = np.bincount(owner[met], minlength=users)
        total = np.bincount(owner[met], events[data.content[met]], minlength=users)
        mean = np.divide(total, count, out=np.full(users, np.nan), where=count > 0)
        present = np.bincount(owner[data.part == part], minlength=users) > 0
        groups = (present & ~data.unseen, present & data.unseen)
        return cls(events, mean, genre_matrix(data.item_genres, data.genres), groups)

    def __call__(self, top_UK: NDArray[np.integer]) -> dict[str, NDArray[np.float64]]:
        """Measure the lists of all users, best item first and -1 for none, [U] each.

        Coverage, Gini index and entropy are of the lists of the part's seen users, and of its unseen ones.
        """
        metrics = {
            "novelty@10": novelty(top_UK, self.events_I),
            "diversity@10": diversity(top_UK, self.genre_IG),
            "popularity_lift@10": popularity_lift(top_UK, self.events_I, self.met_U),
        }
        metrics |= {name: np.full(len(top_UK), np.nan) for name in ("coverage@10", "gini@10", "entropy@10")}
        for group in self.groups:
            for name, shares in exposure_metrics(top_UK[group], len(self.events_I)).items():
                metrics[name][group] = shares
        return metrics
