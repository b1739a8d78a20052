"""What the Lightning modules of all tasks share: two sets of weights, the optimiser, and batches by epoch."""

import copy
from collections.abc import Iterator
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import lightning.pytorch as lightning
import torch
from torch import Tensor, nn

from components.config import TrialConfig
from components.personalization.initialization import initialize
from components.team import Team

Model = TypeVar("Model", bound=nn.Module)


class Batches(Protocol):
    """The training batches of a task."""

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""

    def epoch(self, epoch: int) -> Iterator[Any]:
        """Yield the batches of epoch number `epoch`, from 0."""


class AveragedTraining(lightning.LightningModule, Generic[Model]):
    """Trains a model and keeps a moving average of its weights.

    `trained` holds the weights that the optimiser moves, `model` their moving average: the one that is evaluated,
    saved and served. Averaging, unlike a falling learning rate, does not depend on the number of epochs.
    """

    averaging: ClassVar[float]
    """Share of the averaged weights that a step keeps (exponential moving average)."""
    fused: ClassVar[bool] = True
    """Whether the optimiser moves all weights in one go: faster, with other last digits."""

    def __init__(self, config: TrialConfig, model: Model, batches: Batches) -> None:
        super().__init__()
        self.config = config
        initialize(model, config.training.seed)
        self.model = model
        self.trained = copy.deepcopy(model)
        self.model.requires_grad_(False)
        self.batches = batches
        self.team = Team()

    def train_dataloader(self) -> "EpochLoader":
        """Return the batches of whichever epoch is current when iteration starts."""
        return EpochLoader(self)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW at a constant rate; vectors and biases are not decayed."""
        training = self.config.training
        matrices = [parameter for parameter in self.trained.parameters() if parameter.ndim > 1]
        vectors = [parameter for parameter in self.trained.parameters() if parameter.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": training.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        # In mixed precision Lightning refuses to clip gradients before the fused form.
        fused = self.fused and training.precision == "32-true"
        return torch.optim.AdamW(groups, lr=training.learning_rate, fused=fused)

    def on_after_backward(self) -> None:
        """Add up the gradients of all members of the team."""
        self.team.add_gradients(self.trained)

    def on_train_batch_end(self, outputs: object, batch: Any, batch_index: int) -> None:
        """Move the averaged weights towards the trained ones; fast at first, so that the start is forgotten."""
        step = self.global_step
        kept = min(self.averaging, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(_floating(self.model), _floating(self.trained), 1 - kept)


def _floating(model: nn.Module) -> list[Tensor]:
    """Everything that is averaged: the weights, and the means and variances of normalised channels."""
    return [value for value in model.state_dict().values() if value.is_floating_point()]


class EpochLoader:
    """Iterates over the batches of the module's current epoch, or its team's share of them.

    The epoch is counted by optimiser steps: when Lightning resumes a training it asks for the iterator before it
    has set its own count of epochs.
    """

    def __init__(self, module: AveragedTraining[Any]) -> None:
        self.module = module

    def __len__(self) -> int:
        return len(self.module.batches)

    def __iter__(self) -> Iterator[Any]:
        batches = self.module.batches.epoch(self.module.global_step // len(self))
        return map(self.module.team.share, batches)
