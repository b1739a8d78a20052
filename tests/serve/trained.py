"""A small real recommendation model, trained in seconds and promoted."""

from pathlib import Path

from safetensors.torch import save_file

from components.config import (
    PersonalizationSettings,
    RecommendationSettings,
    SyntheticSettings,
    TrainingSettings,
    TrialConfig,
)
from components.data.population import write_population
from components.tasks.recommendation import task as recommendation
from components.training import fit
from orchestrator.release.registry import Registry, Version

SMALL = TrialConfig(
    task="recommendation",
    data=SyntheticSettings(source="synthetic", users=150, items=100, events=30, genres=4),
    model=RecommendationSettings(personalization=PersonalizationSettings(hidden=32, layers=1), embedding=32),
    training=TrainingSettings(epochs=3, learning_rate=3e-3, batch_size=16),
)


def train_small(home: Path) -> None:
    """Train the small model and make it the champion of the registry in `home`."""
    data = recommendation.open_data(recommendation.prepare(SMALL.data, home / "data"))
    module = recommendation.build(SMALL, data)
    folder = home / "run"
    fit(
        recommendation,
        module,
        data,
        SMALL.training,
        SMALL.training.epochs,
        group="seen",
        checkpoint_folder=folder,
        on_epoch=lambda report, module: None,
    )
    Registry(home / "registry").set_alias("recommendation", "champion", register(home, SMALL, module, data))


def register_untrained(home: Path) -> Version:
    """Make a version of a model with other, untrained weights."""
    config = SMALL.model_copy(update={"training": TrainingSettings(seed=1)})
    data = recommendation.open_data(recommendation.prepare(SMALL.data, home / "data"))
    return register(home, config, recommendation.build(config, data), data)


def register(home: Path, config: TrialConfig, module, data) -> Version:
    """Make a version of a model."""
    folder = home / f"model-{config.training.seed}"
    folder.mkdir()
    recommendation.export(module, data, folder)
    weights = {name: tensor.contiguous() for name, tensor in module.model.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(config.model_dump_json())
    write_population(data, folder)
    return Registry(home / "registry").create("recommendation", folder, {}, {})
