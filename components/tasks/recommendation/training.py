"""Losses, optimiser and batches of the recommendation model."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from components.averaging import AveragedTraining
from components.config import RecommendationSettings, TrialConfig
from components.data.interactions import Interactions
from components.tasks.recommendation.batches import Batch, TrainingBatches
from components.tasks.recommendation.catalogue import Catalogue
from components.tasks.recommendation.items import ItemTable
from components.tasks.recommendation.model import Reading, RecommendationModel

RANKED_SHARE = 2
"""One event in so many takes part in the ranking loss of a step."""


class RecommendationTraining(AveragedTraining[RecommendationModel]):
    """Trains on all positions of all users' sequences: would they like what they met, and what did they turn to?"""

    averaging = 0.98
    fused = False

    def __init__(self, config: TrialConfig, data: Interactions) -> None:
        settings, training = config.model, config.training
        assert isinstance(settings, RecommendationSettings), settings
        negatives = settings.negatives if settings.softmax == "sampled" else None
        batches = TrainingBatches(data, training.batch_size, negatives, training.seed)
        catalogue = Catalogue.of(data, settings)
        super().__init__(config, RecommendationModel(settings, catalogue), batches)
        self.settings = settings
        self.catalogue = catalogue

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Return the like loss plus the weighted ranking loss, both means over the batch's events.

        In a team, both are this member's part of the means over all members' events.
        """
        model = self.trained
        counts = [batch.mask_BQ[:, first::RANKED_SHARE].sum() for first in range(RANKED_SHARE)]
        count_S = self.team.total(torch.stack(counts))
        table = model.items(batch.needed_items())
        source = model.encode(table, batch.history)
        reading = model.read(source, batch.profile_BF, batch.before_BQ)
        like = batch.like_BQ.to(table.content_IC.dtype)
        base = self._base_without_own_vote(batch.item_BQ, like)
        logits = model.like_logits(table, source, reading, batch.item_BQ, batch.before_BQ, base)
        losses = F.binary_cross_entropy_with_logits(logits, like, reduction="none")
        loss = _part_of_mean(losses, batch.mask_BQ, count_S.sum())
        if self.settings.ranking_weight > 0:
            loss = loss + self.settings.ranking_weight * self._ranking_loss(table, reading, batch, count_S)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=self.team.rows(batch))
        return loss

    def _base_without_own_vote(self, item: Tensor, like: Tensor) -> Tensor:
        """Log-odds of the items' like rates, each example's own vote left out so that it cannot be read off."""
        model = self.model
        likes = model.likes_I[item] - like + model.prior_events * model.prior_I[item]
        return torch.logit(likes / (model.count_I[item] - 1 + model.prior_events), eps=1e-3)

    def _ranking_loss(
        self, table: ItemTable, reading: Reading | None, batch: Batch, count_S: Tensor
    ) -> Tensor:
        """Softmax over the item met and shared negatives, without those that the user had met before.

        The negatives stand for the whole catalogue, so their weight makes up for the share that was drawn; if
        that is all, this is the full softmax. Taken over every other event, from a random one on, to halve the cost;
        `count_S` has their number from each first one on.
        """
        first = int(torch.randint(RANKED_SHARE, ()))
        chosen = slice(first, None, RANKED_SHARE)
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
        return _part_of_mean(loss, batch.mask_BQ[:, chosen], count_S[first])


def _part_of_mean(loss_BQ: Tensor, mask_BQ: Tensor, count: Tensor) -> Tensor:
    return (loss_BQ * mask_BQ).sum() / count.clamp_min(1)
