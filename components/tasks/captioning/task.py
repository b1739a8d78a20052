"""Personalised captioning: says what a picture shows, in the style that this user wants."""

import shutil
from pathlib import Path
from typing import Literal

import pyarrow as pa

from components.baselines.captioning import trivial_rows
from components.config import DataSettings, TrialConfig
from components.data import store
from components.data.captions import ENCODER, Captions, open_captions
from components.data.population import write_population
from components.tasks.captioning import evaluation, serving
from components.tasks.captioning.serving import CaptioningServable
from components.tasks.captioning.training import CaptioningTraining


def prepare(settings: DataSettings, root: Path) -> Path:
    """Parse the data set into `root/<digest>` unless it is there, and return that folder."""
    return store.prepare(settings, root, form="captions")


def open_data(folder: Path) -> Captions:
    """Map a prepared data set into memory."""
    return open_captions(folder)


def build(config: TrialConfig, data: Captions) -> CaptioningTraining:
    """Build the untrained model; its initial values follow from the training seed."""
    return CaptioningTraining(config, data)


def evaluate(
    module: CaptioningTraining,
    data: Captions,
    part: Literal["validation", "test"],
    control: str | None = None,
    slices: bool = True,
) -> pa.Table:
    """Return evaluation rows; `slices` adds those with histories cut to 0, 1, 2, 5 and 20 events."""
    library = (
        module.library if module.library.data is data else type(module.library).of(data, module.vocabulary)
    )
    return evaluation.rows_of(module.model, library, part, control, slices)


def trivial(name: str, data: Captions, part: Literal["validation", "test"]) -> pa.Table:
    """Return the evaluation rows of a trivial baseline."""
    return trivial_rows(name, data, part)


def export(module: CaptioningTraining, data: Captions, folder: Path) -> None:
    """Write `words.arrow`, `tags.arrow` and `vocabulary.json`, and the pretrained encoder if there is one."""
    module.vocabulary.write(folder)
    if data.encoder is not None:
        shutil.copyfile(data.encoder, folder / ENCODER)


def export_users(data: Captions, folder: Path) -> None:
    """Write the users and all their events."""
    write_population(data, folder)


def load_servable(folder: Path) -> CaptioningServable:
    """Load a model for serving."""
    return serving.load_servable(folder)
