"""MovieLens as GroupLens publishes it, in the 100K layout: `u.data`, `u.item`, `u.user`, perhaps `u.genre`.

Harper and Konstan, The MovieLens Datasets: History and Context, ACM TiiS 2015.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.config import MovieLensSettings
from components.data.movielens_files import (
    ENCODING,
    GENRES,
    WHERE,
    read_events,
    read_genres,
    read_items,
    read_users,
)
from components.data.source import Recording, encode_profile
from components.data.text import describe_wrong_content, read_lines
from components.errors import DataError

VERSION = 1

_AGE_BANDS = {18: "under 18", 25: "18-24", 35: "25-34", 45: "35-44", 50: "45-49", 56: "50-55"}
_OLDEST = "56 and over"


def files(settings: MovieLensSettings) -> dict[str, Path]:
    """Name the files that decide the recording, having checked that they are there and not something else."""
    root = settings.root
    if root.is_file():
        what = describe_wrong_content(root) or "this is a file"
        raise DataError(root, f"{what}; data.root must be the unpacked folder. {WHERE}")
    if not root.is_dir():
        raise DataError(root, f"no such folder; expected one with u.data, u.item and u.user. {WHERE}")
    found = {name: root / name for name in ("u.data", "u.item", "u.user")}
    missing = [name for name, path in found.items() if not path.is_file()]
    if missing:
        raise DataError(root / missing[0], f"no such file; {_diagnose(root)}")
    if (root / "u.genre").is_file():
        found["u.genre"] = root / "u.genre"
    for path in found.values():
        wrong = describe_wrong_content(path)
        if wrong:
            raise DataError(path, f"{wrong}. {WHERE}", 1)
    return found


def read(settings: MovieLensSettings) -> Recording:
    """Parse the folder; anything that is not as published is a `DataError` with file and line."""
    found = files(settings)
    genres = read_genres(found["u.genre"]) if "u.genre" in found else list(GENRES)
    items = read_items(found["u.item"], genres)
    users = read_users(found["u.user"])
    events = read_events(found["u.data"])
    _check_counts(found, {"users": len(users), "items": len(items), "ratings": len(events)})
    item_ids, user_ids = sorted(items), sorted(users)
    user = _look_up(found["u.data"], events[:, 0], user_ids, "user", "u.user")
    item = _look_up(found["u.data"], events[:, 1], item_ids, "item", "u.item")
    _check_repeats(found["u.data"], user, item)
    rating = events[:, 2]
    profile, profile_fields = encode_profile(
        {
            "age": [age_band(users[number].age) for number in user_ids],
            "gender": [users[number].gender for number in user_ids],
            "occupation": [users[number].occupation for number in user_ids],
        }
    )
    return Recording(
        user=user,
        item=item,
        value=((rating - 3) / 2).astype(np.float32),
        like=rating >= settings.like_threshold,
        timestamp=events[:, 3],
        user_ids=[str(number) for number in user_ids],
        item_ids=[str(number) for number in item_ids],
        item_titles=[items[number].title for number in item_ids],
        item_genres=[items[number].genres for number in item_ids],
        genres=genres,
        item_years=np.array([items[number].year for number in item_ids], np.int32),
        profile=profile,
        profile_fields=profile_fields,
    )


def age_band(age: int) -> str:
    """Name the age band, as the larger MovieLens sets divide ages."""
    return next((name for limit, name in _AGE_BANDS.items() if age < limit), _OLDEST)


def _diagnose(root: Path) -> str:
    """Say what a folder that lacks a file looks like."""
    inner = next((path.parent for path in sorted(root.glob("*/u.data"))), None)
    if inner is not None:
        return f"it is one folder further down: set data.root to {inner}"
    archive = next(iter(sorted(root.glob("*.zip"))), None)
    if archive is not None:
        return f"unpack {archive.name} first"
    if any((root / name).is_file() for name in ("ratings.dat", "ratings.csv")):
        return "this is another MovieLens layout; take the 100K set, or `source: table` with a ratings.csv"
    return f"the folder is half-downloaded or not MovieLens 100K. {WHERE}"


def _check_counts(found: dict[str, Path], counts: dict[str, int]) -> None:
    """Compare with the counts that `u.info` promises, where it is there."""
    path = found["u.data"].with_name("u.info")
    names = {"users": "u.user", "items": "u.item", "ratings": "u.data"}
    for line in read_lines(path, ENCODING) if path.is_file() else []:
        promised, _, what = line.strip().partition(" ")
        if what in counts and promised.isdigit() and counts[what] != int(promised):
            message = f"expected {promised} {what} as u.info says, got {counts[what]}"
            raise DataError(
                found[names[what]], f"{message}; the folder is half-downloaded. {WHERE}", counts[what]
            )


def _look_up(
    path: Path, ids: NDArray[np.int64], known: list[int], what: str, where: str
) -> NDArray[np.int32]:
    """Turn ids into indices into `known`, which is sorted."""
    vocabulary = np.array(known)
    index = np.searchsorted(vocabulary, ids).clip(max=len(vocabulary) - 1)
    wrong = np.flatnonzero(vocabulary[index] != ids)
    if wrong.size:
        row = int(wrong[0])
        message = (
            f"{what} id {ids[row]} is not among the {len(known)} of {where}; one of the two files is cut off"
        )
        raise DataError(path, f"{message} or of another set. {WHERE}", _line_of_row(path, row))
    return index.astype(np.int32)


def _check_repeats(path: Path, user: NDArray[np.int32], item: NDArray[np.int32]) -> None:
    """A user rates a movie once: a repeated pair means that a file was joined with itself."""
    pairs = user.astype(np.int64) * (int(item.max()) + 1) + item
    _, first = np.unique(pairs, return_index=True)
    if len(first) < len(pairs):
        row = int(np.setdiff1d(np.arange(len(pairs)), first)[0])
        message = "this user rated this item on an earlier line already; expected one rating each"
        raise DataError(path, message, _line_of_row(path, row))


def _line_of_row(path: Path, row: int) -> int:
    """Find the 1-based line of a parsed row; blank lines are no rows."""
    return [number for number, line in enumerate(read_lines(path, ENCODING), start=1) if line][row]
