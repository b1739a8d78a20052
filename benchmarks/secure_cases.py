"""Random models and divisions of users, each with the plain outcome that the secure one must equal.

A kind of cases makes inputs of all parties from a generator, takes one party's part of the protocol, and computes the
outcome in the clear, by other code than the protocol's own. To add a kind, write these three and put it into `KINDS`.

N examples, D dimensions, H hidden units, U users, K items, C choices, M numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.drawing import MARGIN, Floats, Generator, holders
from benchmarks.recommender_cases import make_recommended, plain_recommended, secure_recommended
from benchmarks.tallied_cases import make_tallied, plain_tallied, secure_tallied
from components.privacy.scoring import DotHead, Head, MlpHead
from components.privacy.seat import Session


@dataclass(frozen=True)
class Kind:
    """A kind of cases."""

    name: str
    make: Callable[[Generator, int], Any]
    """Draws inputs for so many parties, no score closer to a tie than `MARGIN`."""
    secure: Callable[[Session, int, Any], Any]
    """Takes the part of one rank; the outcome at rank 0, who receives."""
    plain: Callable[[Any], Any]
    """The outcome, in the clear."""
    near: Callable[[Generator, int, int, float], Any] | None = None
    """Draws inputs of so many examples that lie nearer to a tie than a margin, each of which the first number of the
    plain outcome counts; whatever the secure outcome counts less has been decided otherwise."""


@dataclass(frozen=True)
class Scored:
    """Examples of all parties, and one party's private head."""

    vectors: Floats
    """[N, D]"""
    labels: NDArray[np.int64]
    """[N]"""
    holder: NDArray[np.int64]
    """[N] rank of who has the example."""
    head: Head
    owner: int


def draw_dot_head(generator: Generator) -> DotHead:
    """Draw a head of up to 32 dimensions."""
    return DotHead(generator.normal(size=generator.integers(1, 33)), float(generator.normal(scale=0.3)))


def draw_mlp_head(generator: Generator) -> MlpHead:
    """Draw a head of up to 32 dimensions and 16 hidden units."""
    dimensions, units = generator.integers(1, 33), generator.integers(1, 17)
    hidden = generator.normal(size=(dimensions, units)) / np.sqrt(dimensions)
    last, biases = generator.normal(size=units) / np.sqrt(units), generator.normal(size=units + 1, scale=0.3)
    return MlpHead(hidden, biases[1:], last, float(biases[0]))


def score_plainly(head: Head, vectors: Floats) -> Floats:
    """Return the scores [N]."""
    if isinstance(head, DotHead):
        return vectors @ head.weights + head.bias
    return np.maximum(vectors @ head.hidden + head.hidden_bias, 0) @ head.weights + head.bias


def make_scored(draw_head: Callable[[Generator], Head]) -> Callable[[Generator, int], Scored]:
    """Return what draws cases of a kind of head."""

    def make(generator: Generator, parties: int) -> Scored:
        head = draw_head(generator)
        vectors = generator.normal(size=(generator.integers(0, 80), _dimensions(head)))
        vectors = vectors[np.abs(score_plainly(head, vectors)) >= MARGIN]
        return _scored(generator, parties, head, vectors, generator.integers(0, 2, len(vectors)))

    return make


def near_scored(draw_head: Callable[[Generator], Head]) -> Callable[[Generator, int, int, float], Scored]:
    """Return what draws examples that score above 0 by less than a margin, all of which are labelled 1."""

    def make(generator: Generator, parties: int, count: int, margin: float) -> Scored:
        while True:
            head = draw_head(generator)
            drawn = generator.normal(size=(4 * count, _dimensions(head)))
            scores = score_plainly(head, drawn)
            if (scores > 0).any() and (scores < 0).any():
                break
        above, below = (
            generator.choice(drawn[chosen], count) for chosen in (scores > margin, scores < 0)
        )  # by bisection, between the two
        wanted = generator.uniform(0, margin, count)
        for _ in range(60):
            middle = (above + below) / 2
            higher = (score_plainly(head, middle) > wanted)[:, None]
            above, below = np.where(higher, middle, above), np.where(higher, below, middle)
        scores = score_plainly(head, above)
        vectors = above[(scores > 0) & (scores < margin)]
        return _scored(generator, parties, head, vectors, np.ones(len(vectors), np.int64))

    return make


def _scored(
    generator: Generator, parties: int, head: Head, vectors: Floats, labels: NDArray[np.int64]
) -> Scored:
    holder = holders(generator, parties, len(vectors))
    return Scored(vectors, labels, holder, head, int(generator.integers(parties)))


def _dimensions(head: Head) -> int:
    return len(head.weights if isinstance(head, DotHead) else head.hidden)


def secure_scored(session: Session, rank: int, inputs: Scored) -> list[int] | None:
    """Classify with the private head."""
    own = inputs.holder == rank
    head = inputs.head if rank == inputs.owner else None
    counts = session.score(inputs.vectors[own], inputs.labels[own], head, inputs.owner)
    if counts is None:
        return None
    return [counts.true_positive, counts.predicted_positive, counts.actual_positive, counts.examples]


def plain_scored(inputs: Scored) -> list[int]:
    """Classify in the clear: true, predicted and actual positives, and examples."""
    predicted, actual = score_plainly(inputs.head, inputs.vectors) > 0, inputs.labels == 1
    return [int((predicted & actual).sum()), int(predicted.sum()), int(actual.sum()), len(actual)]


@dataclass(frozen=True)
class Ranked:
    """Users of all parties with a target each, and one party's private items."""

    users: Floats
    """[U, D]"""
    targets: NDArray[np.int64]
    """[U]"""
    excluded: NDArray[np.bool_]
    """[U, K]"""
    items: Floats
    """[K, D]"""
    holder: NDArray[np.int64]
    """[U] rank of who has the user."""
    owner: int
    cutoff: int


def make_ranked(generator: Generator, parties: int) -> Ranked:
    """Draw up to 40 items, and users none of whose items is close to the target."""
    count, dimensions = int(generator.integers(2, 41)), int(generator.integers(1, 17))
    items = generator.normal(size=(count, dimensions))
    users = generator.normal(size=(generator.integers(0, 40), dimensions))
    targets = generator.integers(0, count, len(users))
    gaps = np.abs(_gaps(users, targets, items))
    gaps[np.arange(len(users)), targets] = np.inf
    kept = gaps.min(axis=1, initial=np.inf) >= MARGIN
    excluded = generator.random((int(kept.sum()), count)) < 0.2
    return _ranked(generator, parties, users[kept], targets[kept], excluded, items)


def near_ranked(generator: Generator, parties: int, count: int, margin: float) -> Ranked:
    """Draw users whose target is best, but the second is behind by less than a margin."""
    items = generator.normal(size=(20, 16))
    users = generator.normal(size=(2 * count, 16))
    best = np.argsort(-(users @ items.T), axis=1)
    between = items[best[:, 0]] - items[best[:, 1]]
    gap, wanted = (users * between).sum(axis=1), generator.uniform(0, margin, len(users))
    users = users - ((gap - wanted) / (between**2).sum(axis=1))[:, None] * between
    targets = best[:, 0]
    gaps = _gaps(users, targets, items)
    gaps[np.arange(len(users)), targets] = -np.inf
    kept = np.flatnonzero((gaps.max(axis=1) < 0) & (gaps.max(axis=1) > -margin))[:count]
    return _ranked(generator, parties, users[kept], targets[kept], np.zeros((len(kept), 20), bool), items)


def _gaps(users: Floats, targets: NDArray[np.int64], items: Floats) -> Floats:
    """Return how much higher than the target each item scores, [U, K]."""
    scores = users @ items.T
    return scores - scores[np.arange(len(users)), targets][:, None]


def _ranked(
    generator: Generator,
    parties: int,
    users: Floats,
    targets: NDArray[np.int64],
    excluded: NDArray[np.bool_],
    items: Floats,
) -> Ranked:
    holder, owner = holders(generator, parties, len(users)), int(generator.integers(parties))
    return Ranked(users, targets, excluded, items, holder, owner, int(generator.integers(1, 11)))


def secure_ranked(session: Session, rank: int, inputs: Ranked) -> list[int] | None:
    """Rank the targets among the private items."""
    own = inputs.holder == rank
    items = inputs.items if rank == inputs.owner else None
    found = session.rank(
        inputs.users[own], inputs.targets[own], inputs.excluded[own], items, inputs.owner, inputs.cutoff
    )
    return None if found is None else found.tolist()


def plain_ranked(inputs: Ranked) -> list[int]:
    """Rank in the clear: a histogram of how many items stand above the target."""
    above = (_gaps(inputs.users, inputs.targets, inputs.items) > 0) & ~inputs.excluded
    above[np.arange(len(above)), inputs.targets] = False
    return np.bincount(np.minimum(above.sum(axis=1), inputs.cutoff), minlength=inputs.cutoff + 1).tolist()


@dataclass(frozen=True)
class LookedUp:
    """One party's secret choice for each user, and another's numbers for each choice."""

    choice: NDArray[np.int64]
    """[U]"""
    table: NDArray[np.int64]
    """[U, C, M]"""
    chooser: int
    keeper: int


def make_looked_up(generator: Generator, parties: int) -> LookedUp:
    """Draw up to 40 users, 9 choices and 9 numbers."""
    users, choices, numbers = generator.integers((0, 1, 1), (41, 10, 10))
    chooser, keeper = generator.choice(parties, 2, replace=False)
    largest = 10 ** int(generator.integers(1, 12))
    table = generator.integers(-largest, largest, (users, choices, numbers))
    return LookedUp(generator.integers(0, choices, users), table, int(chooser), int(keeper))


def secure_looked_up(session: Session, rank: int, inputs: LookedUp) -> list[int] | None:
    """Add up the chosen numbers."""
    found = session.look_up(
        inputs.choice if rank == inputs.chooser else None, inputs.table if rank == inputs.keeper else None
    )
    return None if found is None else found.tolist()


def plain_looked_up(inputs: LookedUp) -> list[int]:
    """Add them up in the clear."""
    return inputs.table[np.arange(len(inputs.choice)), inputs.choice].sum(axis=0).tolist()


@dataclass(frozen=True)
class Columns:
    """Examples of which each party has some columns, scored by an open linear head."""

    scored: Scored
    """The examples; its owner has the labels."""
    holder: NDArray[np.int64]
    """[D] rank of who has the column."""


def in_columns(make: Callable[..., Scored]) -> Callable[..., Columns]:
    """Divide by columns what `make` draws."""

    def divided(generator: Generator, parties: int, *more: Any) -> Columns:
        scored = make(generator, parties, *more)
        return Columns(scored, holders(generator, parties, scored.vectors.shape[1]))

    return divided


def secure_columns(session: Session, rank: int, inputs: Columns) -> list[int] | None:
    """Add up the parties' terms, and compare."""
    scored, own, head = inputs.scored, inputs.holder == rank, inputs.scored.head
    assert isinstance(head, DotHead)
    first = rank == inputs.holder[0]
    counts = session.score_columns(
        scored.vectors[:, own] if own.any() else None,
        head.weights[own] if own.any() else None,
        scored.labels if rank == scored.owner else None,
        head.bias if first else 0.0,
    )
    if counts is None:
        return None
    return [counts.true_positive, counts.predicted_positive, counts.actual_positive, counts.examples]


def plain_columns(inputs: Columns) -> list[int]:
    """Classify whole examples in the clear."""
    return plain_scored(inputs.scored)


_make_dot, _near_dot = make_scored(draw_dot_head), near_scored(draw_dot_head)
KINDS = (
    Kind("open model, sums", make_tallied, secure_tallied, plain_tallied),
    Kind("private dot product", _make_dot, secure_scored, plain_scored, _near_dot),
    Kind("private MLP", make_scored(draw_mlp_head), secure_scored, plain_scored, near_scored(draw_mlp_head)),
    Kind("private ranking", make_ranked, secure_ranked, plain_ranked, near_ranked),
    Kind("private recommender", make_recommended, secure_recommended, plain_recommended),
    Kind("columns, looked up", make_looked_up, secure_looked_up, plain_looked_up),
    Kind("columns, summed", in_columns(_make_dot), secure_columns, plain_columns, in_columns(_near_dot)),
)
