"""The captioning model as serving uses it: one user at a time, one event at a time."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch

from components.config import CaptioningSettings, TrialConfig
from components.data.captions import split_words
from components.data.events import Event
from components.data.images import UnusablePicture, decode_picture
from components.personalization.events import State, scaled_gap
from components.tasks.captioning.events import EVENT_KINDS, History
from components.tasks.captioning.model import CaptioningModel
from components.tasks.captioning.vocabulary import Vocabulary, padded
from components.tasks.servable import UnknownKind, UnusableContent, dump_state, load_state

LAST_TIME = "last_time"
"""Key of a state's newest timestamp, beside what the core keeps."""
MOST_CHARACTERS = 2_000
"""No longer caption is read."""
MOST_BYTES = 20_000_000
"""No larger picture file is decoded."""


@dataclass(frozen=True)
class Captioned:
    """The caption of a picture."""

    text: str
    score: float
    """Log-probability, guided and normalised by length; comparable between captions for one user."""


class CaptioningServable:
    """Follows users by the captions that they liked or disliked, and captions pictures. States are never changed."""

    def __init__(self, model: CaptioningModel, vocabulary: Vocabulary) -> None:
        self.model = model.eval()
        self.vocabulary = vocabulary
        self.profile_fields: Mapping[str, Sequence[str]] = vocabulary.profile_fields
        self.kinds: Sequence[str] = EVENT_KINDS

    def initial_state(self) -> State:
        """Return the state of a user of whom nothing is known."""
        core = self.model.core
        state = {} if core is None else core.initial_state()
        return state | {LAST_TIME: torch.full((1,), float("nan"), dtype=torch.float64)}

    def check(self, event: Event) -> None:
        """Raise `UnknownKind` or `UnusableContent` unless the model can read the event."""
        self._read(event)

    def step(self, state: State, event: Event) -> State:
        """Return the state after one more event. Raises what `check` does.

        The event's content is a JSON object with the `caption` that the user was shown; what else it holds, such as
        the name of the `image`, is ignored.
        """
        words = self._read(event)
        time = torch.tensor([event.timestamp], dtype=torch.float64)
        core, events = self.model.core, self.model.events
        if core is None or events is None:
            return {LAST_TIME: time}
        seconds = torch.nan_to_num(time - state[LAST_TIME], nan=0.0).float()
        history = History(
            torch.from_numpy(padded([self.vocabulary.numbers(words)]))[None],
            torch.tensor([[float(event.value)]]),
            scaled_gap(seconds)[:, None],
        )
        with torch.inference_mode():
            encoded = events(history)
            after = core.step(state, type(encoded)(*(field[:, 0] for field in encoded)))
        return after | {LAST_TIME: time}

    def caption(self, state: State, profile: Mapping[str, str], image: bytes) -> Captioned:
        """Caption a picture, the bytes of a JPEG or PNG file. Raises `UnusableContent` where it is none."""
        if len(image) > MOST_BYTES:
            raise UnusableContent(f"a picture of {len(image):,} bytes; at most {MOST_BYTES:,} are read")
        try:
            pixels = decode_picture(io.BytesIO(image), self.vocabulary.picture_size)
        except UnusablePicture as error:
            raise UnusableContent(f"a picture must be a whole JPEG or PNG file: {error}") from error
        model = self.model
        with torch.inference_mode():
            picture = model.see(torch.from_numpy(pixels.copy())[None])
            profile_NF = self._profile(profile)
            user = None if model.core is None else model.user_of(state, picture, profile_NF)
            known = not bool(torch.isnan(state[LAST_TIME]).all())
            nobody = model.nobody(picture, profile_NF) if known else None
            written = model.write(picture, user, nobody)
        text = self.vocabulary.text(written.word_BQT[0, 0].tolist())
        return Captioned(text, float(written.score_BQ[0, 0]))

    def dump_state(self, state: State) -> bytes:
        """Write a state as bytes that hold no code."""
        return dump_state(state)

    def load_state(self, data: bytes) -> State:
        """Read what `dump_state` wrote. Raises `ValueError` where it does not fit this model."""
        return load_state(data, like=self.initial_state())

    def _read(self, event: Event) -> list[str]:
        """Return the words of the caption that the event is about."""
        if event.kind not in self.kinds:
            raise UnknownKind(f"kind {event.kind!r} is not one of {', '.join(self.kinds)}")
        try:
            caption = json.loads(event.content)["caption"]
        except (TypeError, KeyError, ValueError) as error:
            raise UnusableContent(
                "the content of an event must be a JSON object with the `caption` that the user was shown; "
                f"got {event.content[:80]!r}"
            ) from error
        if not isinstance(caption, str) or len(caption) > MOST_CHARACTERS:
            raise UnusableContent(f"`caption` must be a text of at most {MOST_CHARACTERS} characters")
        words = split_words(caption)
        if not words:
            raise UnusableContent("the caption of an event holds no word")
        return words

    def _profile(self, profile: Mapping[str, str]) -> torch.Tensor:
        """Fields and categories that the model does not know count as unknown."""
        indices = [
            list(categories).index(profile[field]) if profile.get(field) in categories else 0
            for field, categories in self.profile_fields.items()
        ]
        return torch.tensor([indices], dtype=torch.long)


def load_servable(folder: Path) -> CaptioningServable:
    """Load `config.json`, `model.safetensors` and what `Vocabulary.write` left beside them.

    Raises `ValueError` for a model that is told what its users want, as nobody knows that of real users.
    """
    config = TrialConfig.model_validate(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    assert isinstance(config.model, CaptioningSettings), config.model
    if config.model.told:
        raise ValueError("a model with `told: true` is a ceiling to compare with and cannot be served")
    vocabulary = Vocabulary.read(folder)
    model = CaptioningModel(config.model, vocabulary)
    model.load_state_dict(safetensors.torch.load_file(folder / "model.safetensors"))
    return CaptioningServable(model, vocabulary)
