"""A further task, as small as one can be: guess the mean rating of each item; compared by item.

Its own form of data, its own model settings, group, unit, control, trivial row and way to answer.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from components.config import Settings, TrialConfig
from components.data import synthetic
from components.data.source import Recording
from components.metrics.rows import FULL_HISTORY, evaluation_rows
from components.tasks import Group, Metric, TaskInfo

EVENTS = 8
"""An item's ratings that the model is fitted to; the others are evaluated."""


class GuessSettings(Settings):
    """The model of the toy task."""

    start: float = Field(default=0.0)
    """What every guess begins at."""
    shared: bool = False
    """One guess for all items."""


INFO = TaskInfo(
    name="guess",
    module="tests.orchestrator.toy_task",
    form="ratings",
    settings=GuessSettings,
    metrics={"error": Metric("Error", "min", "distance of the guess from the item's mean rating")},
    unit="item",
    groups={"rated": Group("rated items", "items that have ratings")},
    controls=("turned",),
    trivial=("zero",),
    sources=("synthetic",),
    oracles={"synthetic": ("told",)},
    servable="guess",
)


@dataclass(frozen=True)
class Ratings:
    """Each item's mean rating in training and afterwards, [I]."""

    seen: NDArray[np.float64]
    later: NDArray[np.float64]


# The form


def versions(settings: Any) -> Mapping[str, Any]:
    return {"form": "ratings", "source": [settings.source, synthetic.VERSION]}


def files(settings: Any) -> Mapping[str, Path]:
    return synthetic.files(settings)


def write(recording: Recording, settings: Any, digest: str, folder: Path) -> None:
    values = [recording.value[recording.item == item] for item in range(len(recording.item_ids))]
    means = [
        [float(each[:EVENTS].mean()), float(each[EVENTS:].mean())] for each in values if len(each) > EVENTS
    ]
    (folder / "means.json").write_text(json.dumps(means))


# The task


def open_data(folder: Path) -> Ratings:
    seen, later = np.array(json.loads((folder / "means.json").read_text())).T
    return Ratings(seen, later)


class Guess(nn.Module):
    def __init__(self, settings: GuessSettings, items: int) -> None:
        super().__init__()
        self.guess = nn.Parameter(torch.full((1 if settings.shared else items,), settings.start))


class Guessing(lightning.LightningModule):
    def __init__(self, config: TrialConfig, data: Ratings) -> None:
        super().__init__()
        assert isinstance(config.model, GuessSettings)
        self.rate = config.training.learning_rate
        self.model = Guess(config.model, len(data.seen))
        self.target = torch.tensor(data.seen, dtype=torch.float32)

    def train_dataloader(self) -> Iterator[int]:
        return torch.utils.data.DataLoader(range(5), batch_size=1)  # type: ignore[return-value]

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        loss = (self.model.guess - self.target).abs().mean()
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=1)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.rate)


def build(config: TrialConfig, data: Ratings) -> Guessing:
    return Guessing(config, data)


def evaluate(
    module: Guessing, data: Ratings, part: str, control: str | None = None, slices: bool = True
) -> pa.Table:
    guess = module.model.guess.detach().double().numpy()
    return rows(np.broadcast_to(-guess if control else guess, data.later.shape), data)


def trivial(name: str, data: Ratings, part: str) -> pa.Table:
    return rows(data.later if name == "told" else np.zeros_like(data.later), data)


def rows(guess: NDArray[np.float64], data: Ratings) -> pa.Table:
    ids = [f"item-{number}" for number in range(len(data.later))]
    error = {"error": np.abs(guess - data.later)}
    return evaluation_rows(ids, "rated", FULL_HISTORY, np.ones(len(ids)), error)


def export(module: Guessing, data: Ratings, folder: Path) -> None:
    (folder / "items.json").write_text(json.dumps(len(data.seen)))


def export_users(data: Ratings, folder: Path) -> None:
    (folder / "nobody.json").write_text("[]")


def load_servable(folder: Path) -> int:
    return int(json.loads((folder / "items.json").read_text()))
