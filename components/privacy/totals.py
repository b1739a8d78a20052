"""What parties add up: whole numbers of fixed meaning, and the metrics that follow from their sums.

Every party fills the same list, which follows from the task alone: for each group of users and each measure a few
whole numbers. Sums of scores are in millionths, so adding loses nothing. Division happens in the clear, at whoever
learns the sums.

N scores, one a user or one an example; K numbers of a count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from components.errors import AdaptuneError
from components.metrics.bleu import LARGEST_ORDER, WIDTH, corpus_bleu
from components.metrics.classification import SMALLEST_PROBABILITY
from components.metrics.ranking import CUTOFF

SCALE = 1_000_000
"""Scores are added up in millionths."""

Scores = NDArray[np.float64]
Numbers = NDArray[np.int64]


class Implausible(AdaptuneError):
    """Opened numbers cannot be what honest parties have added up."""


@dataclass(frozen=True)
class Tally:
    """What a party's users of one group scored."""

    user: NDArray[np.integer]
    """[N] number of the user that each score belongs to."""
    scores: Mapping[str, Scores]
    """[N] by name; NaN where a score is not defined."""
    counts: Mapping[str, Numbers]
    """[N, K] by name; rows of a user that a count does not concern are zero."""

    @property
    def users(self) -> int:
        """How many users it stands on."""
        return len(np.unique(self.user))

    def users_of(self, rows: NDArray[np.bool_]) -> int:
        """Return how many users the chosen rows belong to, [N]."""
        return len(np.unique(self.user[rows]))


@dataclass(frozen=True)
class Count:
    """Whole numbers that are added up beside each other."""

    numbers: int
    """How many they are."""
    histogram: bool = False
    """Each row adds one to one of them: every number is one of users."""
    largest: int | None = None
    """The largest that a number of one row is taken to be where noise hides it; without one, and without a
    histogram, as many examples as a user may contribute."""


@dataclass(frozen=True)
class Measures:
    """What is measured of a task's models; the same at every party, whatever its data holds."""

    groups: tuple[str, ...]
    unit: Literal["user", "example"]
    """What one score is of: means are over these."""
    scores: Mapping[str, tuple[float, float]]
    """Scores that are averaged, by name, with the lowest and the highest possible value."""
    counts: Mapping[str, Count]
    """Whole numbers that are added up, by name."""
    parts: Mapping[str, tuple[str, ...]]
    """Measures whose examples are divided among others: the sums of a whole and of all parts but one tell the last.
    What of a whole is in none of its parts is a part, too, that has no name."""
    alike: Mapping[str, str]
    """Scores that are defined for exactly the examples of another one, so that both have the same number."""

    @property
    def names(self) -> tuple[str, ...]:
        """All measures, in the order in which they are added up."""
        return (*self.scores, *self.counts)

    def size(self, name: str) -> int:
        """Return how many whole numbers a measure is: sum and number of a score, or a count's own."""
        return self.counts[name].numbers if name in self.counts else 2

    def numbers(self, name: str, tally: Tally | None) -> Numbers:
        """Return one measure's whole numbers; zeros for who has none of these users."""
        if tally is None:
            return np.zeros(self.size(name), np.int64)
        if name in self.counts:
            return tally.counts[name].sum(axis=0, dtype=np.int64)
        score = tally.scores[name]
        score = score[~np.isnan(score)]
        lowest, highest = self.scores[name]
        assert ((lowest - 1e-9 <= score) & (score <= highest + 1e-9)).all(), name
        return np.array([np.rint(score * SCALE).astype(np.int64).sum(), len(score)], np.int64)

    def users(self, name: str, tally: Tally | None) -> int:
        """Return how many users a measure stands on."""
        if tally is None:
            return 0
        return tally.users_of(self.concerned(name, tally))

    def concerned(self, name: str, tally: Tally) -> NDArray[np.bool_]:
        """Return which rows a measure stands on, [N]."""
        if name in self.counts:
            return np.asarray(tally.counts[name].any(axis=1))
        return ~np.isnan(tally.scores[name])

    def as_json(self) -> dict[str, Any]:
        """Return what parties must agree on."""
        return {
            "groups": list(self.groups),
            "unit": self.unit,
            "scores": {name: list(bounds) for name, bounds in self.scores.items()},
            "counts": {name: asdict(count) for name, count in self.counts.items()},
            "parts": {name: list(parts) for name, parts in self.parts.items()},
            "alike": dict(self.alike),
        }


_SHARE = (0.0, 1.0)
_RATING = (1.0, 5.0)
CONFUSION = ("true_positives", "predicted_positives", "actual_positives", "examples")
"""The numbers of the count `confusion`."""
FIRST_HIT = CUTOFF + 1
"""Numbers of the count `first_hit`: users whose first held-out item stands at rank 1 … 10, and those with none."""
BANDS = (0, 1, 5, CUTOFF)
"""Where the numbers of `first_hit_bands` begin in `first_hit`: ranks 1, 2 to 5, 6 to 10, and none."""
LONGEST_CAPTION = 32
"""Words of a caption; where noise hides sums, a longer one counts as if it had so many."""

MEASURES: dict[str, Measures] = {
    "recommendation": Measures(
        groups=("seen", "unseen"),
        unit="user",
        scores={
            **dict.fromkeys(("accuracy", "precision", "recall", "f1", "auc"), _SHARE),
            "log_loss": (0.0, float(-np.log(SMALLEST_PROBABILITY)) + 1e-6),
            **dict.fromkeys(("ndcg@10", "recall@10", "hr@10"), _SHARE),
            "satisfaction": _RATING,
        },
        counts={
            "confusion": Count(len(CONFUSION)),
            "first_hit_bands": Count(len(BANDS), histogram=True),
            "first_hit": Count(FIRST_HIT, histogram=True),
        },
        parts={},
        alike={
            **dict.fromkeys(("log_loss", "ndcg@10", "recall@10", "hr@10", "satisfaction"), "accuracy"),
            **dict.fromkeys(("recall", "f1"), "precision"),
        },
    ),
    "question-answering": Measures(
        groups=("unseen",),
        unit="example",
        scores={
            **dict.fromkeys(
                ("em", "f1", "official_em", "official_f1", "reference_em", "reference_f1"), _SHARE
            ),
            "satisfaction": _RATING,
            **dict.fromkeys(("em_short", "em_long", "em_clause"), _SHARE),
        },
        counts={},
        parts={
            "em": ("em_short", "em_long", "em_clause"),
            "official_em": ("reference_em",),
            "official_f1": ("reference_f1",),
        },
        alike={
            **dict.fromkeys(("f1", "official_em", "official_f1", "satisfaction"), "em"),
            "reference_f1": "reference_em",
        },
    ),
    "captioning": Measures(
        groups=("unseen",),
        unit="example",
        scores={
            **dict.fromkeys(("style_match", "length_match", "content_match"), _SHARE),
            "satisfaction": _RATING,
            **dict.fromkeys(("cider", "cider_factual"), (0.0, 10.0)),
            "rouge_l": _SHARE,
        },
        counts=dict.fromkeys(
            ("bleu", "bleu_factual", "bleu_humorous", "bleu_romantic"),
            Count(WIDTH, largest=LONGEST_CAPTION),
        ),
        parts={
            "bleu": ("bleu_factual", "bleu_humorous", "bleu_romantic"),
            "cider": ("cider_factual",),
        },
        alike=dict.fromkeys(
            ("length_match", "content_match", "satisfaction", "cider", "rouge_l"), "style_match"
        ),
    ),
}
"""By task. BLEU's statistics are added up, so the BLEU that follows is that of the whole corpus."""

PRIVATE_MEASURES: dict[str, Measures] = {
    "recommendation": Measures(
        groups=("seen", "unseen"),
        unit="user",
        scores=dict.fromkeys(("accuracy", "recall"), _SHARE),
        counts={"confusion": Count(len(CONFUSION)), "next_item": Count(FIRST_HIT)},
        parts={},
        alike={},
    )
}
"""By task, of models that stay with their owner. `next_item` counts users by the rank that the model gives to the
item they turned to next, among all that they had not met: 1 … 10, or more."""


def metrics_of(measures: Measures, opened: Mapping[str, Numbers]) -> dict[str, float]:
    """Divide one group's sums, by measure, into metrics. Raises `Implausible` for sums that cannot be."""
    metrics: dict[str, float] = {}
    for name, numbers in opened.items():
        if name in measures.scores:
            total, count = numbers.tolist()
            check_mean(name, total, count, measures.scores[name])
            if count:
                metrics[name] = total / SCALE / count
        elif name == "confusion":
            metrics |= _pooled(*numbers.tolist())
        elif name == "next_item":
            metrics |= _next_item(numbers)
        elif measures.counts[name].histogram:
            metrics |= _hit_rates(name, numbers)
        else:
            metrics |= _bleu(name, numbers)
    if "hr@10" in opened and "first_hit" in opened:
        _must(
            int(opened["first_hit"].sum()) == int(opened["hr@10"][1]), "ranks", "as many as users with items"
        )
    return metrics


_FOLLOW = {
    "confusion": ("pooled_accuracy", "pooled_precision", "pooled_recall", "pooled_f1"),
    "first_hit_bands": tuple(f"hit_rate@{rank}" for rank in BANDS[1:]),
    "first_hit": ("mrr@10",),
    "next_item": (*(f"next_hit_rate@{rank}" for rank in BANDS[1:]), f"next_ndcg@{CUTOFF}"),
    "bleu": tuple(f"bleu{order}" for order in range(1, LARGEST_ORDER + 1)),
}
"""Metrics that follow from counts; from another `bleu_STYLE` follows `bleu4_STYLE`."""


def metric_names(measures: Measures) -> tuple[str, ...]:
    """Return all metrics that `metrics_of` can divide from a task's sums."""
    follow = (_FOLLOW.get(name, (f"bleu4_{name.removeprefix('bleu_')}",)) for name in measures.counts)
    return (*measures.scores, *(name for names in follow for name in names))


def metrics_over_parties(task: str) -> tuple[str, ...]:
    """Return all metrics that parties can add up of a task's models, public or private."""
    measured = [measures[task] for measures in (MEASURES, PRIVATE_MEASURES) if task in measures]
    return tuple(dict.fromkeys(name for each in measured for name in metric_names(each)))


def label(name: str) -> str:
    """Name a metric that follows from counts, for people; the others are the task's own."""
    words = (
        name.replace("_", " ").replace("mrr@", "MRR@").replace("bleu4 ", "BLEU-4, ").replace("bleu", "BLEU-")
    )
    return words[:1].upper() + words[1:]


def check_mean(name: str, total: int, count: int, bounds: tuple[float, float]) -> None:
    """Raise `Implausible` unless `total` millionths can be the sum of `count` scores within bounds."""
    lowest, highest = (bound * SCALE * count for bound in bounds)
    _must(count >= 0 and lowest - count <= total <= highest + count, name, f"{count} scores within {bounds}")


def _pooled(true: int, predicted: int, actual: int, examples: int) -> dict[str, float]:
    """Metrics over all examples of all users, every example counting the same."""
    _must(0 <= true <= min(predicted, actual), "confusion", "0 <= true positives <= min(predicted, actual)")
    _must(max(predicted, actual) <= examples, "confusion", "predicted and actual positives <= examples")
    _must(predicted + actual - true <= examples, "confusion", "predicted or actual positives <= examples")
    if examples == 0:
        return {}
    negative = examples - predicted - actual + true
    return {
        "pooled_accuracy": (true + negative) / examples,
        "pooled_precision": true / predicted if predicted else 0.0,
        "pooled_recall": true / actual if actual else 0.0,
        "pooled_f1": 2 * true / (predicted + actual) if predicted + actual else 0.0,
    }


def _hit_rates(name: str, histogram: Numbers) -> dict[str, float]:
    """HR@k, or the mean reciprocal rank at 10, of users with held-out items, from the ranks of their first hits."""
    _must(bool((histogram >= 0).all()), name, "no negative number of users")
    users = int(histogram.sum())
    if users == 0:
        return {}
    if name == "first_hit":
        return {"mrr@10": float((histogram[:CUTOFF] / np.arange(1, CUTOFF + 1)).sum() / users)}
    reached = np.cumsum(histogram[:-1]) / users
    return {f"hit_rate@{k}": float(share) for k, share in zip(BANDS[1:], reached, strict=True)}


def _next_item(ranks: Numbers) -> dict[str, float]:
    """HR@k and NDCG@10 of the one item that each user turned to next, from the ranks that the model gave it."""
    _must(bool((ranks >= 0).all()), "next_item", "no negative number of users")
    users = int(ranks.sum())
    if users == 0:
        return {}
    reached = np.cumsum(ranks[:CUTOFF]) / users
    gain = 1 / np.log2(np.arange(CUTOFF) + 2)
    rates = {f"next_hit_rate@{k}": float(reached[k - 1]) for k in (1, 5, CUTOFF)}
    return {**rates, f"next_ndcg@{CUTOFF}": float(ranks[:CUTOFF] @ gain / users)}


def _bleu(name: str, statistics: Numbers) -> dict[str, float]:
    """Corpus BLEU from the summed statistics of all captions."""
    matched, possible = statistics[2 : 2 + LARGEST_ORDER], statistics[2 + LARGEST_ORDER :]
    _must(bool((statistics >= 0).all()), name, "no negative count")
    _must(bool((matched <= possible).all()), name, "matched n-grams <= all n-grams")
    if not statistics.any():
        return {}
    if name != "bleu":
        return {f"bleu4_{name.removeprefix('bleu_')}": float(corpus_bleu(statistics))}
    return {f"bleu{order}": float(corpus_bleu(statistics, order)) for order in range(1, LARGEST_ORDER + 1)}


def _must(holds: bool, what: str, expected: str) -> None:
    if not holds:
        raise Implausible(
            f"the opened numbers of `{what}` cannot be right (expected {expected}): a party added something else "
            "than its counts, or the computation was disturbed; nothing of it is used"
        )


def packed(measures: Measures, tallies: Mapping[str, Tally], chosen: Sequence[tuple[str, str]]) -> Numbers:
    """Put the whole numbers of (group, measure) one after the other."""
    parts = [measures.numbers(name, tallies.get(group)) for group, name in chosen]
    return np.concatenate([np.zeros(0, np.int64), *parts])


def unpacked(
    measures: Measures, numbers: Numbers, chosen: Sequence[tuple[str, str]]
) -> dict[str, dict[str, Numbers]]:
    """Take apart what `packed` put together: by group, by measure."""
    found: dict[str, dict[str, Numbers]] = {}
    start = 0
    for group, name in chosen:
        stop = start + measures.size(name)
        found.setdefault(group, {})[name] = numbers[start:stop]
        start = stop
    assert start == len(numbers), (start, len(numbers))
    return found
