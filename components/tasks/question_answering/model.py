"""The question answering model: a reader, and a user who steers its attention, its fusion and the extent of answers.

Dimensions: B questions, U users of each, N = B * U histories, S styles of answer, T tokens,
V vector that steers, C content of an event.
"""

import torch
from torch import Tensor, nn

from components.config import QuestionAnsweringSettings
from components.personalization.core import PersonalizationCore
from components.personalization.events import Encoded, State
from components.personalization.wish import Wish
from components.tasks.question_answering.batches import Readers, Texts
from components.tasks.question_answering.events import EVENT_KINDS, MOST_WORDS, AnswerEvents
from components.tasks.question_answering.extents import EXTENTS
from components.tasks.question_answering.pointers import Pointers, Spans
from components.tasks.question_answering.reader import Reader, Reading
from components.tasks.question_answering.vocabulary import CHARACTERS, Vocabulary


class QuestionAnsweringModel(nn.Module):
    """Answers a question from a passage with the span that this user wants."""

    def __init__(self, settings: QuestionAnsweringSettings, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.settings = settings
        words, kinds = len(vocabulary.words), len(vocabulary.kinds)
        self.read = Reader(
            words, len(CHARACTERS) + 2, kinds, settings.embedding, settings.hidden, settings.dropout
        )
        chosen = settings.personalization
        profile_sizes = [len(categories) for categories in vocabulary.profile_fields.values()]
        self.core: PersonalizationCore | None = None
        self.events: AnswerEvents | None = None
        self.told: nn.Embedding | None = None
        self.wish: Wish | None = None
        if chosen is not None and settings.told:
            self.told = nn.Embedding(len(vocabulary.styles), chosen.hidden)
        elif chosen is not None and (chosen.history or (chosen.profile and profile_sizes)):
            events = AnswerEvents(words, kinds)
            self.core = PersonalizationCore(
                chosen,
                events.content_size,
                len(EVENT_KINDS),
                profile_sizes,
                residuals=EXTENTS,
                dropout=settings.dropout,
            )
            self.wish = Wish(self.core.user_size, len(vocabulary.styles), chosen.hidden)
            if self.core.history:
                self.events = events
        self.pointers = Pointers(
            settings.hidden,
            0 if chosen is None or (self.core is None and self.told is None) else chosen.hidden,
            chosen is not None and chosen.attention_modulation,
            chosen is not None and chosen.fusion_modulation,
        )

    def users(self, texts: Texts, readers: Readers) -> Tensor | None:
        """Describe the users of each question: (B, U, V), or None without personalisation."""
        if self.told is not None:
            return self.told(readers.wanted_N).unflatten(0, (len(texts.kind_B), -1))
        if self.wish is None:
            return None
        return self.wish.decided(self.guesses(texts, readers))

    def user_of(self, state: State, texts: Texts, profile_NF: Tensor) -> Tensor:
        """Describe users, from states, in view of the questions: (B, U, V)."""
        assert self.wish is not None
        return self.wish.decided(self._guesses(state, texts, profile_NF, None))

    def guesses(self, texts: Texts, readers: Readers) -> Tensor:
        """Guess the style of answer that the users of each question want: logits (B, U, S)."""
        assert self.core is not None
        if self.events is None:
            return self._guesses({}, texts, readers.profile_NF, None)
        encoded = self.core.encode(self.events(readers.history))
        return self._guesses(encoded, texts, readers.profile_NF, readers.before_N)

    def _guesses(
        self, source: State | Encoded, texts: Texts, profile_NF: Tensor, before_N: Tensor | None
    ) -> Tensor:
        """The same from states or encoded histories.

        What users want may depend on the question, so that attention looks for events with questions like it.
        """
        core = self.core
        assert core is not None and self.wish is not None
        batch = len(texts.kind_B)
        users = len(profile_NF) // batch
        before_N1 = None if before_N is None else before_N[:, None]
        summary, context = {}, None
        if self.events is not None:
            summary = core.summary(source, before_N1)
            if core.attention is not None:
                query_BC = self.events.query(texts.kind_B, self._question_words(texts))
                query_N1C = query_BC.repeat_interleave(users, dim=0)[:, None]
                context = core.attend(source, query_N1C, before_N1)
        vector_N1V = core.user_vector(summary, context, profile_NF)
        return self.wish.logits(vector_N1V[:, 0]).unflatten(0, (batch, users))

    def log_likelihood(
        self, reading: Reading, user_BUV: Tensor | None, start_BUS: Tensor, end_BUS: Tensor
    ) -> Tensor:
        """Log-probability of S spans for each user, `end_BUS` inclusive: (B, U, S)."""
        focus = self.pointers.focus(reading, user_BUV)
        first = focus.start_BUT.expand(-1, start_BUS.shape[1], -1).gather(2, start_BUS)
        last = self.pointers.end(reading, focus, user_BUV, start_BUS)
        return first + last.gather(3, end_BUS[..., None])[..., 0]

    def answer(self, reading: Reading, user_BUV: Tensor | None) -> Spans:
        """Find the answers to give; with one user in place of U where all are treated alike."""
        return self.pointers.answer(reading, user_BUV, self.settings.beam)

    @staticmethod
    def _question_words(texts: Texts) -> Tensor:
        """The beginning of each question as the vocabulary numbers it, 0 where padding."""
        number = texts.word_W[texts.question_BL] * texts.mask_BL()
        return number[:, :MOST_WORDS]


def alike(start_BS: Tensor, end_BS: Tensor) -> Tensor:
    """Whether the answers in two styles are the same: (B, S, S)."""
    return (start_BS[:, :, None] == start_BS[:, None]) & (end_BS[:, :, None] == end_BS[:, None])


def choice_loss(likelihood_BUS: Tensor, wanted_BU: Tensor, alike_BSS: Tensor) -> Tensor:
    """Negative log of the probability of the wanted answer among the acceptable ones; a mean.

    `likelihood_BUS` holds the log-probabilities of the answers in S styles; equal ones count once.
    """
    repeated_BS = alike_BSS.tril(-1).any(-1)
    total_BU = likelihood_BUS.masked_fill(repeated_BS[:, None], float("-inf")).logsumexp(-1)
    return (total_BU - likelihood_BUS.gather(2, wanted_BU[..., None])[..., 0]).mean()


def style_loss(guess_BUS: Tensor, wanted_BU: Tensor, alike_BSS: Tensor) -> Tensor:
    """Negative log of the guessed probability of the styles that give the wanted answer; a mean."""
    fits_BUS = alike_BSS.gather(1, wanted_BU[..., None].expand_as(guess_BUS))
    return -guess_BUS.log_softmax(-1).masked_fill(~fits_BUS, float("-inf")).logsumexp(-1).mean()


def place_loss(reading: Reading, start_BU: Tensor, end_BU: Tensor) -> Tensor:
    """Negative log of the probability that the answer's core lies inside what each user wants; a mean."""
    total_BT = reading.place_BT.cumsum(1)
    before_BT = total_BT - reading.place_BT
    inside = total_BT.gather(1, end_BU) - before_BT.gather(1, start_BU)
    return -torch.log(inside.clamp_min(1e-6)).mean()
