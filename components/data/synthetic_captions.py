"""Generated pictures and captions of the embedded data set: each picture in factual, humorous and romantic words.

Every caption names what is to be seen; the humorous and the romantic ones go on in a way that suits the subject.
"""

from collections.abc import Mapping
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.config import SyntheticSettings
from components.data import synthetic_pictures
from components.data.album import Album, Picture
from components.data.splits import TEST, TRAIN, VALIDATION, keyed_hash
from components.data.synthetic_pictures import COLOURS, KINDS, PLACES, SUBJECTS, Scene, draw
from components.randomness import derive_seed

VERSION = [1, synthetic_pictures.VERSION]
"""Raised whenever the same settings give other pictures or captions."""

STYLES = ("factual", "humorous", "romantic")
FACTUAL_CAPTIONS = 5
STYLED_CAPTIONS = 2
"""Of each style beside the factual one."""
EVALUATION_SHARE = 1 / 10
"""Share of the pictures that are the validation part; as many are the test part."""
BIG_SHARE = 0.5
"""Share of the pictures that show one big subject; the others show one to three small ones."""

_COUNTS = ("", "two", "three")
_PLURALS = {"man": "men", "woman": "women", "child": "children", "cactus": "cactuses"}
_LOCATIONS = {
    "beach": ("on the beach", "on a sandy beach", "at the beach"),
    "meadow": ("in a meadow", "in the green grass", "on a green meadow"),
    "snow": ("in the snow", "on a snowy field", "in the white snow"),
    "street": ("on a street", "on the grey street", "in the street"),
    "lake": ("at the lake", "by a blue lake", "at a lake"),
}
_FACTUAL = ("{subject} {location}", "{subject} {be} {location}", "there {be} {subject} {location}")
_TAILS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "humorous": {
        "people": (
            "looking for a lost sandwich",
            "practising to be a funny statue",
            "hiding from the angry boss",
            "late for a meeting with a pizza",
        ),
        "animals": (
            "plotting to rule the world",
            "waiting for a sausage to fall from the sky",
            "planning to eat the homework",
            "laughing at the silly humans",
        ),
        "vehicles": (
            "too stubborn to ask for directions",
            "on the run from the parking police",
            "racing against a very slow snail",
            "dreaming of being a rocket",
        ),
        "plants": (
            "hiding from the crazy gardener",
            "having a really bad hair day",
            "waiting for the bus in vain",
            "pretending to be a coat rack",
        ),
    },
    "romantic": {
        "people": (
            "longing for the love of a lifetime",
            "waiting for a kiss under the stars",
            "with a heart full of love",
            "remembering a tender first date",
        ),
        "animals": (
            "searching for a soul mate",
            "full of love for a dear friend",
            "enjoying the tender light of the moon",
            "dreaming of eternal friendship",
        ),
        "vehicles": (
            "carrying two lovers into the sunset",
            "on a journey to a beloved heart",
            "bringing a letter full of love",
            "ready for a honeymoon",
        ),
        "plants": (
            "blooming with love for the sun",
            "whispering sweet words to the wind",
            "as tender as a first kiss",
            "where lovers meet in the moonlight",
        ),
    },
}


def files(settings: SyntheticSettings) -> dict[str, Path]:
    """Name no file: the settings decide everything."""
    return {}


def read(settings: SyntheticSettings) -> Album:
    """Draw the pictures and write their captions."""
    generator = np.random.default_rng(derive_seed("synthetic pictures", VERSION, settings.seed))
    names = [f"picture-{number}" for number in range(settings.images)]
    scenes = [_scene(generator) for _ in names]
    pixels = np.stack([draw(scene, generator) for scene in scenes])
    parts = zip(names, _parts(names), scenes, strict=True)
    return Album(
        pictures=tuple(Picture(name, part, _captions(scene, generator)) for name, part, scene in parts),
        pixels=pixels,
        styles=STYLES,
        kinds=KINDS,
        kind=np.array([KINDS.index(SUBJECTS[scene.subject]) for scene in scenes], np.int8),
        mixed=_mixed_preferences(),
        topics=tuple(PLACES),
        topic=np.array([1 + list(PLACES).index(scene.place) for scene in scenes], np.int32),
    )


def _mixed_preferences() -> NDArray[np.int8]:
    """Tabulate what conditional users may want, [M, K]: one of two styles for each kind, and both for some."""
    styles = range(len(STYLES))
    return np.array([row for row in product(styles, repeat=len(KINDS)) if len(set(row)) == 2], np.int8)


def _parts(names: list[str]) -> list[int]:
    """Assign pictures to parts by keyed hash of the name."""
    order = np.argsort(keyed_hash("adaptune synthetic picture", names), kind="stable")
    count = round(len(names) * EVALUATION_SHARE)
    part = np.full(len(names), TRAIN)
    part[order[:count]], part[order[count : 2 * count]] = VALIDATION, TEST
    return part.tolist()


def _scene(generator: np.random.Generator) -> Scene:
    subject, colour, place = (str(generator.choice(list(each))) for each in (SUBJECTS, COLOURS, PLACES))
    big = bool(generator.random() < BIG_SHARE)
    return Scene(subject, colour, place, big, 1 if big else int(generator.integers(1, 3, endpoint=True)))


def _captions(scene: Scene, generator: np.random.Generator) -> tuple[tuple[str, ...], ...]:
    """Write the captions of a scene in each style."""
    kind = SUBJECTS[scene.subject]
    factual = tuple(_head(scene, str(generator.choice(_FACTUAL)), generator) for _ in range(FACTUAL_CAPTIONS))
    styled = (
        tuple(
            f"{_head(scene, _FACTUAL[0], generator)} {tail}"
            for tail in generator.choice(_TAILS[style][kind], STYLED_CAPTIONS, replace=False)
        )
        for style in STYLES[1:]
    )
    return (factual, *styled)


def _head(scene: Scene, template: str, generator: np.random.Generator) -> str:
    """Say what is to be seen, and where."""
    noun, size = scene.subject, "big" if scene.big else "small"
    described = f"{size} {scene.colour}" if generator.random() < 0.5 else scene.colour
    if scene.count == 1:
        article = "an" if described[0] in "aeiou" else "a"
        subject, be = f"{article} {described} {noun}", "is"
    else:
        subject = f"{_COUNTS[scene.count - 1]} {described} {_PLURALS.get(noun, noun + 's')}"
        be = "are"
    location = str(generator.choice(_LOCATIONS[scene.place]))
    return template.format(subject=subject, be=be, location=location)
