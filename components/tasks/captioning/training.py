"""Losses, optimiser and batches of the captioning model.

The caption loss alone teaches a decoder to ignore who is asking. What teaches the core to read users is a loss of its
own: in which style does this user want this picture's caption? The decoder is told the answer in half of the cases.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from components.averaging import AveragedTraining
from components.config import CaptioningSettings, TrialConfig
from components.data.captions import Captions
from components.personalization.wish import TOLD_SHARE
from components.tasks.captioning.batches import Batch, Library, TrainingBatches
from components.tasks.captioning.image import Picture, tag_loss
from components.tasks.captioning.model import CaptioningModel
from components.tasks.captioning.vocabulary import PADDING, Vocabulary

TAG_WEIGHT = 0.2
CHOICE_WEIGHT = 1.0
STYLE_WEIGHT = 0.5
KIND_WEIGHT = 0.5
DARK_SHARE = 0.1
"""Share of the pictures that the decoder does not see, so that guidance knows what is said without looking."""
SMOOTHING = 0.05
"""Share of the probability that the target of a word leaves to the other words."""


class CaptioningTraining(AveragedTraining[CaptioningModel]):
    """Trains on pictures that several users look at, each of whom wants the caption in another style."""

    averaging = 0.995

    def __init__(self, config: TrialConfig, data: Captions) -> None:
        settings, training = config.model, config.training
        assert isinstance(settings, CaptioningSettings), settings
        vocabulary = Vocabulary.of(data, settings.vocabulary)
        library = Library.of(data, vocabulary)
        batches = TrainingBatches(library, training.batch_size, settings.users_per_image, training.seed)
        super().__init__(config, CaptioningModel(settings, vocabulary), batches)
        self.vocabulary = vocabulary
        self.library = library

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Return the caption loss plus the weighted losses of tags, of the user's choice and of kinds."""
        model = self.trained
        picture = model.see(batch.image)
        logit_NQS = None
        if model.wish is None:
            user = model.users(picture, batch.viewers)
        else:
            logit_NQS = model.guesses(picture, batch.viewers)
            last = batch.viewers.before_N.clamp_max(logit_NQS.shape[1] - 1)
            moment = torch.arange(len(logit_NQS), device=last.device)
            told_N = torch.rand(len(logit_NQS), device=last.device) < TOLD_SHARE
            style_N = batch.style_NQ[moment, batch.viewers.before_N]
            user = model.wish.taught(logit_NQS[moment, last], style_N, told_N)
            user = user.unflatten(0, batch.word_BUT.shape[:2])
        region_BRH = model.see.darkened(picture.region_BRH, DARK_SHARE)
        state = model.decoder(model.decoder.look(region_BRH, user), batch.word_BUT)
        following = batch.next_BUT[batch.next_BUT != PADDING]
        losses = {
            "word": F.cross_entropy(model.decoder.logits(state), following, label_smoothing=SMOOTHING),
            "tag": TAG_WEIGHT * tag_loss(picture.tag_BG, batch.share_BG),
        }
        if logit_NQS is not None:
            losses |= self._reader_losses(picture, logit_NQS, batch)
        losses["train"] = torch.stack(list(losses.values())).sum()
        for name, loss in losses.items():
            self.log(f"{name}_loss", loss.detach(), on_step=False, on_epoch=True, batch_size=len(batch.image))
        return losses["train"]

    def _reader_losses(self, picture: Picture, logit_NQS: Tensor, batch: Batch) -> dict[str, Tensor]:
        """What teaches the core to read users: which style whom, after every event; and what captions say."""
        events = self.trained.events
        if events is None:
            user_N = torch.arange(len(logit_NQS), device=logit_NQS.device)
            wanted_N = batch.style_NQ[user_N, batch.viewers.before_N]
            return {"choice": CHOICE_WEIGHT * F.cross_entropy(logit_NQS[:, 0], wanted_N)}
        moment = torch.arange(logit_NQS.shape[1], device=logit_NQS.device)
        real_NQ = moment <= batch.viewers.before_N[:, None]
        shown_NT = batch.shown_NT >= 0
        manner_BSM = events.manner(batch.candidate_BSL)
        told = torch.cat(
            [
                events.style_logits(manner_BSM).flatten(0, 1),
                events.style_logits(events.manner(batch.viewers.history.word_NTL[shown_NT])),
            ]
        )
        styles = torch.arange(manner_BSM.shape[1], device=told.device).repeat(len(manner_BSM))
        styles = torch.cat([styles, batch.shown_NT[shown_NT]])
        seen = events.kind_logits(events.topic_of_tags(picture.tag_BG.detach()))
        read = events.kind_logits(events.topic_of_words(batch.candidate_BSL[:, 0]))
        return {
            "choice": CHOICE_WEIGHT * F.cross_entropy(logit_NQS[real_NQ], batch.style_NQ[real_NQ]),
            "style": STYLE_WEIGHT * F.cross_entropy(told, styles),
            "kind_seen": KIND_WEIGHT * F.cross_entropy(seen, batch.kind_B),
            "kind_read": KIND_WEIGHT * F.cross_entropy(read, batch.kind_B),
        }
