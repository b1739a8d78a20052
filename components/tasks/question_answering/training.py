"""Loss, optimiser and batches of the question answering model."""

import torch
from torch import Tensor

from components.averaging import AveragedTraining
from components.config import QuestionAnsweringSettings, TrialConfig
from components.data.questions import Questions
from components.data.word_vectors import WordVectors
from components.errors import AdaptuneError
from components.tasks.question_answering.batches import Batch, Library, TrainingBatches
from components.tasks.question_answering.model import (
    QuestionAnsweringModel,
    alike,
    choice_loss,
    place_loss,
    style_loss,
)
from components.tasks.question_answering.vocabulary import Vocabulary

PLACE_WEIGHT = 0.5
"""Weight of the loss that teaches the reader where the answer is, whatever its extent."""
CHOICE_WEIGHT = 1.0
"""Weight of the loss that teaches which of the acceptable answers a user wants, wherever the reader looks."""
STYLE_WEIGHT = 1.0
"""Weight of the loss that teaches what a user wants, without the reader."""


class QuestionAnsweringTraining(AveragedTraining[QuestionAnsweringModel]):
    """Trains on questions that several users ask, each of whom wants an answer of another extent."""

    averaging = 0.995

    def __init__(self, config: TrialConfig, data: Questions) -> None:
        settings, training = config.model, config.training
        assert isinstance(settings, QuestionAnsweringSettings), settings
        vocabulary = Vocabulary.of(data)
        library = Library.of(data, vocabulary)
        batches = TrainingBatches(library, training.batch_size, settings.users_per_question, training.seed)
        super().__init__(config, QuestionAnsweringModel(settings, vocabulary), batches)
        if data.word_vectors is not None:
            number, vector = known_vectors(vocabulary, data.word_vectors, settings.embedding)
            for model in (self.model, self.trained):
                model.read.words.start_from(number, vector)
        self.vocabulary = vocabulary
        self.library = library

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Return the negative log-likelihood of the wanted spans, plus the weighted losses of place, choice and
        style.

        In a team, this member's part of their means over all members' questions.
        """
        model, wanted_BU = self.trained, batch.wanted_BU()
        reading = model.read(batch.texts)
        guess_BUS = None
        if model.wish is None:
            user = model.users(batch.texts, batch.readers)
        else:
            guess_BUS = model.guesses(batch.texts, batch.readers)
            # The core learns what users want from what they wanted, not from where the reader errs.
            steering = guess_BUS.detach().flatten(0, 1), batch.readers.wanted_N, batch.told_BU.flatten()
            user = model.wish.taught(*steering).unflatten(0, guess_BUS.shape[:2])
        treated = 1 if user is None else user.shape[1]
        spans = (bound_BS[:, None].expand(-1, treated, -1) for bound_BS in (batch.start_BS, batch.end_BS))
        likelihood_BUS = model.log_likelihood(reading, user, *spans).expand(-1, wanted_BU.shape[1], -1)
        loss = -likelihood_BUS.gather(2, wanted_BU[..., None]).mean()
        start_BU, end_BU = (bound_BS.gather(1, wanted_BU) for bound_BS in (batch.start_BS, batch.end_BS))
        loss = loss + PLACE_WEIGHT * place_loss(reading, start_BU, end_BU)
        if user is not None:
            same_BSS = alike(batch.start_BS, batch.end_BS)
            loss = loss + CHOICE_WEIGHT * choice_loss(likelihood_BUS, wanted_BU, same_BSS)
            if guess_BUS is not None:
                loss = loss + STYLE_WEIGHT * style_loss(guess_BUS, wanted_BU, same_BSS)
        rows = self.team.rows(batch)
        loss = loss * (batch.size / rows)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=rows)
        return loss


def known_vectors(vocabulary: Vocabulary, given: WordVectors, size: int) -> tuple[Tensor, Tensor]:
    """Return the numbers [K] of the vocabulary's words that have vectors, and the vectors [K, size].

    Raises `AdaptuneError` where these are of another size.
    """
    found = given.vector_WE.shape[1]
    if found != size:
        raise AdaptuneError(
            f"`data.word_vectors` has {found} numbers a word, and `model.embedding` is {size}: set it to {found}"
        )
    row = {word: place for place, word in enumerate(given.words)}
    number = [number for number, word in enumerate(vocabulary.words, start=1) if word in row]
    rows = [row[word] for word in vocabulary.words if word in row]
    return torch.tensor(number), torch.from_numpy(given.vector_WE[rows].copy())
