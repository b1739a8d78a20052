"""Tiny generated pictures with captions in three styles, and a tiny model; fast enough to train in a test."""

from pathlib import Path

from components.config import CaptioningSettings, PersonalizationSettings, TrainingSettings, TrialConfig
from tests.components.data.flickr_fixtures import tiny_settings, write_flickr

CORE = {"hidden": 32, "window": 8, "heads": 2}


def tiny_config(
    root: Path,
    personalization: dict[str, object] | None = CORE,
    model: dict[str, object] | None = None,
    **training: object,
) -> TrialConfig:
    core = None if personalization is None else PersonalizationSettings(**(CORE | personalization))
    chosen = {"hidden": 32, "heads": 2, "dropout": 0.0, "vocabulary": 1, "users_per_image": 4}
    return TrialConfig(
        task="captioning",
        data=tiny_settings(root),
        model=CaptioningSettings(**(chosen | (model or {})), personalization=core),
        training=TrainingSettings(**({"batch_size": 12, "learning_rate": 0.005, "epochs": 2} | training)),
    )


def tiny_data(root: Path, **changes: object):
    from components.data import store
    from components.data.captions import open_captions

    folder = write_flickr(root / "flickr")
    settings = tiny_settings(folder, **({"users": 240, "noise": 0.0} | changes))
    return open_captions(store.prepare(settings, root / "prepared", form="captions"))
