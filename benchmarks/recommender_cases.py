"""Random private recommenders over random users of several parties: what is opened, and what must be.

N examples, R users who are ranked for, I items, M modalities, E embedding, K numbers.
"""

from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.drawing import MARGIN, Floats, Generator, holders
from components.privacy.divided_model import Kept, Shape
from components.privacy.encoded_users import LikeQuestions, RankQuestions
from components.privacy.private_scoring import RecommendationScorer
from components.privacy.seat import Session
from components.tasks.recommendation.model import HEAD_UNITS

CUTOFF = 10
MODALITIES = 3

Asked = TypeVar("Asked", LikeQuestions, RankQuestions)


@dataclass(frozen=True)
class Recommended:
    """Users of all parties as the encoder reads them, and what the owner keeps of the model."""

    kept: Kept
    shape: Shape
    owner: int
    likes: LikeQuestions
    like_holder: NDArray[np.int64]
    """[N] rank of who has the example."""
    tests: NDArray[np.int64]
    """[N, K] what each adds to the opened numbers, if it is predicted to be liked."""
    ranks: RankQuestions
    rank_holder: NDArray[np.int64]
    """[R]"""
    members: NDArray[np.int64]
    """[R, 2] 1 where a row belongs to a group."""


def make_recommended(generator: Generator, parties: int) -> Recommended:
    """Draw a model and users none of whose scores is close to a tie."""
    shape = Shape(*(int(size) for size in generator.integers([2, 2, 0, 1], [31, 9, 12, 24])), MODALITIES)
    kept = Kept(
        items=generator.normal(scale=0.4, size=(shape.items, shape.width)),
        linear=generator.normal(scale=0.4, size=(shape.linear + 1, 1)),
        hidden=generator.normal(scale=0.4, size=(shape.hidden + 1, HEAD_UNITS)),
        last=generator.normal(scale=0.2, size=(HEAD_UNITS, 1)),
    )
    likes = _draw_likes(generator, shape, int(generator.integers(0, 60)))
    likes = _where(likes, np.abs(like_scores(kept, shape, likes)) >= MARGIN)
    ranks = _draw_ranks(generator, shape, int(generator.integers(0, 20)))
    gaps = np.abs(_gaps(kept, shape, ranks))
    gaps[np.arange(len(gaps)), ranks.target] = np.inf
    ranks = _where(ranks, gaps.min(axis=1, initial=np.inf) >= MARGIN)
    tests = generator.integers(-(2**20), 2**20, (len(likes.item), 5))
    members = generator.integers(0, 2, (len(ranks.target), 2))
    by_rows = (holders(generator, parties, len(each)) for each in (likes.item, ranks.target))
    like_holder, rank_holder = by_rows
    owner = int(generator.integers(parties))
    return Recommended(kept, shape, owner, likes, like_holder, tests, ranks, rank_holder, members)


def secure_recommended(session: Session, rank: int, inputs: Recommended) -> list[int] | None:
    """Score and rank on shares."""
    likes, ranks = inputs.like_holder == rank, inputs.rank_holder == rank
    parties = len(session.announce(np.zeros(1, np.int64)))
    rows = [
        np.bincount(each, minlength=parties).tolist() for each in (inputs.like_holder, inputs.rank_holder)
    ]

    def program(wire, zero):  # type: ignore[no-untyped-def]
        scorer = RecommendationScorer(wire, zero)
        scorer.share_model(inputs.kept if rank == inputs.owner else None, inputs.shape, inputs.owner)
        liked = scorer.liked(_where(inputs.likes, likes), inputs.tests[likes], rows[0])
        ranked = scorer.next_item_ranks(_where(inputs.ranks, ranks), inputs.members[ranks], rows[1], CUTOFF)
        return torch.cat([liked, ranked.reshape(-1)])

    found = session.compute(program)
    return None if found is None else found.tolist()


def plain_recommended(inputs: Recommended) -> list[int]:
    """Score and rank in floating point."""
    predicted = like_scores(inputs.kept, inputs.shape, inputs.likes) >= 0
    above = (_gaps(inputs.kept, inputs.shape, inputs.ranks) > 0) & ~inputs.ranks.barred
    above[np.arange(len(above)), inputs.ranks.target] = False
    place = np.minimum(above.sum(axis=1), CUTOFF)
    ranked = [np.bincount(place, group, CUTOFF + 1).astype(np.int64) for group in inputs.members.T]
    return np.concatenate([inputs.tests[predicted].sum(axis=0), *ranked]).tolist()


def like_scores(kept: Kept, shape: Shape, likes: LikeQuestions) -> Floats:
    """Return the log-odds of likes, [N], in floating point."""
    vectors, through_head = np.split(kept.items[likes.item], [shape.vector], axis=1)
    weighted = through_head.reshape(-1, MODALITIES, HEAD_UNITS) * likes.weight[..., None]
    head = np.maximum(weighted.sum(axis=1) + likes.hidden @ kept.hidden, 0) @ kept.last
    return (likes.vector * vectors).sum(axis=1) + (likes.linear @ kept.linear + head)[:, 0] + likes.base


def _gaps(kept: Kept, shape: Shape, ranks: RankQuestions) -> Floats:
    """Return how much higher than the target each item scores, [R, I]."""
    vectors = kept.items[:, : shape.vector].reshape(shape.items, MODALITIES, shape.embedding)
    scores = np.einsum("re,ime,rim->ri", ranks.query, vectors, ranks.weight) + ranks.base
    return np.asarray(scores - scores[np.arange(len(scores)), ranks.target][:, None])


def _draw_likes(generator: Generator, shape: Shape, rows: int) -> LikeQuestions:
    ones = np.ones((rows, 1))
    return LikeQuestions(
        item=generator.integers(0, shape.items, rows),
        user=np.arange(rows),
        like=generator.random(rows) < 0.5,
        vector=generator.normal(size=(rows, shape.vector)),
        weight=generator.uniform(0, 1, (rows, MODALITIES)),
        base=generator.normal(size=rows),
        linear=np.hstack([generator.normal(size=(rows, shape.linear)), ones]),
        hidden=np.hstack([np.tanh(generator.normal(size=(rows, shape.hidden))), ones]),
    )


def _draw_ranks(generator: Generator, shape: Shape, rows: int) -> RankQuestions:
    return RankQuestions(
        user=np.arange(rows),
        target=generator.integers(0, shape.items, rows),
        barred=generator.random((rows, shape.items)) < 0.2,
        query=generator.normal(size=(rows, shape.embedding)),
        weight=generator.uniform(0, 1, (rows, shape.items, MODALITIES)),
        base=generator.normal(scale=2, size=(rows, shape.items)),
    )


def _where(asked: Asked, rows: NDArray[np.bool_]) -> Asked:
    """Keep some rows of every field."""
    return type(asked)(**{field.name: getattr(asked, field.name)[rows] for field in fields(asked)})
