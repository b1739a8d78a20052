"""Preparing captioning: simulates the users, fits the classifier of styles and writes what `captions.py` opens."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from components.data import caption_styles, flickr, simulation, synthetic, synthetic_captions
from components.data.album import Album, Picture
from components.data.arrow import matrix, write_manifest, write_table
from components.data.captions import ENCODER, VERSION, WORDS_VERSION, split_words
from components.data.simulated_users import user_tables
from components.data.splits import TRAIN

SOURCES = {"flickr8k": flickr, "flickr30k": flickr, "synthetic": synthetic_captions}


def versions(settings: Any) -> Mapping[str, Any]:
    """Name the versions of preparation, simulation, classifier and source."""
    return {
        "form": "captions",
        "preparation": VERSION,
        "words": WORDS_VERSION,
        "simulation": simulation.VERSION,
        "classifier": caption_styles.VERSION,
        "source": [settings.source, SOURCES[settings.source].VERSION],
    }


def files(settings: Any) -> Mapping[str, Path]:
    """Name the source's files."""
    return SOURCES[settings.source].files(settings)


def read(settings: Any) -> Album:
    """Parse the source and decode its pictures."""
    return SOURCES[settings.source].read(settings)


def write(content: Album, settings: Any, digest: str, folder: Path) -> None:
    """Simulate the users and write everything into `folder`."""
    import pyarrow as pa

    captions = [
        (style, text)
        for picture in content.pictures
        for style, texts in enumerate(picture.captions)
        for text in texts
    ]
    style = np.array([each for each, _ in captions], np.int8)
    users = simulation.simulate(settings, _known(content), synthetic.unseen(settings))
    generator = np.random.default_rng([settings.seed, VERSION])
    tables = _caption_tables(content, captions, style) | _user_tables(content, users, generator)
    if content.regions is not None:
        rows = content.regions.reshape(len(content.regions), -1)
        tables["regions"] = {"feature": matrix(rows.view(np.uint16))}
        shutil.copyfile(settings.encoder, folder / ENCODER)
    for name, columns in tables.items():
        write_table(folder / f"{name}.arrow", pa.table(columns))
    trained = [
        (number, text)
        for picture in content.pictures
        if picture.part == TRAIN
        for number, texts in enumerate(picture.captions)
        for text in texts
    ]
    caption_styles.fit([text for _, text in trained], [number for number, _ in trained]).write(folder)
    manifest = {
        **versions(settings),
        "digest": digest,
        "source": settings.source,
        "image_size": int(content.pixels.shape[1]),
        "regions": None if content.regions is None else content.regions.shape[1],
        "kinds": content.kinds,
        "styles": content.styles,
        "profile_fields": {"topic": ["unknown", *content.topics]},
        "left_out": dict(content.left_out),
    }
    write_manifest(folder, manifest)


def _known(album: Album) -> simulation.Content:
    """Tell the simulation about the pictures."""
    return simulation.Content(
        kind=album.kind,
        part=np.array([picture.part for picture in album.pictures], np.int8),
        topic=album.topic,
        alike=np.array([_alike(picture) for picture in album.pictures]),
        mixed=album.mixed,
    )


def _alike(picture: Picture) -> list[list[bool]]:
    """Tell which two styles have a caption of the same words, [S, S]."""
    words = [{tuple(split_words(text)) for text in texts} for texts in picture.captions]
    return [[not one.isdisjoint(other) for other in words] for one in words]


def _caption_tables(
    album: Album, captions: list[tuple[int, str]], style: np.ndarray[Any, np.dtype[np.int8]]
) -> dict[str, dict[str, Any]]:
    """Arrange pictures, captions and their words as columns."""
    import pyarrow as pa

    numbers: dict[str, int] = {}
    split = [split_words(text) for _, text in captions]
    word = [numbers.setdefault(word, len(numbers)) for words in split for word in words]
    count = [sum(map(len, picture.captions)) for picture in album.pictures]
    return {
        "images": {
            "name": pa.array([picture.name for picture in album.pictures], pa.string()),
            "part": np.array([picture.part for picture in album.pictures], np.int8),
            "kind": album.kind,
            "captions": np.array(count, np.int64),
            "pixels": matrix(album.pixels.reshape(len(album.pixels), -1)),
        },
        "captions": {
            "text": pa.array([text for _, text in captions], pa.string()),
            "style": style,
            "words": np.array([len(words) for words in split], np.int64),
        },
        "caption_words": {"word": np.array(word, np.int32)},
        "words": {"word": pa.array(list(numbers), pa.string())},
    }


def _user_tables(
    album: Album, users: simulation.Simulated, generator: np.random.Generator
) -> dict[str, dict[str, Any]]:
    """Arrange the users as columns; an event shows one of the captions in its style."""
    count_IS = np.array([[len(texts) for texts in picture.captions] for picture in album.pictures], np.int64)
    first_IS = (np.cumsum(count_IS) - count_IS.ravel()).reshape(count_IS.shape)
    shown = users.event_content, users.event_style.astype(np.int64)
    caption = first_IS[shown] + generator.integers(0, count_IS[shown])
    return user_tables(users, {"caption": caption.astype(np.int32)}, "image")
