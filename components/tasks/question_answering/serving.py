"""The question answering model as serving uses it: one user at a time, one event at a time."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.torch
import torch

from components.config import QuestionAnsweringSettings, TrialConfig
from components.data.events import Event
from components.data.passages import Tokens, kind_of
from components.personalization.events import Events, State
from components.tasks.question_answering.batches import Asked, Texts, texts_of
from components.tasks.question_answering.events import EVENT_KINDS, MOST_WORDS, History
from components.tasks.question_answering.extents import extent_of
from components.tasks.question_answering.features import Passage
from components.tasks.question_answering.model import QuestionAnsweringModel
from components.tasks.question_answering.vocabulary import Vocabulary
from components.tasks.servable import Follower, UnusableContent

MOST_CHARACTERS = 20_000
"""No longer question or passage is read."""
MOST_ASKED = 500
"""No question of more words and signs is read: attention takes memory for each of them at each of the passage."""


@dataclass(frozen=True)
class Answered:
    """The answer to a question."""

    text: str
    start: int
    """Its first character in the passage."""
    end: int
    """The character after its last."""
    score: float
    """Log-probability of the answer."""


@dataclass(frozen=True)
class AnswerShown:
    """What the content of an event tells: an answer, characters `start:end` of the passage, to a question."""

    question: str
    passage: str
    start: int
    end: int

    @classmethod
    def parse(cls, content: str) -> "AnswerShown":
        """Read the JSON object `{"question", "passage", "start", "end"}`. Raises `UnusableContent`."""
        expected = (
            "the content of an event must be a JSON object with `question`, `passage` and the answer's "
            "characters in it, `start` and `end`; "
        )
        try:
            told = json.loads(content)
        except (TypeError, ValueError, RecursionError) as error:
            raise UnusableContent(f"{expected}got {content[:80]!r}") from error
        if not isinstance(told, dict):
            raise UnusableContent(f"{expected}got {content[:80]!r}")
        keys = [field.name for field in fields(cls)]
        wrong = [f"`{key}` is missing" for key in keys if key not in told]
        wrong += [f"{key[:40]!r} is no key of it" for key in told if key not in keys]
        if wrong:
            raise UnusableContent(f"{expected}{', '.join(wrong[:4])}")
        shown = cls(**told)
        texts = all(isinstance(text, str) for text in (shown.question, shown.passage))
        places = all(type(place) is int for place in (shown.start, shown.end))
        if not texts or not places or not 0 <= shown.start < shown.end <= len(shown.passage):
            raise UnusableContent(
                "`question` and `passage` must be texts, `start` and `end` characters of an answer inside the "
                f"passage of {len(str(shown.passage))} characters; got {shown.start!r} and {shown.end!r}"
            )
        return shown


class Located(NamedTuple):
    """An answer that was shown, found again among the tokens of its passage."""

    question: str
    tokens: Tokens
    first: int
    """The answer's first token."""
    last: int
    """The token after its last."""


class QuestionAnsweringServable(Follower[Located]):
    """Follows users by the answers that they liked or disliked, and answers questions.

    An event's content is the JSON text that `AnswerShown.parse` reads.
    """

    def __init__(self, model: QuestionAnsweringModel, vocabulary: Vocabulary) -> None:
        super().__init__(model.core, EVENT_KINDS, vocabulary.profile_fields)
        self.model = model.eval()
        self.vocabulary = vocabulary

    def answer(self, state: State, profile: Mapping[str, str], question: str, passage: str) -> Answered:
        """Answer a question from a passage. Raises `UnusableContent` where either holds no word or is too long."""
        tokens = Tokens(passage)
        texts = self._texts(question, tokens)
        model = self.model
        with torch.inference_mode():
            reading = model.read(texts)
            user = None if model.core is None else model.user_of(state, texts, self._profile(profile))
            spans = model.answer(reading, user)
        start = int(tokens.start[int(spans.start)])
        end = int(tokens.end[int(spans.end)])
        return Answered(passage[start:end], start, end, float(spans.score))

    def _texts(self, question: str, tokens: Tokens) -> Texts:
        asked = _asked(question, tokens)
        forms = list(dict.fromkeys([*asked, *tokens.words]))
        number = {form: place for place, form in enumerate(forms)}
        one = Asked(
            np.array([number[form] for form in asked]),
            kind_of(question),
            Passage(np.array([number[form] for form in tokens.words]), tokens.sentence, *tokens.clauses),
        )
        return texts_of(self.vocabulary.lexicon(forms), [one])

    def _read(self, content: str) -> Located:
        shown = AnswerShown.parse(content)
        tokens = Tokens(shown.passage)
        _asked(shown.question, tokens)
        first = int(np.searchsorted(tokens.end, shown.start, side="right"))
        last = int(np.searchsorted(tokens.start, shown.end, side="left"))
        if first >= last:
            raise UnusableContent("the answer of an event holds no word")
        return Located(shown.question, tokens, first, last)

    def _encode(self, content: Located, event: Event, gap_BT: torch.Tensor) -> Events:
        assert self.model.events is not None
        kind, tokens = kind_of(content.question), content.tokens
        words = self.vocabulary.lexicon(Tokens(content.question).words[:MOST_WORDS]).word_W
        scale = self.vocabulary.extent_scale
        usual = scale.log_length[self.vocabulary.kinds[kind]]
        extent = extent_of(content.first, content.last, tokens.sentence, *tokens.clauses, usual)
        history = History(
            torch.tensor([[kind]]),
            torch.from_numpy(words)[None, None],
            torch.from_numpy(scale.scaled(np.array(extent)))[None, None],
            torch.tensor([[float(event.value)]]),
            gap_BT,
        )
        return self.model.events(history)


def _asked(question: str, passage: Tokens) -> list[str]:
    """Return the words of a question. Raises `UnusableContent` where it or the passage cannot be read."""
    if max(len(question), len(passage.text)) > MOST_CHARACTERS:
        raise UnusableContent(f"a question or passage of more than {MOST_CHARACTERS} characters")
    words = Tokens(question).words
    if not words or not len(passage):
        raise UnusableContent("a question and a passage need at least one word each")
    if len(words) > MOST_ASKED:
        raise UnusableContent(f"a question of {len(words)} words and signs; at most {MOST_ASKED} are read")
    return words


def load_servable(folder: Path) -> QuestionAnsweringServable:
    """Load `config.json`, `model.safetensors` and what `Vocabulary.write` left beside them.

    Raises `ValueError` for a model that is told what its users want, as nobody knows that of real users.
    """
    config = TrialConfig.model_validate(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    assert isinstance(config.model, QuestionAnsweringSettings), config.model
    if config.model.told:
        raise ValueError("a model with `told: true` is a ceiling to compare with and cannot be served")
    vocabulary = Vocabulary.read(folder)
    model = QuestionAnsweringModel(config.model, vocabulary)
    model.load_state_dict(safetensors.torch.load_file(folder / "model.safetensors"))
    return QuestionAnsweringServable(model, vocabulary)
