"""The evaluation rows of what any captioning model must beat, and of what is told a part of the truth.

`constant-caption` gives every picture the one training caption that is most like all others; `constant-told` the one
most like those in the style that its user wants, of which it is told. `nearest-picture` gives a picture a plain
caption of the training picture whose pixels are nearest. `human` is told the style and gives a person's caption of
the very picture in it: how far the classifier of styles agrees with people, and how far factual captions of one
picture agree with each other. Of the other styles a picture may have one caption only, so nothing more is compared.

I pictures, C captions, S styles, N pairs.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.data.captions import Captions, split_words
from components.data.splits import TEST, TRAIN, VALIDATION, keyed_hash
from components.metrics.captions import caption_rows
from components.metrics.rows import FULL_HISTORY

PARTS = {"validation": VALIDATION, "test": TEST}
CONSTANT, TOLD, NEAREST, HUMAN = "constant-caption", "constant-told", "nearest-picture", "human"
SIDE = 8
"""Pictures are compared as this many squares a side, each by its mean colour."""

Indices = NDArray[np.integer]


def trivial_rows(name: str, data: Captions, part: Literal["validation", "test"]) -> pa.Table:
    """Evaluate the row `name` on the pairs of a part, in all groups."""
    pair = np.flatnonzero(data.part[data.pair_image] == PARTS[part])
    texts = [data.caption_text[caption] for caption in _written(name, data, pair)]
    return caption_rows(data, pair, texts, FULL_HISTORY, slices=True, human=name == HUMAN)


def _written(name: str, data: Captions, pair: Indices) -> list[int]:
    """Return the number of the caption that a row gives to each pair, [N]."""
    image = data.pair_image[pair]
    wanted = data.preference[data.pair_user[pair], data.kind[image]]
    trained = np.flatnonzero(data.part[data.caption_image] == TRAIN)
    if name == CONSTANT:
        return [medoid(data, trained)] * len(pair)
    if name == TOLD:
        styles = range(len(data.styles))
        constant = [medoid(data, trained[data.caption_style[trained] == style]) for style in styles]
        return [constant[style] for style in wanted.tolist()]
    if name == NEAREST:
        shown, place = np.unique(image, return_inverse=True)
        plain = [_one_of(data, int(near), 0) for near in nearest_pictures(data, shown)]
        return [plain[each] for each in place.tolist()]
    assert name == HUMAN, name
    return [_one_of(data, *each) for each in zip(image.tolist(), wanted.tolist(), strict=True)]


def medoid(data: Captions, captions: Indices) -> int:
    """Return the caption whose tf-idf vector of n-grams is nearest to all of `captions`, itself one of them.

    As in CIDEr, without clipping and lengths and with other weights of rarity: the mean over one to four words of
    the mean cosine of tf-idf vectors, whose documents are these captions.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [data.caption_text[caption] for caption in captions.tolist()]
    likeness = np.zeros(len(texts))
    for order in (1, 2, 3, 4):
        vectorizer = TfidfVectorizer(analyzer=_Grams(order), smooth_idf=False)
        vectors = vectorizer.fit_transform(texts)
        likeness += np.asarray(vectors @ np.asarray(vectors.mean(axis=0)).ravel())
    return int(captions[np.argmax(likeness)])


class _Grams:
    """Cuts a caption into its sequences of `order` words; a shorter caption is one of them as a whole."""

    def __init__(self, order: int) -> None:
        self._order = order

    def __call__(self, text: str) -> Sequence[str]:
        words = split_words(text)
        places = range(max(1, len(words) - self._order + 1))
        return [" ".join(words[place : place + self._order]) for place in places]


def nearest_pictures(data: Captions, images: Indices) -> Indices:
    """Return the training picture whose coarse colours are nearest to each of `images`."""
    training = np.flatnonzero(data.part == TRAIN)
    known, asked = _coarse(data.pixels[training]), _coarse(data.pixels[images])
    squares = (known**2).sum(axis=1)
    return training[np.argmin(squares - 2 * asked @ known.T, axis=1)]


def _coarse(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the mean colours of `SIDE` x `SIDE` squares of pictures, as a row each."""
    edges = np.linspace(0, pixels.shape[1], SIDE + 1).astype(int)[:-1]
    rows = np.add.reduceat(pixels, edges, axis=1, dtype=np.uint32)
    squares = np.add.reduceat(rows, edges, axis=2)
    size = np.diff([*edges, pixels.shape[1]])
    return (squares / (size[:, None] * size)[:, :, None]).reshape(len(pixels), -1)


def _one_of(data: Captions, image: int, style: int) -> int:
    """Choose one of a picture's captions in a style, by keyed hash of the picture's name."""
    captions = data.captions_of(image, style)
    key = keyed_hash("adaptune one caption", [data.image_names[image]])[0]
    return int(captions[int(key) % len(captions)])
