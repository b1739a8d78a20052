"""A tiny model of each task, briefly trained and exported, with the data that it was trained on."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch

from components.tasks import TASKS
from tests.components.tasks.captioning import fixtures as captioning
from tests.components.tasks.question_answering import fixtures as question_answering
from tests.components.tasks.quick import train_quickly
from tests.components.tasks.recommendation import fixtures as recommendation


@dataclass(frozen=True)
class Tiny:
    """One task's model and data."""

    task: str
    module: Any
    data: Any
    model: Path
    """Folder of the exported model."""

    def rows(self, data: Any, part: str = "test") -> Any:
        """Evaluation rows of the model, by the task's own evaluation."""
        return TASKS[self.task].load().evaluate(self.module, data, part, slices=False)


def make_tiny(task: str, root: Path, everything: bool = False) -> Tiny:
    """Prepare, train for a moment, and export; `everything`: a recommender that looks at all of an item."""
    if task == "recommendation" and everything:
        data = recommendation.described(recommendation.tiny_data(root))
        config = recommendation.described_config()
    elif task == "recommendation":
        data, config = recommendation.tiny_data(root), recommendation.tiny_config()
    elif task == "question-answering":
        data = question_answering.tiny_data(root, users=120)
        config = question_answering.tiny_config(root / "squad")
    else:
        data = captioning.tiny_data(root)
        config = captioning.tiny_config(root / "flickr")
    module = train_quickly(TASKS[task].load().build(config, data), 1, 12)
    model = root / "model"
    model.mkdir()
    TASKS[task].load().export(module, data, model)
    (model / "config.json").write_text(json.dumps(config.model_dump(mode="json")))
    safetensors.torch.save_file(
        {name: value.contiguous() for name, value in module.model.state_dict().items()},
        model / "model.safetensors",
    )
    return Tiny(task, module, data, model)
