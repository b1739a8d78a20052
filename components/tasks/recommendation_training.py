"""Losses, optimiser and batches of the recommendation model."""

import copy
import math
from collections.abc import Iterator

import lightning.pytorch as lightning
import torch
import torch.nn.functional as F
from torch import Tensor

from components.config import RecommendationSettings, TrialConfig
from components.data.interactions import Interactions
from components.personalization.initialization import initialize
from components.tasks.recommendation_batches import Batch, TrainingBatches
from components.tasks.recommendation_catalogue import Catalogue
from components.tasks.recommendation_items import ItemTable
from components.tasks.recommendation_model import Reading, RecommendationModel

RANKED_SHARE = 2
"""One event in so many takes part in the ranking loss of a step."""
AVERAGING = 0.98
"""Share of the averaged weights that a step keeps (exponential moving average)."""


class RecommendationTraining(lightning.LightningModule):
    """Trains on all positions of all users' sequences: would they like what they met, and what did they turn to?

    `trained` holds the weights that the optimiser moves, `model` their moving average: the one that is
    evaluated, saved and served. Averaging, unlike a falling learning rate, does not depend on the number of epochs.
    """

    def __init__(self, config: TrialConfig, data: Interactions) -> None:
        super().__init__()
        assert isinstance(config.model, RecommendationSettings), config.model
        self.config = config
        self.settings = config.model
        self.model = RecommendationModel(self.settings, Catalogue.of(data))
        initialize(self.model, config.training.seed)
        self.trained = copy.deepcopy(self.model)
        self.model.requires_grad_(False)
        training = config.training
        self.batches = TrainingBatches(data, training.batch_size, self.settings.negatives, training.seed)

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
        return torch.optim.AdamW(groups, lr=training.learning_rate)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Return the like loss plus the weighted ranking loss, both means over the batch's events."""
        model = self.trained
        table = model.items()
        source = model.encode(table, batch.history)
        reading = model.read(source, batch.profile_BF, batch.before_BQ)
        like = batch.like_BQ.to(table.content_IC.dtype)
        base = self._base_without_own_vote(batch.item_BQ, like)
        logits = model.like_logits(table, source, reading, batch.item_BQ, batch.before_BQ, base)
        loss = _masked_mean(F.binary_cross_entropy_with_logits(logits, like, reduction="none"), batch.mask_BQ)
        if self.settings.ranking_weight > 0:
            loss = loss + self.settings.ranking_weight * self._ranking_loss(table, reading, batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.item_BQ))
        return loss

    def on_train_batch_end(self, outputs: object, batch: Batch, batch_index: int) -> None:
        """Move the averaged weights towards the trained ones; fast at first, so that the start is forgotten."""
        step = self.global_step
        kept = min(AVERAGING, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.model.parameters()), list(self.trained.parameters()), 1 - kept)

    def _base_without_own_vote(self, item: Tensor, like: Tensor) -> Tensor:
        """Log-odds of the items' like rates, each example's own vote left out so that it cannot be read off."""
        model = self.model
        likes = model.likes_I[item] - like + model.prior_events * model.prior_I[item]
        return torch.logit(likes / (model.count_I[item] - 1 + model.prior_events), eps=1e-3)

    def _ranking_loss(self, table: ItemTable, reading: Reading | None, batch: Batch) -> Tensor:
        """Softmax over the item met and shared negatives, without those that the user had met before.

        The negatives stand for the whole catalogue, so their weight makes up for the share that was drawn. Taken over
        every other event, from a random one on, to halve the cost.
        """
        chosen = slice(int(torch.randint(RANKED_SHARE, ())), None, RANKED_SHARE)
        item, negative = batch.item_BQ[:, chosen], batch.negative_N
        if reading is not None:
            summary = {name: values[:, chosen] for name, values in reading.summary.items()}
            moments = reading.user_BQH.shape[1]
            reading = Reading(summary, reading.user_BQH[:, chosen] if moments > 1 else reading.user_BQH)
        of_item = self.trained.ranking_logits_of(table, reading, item)
        of_negative = self.trained.ranking_logits(table, reading, negative).expand(*item.shape, -1)
        same = batch.item_BQ[:, :, None] == negative
        place = torch.arange(batch.item_BQ.shape[1], device=item.device)[:, None]
        first_met = torch.where(same, place, len(place)).amin(dim=1)
        excluded = same[:, chosen] | (first_met[:, None, :] < batch.earlier_BQ[:, chosen, None])
        share = math.log(len(self.trained.count_I) / len(negative))
        of_negative = of_negative.masked_fill(excluded, float("-inf")).logsumexp(-1) + share
        loss = torch.logaddexp(of_item, of_negative) - of_item
        return _masked_mean(loss, batch.mask_BQ[:, chosen])


def _masked_mean(loss_BQ: Tensor, mask_BQ: Tensor) -> Tensor:
    return (loss_BQ * mask_BQ).sum() / mask_BQ.sum().clamp_min(1)


class EpochLoader:
    """Iterates over the batches of the module's current epoch.

    The epoch is counted by optimiser steps: when Lightning resumes a training it asks for the iterator before it
    has set its own count of epochs.
    """

    def __init__(self, module: RecommendationTraining) -> None:
        self.module = module

    def __len__(self) -> int:
        return len(self.module.batches)

    def __iter__(self) -> Iterator[Batch]:
        return self.module.batches.epoch(self.module.global_step // len(self))
