"""The prepared form of captioning: pictures, their captions in several styles, and the simulated users who want them.

I images, C captions, T words of all captions, W distinct words, K kinds of picture, S styles, U users, E events,
N pairs, F profile fields.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import regex
from numpy.typing import NDArray

from components.data.arrow import offsets, open_table, read_manifest, view
from components.data.simulated_users import SimulatedUsers, user_fields

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
"""Raised whenever the same pictures and users are prepared differently."""
WORDS_VERSION = 2
"""Raised whenever `split_words` cuts the same caption differently."""

ENCODER = "encoder.pt2"
"""Name of the pretrained encoder's copy, beside what it saw."""
_TABLES = ("words", "images", "captions", "caption_words", "users", "events", "pairs")
_PART = r"(?:[\p{L}\p{N}][\p{M}\u200c\u200d]*)+"  # a letter keeps its combining marks and joiners
_WORD = regex.compile(rf"{_PART}(?:['\u2019-]{_PART})*")


def split_words(text: str) -> list[str]:
    """Cut a caption into lower-case words without punctuation: the words of models, metrics and histories alike."""
    return _WORD.findall(text.lower())


@dataclass(frozen=True)
class Captions(SimulatedUsers):
    """Pictures, captions, users and what they are shown. The arrays are read-only views of files."""

    event_kind: ClassVar[str] = "captioned"

    image_names: list[str]
    pixels: NDArray[np.uint8]
    """[I, size, size, 3] red, green and blue from 0 to 255, rows from the top."""
    regions: NDArray[np.float16] | None
    """[I, R, D] what a pretrained encoder sees, where there is one; R regions of D features."""
    part: NDArray[np.int8]
    """[I] 0 training, 1 validation, 2 test."""
    kind: NDArray[np.int8]
    """[I] index into `kinds`: what the picture shows, by its plain captions."""
    kinds: tuple[str, ...]

    words: list[str]
    """[W] distinct words of all captions, as `split_words` cuts them."""
    caption_offsets: NDArray[np.int64]
    """[C + 1]; the words of caption c are `caption_offsets[c]:caption_offsets[c + 1]`."""
    caption_word: NDArray[np.int32]
    """[T] index into `words`."""
    caption_text: list[str]
    """[C] as published."""
    caption_style: NDArray[np.int8]
    """[C] index into `styles`."""
    styles: tuple[str, ...]
    image_captions: NDArray[np.int64]
    """[I + 1]; the captions of image i are `image_captions[i]:image_captions[i + 1]`, by style, none missing."""

    event_caption: NDArray[np.int32]
    """[E] the caption that the user was shown."""
    pair_image: NDArray[np.int32]
    """[N] a validation or test picture that is captioned for the user of `pair_user`."""

    def __reduce__(self) -> tuple[Callable[[Path], "Captions"], tuple[Path]]:
        """Travel to another process as the folder, which is mapped there again."""
        return open_captions, (self.folder,)

    @property
    def encoder(self) -> Path | None:
        """The encoder that saw `regions`, as serving needs it."""
        return None if self.regions is None else self.folder / ENCODER

    @cached_property
    def caption_image(self) -> NDArray[np.int32]:
        """[C] the picture of each caption."""
        return np.repeat(np.arange(len(self.image_names), dtype=np.int32), np.diff(self.image_captions))

    def captions_of(self, image: int, style: int) -> NDArray[np.int64]:
        """Return the numbers of a picture's captions in one style; there is at least one."""
        captions = np.arange(self.image_captions[image], self.image_captions[image + 1])
        return captions[self.caption_style[captions] == style]

    def event_contents(self) -> "pa.Array":
        """Return what all events are about; each caption's content is made once."""
        import pyarrow as pa

        shown, place = np.unique(self.event_caption, return_inverse=True)
        return pa.DictionaryArray.from_arrays(
            pa.array(place.astype(np.int32)),
            pa.array([self.caption_content(caption) for caption in shown.tolist()], pa.string()),
        )

    def event_content(self, row: int) -> str:
        """Return an event's content: JSON of the caption that was shown, and of the picture's name."""
        return self.caption_content(int(self.event_caption[row]))

    def caption_content(self, caption: int) -> str:
        """Return what an event about this caption holds."""
        name = self.image_names[int(self.caption_image[caption])]
        return json.dumps({"caption": self.caption_text[caption], "image": name}, ensure_ascii=False)


def open_captions(folder: Path) -> Captions:
    """Map a prepared folder into memory; the arrays of numbers are views of the files, not copies."""
    manifest = read_manifest(folder, VERSION)
    tables = {name: open_table(folder / f"{name}.arrow") for name in _TABLES}
    images, captions, events = (tables[name] for name in ("images", "captions", "events"))
    size, regions = manifest["image_size"], manifest.get("regions")
    if regions is not None:
        features = view(open_table(folder / "regions.arrow"), "feature").view(np.float16)
        regions = features.reshape(len(features), regions, -1)
    return Captions(
        **user_fields(folder, manifest, tables),
        image_names=images.column("name").to_pylist(),
        pixels=view(images, "pixels").reshape(-1, size, size, 3),
        regions=regions,
        part=view(images, "part"),
        kind=view(images, "kind"),
        kinds=tuple(manifest["kinds"]),
        words=tables["words"].column("word").to_pylist(),
        caption_offsets=offsets(view(captions, "words")),
        caption_word=view(tables["caption_words"], "word"),
        caption_text=captions.column("text").to_pylist(),
        caption_style=view(captions, "style"),
        styles=tuple(manifest["styles"]),
        image_captions=offsets(view(images, "captions")),
        event_caption=view(events, "caption"),
        pair_image=view(tables["pairs"], "image"),
    )
