"""From prepared captions to padded batches.

Dimensions: B pictures, U users of each, S styles, L words of a caption, T words and the end, G tags; N = B * U
histories, picture by picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.data.captions import Captions
from components.data.simulation import preference_after
from components.data.splits import TRAIN
from components.randomness import derive_seed
from components.tasks.captioning.events import CaptionLog
from components.tasks.captioning.model import Viewers
from components.tasks.captioning.vocabulary import (
    BEGIN,
    END,
    PADDING,
    Vocabulary,
    caption_words,
    is_plain,
    padded,
)

HISTORY_SPREAD = 4
"""Histories of one batch differ in length by about so many events."""
EMPTY_SHARE = 0.1
"""Histories that are left empty at least, so that guidance knows what nobody in particular would get."""
SHIFT = 0.1
"""Pictures are shifted by at most this share of their size."""

Indices = NDArray[np.int64]


class Batch(NamedTuple):
    """Pictures, users, and what they want to read."""

    image: Tensor
    """What the model sees of each picture, as `Library.images` gives it."""
    share_BG: Tensor
    """Share of each picture's plain captions that hold each tag."""
    kind_B: Tensor
    viewers: Viewers
    candidate_BSL: Tensor
    """A caption of each picture in each style."""
    style_NQ: Tensor
    """The style that each user wants of this picture after 0 to T of the events shown."""
    shown_NT: Tensor
    """The style of each caption in the histories; -1 at padding."""
    word_BUT: Tensor
    """The caption in that style, after the mark of the beginning."""
    next_BUT: Tensor
    """Each word's next one; the last one's is the end."""


@dataclass(frozen=True)
class Library:
    """Prepared captions with everything that batches are made of, computed once."""

    data: Captions
    vocabulary: Vocabulary
    log: CaptionLog
    word_CL: Indices
    first_IS: Indices
    """The first caption of each picture in each style ..."""
    count_IS: Indices
    """... and how many there are."""

    @classmethod
    def of(cls, data: Captions, vocabulary: Vocabulary) -> "Library":
        """Look all captions up."""
        number = vocabulary.numbers(data.words)
        captions = len(data.caption_style)
        word_CL = padded([number[caption_words(data, caption)] for caption in range(captions)])
        count = np.zeros((len(data.image_names), len(data.styles)), np.int64)
        np.add.at(count, (data.caption_image, data.caption_style), 1)
        first = data.image_captions[:-1, None] + np.cumsum(count, axis=1) - count
        return cls(data, vocabulary, CaptionLog.of(data, word_CL), word_CL, first, count)

    def viewers(self, row_NT: Indices, before_N: Indices, user_N: Indices, style_N: Indices) -> Viewers:
        """Collect histories from rows of the log, and profiles of users."""
        return Viewers(
            self.log.history(row_NT),
            torch.from_numpy(before_N),
            torch.from_numpy(self.data.profile[user_N].astype(np.int64)),
            torch.from_numpy(style_N),
        )

    def images(self, image_B: Indices, generator: np.random.Generator | None = None) -> Tensor:
        """What the model sees of pictures: regions (B, R, D) where they are stored, or pixels (B, size, size, 3).

        With a `generator`, pixels are augmented.
        """
        regions, pixels = self.data.regions, self.data.pixels
        if regions is not None:
            return torch.from_numpy(regions[image_B])
        seen = np.ascontiguousarray(pixels[image_B])
        return torch.from_numpy(seen if generator is None else augmented(seen, generator))

    def tag_shares(self, images: Indices) -> NDArray[np.float32]:
        """Share of the plain captions of pictures that hold each tag: (B, G)."""
        tag_of = self.vocabulary.tag_of_number
        share = np.zeros((len(images), len(self.vocabulary.tags)), np.float32)
        for row, image in zip(share, images.tolist(), strict=True):
            captions = range(self.data.image_captions[image], self.data.image_captions[image + 1])
            plain = [caption for caption in captions if is_plain(self.data, caption)]
            for caption in plain:
                tags = np.unique(tag_of[self.word_CL[caption]])
                row[tags[tags > 0] - 1] += 1 / len(plain)
        return share


class TrainingBatches:
    """The batches of one epoch: every training picture once, captioned for random seen users.

    Each user comes with a random part of the events, none of them about the picture itself. All follows from (seed,
    epoch) alone.
    """

    def __init__(self, library: Library, batch_size: int, users_per_image: int, seed: int) -> None:
        data = library.data
        self.library = library
        self.batch_size = batch_size
        self.users_per_image = users_per_image
        self.seed = seed
        self.images = np.flatnonzero(data.part == TRAIN)
        self.share_IG = library.tag_shares(self.images)
        self.users = np.flatnonzero(~data.unseen)

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch_size)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of epoch number `epoch`, from 0."""
        generator = np.random.default_rng(derive_seed(self.seed, "batches", epoch))
        order = generator.permutation(len(self.images))
        for start in range(0, len(order), self.batch_size):
            yield self._batch(order[start : start + self.batch_size], generator)

    def _batch(self, place_B: Indices, generator: np.random.Generator) -> Batch:
        library, data, users = self.library, self.library.data, self.users_per_image
        image_B = self.images[place_B]
        user_N = generator.choice(self.users, len(image_B) * users)
        image_N = np.repeat(image_B, users)
        row_NT, before_N = self._histories(user_N, image_N, generator)
        style_NQ = self.wanted(user_N, image_N, row_NT)
        style_N = style_NQ[np.arange(len(user_N)), before_N]
        first, count = library.first_IS[image_B], library.count_IS[image_B]
        candidate_BS = first + generator.integers(0, count)
        word_NL = library.word_CL[library.first_IS[image_N, style_N] + generator.integers(
            0, library.count_IS[image_N, style_N])]  # fmt: skip
        word, following = taught(word_NL)
        told_N = np.where(generator.random(len(user_N)) < EMPTY_SHARE, -1, style_N)
        shape = (len(image_B), users, -1)
        return Batch(
            library.images(image_B, generator),
            torch.from_numpy(self.share_IG[place_B]),
            torch.from_numpy(data.kind[image_B].astype(np.int64)),
            library.viewers(row_NT, before_N, user_N, told_N),
            torch.from_numpy(library.word_CL[candidate_BS]),
            torch.from_numpy(style_NQ),
            torch.from_numpy(
                np.where(np.arange(row_NT.shape[1]) < before_N[:, None], self.shown(row_NT), -1)
            ),
            torch.from_numpy(word.reshape(shape)),
            torch.from_numpy(following.reshape(shape)),
        )

    def shown(self, row_NT: Indices) -> Indices:
        """The styles of the captions that the events in these rows of the log are about."""
        return self.library.data.caption_style[self.library.log.caption_E[row_NT]].astype(np.int64)

    def wanted(self, user_N: Indices, image_N: Indices, row_NT: Indices) -> Indices:
        """The styles that users want of pictures at the times of 0 to T events in these rows of the log."""
        data, log = self.library.data, self.library.log
        number = np.pad(row_NT - log.offsets[user_N][:, None] + 1, ((0, 0), (1, 0)))
        user = np.repeat(user_N, number.shape[1])
        table = preference_after(data.preference, data.preference_before, data.drift_at, user, number.ravel())
        kind = np.repeat(data.kind[image_N], number.shape[1])
        return table[np.arange(len(user)), kind].astype(np.int64).reshape(number.shape)

    def _histories(
        self, user_N: Indices, image_N: Indices, generator: np.random.Generator
    ) -> tuple[Indices, Indices]:
        """Rows of the log (N, T), oldest first, and how many of each are real: 0 to all that are allowed.

        Of a user whose preference changes, the history ends anywhere, so that the newest event may be from before.
        """
        data, log = self.library.data, self.library.log
        first, available = log.offsets[user_N], np.diff(log.offsets)[user_N]
        step = np.arange(max(1, int(available.max(initial=0))))
        row = np.minimum(first[:, None] + step, len(log.caption_E) - 1)
        until = np.where(
            data.drift_at[user_N] < 0, available, generator.integers(0, available, endpoint=True)
        )
        allowed = (step < until[:, None]) & (log.image_E[row] != image_N[:, None])
        # Of similar length in one batch: the recurrence takes as many steps as the longest history has events.
        about = int(generator.integers(0, len(step) + HISTORY_SPREAD, endpoint=True))
        wanted = about - generator.integers(0, HISTORY_SPREAD, len(user_N), endpoint=True)
        wanted = np.where(generator.random(len(user_N)) < EMPTY_SHARE, 0, wanted)
        wanted = np.clip(wanted, 0, allowed.sum(axis=1))
        draw = np.where(allowed, generator.random(row.shape), np.inf)
        kept = draw.argsort(axis=1).argsort(axis=1) < wanted[:, None]
        row = np.take_along_axis(row, np.argsort(~kept, axis=1, kind="stable"), axis=1)
        return row[:, : max(1, int(wanted.max(initial=0)))], wanted


def taught(word_NL: Indices) -> tuple[Indices, Indices]:
    """What the decoder reads, from the beginning on, and what it is to write, up to the end: (N, T) each."""
    length = (word_NL != PADDING).sum(axis=1)
    word_NL = word_NL[:, : max(1, int(length.max(initial=0)))]
    word = np.concatenate([np.full((len(word_NL), 1), BEGIN, np.int64), word_NL], axis=1)
    following = np.concatenate([word_NL, np.full((len(word_NL), 1), PADDING, np.int64)], axis=1)
    following[np.arange(len(word_NL)), length] = END
    return word, following


def augmented(pixels: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    """Mirror half of the pictures, and shift all of them alike; what is missing at an edge is mirrored."""
    size = pixels.shape[1]
    most = round(SHIFT * size)
    mirrored = generator.random(len(pixels)) < 0.5
    pixels = np.where(mirrored[:, None, None, None], pixels[:, :, ::-1], pixels)
    down, right = generator.integers(0, 2 * most, 2, endpoint=True)
    wide = np.pad(pixels, ((0, 0), (most, most), (most, most), (0, 0)), mode="reflect")
    return np.ascontiguousarray(wide[:, down : down + size, right : right + size])
