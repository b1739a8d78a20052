"""The prepared form of captioning: pictures, their captions in several styles, and the simulated users who want them.

I images, C captions, T words of all captions, W distinct words, K kinds of picture, S styles, U users, E events,
N pairs, F profile fields.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from components.data.arrow import open_table, read_manifest, view
from components.data.events import Event

if TYPE_CHECKING:
    from components.data.population import EventColumns

VERSION = 1
"""Raised whenever the same pictures and users are prepared differently."""

EVENT_KIND = "captioned"
_TABLES = ("words", "images", "captions", "caption_words", "users", "events", "pairs")
_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")


def split_words(text: str) -> list[str]:
    """Cut a caption into lower-case words without punctuation: the words of models, metrics and histories alike."""
    return _WORD.findall(text.lower())


@dataclass(frozen=True)
class Captions:
    """Pictures, captions, users and what they are shown. The arrays are read-only views of files."""

    folder: Path
    digest: str
    name: str
    """The source's name, such as `flickr8k`."""

    image_names: list[str]
    pixels: NDArray[np.uint8]
    """[I, size, size, 3] red, green and blue from 0 to 255, rows from the top."""
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

    user_ids: list[str]
    unseen: NDArray[np.bool_]
    """[U] whether nothing of the user may train anything."""
    conditional: NDArray[np.bool_]
    """[U] whether the user's preference depends on the kind of picture."""
    preference: NDArray[np.int8]
    """[U, K] truth: index into `styles` of what the user wants at last. No model may read it except as a target."""
    preference_before: NDArray[np.int8]
    """[U, K] truth: what the user wanted before the change; the same as `preference` where there is none."""
    drift_at: NDArray[np.int32]
    """[U] truth: number of the user's events before the preference changes; -1 where it never does."""
    profile: NDArray[np.int32]
    """[U, F] category of each field; 0 is unknown."""
    profile_fields: dict[str, list[str]]
    """Name of each field to its categories; the first is `unknown`."""

    event_offsets: NDArray[np.int64]
    """[U + 1]; the events of user u are `event_offsets[u]:event_offsets[u + 1]`, in order of time."""
    event_caption: NDArray[np.int32]
    """[E] the caption that the user was shown."""
    event_value: NDArray[np.float32]
    """[E] the user's feedback: 1 liked, -1 disliked."""
    event_timestamp: NDArray[np.int64]
    """[E] seconds since 1970, strictly increasing for each user."""

    pair_user: NDArray[np.int32]
    """[N] an unseen user ..."""
    pair_image: NDArray[np.int32]
    """[N] ... and a validation or test picture that is captioned for this user."""

    def __reduce__(self) -> tuple[Callable[[Path], "Captions"], tuple[Path]]:
        """Travel to another process as the folder, which is mapped there again."""
        return open_captions, (self.folder,)

    @cached_property
    def caption_image(self) -> NDArray[np.int32]:
        """[C] the picture of each caption."""
        return np.repeat(np.arange(len(self.image_names), dtype=np.int32), np.diff(self.image_captions))

    def captions_of(self, image: int, style: int) -> NDArray[np.int64]:
        """Return the numbers of a picture's captions in one style; there is at least one."""
        captions = np.arange(self.image_captions[image], self.image_captions[image + 1])
        return captions[self.caption_style[captions] == style]

    def event_columns(self) -> "EventColumns":
        """Return all events as they travel with a promoted model."""
        import pyarrow as pa

        from components.data.population import EventColumns, coded

        shown, place = np.unique(self.event_caption, return_inverse=True)
        content = pa.DictionaryArray.from_arrays(
            pa.array(place.astype(np.int32)),
            pa.array([self.caption_content(caption) for caption in shown.tolist()], pa.string()),
        )
        kind = coded(np.zeros(len(place), np.int32), [EVENT_KIND])
        return EventColumns(self.event_offsets, self.event_timestamp, content, kind, self.event_value)

    def events_of(self, user: int) -> Iterator[Event]:
        """Replay the history of the user with this index; an event holds the caption that was shown."""
        for row in range(int(self.event_offsets[user]), int(self.event_offsets[user + 1])):
            yield Event(
                id=f"{self.digest}-{row}",
                user=self.user_ids[user],
                timestamp=float(self.event_timestamp[row]),
                content=self.event_content(row),
                kind=EVENT_KIND,
                value=float(self.event_value[row]),
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
    images, captions, users, events = (tables[name] for name in ("images", "captions", "users", "events"))
    size = manifest["image_size"]
    return Captions(
        folder=folder,
        digest=manifest["digest"],
        name=manifest["source"],
        image_names=images.column("name").to_pylist(),
        pixels=view(images, "pixels").reshape(-1, size, size, 3),
        part=view(images, "part"),
        kind=view(images, "kind"),
        kinds=tuple(manifest["kinds"]),
        words=tables["words"].column("word").to_pylist(),
        caption_offsets=_offsets(view(captions, "words")),
        caption_word=view(tables["caption_words"], "word"),
        caption_text=captions.column("text").to_pylist(),
        caption_style=view(captions, "style"),
        styles=tuple(manifest["styles"]),
        image_captions=_offsets(view(images, "captions")),
        user_ids=users.column("id").to_pylist(),
        unseen=view(users, "unseen").view(np.bool_),
        conditional=view(users, "conditional").view(np.bool_),
        preference=view(users, "preference"),
        preference_before=view(users, "preference_before"),
        drift_at=view(users, "drift_at"),
        profile=view(users, "profile"),
        profile_fields=manifest["profile_fields"],
        event_offsets=_offsets(view(users, "events")),
        event_caption=view(events, "caption"),
        event_value=view(events, "value"),
        event_timestamp=view(events, "timestamp"),
        pair_user=view(tables["pairs"], "user"),
        pair_image=view(tables["pairs"], "image"),
    )


def _offsets(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
