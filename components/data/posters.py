"""Pictures of items from a folder: one file an item, named by its id, decoded and scaled once."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.data import images
from components.errors import DataError

FOLDER = "posters"
HEIGHT, WIDTH = 36, 24
"""Pixels of a stored poster, in the usual proportion of three to two."""
ENDINGS = (".jpg", ".jpeg", ".png")
WHERE = "`data.posters` reads pictures named by the item's id, such as posters/1.jpg or posters/1.png"


def check_folder(folder: Path) -> None:
    """Raise `DataError` where there is no such folder, or no picture in it."""
    if not folder.is_dir():
        raise DataError(folder, f"{'this is a file' if folder.is_file() else 'no such folder'}; {WHERE}")
    if not any(_is_picture(path) for path in folder.iterdir()):
        raise DataError(folder, f"no picture in it; {WHERE}")


def read_posters(
    folder: Path, item_ids: Sequence[str], damaged: float
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], dict[str, int]]:
    """Decode the items' posters: [I, 3, HEIGHT, WIDTH], which items have one [I], and how many files do not count.

    Damaged pictures and those of unknown items are left out and counted. Raises `DataError` where they are more than
    the share `damaged` of the files, no file is of an item, or an item has two.
    """
    place = {identity: index for index, identity in enumerate(item_ids)}
    pixels = np.zeros((len(item_ids), 3, HEIGHT, WIDTH), np.uint8)
    present = np.zeros(len(item_ids), bool)
    paths = sorted(path for path in folder.iterdir() if _is_picture(path))
    named: dict[str, Path] = {}
    problems: dict[str, str] = {}
    unknown = 0
    for path in paths:
        if path.stem in named:
            raise DataError(path, f"{named[path.stem].name} is of the same item; expected one picture each")
        named[path.stem] = path
        if path.stem not in place:
            unknown += 1
            problems[path.name] = "no such item"
            continue
        try:
            picture = images.decode_picture(path, HEIGHT, WIDTH)
        except images.UnusablePicture as error:
            problems[path.name] = str(error)
            continue
        pixels[place[path.stem]] = picture.transpose(2, 0, 1)
        present[place[path.stem]] = True
    shown = "; ".join(f"{name}: {problem}" for name, problem in list(problems.items())[:3])
    if len(problems) > damaged * len(paths):
        raise DataError(
            folder,
            f"{len(problems):,} of {len(paths):,} posters are damaged or of unknown items, more than the share "
            f"{damaged:g} that data.damaged allows ({shown}). Get them again, or raise data.damaged",
        )
    if not present.any():
        raise DataError(folder, f"no poster of any of the {len(item_ids):,} items ({shown}); {WHERE}")
    counts = {"posters of unknown items": unknown, "damaged posters": len(problems) - unknown}
    return pixels, present, {reason: count for reason, count in counts.items() if count}


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".")
