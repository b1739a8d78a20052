"""Flickr8k and Flickr30k as published: pictures, about five captions of each, and lists of the parts.

Hodosh, Young and Hockenmaier, Framing Image Description as a Ranking Task, JAIR 2013. Young et al., From image
descriptions to visual denotations, TACL 2014. Styled captions: Gan et al., StyleNet, CVPR 2017.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.config import FlickrSettings
from components.data import flickr_files, images, subjects
from components.data.album import Album, Picture, mixed_preferences
from components.data.captions import split_words
from components.data.flickr_files import Listed
from components.data.regions import PretrainedEncoder, stored
from components.data.splits import TEST, TRAIN, VALIDATION, keyed_hash
from components.errors import DataError

VERSION = [1, flickr_files.VERSION, images.VERSION, subjects.VERSION]

STYLED = ("factual", *flickr_files.STYLES)
"""Styles where there are styled captions; what is not styled is factual."""
BY_LENGTH = ("short", "long")
"""Styles where there are none: the shorter and the longer half of a picture's captions."""

files = flickr_files.files


@dataclass(frozen=True)
class _Source:
    """What the text files say."""

    captions: Mapping[str, list[str]]
    """By the name of the picture."""
    styled: Mapping[str, Mapping[str, list[str]]] | None
    """By the name of the picture, then by the style."""
    listed: Mapping[str, Listed]
    """Part of each picture that the lists name, and where it stands."""


def read(settings: FlickrSettings) -> Album:
    """Parse the text files, choose the pictures and decode them; what is broken is a `DataError` that says where.

    Pictures that are missing or damaged are left out and counted, up to the share `settings.damaged`. The other
    counts of `left_out` are of what the files hold beyond what can be used.
    """
    paths = files(settings)
    captions = flickr_files.read_captions(paths["captions"])
    listed = flickr_files.read_lists(paths, captions)
    styled = flickr_files.read_styles(paths["styles"], captions) if "styles" in paths else None
    source = _Source(captions, styled, listed)
    styles = BY_LENGTH if source.styled is None else STYLED
    pictures, left_out = _choose(source, paths)
    pixels, usable, counted = _decode(settings, paths["pictures"], pictures)
    pictures = [pictures[place] for place in np.flatnonzero(usable)]
    regions = None
    if settings.encoder is not None:
        encoder = PretrainedEncoder(settings.encoder)
        folder = paths["pictures"]
        regions = stored(
            encoder, (images.decode_picture(folder / each.name, encoder.size) for each in pictures)
        )
    for part, name in ((TRAIN, "training"), (VALIDATION, "validation"), (TEST, "test")):
        if not any(picture.part == part for picture in pictures):
            raise DataError(settings.root, f"no usable picture in the {name} part. {flickr_files.WHERE}")
    plain = [source.captions[picture.name] for picture in pictures]
    return Album(
        pictures=tuple(pictures),
        pixels=pixels if usable.all() else pixels[usable],
        styles=styles,
        kinds=subjects.KINDS,
        kind=np.array([subjects.kind_of(texts) for texts in plain], np.int8),
        mixed=mixed_preferences(len(subjects.KINDS), len(styles)),
        topics=subjects.TOPICS,
        topic=np.array([subjects.topic_of(texts) for texts in plain], np.int32),
        regions=regions,
        left_out=left_out | counted,
    )


def _choose(source: _Source, paths: Mapping[str, Path]) -> tuple[list[Picture], dict[str, int]]:
    """Choose the listed pictures that have a caption in every style, and say what is not used.

    Styled captions were not published for the test pictures. Where none of these has any, the validation pictures
    are divided into halves, validation and test, by keyed hash of the name.
    """
    pictures, unstyled = [], 0
    for name, listed in source.listed.items():
        captions = _by_style(source, name, paths["captions"], listed)
        if captions is None:
            unstyled += 1
        else:
            pictures.append(Picture(name, listed.part, captions))
    if source.styled is not None and not any(picture.part == TEST for picture in pictures):
        names = sorted(picture.name for picture in pictures if picture.part == VALIDATION)
        order = np.argsort(keyed_hash("adaptune test picture", names), kind="stable")
        test = {names[place] for place in order[: len(names) // 2]}
        pictures = [
            Picture(each.name, TEST, each.captions) if each.name in test else each for each in pictures
        ]
    unlisted = len(source.captions.keys() - source.listed.keys())
    counts = {"pictures in no list": unlisted, "pictures without styled captions": unstyled}
    return pictures, {reason: count for reason, count in counts.items() if count}


def _by_style(source: _Source, name: str, path: Path, listed: Listed) -> tuple[tuple[str, ...], ...] | None:
    """Sort a picture's captions by style; none if a style has none."""
    plain = source.captions[name]
    if source.styled is None:
        if len(plain) < 2:
            message = f"the picture {name!r} of {listed.where} has 1 caption; expected at least 2, a shorter "
            raise DataError(
                path, f"{message}and a longer one, or styled captions in {flickr_files.STYLE_FILE}"
            )
        ordered = sorted(plain, key=lambda text: len(split_words(text)))  # a stable sort
        return tuple(ordered[: len(ordered) // 2]), tuple(ordered[len(ordered) // 2 :])
    styled = source.styled.get(name, {})
    if set(styled) < set(flickr_files.STYLES):
        return None
    return tuple(plain), *(tuple(styled[style]) for style in flickr_files.STYLES)


def _decode(
    settings: FlickrSettings, folder: Path, pictures: list[Picture]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], dict[str, int]]:
    """Decode pictures: pixels [I, size, size, 3], which of them are usable [I], and how many are not, and why."""
    pixels = np.zeros((len(pictures), settings.image_size, settings.image_size, 3), np.uint8)
    problems: dict[str, str] = {}
    missing = 0
    for place, picture in enumerate(pictures):
        path = folder / picture.name
        if not path.is_file():
            missing += 1
            problems[picture.name] = "missing"
            continue
        try:
            pixels[place] = images.decode_picture(path, settings.image_size)
        except images.UnusablePicture as error:
            problems[picture.name] = str(error)
    if len(problems) > settings.damaged * len(pictures):
        shown = "; ".join(f"{name}: {problem}" for name, problem in list(problems.items())[:3])
        raise DataError(
            folder,
            f"{len(problems):,} of {len(pictures):,} pictures are missing or damaged, more than the share "
            f"{settings.damaged:g} that data.damaged allows ({shown}). Download them again, or raise data.damaged",
        )
    usable = np.array([picture.name not in problems for picture in pictures], bool)
    counts = {"missing pictures": missing, "damaged pictures": len(problems) - missing}
    return pixels, usable, {reason: count for reason, count in counts.items() if count}
