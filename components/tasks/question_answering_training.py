"""Loss, optimiser and batches of the question answering model."""

import copy
from collections.abc import Iterator

import lightning.pytorch as lightning
import torch
from torch import Tensor

from components.config import QuestionAnsweringSettings, TrialConfig
from components.data.questions import Questions
from components.personalization.initialization import initialize
from components.tasks.question_answering_batches import Batch, Library, TrainingBatches
from components.tasks.question_answering_model import QuestionAnsweringModel, choice_loss, place_loss
from components.tasks.question_answering_vocabulary import Vocabulary

AVERAGING = 0.995
"""Share of the averaged weights that a step keeps (exponential moving average)."""
PLACE_WEIGHT = 0.5
"""Weight of the loss that teaches the reader where the answer is, whatever its extent."""

CHOICE_WEIGHT = 1.0
"""Weight of the loss that teaches which of the acceptable answers a user wants, wherever the reader looks."""


class QuestionAnsweringTraining(lightning.LightningModule):
    """Trains on questions that several users ask, each of whom wants an answer of another extent.

    `trained` holds the weights that the optimiser moves, `model` their moving average: the one that is evaluated,
    saved and served. Averaging, unlike a falling learning rate, does not depend on the number of epochs.
    """

    def __init__(self, config: TrialConfig, data: Questions) -> None:
        super().__init__()
        assert isinstance(config.model, QuestionAnsweringSettings), config.model
        self.config = config
        self.vocabulary = Vocabulary.of(data)
        self.model = QuestionAnsweringModel(config.model, self.vocabulary)
        initialize(self.model, config.training.seed)
        self.trained = copy.deepcopy(self.model)
        self.model.requires_grad_(False)
        self.library = Library.of(data, self.vocabulary)
        self.batches = TrainingBatches(
            self.library, config.training.batch_size, config.model.users_per_question, config.training.seed
        )

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
        # The fused form is fast; with a gradient scaler Lightning cannot clip gradients before it.
        fused = training.precision != "16-mixed"
        return torch.optim.AdamW(groups, lr=training.learning_rate, fused=fused)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Return the negative log-likelihood of the wanted spans, plus the weighted losses of place and choice."""
        model, wanted_BU = self.trained, batch.wanted_BU()
        reading = model.read(batch.texts)
        user = model.users(batch.texts, batch.readers)
        treated = 1 if user is None else user.shape[1]
        spans = (bound_BS[:, None].expand(-1, treated, -1) for bound_BS in (batch.start_BS, batch.end_BS))
        likelihood_BUS = model.log_likelihood(reading, user, *spans).expand(-1, wanted_BU.shape[1], -1)
        loss = -likelihood_BUS.gather(2, wanted_BU[..., None]).mean()
        start_BU, end_BU = (bound_BS.gather(1, wanted_BU) for bound_BS in (batch.start_BS, batch.end_BS))
        loss = loss + PLACE_WEIGHT * place_loss(reading, start_BU, end_BU)
        if user is not None:
            choice = choice_loss(likelihood_BUS, wanted_BU, batch.start_BS, batch.end_BS)
            loss = loss + CHOICE_WEIGHT * choice
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(wanted_BU))
        return loss

    def on_train_batch_end(self, outputs: object, batch: Batch, batch_index: int) -> None:
        """Move the averaged weights towards the trained ones; fast at first, so that the start is forgotten."""
        step = self.global_step
        kept = min(AVERAGING, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.model.parameters()), list(self.trained.parameters()), 1 - kept)


class EpochLoader:
    """Iterates over the batches of the module's current epoch, which is counted by optimiser steps."""

    def __init__(self, module: QuestionAnsweringTraining) -> None:
        self.module = module

    def __len__(self) -> int:
        return len(self.module.batches)

    def __iter__(self) -> Iterator[Batch]:
        return self.module.batches.epoch(self.module.global_step // len(self))
