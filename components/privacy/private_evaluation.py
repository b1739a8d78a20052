"""Evaluation of a model that its owner keeps: what parties evaluate alone elsewhere, they compute together here.

The steps are those of `components.privacy.evaluation`. Each party reads its users with the open encoder; what is
predicted of them is computed on shares, so that neither the owner learns of the users nor they of the model.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from components.privacy.divided_model import Kept, Shape
from components.privacy.encoded_users import EncodedUsers
from components.privacy.evaluation import GroupResult, Request, evaluate
from components.privacy.totals import FIRST_HIT, SCALE, Tally

if TYPE_CHECKING:
    from components.privacy.seat import Session

Whole = NDArray[np.int64]
Chosen = Sequence[tuple[str, str]]


def evaluate_private(
    session: "Session",
    rank: int,
    request: Request,
    users: EncodedUsers,
    kept: Kept | None,
    shape: Shape,
    permit: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, GroupResult] | None:
    """Take all steps; `kept` is the owner's, None elsewhere. Returns and raises what `evaluate` does."""

    def add_up(chosen: Chosen) -> Whole | None:
        rows = session.announce(np.array([len(users.likes.item), len(users.ranks.target)], np.int64))
        say("all know how many examples each has")
        return session.compute(lambda wire, zero: _shares(wire, zero, chosen, rows))

    def _shares(wire, zero, chosen: Chosen, rows: Whole) -> torch.Tensor:  # type: ignore[no-untyped-def]
        from components.privacy.private_scoring import RecommendationScorer

        assert request.owner is not None
        scorer = RecommendationScorer(wire, zero)
        scorer.share_model(kept, shape, request.owner)
        tests = like_tests(users, chosen)
        liked = scorer.liked(users.likes, tests, rows[:, 0].tolist())
        groups = [group for group, name in chosen if name == "next_item"]
        members = np.zeros((len(users.ranks.user), len(groups)), np.int64)
        for column, group in enumerate(groups):
            members[:, column] = users.members(group)[users.ranks.user]
        ranked = scorer.next_item_ranks(users.ranks, members, rows[:, 1].tolist(), FIRST_HIT - 1)
        shares = assembled(chosen, liked, dict(zip(groups, ranked, strict=True)))
        return shares + torch.from_numpy(known_part(users, chosen))

    return evaluate(session, rank, request, truth_tallies(users), permit, say, add_up)


def truth_tallies(users: EncodedUsers) -> dict[str, Tally]:
    """Return by group whom each measure stands on, which follows from the truth alone; the scores are unknown."""
    tallies = {}
    likes = np.bincount(users.likes.user, users.likes.like, minlength=len(users.unseen))
    for group in ("seen", "unseen"):
        user = np.flatnonzero(users.members(group))
        if len(user):
            some = np.zeros(len(user))
            scores = {"accuracy": some, "recall": np.where(likes[user] > 0, some, np.nan)}
            ones = np.ones((len(user), 1), np.int64)
            tallies[group] = Tally(user, scores, {"confusion": ones, "next_item": ones})
    return tallies


def like_tests(users: EncodedUsers, chosen: Chosen) -> Whole:
    """Return what a predicted like adds to each number that depends on predictions, [N, K], in millionths or ones."""
    like = users.likes.like.astype(np.int64)
    columns = []
    for group, name in chosen:
        member = users.members(group)[users.likes.user]
        if name == "accuracy":
            columns.append(member * _parts(users, np.ones_like(like)) * (2 * like - 1))
        elif name == "recall":
            columns.append(member * _parts(users, like))
        elif name == "confusion":
            columns += [member * like, member * np.ones_like(like)]
    return np.stack([*columns, np.zeros_like(like)], axis=1)


def known_part(users: EncodedUsers, chosen: Chosen) -> Whole:
    """Return what of the opened numbers a party knows of its own users without the model."""
    like = users.likes.like.astype(np.int64)
    numbers: list[int] = []
    for group, name in chosen:
        member = users.members(group)[users.likes.user]
        everybody = len(np.unique(users.likes.user[member]))
        if name == "accuracy":
            numbers += [int((member * _parts(users, np.ones_like(like)) * (1 - like)).sum()), everybody]
        elif name == "recall":
            numbers += [0, len(np.unique(users.likes.user[member & users.likes.like]))]
        elif name == "confusion":
            numbers += [0, 0, int((member * like).sum()), int(member.sum())]
        else:
            numbers += [0] * FIRST_HIT
    return np.array(numbers, np.int64)


def assembled(chosen: Chosen, liked: torch.Tensor, ranked: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Put shares in the order in which measures are opened, zeros where `known_part` has the number."""
    zero, parts, place = liked.new_zeros(1), [], 0
    for group, name in chosen:
        if name == "next_item":
            parts.append(ranked[group])
        elif name == "confusion":
            parts += [liked[place : place + 2], zero, zero]
            place += 2
        else:
            parts += [liked[place : place + 1], zero]
            place += 1
    return torch.cat(parts)


def _parts(users: EncodedUsers, mark: Whole) -> Whole:
    """Divide a million among each user's marked examples, [N]: whole numbers that add up to it."""
    user = users.likes.user
    order = np.argsort(user, kind="stable")
    marked = mark[order]
    through = np.cumsum(marked)
    first = np.searchsorted(user[order], user[order])
    so_far = through - np.where(first > 0, through[first - 1], 0)
    count = np.maximum(np.bincount(user, mark, minlength=len(users.unseen)).astype(np.int64), 1)[user[order]]
    part = np.zeros_like(mark)
    part[order] = (so_far * SCALE // count - (so_far - marked) * SCALE // count) * marked
    return part
