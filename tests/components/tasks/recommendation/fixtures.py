"""A tiny data set and a tiny model; fast enough to train in a test."""

from pathlib import Path

from components.config import (
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


def tiny_data(root: Path):
    from components.tasks.recommendation import task as recommendation

    return recommendation.open_data(recommendation.prepare(TINY, root))
