"""What the captioner knows of words beside learned parameters; from training captions alone.

`Vocabulary` is built from prepared captions, or read back from what `write` left beside a model's weights.

Dimensions: W distinct word forms, L words of a caption.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.data.arrow import open_table, write_table
from components.data.captions import WORDS_VERSION, Captions
from components.data.splits import TRAIN
from components.errors import AdaptuneError

PADDING, BEGIN, END, UNKNOWN = range(4)
FIRST_WORD = 4
MOST_WORDS = 20
"""Of a longer caption, the beginning is read; a generated one is at most this long."""
MOST_TAGS = 500
LEAST_TAG_SHARE, MOST_TAG_SHARE = 0.005, 0.35
"""A tag is a word that the plain captions of at least and at most these shares of the training pictures hold."""
PLAIN_STYLE = "factual"

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Vocabulary:
    """Known words, those that name what a picture shows, and what is usual for a caption."""

    words: list[str]
    """Lower-cased; word i has number `FIRST_WORD + i`."""
    tags: list[str]
    """Some of the words: what the image encoder learns to see."""
    tag_share: list[float]
    """Share of the training pictures whose plain captions hold each tag."""
    kinds: tuple[str, ...]
    styles: tuple[str, ...]
    profile_fields: Mapping[str, list[str]]
    picture_size: int
    """Height and width of the pictures, in pixels."""
    regions: tuple[int, int] | None = None
    """Regions that a pretrained encoder sees in a picture, and features of each; none where pixels are seen."""

    @classmethod
    def of(cls, data: Captions, least_count: int) -> "Vocabulary":
        """Collect the words that captions of training pictures hold at least `least_count` times.

        Raises AdaptuneError where no word is that frequent: nothing could be written.
        """
        count: Counter[int] = Counter()
        containing: Counter[int] = Counter()
        training = np.flatnonzero(data.part == TRAIN)
        for image in training:
            captions = range(data.image_captions[image], data.image_captions[image + 1])
            of_caption = [caption_words(data, caption).tolist() for caption in captions]
            count.update(form for forms in of_caption for form in forms)
            plain = [
                forms for caption, forms in zip(captions, of_caption, strict=True) if is_plain(data, caption)
            ]
            containing.update({form for forms in plain for form in forms})
        low, high = LEAST_TAG_SHARE * len(training), MOST_TAG_SHARE * len(training)
        known = {form for form, times in count.items() if times >= least_count}
        if not known:
            most = max(count.values(), default=0)
            raise AdaptuneError(
                f"`model.vocabulary` {least_count}: no word of the training captions occurs that often, the most "
                f"frequent one {most:,} time{'' if most == 1 else 's'}; set `model.vocabulary` to at most {most}"
            )
        common = sorted(
            (-times, data.words[form])
            for form, times in containing.items()
            if form in known and max(2, low) <= times <= high
        )[:MOST_TAGS]
        return cls(
            words=sorted(data.words[form] for form in known),
            tags=[word for _, word in common],
            tag_share=[-times / len(training) for times, _ in common],
            kinds=data.kinds,
            styles=data.styles,
            profile_fields=data.profile_fields,
            picture_size=data.pixels.shape[1],
            regions=None if data.regions is None else (data.regions.shape[1], data.regions.shape[2]),
        )

    @property
    def size(self) -> int:
        """Numbers in use, from 0."""
        return FIRST_WORD + len(self.words)

    @cached_property
    def _number(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words, start=FIRST_WORD)}

    @cached_property
    def tag_of_number(self) -> Indices:
        """The tag of each number, counted from 1; 0 where the word is none."""
        tag = np.zeros(self.size, np.int64)
        for place, word in enumerate(self.tags, start=1):
            tag[self._number[word]] = place
        return tag

    def numbers(self, words: Iterable[str]) -> Indices:
        """Look words up."""
        return np.array([self._number.get(word, UNKNOWN) for word in words], np.int64)

    def text(self, numbers: Iterable[int]) -> str:
        """Write a caption out; what is no word is left out."""
        return " ".join(self.words[number - FIRST_WORD] for number in numbers if number >= FIRST_WORD)

    def write(self, folder: Path) -> None:
        """Write `words.arrow`, `tags.arrow` and `vocabulary.json`."""
        write_table(folder / "words.arrow", pa.table({"word": self.words}))
        tags = {"word": pa.array(self.tags, pa.string()), "share": pa.array(self.tag_share, pa.float64())}
        write_table(folder / "tags.arrow", pa.table(tags))
        known = {
            "kinds": self.kinds,
            "styles": self.styles,
            "profile_fields": self.profile_fields,
            "picture_size": self.picture_size,
            "regions": self.regions,
            "words_version": WORDS_VERSION,
        }
        text = json.dumps(known, indent=1, ensure_ascii=False)
        (folder / "vocabulary.json").write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Vocabulary":
        """Read what `write` wrote; ValueError if captions were cut into other words then."""
        tags = open_table(folder / "tags.arrow")
        known = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
        if known.get("words_version") != WORDS_VERSION:
            raise ValueError("captions were cut into words in another way when it was trained")
        return cls(
            words=open_table(folder / "words.arrow").column("word").to_pylist(),
            tags=tags.column("word").to_pylist(),
            tag_share=tags.column("share").to_pylist(),
            kinds=tuple(known["kinds"]),
            styles=tuple(known["styles"]),
            profile_fields=known["profile_fields"],
            picture_size=known["picture_size"],
            regions=tuple(known["regions"]) if known.get("regions") else None,
        )


def caption_words(data: Captions, caption: int) -> NDArray[np.integer]:
    """Numbers of the word forms of a caption."""
    return data.caption_word[data.caption_offsets[caption] : data.caption_offsets[caption + 1]]


def is_plain(data: Captions, caption: int) -> bool:
    """Whether a caption says what is there and no more; where no style is plain, all are taken to be."""
    return PLAIN_STYLE not in data.styles or data.styles[data.caption_style[caption]] == PLAIN_STYLE


def padded(captions: Sequence[NDArray[np.integer]], most: int = MOST_WORDS) -> Indices:
    """Put captions under one another, padded at the end: (N, at most `most`)."""
    longest = max([1, *(min(len(caption), most) for caption in captions)])
    rows = np.full((len(captions), longest), PADDING, np.int64)
    for row, caption in zip(rows, captions, strict=True):
        row[: min(len(caption), most)] = caption[:most]
    return rows
