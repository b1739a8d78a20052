"""MovieLens as GroupLens publishes it: 100K, 1M, and the CSV sets (latest, latest-small, 20M, 25M, 32M).

The layout is recognised from the files, in a folder or in the published zip archive.

Harper and Konstan, The MovieLens Datasets: History and Context, ACM TiiS 2015.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.config import MovieLensSettings
from components.data import movielens_1m, movielens_100k, movielens_latest
from components.data.archive import open_archive
from components.data.movielens_files import Layout, Published, refuse_row
from components.data.source import Recording, encode_profile
from components.data.text import DataFile, describe_wrong_content
from components.errors import DataError

VERSION = 1

LAYOUTS: tuple[Layout, ...] = (movielens_100k.LAYOUT, movielens_1m.LAYOUT, movielens_latest.LAYOUT)
WHERE = "Get it at https://grouplens.org/datasets/movielens/"
_UNHASHED = {"u.info"}  # it only checks the others
_STEP = 1 << 20


def files(settings: MovieLensSettings) -> dict[str, DataFile]:
    """Name the files that decide the recording, having checked that they are there and not something else."""
    return {name: path for name, path in _find(settings.root)[1].items() if name not in _UNHASHED}


def read(settings: MovieLensSettings) -> Recording:
    """Parse the files; anything that is not as published is a `DataError` with file and line."""
    layout, found = _find(settings.root)
    published = layout.read(found)
    ratings = published.ratings
    log = found[layout.ratings.name]
    item_ids = sorted(published.movies)
    item = _look_up(layout, log, ratings.item, item_ids, "item", layout.movies)
    if published.people is None:
        user_ids: list[int] = np.unique(ratings.user).tolist()
    else:
        user_ids = sorted(published.people)
    user = _look_up(layout, log, ratings.user, user_ids, "user", layout.people or layout.ratings.name)
    _check_repeats(layout, log, user, item)
    profile, profile_fields = _profiles(published, user_ids)
    movies = [published.movies[number] for number in item_ids]
    lowest, highest = layout.ratings.lowest, layout.ratings.highest
    middle, half = (lowest + highest) / 2, (highest - lowest) / 2
    return Recording(
        user=user,
        item=item,
        value=(ratings.rating - np.float32(middle)) / np.float32(half),
        like=ratings.rating >= settings.like_threshold,
        timestamp=ratings.timestamp,
        user_ids=[str(number) for number in user_ids],
        item_ids=[str(number) for number in item_ids],
        item_titles=[movie.title for movie in movies],
        item_genres=[movie.genres for movie in movies],
        genres=published.genres,
        item_years=np.array([movie.year for movie in movies], np.int32),
        profile=profile,
        profile_fields=profile_fields,
    )


def _find(root: Path) -> tuple[Layout, dict[str, DataFile]]:
    """Recognise the layout, and name its files that are there."""
    place, listing = _list_files(root)
    layout = _recognise(place, listing)
    found = {name: listing[name] for name in (*layout.needed, *layout.optional) if name in listing}
    for path in found.values():
        wrong = describe_wrong_content(path)
        if wrong:
            raise DataError(path, f"{wrong}. {layout.ratings.where}", 1)
    return layout, found


def _list_files(root: Path) -> tuple[Path, dict[str, DataFile]]:
    """List the files of a folder or of an archive by name, and say where they are."""
    if root.is_file():
        return root, _list_archive(root)
    if not root.is_dir():
        beside = root.with_name(f"{root.name}.zip")
        if beside.is_file():
            raise DataError(root, f"no such folder, but there is its archive: set data.root to {beside}")
        expected = "expected a folder or the zip archive, as published"
        raise DataError(root, f"no such file or folder; {expected}. {WHERE}")
    listing: dict[str, DataFile] = {path.name: path for path in root.iterdir() if path.is_file()}
    if _known(listing):
        return root, listing
    inner = sorted({path.parent for name in _known_names() for path in root.glob(f"*/{name}")})
    if inner:
        others = f", or to another of {', '.join(each.name for each in inner)}" if len(inner) > 1 else ""
        raise DataError(root, f"the files are one folder further down: set data.root to {inner[0]}{others}")
    archives = sorted(root.glob("*.zip"))
    if len(archives) > 1:
        names = ", ".join(path.name for path in archives)
        raise DataError(root, f"several archives ({names}): set data.root to the one that is meant")
    if not archives:
        raise DataError(root, f"{_expected()}, got {_shorten(listing)}. {WHERE}")
    return archives[0], _list_archive(archives[0])


def _list_archive(archive: Path) -> dict[str, DataFile]:
    """List the files of the one folder of an archive that holds a layout's."""
    if not archive.name.endswith(".zip"):
        what = describe_wrong_content(archive) or "this is a file"
        raise DataError(
            archive, f"{what}; data.root must be the folder, or the zip archive as published. {WHERE}"
        )
    members = open_archive(archive)
    folders = sorted({each.inside.rpartition("/")[0] for each in members if each.name in _known_names()})
    if len(folders) > 1:
        message = f"it holds MovieLens files in several folders ({', '.join(folders)})"
        raise DataError(archive, f"{message}: unpack it and set data.root to the one that is meant")
    if not folders:
        raise DataError(
            archive, f"{_expected()} in it, got {_shorten([each.inside for each in members])}. {WHERE}"
        )
    return {each.name: each for each in members if each.inside.rpartition("/")[0] == folders[0]}


def _recognise(place: Path, listing: Mapping[str, DataFile]) -> Layout:
    """Return the one layout whose files are all there."""
    fitting = [layout for layout in LAYOUTS if all(name in listing for name in layout.needed)]
    if len(fitting) > 1:
        sets = " and ".join(f"{layout.name} ({', '.join(layout.needed)})" for layout in fitting)
        raise DataError(
            place, f"the files of several MovieLens layouts, {sets}: expected those of one of them"
        )
    if fitting:
        return fitting[0]
    begun = [layout for layout in LAYOUTS if any(name in listing for name in layout.needed)]
    if len(begun) > 1:
        lacking = "; ".join(f"{layout.name} lacks {', '.join(_missing(layout, listing))}" for layout in begun)
        raise DataError(place, f"parts of several MovieLens layouts, and no whole one: {lacking}. {WHERE}")
    layout = begun[0]
    message = f"no such file; expected {', '.join(layout.needed)} of MovieLens {layout.name}"
    if layout is movielens_1m.LAYOUT and "tags.dat" in listing:
        message += ". This is MovieLens 10M, which is not read: take 1M, 20M or 25M"
    where = f"the data is half-downloaded or not as published. {layout.ratings.where}"
    raise DataError(f"{place}/{_missing(layout, listing)[0]}", f"{message}; {where}")


def _missing(layout: Layout, listing: Mapping[str, DataFile]) -> list[str]:
    return [name for name in layout.needed if name not in listing]


def _known_names() -> list[str]:
    return [name for layout in LAYOUTS for name in layout.needed]


def _known(names: Mapping[str, DataFile]) -> bool:
    return any(name in names for name in _known_names())


def _expected() -> str:
    sets = ", or ".join(f"{', '.join(layout.needed)} ({layout.name})" for layout in LAYOUTS)
    return f"expected {sets}"


def _shorten(names: Mapping[str, DataFile] | Sequence[str]) -> str:
    first = sorted(names)[:4]
    more = f" and {len(names) - len(first)} more" if len(names) > len(first) else ""
    return f"{', '.join(first)}{more}" if first else "nothing"


def _profiles(published: Published, user_ids: list[int]) -> tuple[NDArray[np.int32], dict[str, list[str]]]:
    """Encode the profiles; without any there are no fields."""
    people = published.people
    if people is None:
        return np.zeros((len(user_ids), 0), np.int32), {}
    fields = ("age", "gender", "occupation")
    return encode_profile({name: [people[number][name] for number in user_ids] for name in fields})


def _look_up(
    layout: Layout, log: DataFile, ids: NDArray[np.int32], known: list[int], what: str, where: str
) -> NDArray[np.int32]:
    """Turn ids into indices into `known`, which is sorted."""
    vocabulary = np.array(known, np.int64)
    found = np.empty(len(ids), np.int32)
    for start in range(0, len(ids), _STEP):  # in steps, as whole columns of large numbers fill the memory
        part = ids[start : start + _STEP]
        index = np.searchsorted(vocabulary, part).clip(max=len(vocabulary) - 1)
        wrong = np.flatnonzero(vocabulary[index] != part)
        if wrong.size:
            message = f"{what} id {part[wrong[0]]} is not among the {len(known)} of {where}"
            cause = f"one of the two files is cut off or of another set. {layout.ratings.where}"
            refuse_row(log, layout.ratings, start + int(wrong[0]), f"{message}; {cause}")
        found[start : start + _STEP] = index
    return found


def _check_repeats(layout: Layout, log: DataFile, user: NDArray[np.int32], item: NDArray[np.int32]) -> None:
    """A user rates a movie once: a repeated pair means that a file was joined with itself."""
    pairs = user.astype(np.int64) * (int(item.max()) + 1) + item
    ordered = np.sort(pairs)
    if (ordered[1:] == ordered[:-1]).any():
        _, first = np.unique(pairs, return_index=True)
        row = int(np.setdiff1d(np.arange(len(pairs)), first)[0])
        message = "this user rated this item on an earlier line already; expected one rating each"
        refuse_row(log, layout.ratings, row, message)
