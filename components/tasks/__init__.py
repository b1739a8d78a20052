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
from components.tasks.claims import CAPTIONING, QUESTION_ANSWERING, RECOMMENDATION, Claims


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
class Group:
    """A group of evaluation rows, in words."""

    title: str
    """Short, such as `unseen users`."""
    meaning: str
    """Continues `the mean over 12 ...`."""


@dataclass(frozen=True)
class Adaptation:
    """A group whose users change their preference; its history lengths count the events after the change."""

    group: str
    metric: str
    """What shows how far the model has followed, such as the share of outputs in the new preference."""


@dataclass(frozen=True)
class TaskInfo:
    """What planning, validation and reporting need to know of a task without importing it."""

    name: str
    module: str
    form: str
    """Form that its data is prepared in, a name in `components.data.store.FORMS`."""
    settings: type[Settings]
    metrics: Mapping[str, Metric]
    """By name; the first one is the objective unless a sweep says otherwise."""
    unit: str
    """What an evaluation row stands for and what comparisons pair, such as `user`."""
    groups: Mapping[str, Group]
    """The groups of evaluation rows by name; the first one is the main group."""
    controls: tuple[str, ...]
    trivial: tuple[str, ...]
    sources: tuple[str, ...]
    oracles: Mapping[str, tuple[str, ...]]
    """Further trivial rows for data sources whose truth is known, and which are told of it."""
    servable: str
    """The method by which its models answer in serving, such as `recommend`."""
    divisible: bool = False
    """Whether the workers of a trial can share its training batches out (`components.team.Divisible`)."""
    told: str = ""
    """The setting that tells a model the truth, such as `model.told`: an ablation that sets it is a ceiling."""
    adaptation: Adaptation | None = None
    """Where it can be seen how models follow users who change."""
    claims: Claims | None = None
    """What the paper reports of the task, to stand beside what is measured."""

    @property
    def main_group(self) -> str:
        """The group whose means choose, gate and head every result."""
        return next(iter(self.groups))

    @property
    def main_metrics(self) -> Mapping[str, Metric]:
        """The metrics that the main group has; how well changes of preference are followed is seen elsewhere."""
        elsewhere = self.adaptation.metric if self.adaptation else None
        return {name: metric for name, metric in self.metrics.items() if name != elsewhere}

    def is_oracle(self, row: str) -> bool:
        """Whether a trivial row is told of the truth: a ceiling, not a rival."""
        return any(row in names for names in self.oracles.values())

    def counted(self, count: int) -> str:
        """Write a number of units: `1 user`, `1,024 users`."""
        return f"{count:,} {self.unit}{'' if count == 1 else 's'}"

    def counted_group(self, group: str, count: int) -> str:
        """Write a group and how many units it has: `854 seen users`, `unseen users (120 passages)`."""
        title = self.groups[group].title
        if not title.endswith(f"{self.unit}s"):
            return f"{title} ({self.counted(count)})"
        return f"{count} {title.removesuffix('s') if count == 1 else title}"

    def load(self) -> ModuleType:
        """Import the task's module, which fulfils the `Task` protocol of `components.tasks.protocol`."""
        return import_module(self.module)


TASKS: dict[str, TaskInfo] = {
    "recommendation": TaskInfo(
        name="recommendation",
        module="components.tasks.recommendation.task",
        form="interactions",
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
            "novelty@10": Metric(
                "Novelty", "max", "how rare the top 10 are in training, in bits (mean self-information)"
            ),
            "diversity@10": Metric(
                "Diversity",
                "max",
                "mean distance of two items of the top 10: 1 minus the cosine of their genres",
            ),
            "popularity_lift@10": Metric(
                "Popularity lift",
                "min",
                "popularity of the top 10 relative to what the user had before: 0 as popular, 1 twice as popular",
            ),
            "coverage@10": Metric(
                "Coverage", "max", "share of the catalogue that stands in anybody's top 10", percent=True
            ),
            "gini@10": Metric(
                "Exposure Gini",
                "min",
                "how unevenly the top 10 of all users show the catalogue: 0 as evenly as can be, 1 all the same list",
            ),
            "entropy@10": Metric(
                "Exposure entropy",
                "max",
                "how evenly the top 10 of all users show the catalogue: 1 as evenly as can be, 0 all the same list",
            ),
            "auc_cold": Metric(
                "AUC of cold items",
                "max",
                "chance that a held-out item that training never saw is ranked above another one that it never saw",
            ),
            "ndcg_cold@10": Metric(
                "NDCG@10 of cold items",
                "max",
                "discounted gain of the top 10 of the items that training never saw",
            ),
            "rank_cold": Metric(
                "Rank of cold items",
                "min",
                "share of the catalogue that ranks above a held-out item that training never saw",
            ),
        },
        unit="user",
        groups={
            "seen": Group("seen users", "users that were seen in training"),
            "unseen": Group("unseen users", "users that training never saw"),
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
            "markov",
            "co-occurrence",
        ),
        sources=("synthetic", "movielens", "table"),
        oracles={"synthetic": ("oracle",)},
        servable="recommend",
        divisible=True,
        claims=RECOMMENDATION,
    ),
    "question-answering": TaskInfo(
        name="question-answering",
        module="components.tasks.question_answering.task",
        form="questions",
        settings=MODEL_SETTINGS["question-answering"],
        metrics={
            "f1": Metric("F1", "max", "overlap of words with the answer that the user wanted", percent=True),
            "em": Metric("EM", "max", "share of answers that are exactly what the user wanted", percent=True),
            "official_f1": Metric(
                "Official F1", "max", "largest overlap with a reference answer, whoever asked", percent=True
            ),
            "official_em": Metric(
                "Official EM",
                "max",
                "share of answers that are a reference answer, whoever asked",
                percent=True,
            ),
            "reference_f1": Metric(
                "Reference F1",
                "max",
                "official F1 where the user wanted a reference answer, the shortest or the longest",
                percent=True,
            ),
            "reference_em": Metric(
                "Reference EM",
                "max",
                "official EM where the user wanted a reference answer, the shortest or the longest",
                percent=True,
            ),
            "satisfaction": Metric(
                "Satisfaction",
                "max",
                "simulated satisfaction (1 to 5) of the user with the answer's content and extent",
            ),
            "em_short": Metric(
                "EM, short", "max", "EM where the user wanted the shortest reference", percent=True
            ),
            "em_long": Metric(
                "EM, long", "max", "EM where the user wanted the longest reference", percent=True
            ),
            "em_clause": Metric(
                "EM, clause", "max", "EM where the user wanted the whole clause", percent=True
            ),
            "adapted": Metric(
                "Adapted",
                "max",
                "share of answers nearer to the user's new preference than to the old one, after a change, "
                "of those that are nearer to either",
                percent=True,
            ),
        },
        unit="passage",
        groups={
            "unseen": Group("unseen users", "passages, read for users that training never saw"),
            "plain": Group(
                "unseen users with one preference",
                "passages, read for unseen users who always want the same style",
            ),
            "conditional": Group(
                "unseen users whose preference depends on the question",
                "passages, read for unseen users whose preference depends on the kind of question",
            ),
            "drifting": Group(
                "unseen users whose preference changed",
                "passages, read for unseen users who have changed their preference in mid-history",
            ),
        },
        controls=("shuffled-users", "shuffled-passages"),
        trivial=("lexical",),
        sources=("squad", "synthetic"),
        oracles={
            source: ("lexical-told", "style-short", "style-long", "style-clause")
            for source in ("squad", "synthetic")
        },
        servable="answer",
        divisible=True,
        told="model.told",
        adaptation=Adaptation(group="drifting", metric="adapted"),
        claims=QUESTION_ANSWERING,
    ),
    "captioning": TaskInfo(
        name="captioning",
        module="components.tasks.captioning.task",
        form="captions",
        settings=MODEL_SETTINGS["captioning"],
        metrics={
            "style_match": Metric(
                "Style match",
                "max",
                "share of captions that a classifier of styles puts in the style that the user wanted",
                percent=True,
            ),
            "satisfaction": Metric(
                "Satisfaction",
                "max",
                "simulated satisfaction (1 to 5) of the user with style, length and content",
            ),
            "length_match": Metric(
                "Length match",
                "max",
                "share of captions as long as training captions in the wanted style are",
                percent=True,
            ),
            "content_match": Metric(
                "Content match",
                "max",
                "share of captions that name what most people name in the picture",
                percent=True,
            ),
            "cider": Metric("CIDEr", "max", "CIDEr-D against captions of the picture in the wanted style"),
            "cider_factual": Metric(
                "CIDEr, factual", "max", "CIDEr-D where the user wanted a factual caption"
            ),
            "rouge_l": Metric(
                "ROUGE-L", "max", "ROUGE-L against captions of the picture in the wanted style", percent=True
            ),
            "bleu1": Metric(
                "BLEU-1", "max", "corpus BLEU-1 against captions in the wanted style", percent=True
            ),
            "bleu2": Metric(
                "BLEU-2", "max", "corpus BLEU-2 against captions in the wanted style", percent=True
            ),
            "bleu3": Metric(
                "BLEU-3", "max", "corpus BLEU-3 against captions in the wanted style", percent=True
            ),
            "bleu4": Metric(
                "BLEU-4", "max", "corpus BLEU-4 against captions in the wanted style", percent=True
            ),
            "bleu4_factual": Metric(
                "BLEU-4, factual", "max", "BLEU-4 where the user wanted a factual caption", percent=True
            ),
            "bleu4_humorous": Metric(
                "BLEU-4, humorous", "max", "BLEU-4 where the user wanted a humorous caption", percent=True
            ),
            "bleu4_romantic": Metric(
                "BLEU-4, romantic", "max", "BLEU-4 where the user wanted a romantic caption", percent=True
            ),
            "distinct": Metric(
                "Distinct",
                "max",
                "diversity: 1 divided by the number of pictures that are given the same caption",
                percent=True,
            ),
            "adapted": Metric(
                "Adapted",
                "max",
                "share of captions nearer to the user's new preference than to the old one, after a change",
                percent=True,
            ),
        },
        unit="image",
        groups={
            "unseen": Group("unseen users", "images, captioned for users that training never saw"),
            "plain": Group(
                "unseen users with one preference",
                "images, captioned for unseen users who always want the same style",
            ),
            "conditional": Group(
                "unseen users whose preference depends on the picture",
                "images, captioned for unseen users whose preference depends on what the picture shows",
            ),
            "drifting": Group(
                "unseen users whose preference changed",
                "images, captioned for unseen users who have changed their preference in mid-history",
            ),
        },
        controls=("shuffled-users", "shuffled-images"),
        trivial=("constant-caption", "nearest-picture"),
        sources=("flickr8k", "flickr30k", "synthetic"),
        oracles={source: ("constant-told", "human") for source in ("flickr8k", "flickr30k", "synthetic")},
        servable="caption",
        told="model.told",
        adaptation=Adaptation(group="drifting", metric="adapted"),
        claims=CAPTIONING,
    ),
}
