"""Noise for user-level differential privacy: how much, where it comes from, and what of it is seen in the metrics.

Two data sets of a party are *neighbours* if they differ in one user: other events and another profile, or the user is
not there at all. Whether the model was trained on a user (the group) stays the same. Each user's part in the numbers
is capped, so a neighbour changes them by at most a known amount, the L1 sensitivity of each block; discrete Laplace
noise of scale sensitivity x blocks / epsilon on every block makes all of a party's numbers together
epsilon-differentially private (Dwork, McSherry, Nissim, Smith, Calibrating Noise to Sensitivity in Private Data
Analysis, TCC 2006; Ghosh, Roughgarden, Sundararajan, Universally Utility-Maximizing Privacy Mechanisms, STOC 2009,
for whole numbers). A user is in one group, so groups do not add up. Each party that holds data adds noise of the
whole scale to its own numbers before they are shared: whoever colludes against it cannot take that away.

N rows of a tally, K numbers.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.errors import AdaptuneError
from components.privacy.totals import SCALE, Measures, Numbers, Tally

USERS = "users"
"""The block of the numbers of users by group."""
_ORDER_SEED = 20
_MARGIN = 1 + 1e-9
"""Scales are larger by this, so that rounding never spends more than epsilon."""


@dataclass(frozen=True)
class Noise:
    """How much noise an evaluation is given; all parties must have been asked for the same."""

    epsilon: float
    """What the evaluation spends of each party's budget."""
    contributions: int
    """Examples that one user counts for at most."""


def sensitivities(measures: Measures, contributions: int) -> dict[str, tuple[int, ...]]:
    """Return by how much, in the L1 norm, one user can change each block of numbers of a party.

    By measure: the sum and the number of a score, the numbers of a count together. The number of a score that is
    defined for the same examples as another one is that one's, and 0 here.
    """
    rows = _rows(measures, contributions)
    found: dict[str, tuple[int, ...]] = {USERS: (1,)}
    for name, (lowest, highest) in measures.scores.items():
        span = math.ceil(max(highest, 0.0) * SCALE) - math.floor(min(lowest, 0.0) * SCALE)
        found[name] = (rows * span, 0 if name in measures.alike else rows)
    for name, count in measures.counts.items():
        if count.histogram:
            found[name] = (2 * rows,)  # a user leaves one number for another
        else:
            found[name] = (rows * count.numbers * (count.largest or contributions),)
    return found


def _rows(measures: Measures, contributions: int) -> int:
    """Return how many rows of a tally one user can have."""
    return 1 if measures.unit == "user" else contributions


def scales(measures: Measures, noise: Noise) -> dict[str, tuple[float, ...]]:
    """Return the scale of the noise of each block; epsilon is divided among all of them alike."""
    blocks = sensitivities(measures, noise.contributions)
    number = sum(sensitivity > 0 for block in blocks.values() for sensitivity in block)
    share = noise.epsilon / number
    return {
        name: tuple(sensitivity / share * _MARGIN for sensitivity in block) for name, block in blocks.items()
    }


def capped(measures: Measures, tally: Tally, contributions: int) -> Tally:
    """Return what is left of a tally where no user counts for more than `contributions` examples.

    Which rows of a user are left depends on nothing but how many there are, and so on no other user. Counts of a row
    that are too large are made smaller in proportion.
    """
    order = np.argsort(tally.user, kind="stable")
    first = np.r_[True, np.diff(tally.user[order]) != 0]
    start = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
    place = np.zeros(len(order), np.int64)
    place[order] = np.arange(len(order)) - start
    priority = np.random.default_rng(_ORDER_SEED).random(int(place.max(initial=-1)) + 1)[place]
    ranked = np.lexsort((priority, tally.user))
    rows = np.sort(
        ranked[place[order] < _rows(measures, contributions)]
    )  # `order` and `ranked` both go user by user
    counts = {}
    for name, numbers in tally.counts.items():
        count = measures.counts[name]
        largest = 1 if count.histogram else count.largest or contributions
        chosen = numbers[rows].astype(np.int64)
        most = np.maximum(chosen.max(axis=1, initial=0), largest)[:, None]
        counts[name] = chosen * largest // most
    clipped = {name: np.clip(tally.scores[name][rows], *bounds) for name, bounds in measures.scores.items()}
    return replace(tally, user=tally.user[rows], scores=clipped, counts=counts)


def load_opendp() -> ModuleType:
    """Import OpenDP, which takes seconds, and return it; `AdaptuneError` with what to do where it is missing."""
    try:
        opendp = import_module("opendp.prelude")
    except ImportError as error:
        raise AdaptuneError(
            f"noise is drawn by OpenDP, and importing it failed: {error}. Install it: pip install opendp"
        ) from error
    opendp.enable_features("contrib")
    return opendp


def laplace(scale: float, numbers: int) -> Numbers:
    """Draw whole numbers with P(x) proportional to exp(-|x| / scale), from the operating system's randomness."""
    opendp = load_opendp()
    space = opendp.vector_domain(opendp.atom_domain(T="i64")), opendp.l1_distance(T="i64")
    return np.array(opendp.m.make_laplace(*space, scale=scale)([0] * numbers), np.int64)


def noisy_users(measures: Measures, noise: Noise, tallies: Mapping[str, Tally]) -> Numbers:
    """Return this party's numbers of users by group, with noise."""
    own = [tally.users if (tally := tallies.get(group)) else 0 for group in measures.groups]
    return np.array(own, np.int64) + laplace(scales(measures, noise)[USERS][0], len(own))


def noisy_numbers(
    measures: Measures, noise: Noise, tallies: Mapping[str, Tally], groups: Sequence[str]
) -> Numbers:
    """Return this party's capped numbers of all measures of the groups, with noise, as `packed` has them.

    Groups without users are given noise like any other: that nobody is there is to be hidden, too.
    """
    widths = scales(measures, noise)
    packed = [np.zeros(0, np.int64)]
    for group in groups:
        tally = tallies.get(group)
        least = None if tally is None else capped(measures, tally, noise.contributions)
        found: dict[str, Numbers] = {}
        for name in measures.names:
            drawn = [
                laplace(width, 1 if name in measures.scores else measures.size(name)) if width else [0]
                for width in widths[name]
            ]
            found[name] = measures.numbers(name, least) + np.concatenate(drawn).astype(np.int64)
        for name, other in measures.alike.items():
            found[name][1] = found[other][1]
        packed += [found[name] for name in measures.names]
    return np.concatenate(packed)


def width_of(measures: Measures, noise: Noise, name: str) -> NDArray[np.float64]:
    """Return the scale of the noise of each of a measure's numbers, [K]."""
    widths = scales(measures, noise)
    if name in measures.counts:
        return np.full(measures.size(name), widths[name][0])
    return np.array([widths[name][0], widths[measures.alike.get(name, name)][1]])


def as_json(measures: Measures, noise: Noise) -> dict[str, Any]:
    """Say how much noise each number has."""
    widths = {name: width_of(measures, noise, name).tolist() for name in measures.names}
    return {
        "epsilon": noise.epsilon,
        "contributions": noise.contributions,
        "scales": {USERS: [scales(measures, noise)[USERS][0]], **widths},
    }
