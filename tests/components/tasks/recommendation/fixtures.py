"""A tiny data set and a tiny model; fast enough to train in a test."""

import dataclasses
from pathlib import Path

import numpy as np

from components.config import (
    ModalitySettings,
    PersonalizationSettings,
    RecommendationSettings,
    SyntheticSettings,
    TrainingSettings,
    TrialConfig,
)

TINY = SyntheticSettings(source="synthetic", users=60, items=40, events=24)
CORE = {"hidden": 16, "window": 6, "heads": 2}


def tiny_config(personalization: dict[str, object] | None = CORE, **training: object) -> TrialConfig:
    core = None if personalization is None else PersonalizationSettings(**(CORE | personalization))
    return TrialConfig(
        task="recommendation",
        data=TINY,
        model=RecommendationSettings(personalization=core, embedding=8, negatives=16),
        training=TrainingSettings(**({"batch_size": 16, "learning_rate": 0.01, "epochs": 3} | training)),
    )


EVERYTHING = ModalitySettings(overview=True, poster=True, vectors=True)


def described_config(modalities=EVERYTHING, personalization=CORE, **model) -> TrialConfig:
    """The tiny model with more modalities; for data that `described` has added contents to."""
    config = tiny_config(personalization)
    data = TINY.model_copy(update={"overviews": True, "posters": True, "item_vectors": Path("vectors.arrow")})
    chosen = config.model.model_copy(update={"modalities": modalities, **model})
    return config.model_copy(update={"data": data, "model": chosen})


def described(log):
    """The log with overviews, pictures and vectors made up from the items' genres; some items lack each of them."""
    rng = np.random.default_rng(0)
    items = np.arange(len(log.item_ids))
    overviews = [" ".join(["a", "tale", "of", *genres, *genres]) for genres in log.item_genres]
    has_poster, has_vector = items % 5 != 1, items % 6 != 2
    colour = np.array([log.genres.index(genres[0]) for genres in log.item_genres]) * 40
    posters = np.clip(colour[:, None, None, None] + rng.integers(0, 30, (len(items), 3, 12, 8)), 0, 255)
    return dataclasses.replace(
        log,
        item_overviews=["" if item % 4 == 3 else overviews[item] for item in items],
        item_posters=(posters * has_poster[:, None, None, None]).astype(np.uint8),
        item_has_poster=has_poster,
        item_vectors=(rng.normal(size=(len(items), 7)) * has_vector[:, None]).astype(np.float32),
        item_has_vector=has_vector,
    )


def with_cold_items(log, first):
    """The log in which training never meets the items from number `first` on."""
    owner = np.repeat(np.arange(len(log.user_ids)), np.diff(log.user_offsets))
    met = (log.part == 0) & ~log.unseen[owner] & (log.content >= first)
    return dataclasses.replace(log, content=np.where(met, log.content - first, log.content))


def tiny_data(root: Path):
    from components.tasks.recommendation import task as recommendation

    return recommendation.open_data(recommendation.prepare(TINY, root))
