"""What each holder of columns brings: the combination of each user, or each user's numbers for every combination.

The numbers are those of `components.privacy.tallies`, per user and in millionths. Most of them depend on the profile
and stand for every combination; how many scores there are, labels and examples do not.

U users, C combinations of profile categories, V numbers that depend on the combination, K numbers of a measure.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.errors import DataError
from components.privacy.tallies import Part
from components.privacy.totals import CONFUSION, MEASURES, SCALE, Numbers

MOST_COMBINATIONS = 1024
MOST_RANKED = 64
"""Of more combinations no rankings are made: each needs one of the whole catalogue for every user."""
RANKED = ("ndcg@10", "recall@10", "hr@10", "first_hit_bands", "first_hit")
"""Measures that need rankings."""
MEASURED = MEASURES["recommendation"]


@dataclass(frozen=True)
class Profiles:
    """The side of who holds the profiles."""

    tokens: NDArray[np.int64]
    """[U, 2] what users are known by in the join."""
    key_token: NDArray[np.int64]
    """[1, 2] equal for equal keys."""
    combination: NDArray[np.int64]
    """[U]"""


@dataclass(frozen=True)
class Logs:
    """The side of who holds the logs."""

    tokens: NDArray[np.int64]
    key_token: NDArray[np.int64]
    members: Mapping[str, NDArray[np.bool_]]
    """[U] by group: who belongs to it and has examples."""
    varying: Mapping[str, Numbers]
    """[U, C, V] by measure: the numbers at the places `varying_places`."""
    fixed: Mapping[str, Numbers]
    """[U, K] by measure: the other numbers, and zeros."""


def varying_places(measure: str) -> tuple[int, ...]:
    """Return which of a measure's numbers depend on the profile: a score's sum, predictions and hits, all ranks."""
    if measure == "confusion":
        return (CONFUSION.index("true_positives"), CONFUSION.index("predicted_positives"))
    return tuple(range(MEASURED.size(measure))) if measure in MEASURED.counts else (0,)


def fields_of(model: Path) -> dict[str, list[str]]:
    """Return the profile fields that a model knows; a `DataError` where columns cannot be told apart by them."""
    fields: dict[str, list[str]] = json.loads((model / "vocabulary.json").read_text(encoding="utf-8"))[
        "profile_fields"
    ]
    count = _count(fields)
    if not fields:
        raise DataError(model, "this model knows no profile fields, so there is nothing to divide by columns")
    if count > MOST_COMBINATIONS:
        raise DataError(
            model,
            f"its profile fields ({', '.join(fields)}) make {count:,} combinations of categories; at most "
            f"{MOST_COMBINATIONS:,} can be looked up: divide the data by users instead",
        )
    return fields


def combinations_of(model: Path) -> int:
    """Return how many combinations of categories a model knows; raises what `fields_of` does."""
    return _count(fields_of(model))


def profiles_in(folder: Path, model: Path) -> Profiles:
    """Read a folder that holds profiles. Raises `DataError` where its fields are not the model's."""
    from components.data.column_folders import join_tokens, key_token, profiles_of, read_key
    from components.tasks.recommendation.combinations import combination_of

    key = read_key(folder)
    users, profile, fields = profiles_of(folder)
    if fields != fields_of(model):
        raise DataError(folder, "its profile fields are not those that the model knows")
    return Profiles(join_tokens(key, users), key_token(key), combination_of(profile, fields))


def logs_in(folder: Path, model: Path, part: Part) -> Logs:
    """Read a folder that holds logs, and evaluate the model on its users as if they had each of all profiles.

    Raises `DataError` where items or fields are not the model's.
    """
    import torch

    from components.data.column_folders import join_tokens, key_token, read_key
    from components.data.interactions import open_interactions
    from components.privacy.user_scores import UserScorer
    from components.tasks.recommendation.combinations import answer_all, combinations
    from components.tasks.recommendation.evaluation import Examples
    from components.tasks.recommendation.serving import load_servable

    key, fields = read_key(folder), fields_of(model)
    data, servable = open_interactions(folder), load_servable(model)
    if data.profile_fields != fields:
        raise DataError(folder, "its profile fields are not those that the model knows")
    if list(servable.item_ids) != data.item_ids:
        raise DataError(folder, "its items are not those that the model knows, in the same order")
    examples = Examples.of(data, part)
    torch.set_flush_denormal(True)
    try:
        profiles = combinations(fields)
        answers = answer_all(servable.model, data, examples, profiles, len(profiles) <= MOST_RANKED)
    finally:
        torch.set_flush_denormal(False)
    names = [name for name in MEASURED.names if answers.top_CUK is not None or name not in RANKED]
    users = len(data.user_ids)
    varying = {name: np.zeros((users, len(profiles), len(varying_places(name))), np.int64) for name in names}
    fixed = {name: np.zeros((users, MEASURED.size(name)), np.int64) for name in names}
    scorer = UserScorer(data, examples)
    for number, logits in enumerate(answers.logits_CN):
        scores, counts = scorer.score(logits, None if answers.top_CUK is None else answers.top_CUK[number])
        for name in names:
            numbers = counts[name] if name in counts else _millionths(scores[name])
            places = list(varying_places(name))
            varying[name][:, number] = numbers[:, places]
            if number == 0:
                fixed[name] = numbers.copy()
                fixed[name][:, places] = 0
    present = examples.part_start >= 0
    members = {"seen": present & ~data.unseen, "unseen": present & data.unseen}
    return Logs(join_tokens(key, data.user_ids), key_token(key), members, varying, fixed)


def _millionths(score: NDArray[np.float64]) -> Numbers:
    """Return (score in millionths, 1) of each user, and zeros where it is not defined: [U, 2]."""
    defined = ~np.isnan(score)
    whole = np.rint(np.where(defined, score, 0) * SCALE).astype(np.int64)
    return np.stack([whole, defined.astype(np.int64)], axis=1)


def _count(fields: Mapping[str, list[str]]) -> int:
    return int(np.prod([len(categories) for categories in fields.values()], dtype=object))
