"""The captioning model as serving uses it: one user at a time, one event at a time."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch

from components.config import CaptioningSettings, TrialConfig
from components.data.captions import ENCODER, split_words
from components.data.events import Event
from components.data.images import UnusablePicture, decode_picture
from components.data.regions import PretrainedEncoder
from components.personalization.events import Events, State
from components.tasks.captioning.events import EVENT_KINDS, History
from components.tasks.captioning.model import CaptioningModel
from components.tasks.captioning.vocabulary import Vocabulary, padded
from components.tasks.servable import Follower, UnusableContent

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


class CaptioningServable(Follower[list[str]]):
    """Follows users by the captions that they liked or disliked, and captions pictures.

    An event's content is a JSON object with the `caption` that the user was shown; what else it holds, such as the
    name of the `image`, is ignored.
    """

    def __init__(
        self, model: CaptioningModel, vocabulary: Vocabulary, encoder: PretrainedEncoder | None = None
    ) -> None:
        super().__init__(model.core, EVENT_KINDS, vocabulary.profile_fields)
        self.model = model.eval()
        self.vocabulary = vocabulary
        self.encoder = encoder

    def caption(self, state: State, profile: Mapping[str, str], image: bytes) -> Captioned:
        """Caption a picture, the bytes of a JPEG or PNG file. Raises `UnusableContent` where it is none."""
        if len(image) > MOST_BYTES:
            raise UnusableContent(f"a picture of {len(image):,} bytes; at most {MOST_BYTES:,} are read")
        size = self.vocabulary.picture_size if self.encoder is None else self.encoder.size
        try:
            pixels = decode_picture(io.BytesIO(image), size)
        except UnusablePicture as error:
            raise UnusableContent(f"a picture must be a whole JPEG or PNG file: {error}") from error
        model = self.model
        with torch.inference_mode():
            seen = torch.from_numpy(pixels.copy()) if self.encoder is None else self.encoder(pixels)
            picture = model.see(seen[None])
            profile_NF = self._profile(profile)
            user = None if model.core is None else model.user_of(state, picture, profile_NF)
            written = model.write(picture, user, model.nobody(picture, profile_NF))
        text = self.vocabulary.text(written.word_BQT[0, 0].tolist())
        return Captioned(text, float(written.score_BQ[0, 0]))

    def _read(self, content: str) -> list[str]:
        """Return the words of the caption that the event is about."""
        try:
            caption = json.loads(content)["caption"]
        except (TypeError, KeyError, ValueError, RecursionError) as error:
            raise UnusableContent(
                "the content of an event must be a JSON object with the `caption` that the user was shown; "
                f"got {content[:80]!r}"
            ) from error
        if not isinstance(caption, str) or len(caption) > MOST_CHARACTERS:
            raise UnusableContent(f"`caption` must be a text of at most {MOST_CHARACTERS} characters")
        words = split_words(caption)
        if not words:
            raise UnusableContent("the caption of an event holds no word")
        return words

    def _encode(self, content: list[str], event: Event, gap_BT: torch.Tensor) -> Events:
        assert self.model.events is not None
        word_NTL = torch.from_numpy(padded([self.vocabulary.numbers(content)]))[None]
        return self.model.events(History(word_NTL, torch.tensor([[float(event.value)]]), gap_BT))


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
    encoder = None if vocabulary.regions is None else PretrainedEncoder(folder / ENCODER)
    return CaptioningServable(model, vocabulary, encoder)
