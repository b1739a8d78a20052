"""The files of Flickr8k and Flickr30k in the layouts in which they are published.

Captions: `NAME.jpg#0<TAB>caption` (`results_20130124.token`, `results.token`, `Flickr8k.token.txt`), or a table
divided by `|` (`results.csv`), or JSON with the parts (`dataset_flickr30k.json`; Karpathy and Fei-Fei, Deep
Visual-Semantic Alignments, CVPR 2015). Parts: that JSON, or one list of names a part.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from components.config import FlickrSettings
from components.data.captions import split_words
from components.data.splits import TEST, TRAIN, VALIDATION
from components.data.text import describe_wrong_content, read_lines
from components.errors import DataError

VERSION = 1

WHERE = "docs/bring-your-own-data.md says where Flickr8k and Flickr30k come from and how the folder must look"
STYLES = ("humorous", "romantic")
STYLE_FILE = "styles.csv"
PICTURES = (
    "images",
    "Images",
    "flickr30k-images",
    "flickr30k_images",
    "Flicker8k_Dataset",
    "Flickr8k_Dataset",
)
TOKENS = ("results_20130124.token", "results.token", "Flickr8k.token.txt")
TABLE = "results.csv"
PARTITIONED = ("dataset_flickr30k.json", "dataset_flickr8k.json", "dataset.json")
LISTS = {
    "training": (TRAIN, ("train.txt", "Flickr_8k.trainImages.txt")),
    "validation": (VALIDATION, ("validation.txt", "val.txt", "Flickr_8k.devImages.txt")),
    "test": (TEST, ("test.txt", "Flickr_8k.testImages.txt")),
}
_SPLITS = {"train": TRAIN, "restval": TRAIN, "val": VALIDATION, "test": TEST}
_TOKEN = re.compile(r"(?P<name>[^#\t]+)#\d+\t(?P<text>.*)")
_ROW = re.compile(r"(?P<name>[^|]+)\|\s*\d+\s*[|\s](?P<text>.*)")
"""A row of the table; the published one lacks the second `|` in a line."""


@dataclass(frozen=True)
class Listed:
    """The part of a picture, and the file and line that say so."""

    part: int
    path: Path
    line: int | None

    @property
    def where(self) -> str:
        """The place in words, such as `train.txt:3`."""
        return self.path.name if self.line is None else f"{self.path.name}:{self.line}"


def files(settings: FlickrSettings) -> dict[str, Path]:
    """Name the files and the folder of pictures, having checked that they are there and not something else."""
    root = settings.root
    if not root.is_dir():
        what = (describe_wrong_content(root) or "this is a file") if root.is_file() else "no such folder"
        raise DataError(root, f"{what}; expected a folder with captions and pictures. {WHERE}")
    partitioned = _first(root, PARTITIONED)
    captions = _first(root, (*TOKENS, TABLE)) or partitioned
    if captions is None:
        expected = ", ".join((*TOKENS, TABLE, *PARTITIONED[:2]))
        raise DataError(root, f"no file of captions; expected one of {expected}. {WHERE}")
    found = {"captions": captions}
    if partitioned:
        found["partition"] = partitioned
    else:
        for role, (_, names) in LISTS.items():
            path = _first(root, names)
            if path is None:
                message = f"no list of {role} pictures; expected {' or '.join(names)}, or {PARTITIONED[0]}"
                raise DataError(root, f"{message}, which has all parts. {WHERE}")
            found[role] = path
    styles = _first(root, (STYLE_FILE,))
    if styles:
        found["styles"] = styles
    for path in found.values():
        wrong = describe_wrong_content(path)
        if wrong:
            raise DataError(path, f"{wrong}. {WHERE}", 1)
    pictures = next((root / name for name in PICTURES if (root / name).is_dir()), None)
    if pictures is None:
        raise DataError(root, f"no folder of pictures; expected one of {', '.join(PICTURES)}. {WHERE}")
    found["pictures"] = pictures
    if settings.encoder is not None:
        if not settings.encoder.is_file():
            raise DataError(
                settings.encoder, "no such file; `data.encoder` is an encoder exported by torch (`.pt2`)"
            )
        found["encoder"] = settings.encoder
    return found


def read_captions(path: Path) -> dict[str, list[str]]:
    """Read the captions of each picture; those without a word are dropped."""
    if path.suffix == ".json":
        rows: Iterator[tuple[str, str]] = (
            (image["filename"], text) for image in _images(path) for text in image["captions"]
        )
    elif path.name == TABLE:
        rows = _rows(path, _ROW, "NAME.jpg| 0| caption", header=1)
    else:
        rows = _rows(path, _TOKEN, "NAME.jpg#0<TAB>caption", header=0)
    captions: dict[str, list[str]] = {}
    for name, text in rows:
        kept = captions.setdefault(name, [])
        if split_words(text):
            kept.append(text)
    return captions


def read_styles(path: Path, captions: Mapping[str, object]) -> dict[str, dict[str, list[str]]]:
    """Read the styled captions: a table with the columns image, style and caption."""
    found: dict[str, dict[str, list[str]]] = {}
    rows = csv.reader((f"{line}\n" for line in read_lines(path, "utf-8-sig")), strict=True)
    try:
        header = next(rows)
        if header != ["image", "style", "caption"]:
            raise DataError(path, f"expected the columns image,style,caption, got {','.join(header)}", 1)
        for row in rows:
            line = rows.line_num
            if len(row) != 3:
                raise DataError(path, f"expected image,style,caption, got {len(row)} values", line)
            name, style, text = row
            if style not in STYLES:
                near = get_close_matches(style, STYLES, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise DataError(path, f"unknown style {style!r}; expected {' or '.join(STYLES)}{hint}", line)
            if name not in captions:
                raise DataError(
                    path, f"the picture {name!r} has no plain caption in the file of captions", line
                )
            if not split_words(text):
                raise DataError(path, "expected a caption, got an empty one", line)
            found.setdefault(name, {}).setdefault(style, []).append(text)
    except csv.Error as error:
        raise DataError(path, f"not a table divided by commas: {error}", rows.line_num) from error
    return found


def read_lists(paths: Mapping[str, Path], captions: Mapping[str, list[str]]) -> dict[str, Listed]:
    """Read which part each picture belongs to; one in two parts, or without a caption, is a `DataError`."""
    listed: dict[str, Listed] = {}
    for name, each in _members(paths):
        if name not in captions and f"{name}.jpg" in captions:
            name = f"{name}.jpg"
        if not captions.get(name):
            raise DataError(
                each.path, f"the picture {name!r} has no caption in {paths['captions'].name}", each.line
            )
        if name in listed:
            message = f"the picture {name!r} is also in {listed[name].where}; a picture belongs to one part"
            raise DataError(each.path, message, each.line)
        listed[name] = each
    return listed


def _members(paths: Mapping[str, Path]) -> Iterator[tuple[str, Listed]]:
    if "partition" in paths:
        for image in _images(paths["partition"]):
            yield image["filename"], Listed(image["part"], paths["partition"], None)
        return
    for role, (part, _) in LISTS.items():
        for number, line in enumerate(read_lines(paths[role], "utf-8-sig"), 1):
            if line.strip():
                yield line.strip(), Listed(part, paths[role], number)


def _first(root: Path, names: tuple[str, ...]) -> Path | None:
    return next((root / name for name in names if (root / name).is_file()), None)


def _rows(path: Path, pattern: re.Pattern[str], expected: str, header: int) -> Iterator[tuple[str, str]]:
    """Read names and captions, one a line; empty lines are passed over."""
    for number, line in enumerate(read_lines(path, "utf-8-sig"), 1):
        match = pattern.fullmatch(line)
        if number <= header or not line.strip():
            continue
        if not match:
            raise DataError(path, f"expected `{expected}`, got {_show(line)}", number)
        yield match["name"].strip(), match["text"].strip()


def _images(path: Path) -> Iterator[Mapping[str, Any]]:
    """Read the pictures of a JSON file with parts: name, part and captions of each."""
    try:
        document = json.loads(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(
            path, f"expected UTF-8 text, got the byte {error.object[error.start]:#04x}"
        ) from error
    except json.JSONDecodeError as error:
        raise DataError(
            path, f"not JSON, or cut off: {error.msg} (column {error.colno})", error.lineno
        ) from error
    images = document.get("images") if isinstance(document, dict) else None
    if not isinstance(images, list):
        raise DataError(path, f"expected an object with a list 'images'. {WHERE}")
    for number, image in enumerate(images):
        try:
            part = _SPLITS[image["split"]]
            captions = [str(sentence["raw"]).strip() for sentence in image["sentences"]]
            yield {"filename": str(image["filename"]), "part": part, "captions": captions}
        except (KeyError, TypeError) as error:
            message = f"images[{number}]: expected 'filename', 'split' ({', '.join(_SPLITS)}) and 'sentences'"
            raise DataError(path, f"{message} with 'raw', got {_show(json.dumps(image))}") from error


def _show(text: str) -> str:
    return repr(text) if len(text) <= 60 else f"{text[:60]!r} ..."
