"""Content recommendation: predicts likes and ranks the catalogue for each user."""

from pathlib import Path
from typing import Literal

import pyarrow as pa

from components.baselines.trivial import trivial_rows
from components.config import DataSettings, TrialConfig
from components.data import store
from components.data.interactions import Interactions, open_interactions
from components.data.population import write_population
from components.tasks.recommendation import evaluation, serving
from components.tasks.recommendation.serving import RecommendationServable
from components.tasks.recommendation.training import RecommendationTraining


def prepare(settings: DataSettings, root: Path) -> Path:
    """Parse the data set into `root/<digest>` unless it is there, and return that folder."""
    return store.prepare(settings, root)


def open_data(folder: Path) -> Interactions:
    """Map a prepared data set into memory."""
    return open_interactions(folder)


def build(config: TrialConfig, data: Interactions) -> RecommendationTraining:
    """Build the untrained model; its initial values follow from the training seed."""
    return RecommendationTraining(config, data)


def evaluate(
    module: RecommendationTraining,
    data: Interactions,
    part: Literal["validation", "test"],
    control: str | None = None,
    slices: bool = True,
) -> pa.Table:
    """Return evaluation rows; `slices` adds those with histories cut to 0, 1, 2, 5 and 20 events."""
    return evaluation.rows_of(module.model, data, part, control, slices)


def trivial(name: str, data: Interactions, part: Literal["validation", "test"]) -> pa.Table:
    """Return the evaluation rows of a trivial baseline."""
    return trivial_rows(name, data, part)


def export(module: RecommendationTraining, data: Interactions, folder: Path) -> None:
    """Write `items.arrow` and `vocabulary.json`."""
    module.catalogue.write(folder)


def export_users(data: Interactions, folder: Path) -> None:
    """Write the users and all their events, of every part."""
    write_population(data, folder)


def load_servable(folder: Path) -> RecommendationServable:
    """Load a model for serving."""
    return serving.load_servable(folder)
