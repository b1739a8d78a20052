"""User-specific question answering: finds the answer in a passage, in the extent that this user wants."""

from pathlib import Path
from typing import Literal

import pyarrow as pa

from components.baselines.reading import trivial_rows
from components.config import DataSettings, TrialConfig
from components.data import store
from components.data.population import write_population
from components.data.questions import Questions, open_questions
from components.tasks.question_answering import evaluation, serving
from components.tasks.question_answering.serving import QuestionAnsweringServable
from components.tasks.question_answering.training import QuestionAnsweringTraining


def prepare(settings: DataSettings, root: Path) -> Path:
    """Parse the data set into `root/<digest>` unless it is there, and return that folder."""
    return store.prepare(settings, root, form="questions")


def open_data(folder: Path) -> Questions:
    """Map a prepared data set into memory."""
    return open_questions(folder)


def build(config: TrialConfig, data: Questions) -> QuestionAnsweringTraining:
    """Build the untrained model; its initial values follow from the training seed."""
    return QuestionAnsweringTraining(config, data)


def evaluate(
    module: QuestionAnsweringTraining,
    data: Questions,
    part: Literal["validation", "test"],
    control: str | None = None,
    slices: bool = True,
) -> pa.Table:
    """Return evaluation rows; `slices` adds those with histories cut to 0, 1, 2, 5 and 20 events."""
    library = module.library if module.library.data is data else module.library.of(data, module.vocabulary)
    return evaluation.rows_of(module.model, library, part, control, slices)


def trivial(name: str, data: Questions, part: Literal["validation", "test"]) -> pa.Table:
    """Return the evaluation rows of a trivial baseline."""
    return trivial_rows(name, data, part)


def export(module: QuestionAnsweringTraining, data: Questions, folder: Path) -> None:
    """Write `words.arrow`, `stems.arrow` and `vocabulary.json`."""
    module.vocabulary.write(folder)


def export_users(data: Questions, folder: Path) -> None:
    """Write the users and all their events."""
    write_population(data, folder)


def load_servable(folder: Path) -> QuestionAnsweringServable:
    """Load a model for serving."""
    return serving.load_servable(folder)
