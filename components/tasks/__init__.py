"""The tasks, by name.

This file stays free of torch: planning and validation read it on every call of the command line, and
importing a task's module takes seconds. `TaskInfo.load` imports the module when training or serving needs it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Literal

from components.config import MODEL_SETTINGS, Settings


@dataclass(frozen=True)
class Metric:
    """How a metric is read: which direction is better, and how it is printed."""

    label: str
    mode: Literal["min", "max"]
    meaning: str
    percent: bool = False
    micro: bool = False
    """Whether the mean weighted by examples equals the pooled (micro) metric, and is shown beside the macro one."""


@dataclass(frozen=True)
class TaskInfo:
    """What planning, validation and reporting need to know of a task without importing it."""

    name: str
    module: str
    settings: type[Settings]
    metrics: Mapping[str, Metric]
    controls: tuple[str, ...]
    trivial: tuple[str, ...]
    sources: tuple[str, ...]
    oracles: Mapping[str, tuple[str, ...]]
    """Further trivial rows for data sources whose truth is known."""

    def load(self) -> ModuleType:
        """Import the task's module, which fulfils the `Task` protocol of `components.tasks.protocol`."""
        return import_module(self.module)


TASKS: dict[str, TaskInfo] = {
    "recommendation": TaskInfo(
        name="recommendation",
        module="components.tasks.recommendation",
        settings=MODEL_SETTINGS["recommendation"],
        metrics={
            "accuracy": Metric(
                "Accuracy", "max", "share of likes and dislikes told apart", percent=True, micro=True
            ),
            "precision": Metric("Precision", "max", "share of predicted likes that are likes"),
            "recall": Metric("Recall", "max", "share of likes that are predicted"),
            "f1": Metric("F1", "max", "harmonic mean of precision and recall"),
            "auc": Metric("AUC", "max", "chance that a like is scored above a dislike of the same user"),
            "log_loss": Metric("Log loss", "min", "mean negative log-likelihood of likes", micro=True),
            "ndcg@10": Metric("NDCG@10", "max", "discounted gain of the catalogue's top 10"),
            "recall@10": Metric("Recall@10", "max", "share of the user's held-out items in the top 10"),
            "hr@10": Metric("HR@10", "max", "share of users with a held-out item in the top 10"),
            "satisfaction": Metric(
                "Satisfaction", "max", "the user's own held-out rating (1 to 5) of what the model puts on top"
            ),
        },
        controls=("shuffled-users",),
        trivial=(
            "always-like",
            "item-bias",
            "user-item-bias",
            "running-residual",
            "popularity",
            "ease",
            "ease-recency",
        ),
        sources=("synthetic", "movielens", "table"),
        oracles={"synthetic": ("oracle",)},
    ),
}
