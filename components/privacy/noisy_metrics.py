"""What the receiver makes of sums with noise: the nearest possible numbers, metrics, and how far off these may be.

Nothing here sees anything but what was opened, so nothing here can disclose more.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.metrics.bleu import LARGEST_ORDER
from components.privacy.noise import Noise, width_of
from components.privacy.totals import SCALE, Implausible, Measures, Numbers, metrics_of

CERTAINTY = 0.95
"""Of the margins."""
_FAILURE = 1e-9
"""Chance that noise alone makes honest numbers look impossible."""
_DRAWS = 400
_SEED = 0


@dataclass(frozen=True)
class NoisyMetrics:
    """What follows from the noisy numbers of one group."""

    metrics: Mapping[str, float]
    margins: Mapping[str, float]
    """By metric: how far noise moves it at most, 19 times of 20."""
    moved: tuple[str, ...]
    """Measures whose numbers were impossible because of the noise, and were moved to the nearest possible ones."""


def noisy_metrics(
    measures: Measures, noise: Noise, opened: Mapping[str, Numbers], parties: int
) -> NoisyMetrics:
    """Divide one group's noisy sums, by measure, into metrics; `parties` have each added noise.

    Raises `Implausible` where numbers are so far from possible ones that noise cannot be the reason.
    """
    nearest = {name: possible(measures, name, numbers) for name, numbers in opened.items()}
    count = sum(len(numbers) for numbers in opened.values())
    for name, numbers in opened.items():
        slack = largest_noise(measures, noise, name, parties, count)
        if (np.abs(numbers - nearest[name]) > slack).any():
            raise Implausible(
                f"the opened numbers of `{name}` are further from possible ones than the noise can be: a party added "
                "something else than its counts, or the computation was disturbed; nothing of it is used"
            )
    metrics = _divided(measures, nearest)
    moved = tuple(name for name, numbers in opened.items() if (numbers != nearest[name]).any())
    margins = _margins(measures, noise, nearest, metrics, parties)
    for name in moved:
        if name in measures.counts and _drowned(measures, noise, name, nearest[name], parties):
            for metric in metrics_of(measures, {name: nearest[name]}):
                margins.pop(metric, None)
    return NoisyMetrics(metrics, margins, moved)


def _drowned(measures: Measures, noise: Noise, name: str, numbers: Numbers, parties: int) -> bool:
    """Whether noise is so large beside a count that what was moved to 0 bends it: redrawing cannot tell how far.

    Numbers below 0 are taken as 0, so noise around none adds some .4 deviations to each; margins hold where all of
    that is less than a tenth of the count.
    """
    deviation = width_of(measures, noise, name) * np.sqrt(2 * parties)
    return bool(numbers.sum() < 4 * np.sum(np.broadcast_to(deviation, numbers.shape)))


def possible(measures: Measures, name: str, numbers: Numbers) -> Numbers:
    """Return the numbers that honest counts could be and that lie near `numbers`."""
    if name in measures.scores:
        total, count = int(numbers[0]), max(int(numbers[1]), 0)
        lowest, highest = (bound * SCALE * count for bound in measures.scores[name])
        return np.array([np.clip(total, int(np.ceil(lowest)), int(np.floor(highest))), count], np.int64)
    found = np.maximum(numbers, 0)
    if name == "confusion":
        true, predicted, actual, examples = found.tolist()
        predicted, actual = min(predicted, examples), min(actual, examples)
        true = min(max(true, predicted + actual - examples), predicted, actual)
        return np.array([true, predicted, actual, examples], np.int64)
    if not measures.counts[name].histogram:
        matched, every = slice(2, 2 + LARGEST_ORDER), slice(2 + LARGEST_ORDER, None)
        found[matched] = np.minimum(found[matched], found[every])
        found[0] = max(found[0], found[every][0])  # an output is at least as long as it has single words
    return found


def largest_noise(
    measures: Measures, noise: Noise, name: str, parties: int, numbers: int
) -> NDArray[np.float64]:
    """Return how far noise moves each number of a measure off the possible ones, save once in 10^9 evaluations.

    Each of `parties` adds to each of `numbers` numbers; a draw exceeds t with probability below 2 exp(-t / scale).
    What is possible of one number is bounded by up to three others, hence the factor.
    """
    tail = parties * width_of(measures, noise, name) * np.log(2 * parties * numbers / _FAILURE)
    if name in measures.scores:
        largest = max(abs(bound) for bound in measures.scores[name])
        return np.array([tail[0] + largest * SCALE * tail[1] + 1, tail[1]])
    return 4 * tail


def _divided(measures: Measures, numbers: Mapping[str, Numbers]) -> dict[str, float]:
    """Return the metrics of possible numbers, measure by measure: with noise, they need not fit each other."""
    metrics: dict[str, float] = {}
    for name, each in numbers.items():
        metrics |= metrics_of(measures, {name: each})
    return metrics


def _margins(
    measures: Measures,
    noise: Noise,
    nearest: Mapping[str, Numbers],
    metrics: Mapping[str, float],
    parties: int,
) -> dict[str, float]:
    """Draw the noise again and again around the nearest possible numbers, and see how far the metrics move.

    The parametric bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 6). A metric that
    is undefined in some of the draws counts as moved by any amount, and may have no margin.
    """
    generator = np.random.default_rng(_SEED)
    drawn: dict[str, NDArray[np.float64]] = {}
    for name, numbers in nearest.items():
        width = width_of(measures, noise, name)
        drawn[name] = generator.laplace(0, width, (_DRAWS, parties, len(numbers))).sum(axis=1)
    for name, other in measures.alike.items():
        if name in drawn and other in drawn:
            drawn[name][:, 1] = drawn[other][:, 1]
    distances = {name: np.full(_DRAWS, np.inf) for name in metrics}
    for draw in range(_DRAWS):
        again = {
            name: possible(measures, name, numbers + np.rint(drawn[name][draw]).astype(np.int64))
            for name, numbers in nearest.items()
        }
        for metric, value in _divided(measures, again).items():
            if metric in distances:
                distances[metric][draw] = abs(value - metrics[metric])
    margins = {name: float(np.quantile(each, CERTAINTY, method="higher")) for name, each in distances.items()}
    return {name: margin for name, margin in margins.items() if np.isfinite(margin)}
