"""MovieLens as GroupLens publishes it, in the 100K layout: `u.data`, `u.item`, `u.user` and, if there, `u.genre`.

Harper and Konstan, The MovieLens Datasets: History and Context, ACM TiiS 2015.
"""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.config import MovieLensSettings
from components.data.source import Recording, encode_profile
from components.data.text import describe_wrong_content, read_lines
from components.errors import DataError

VERSION = 1
WHERE = "MovieLens 100K is at https://grouplens.org/datasets/movielens/100k/ (ml-100k.zip, 5 MB)"
RATINGS = (1, 5)
ENCODING = "latin-1"

_GENRES = (
    "unknown|Action|Adventure|Animation|Children's|Comedy|Crime|Documentary|Drama|Fantasy|Film-Noir|Horror|"
    "Musical|Mystery|Romance|Sci-Fi|Thriller|War|Western"
).split("|")
_EVENT_COLUMNS = ("user id", "item id", "rating", "timestamp")
_ITEM_COLUMNS = ("movie id", "title", "release date", "video release date", "IMDb URL")
_USER_COLUMNS = ("user id", "age", "gender", "occupation", "zip code")
_AGE_BANDS = ((18, "under 18"), (25, "18-24"), (35, "25-34"), (45, "35-44"), (50, "45-49"), (56, "50-55"))
_OLDEST = "56 and over"


def files(settings: MovieLensSettings) -> dict[str, Path]:
    """Name the files that decide the recording, having checked that they are there and not something else."""
    root = settings.root
    if root.is_file():
        wrong = describe_wrong_content(root)
        raise DataError(
            root, f"expected the unpacked folder, got a file ({wrong or 'unknown kind'}). {WHERE}"
        )
    if not root.is_dir():
        raise DataError(root, f"no such folder; expected one with u.data, u.item and u.user. {WHERE}")
    found = {name: root / name for name in ("u.data", "u.item", "u.user")}
    missing = [name for name, path in found.items() if not path.is_file()]
    if missing:
        raise DataError(root, f"missing {', '.join(missing)}; {_diagnose(root)}")
    if (root / "u.genre").is_file():
        found["u.genre"] = root / "u.genre"
    for path in found.values():
        wrong = describe_wrong_content(path)
        if wrong:
            raise DataError(path, f"{wrong}. Download it again: {WHERE}")
    return found


def read(settings: MovieLensSettings) -> Recording:
    """Parse the folder; anything that is not as published is a `DataError` with file and line."""
    found = files(settings)
    genres = _read_genres(found["u.genre"]) if "u.genre" in found else list(_GENRES)
    item_ids, titles, years, item_genres = _read_items(found["u.item"], genres)
    user_ids, profile, profile_fields = _read_users(found["u.user"])
    events = _read_events(found["u.data"])
    counts = {"users": len(user_ids), "items": len(item_ids), "ratings": len(events)}
    _check_info(settings.root / "u.info", counts)
    user = _look_up(found["u.data"], events[:, 0], user_ids, "user", "u.user")
    item = _look_up(found["u.data"], events[:, 1], item_ids, "item", "u.item")
    _check_repeats(found["u.data"], user, item)
    rating = events[:, 2]
    return Recording(
        user=user,
        item=item,
        value=((rating - 3) / 2).astype(np.float32),
        like=rating >= settings.like_threshold,
        timestamp=events[:, 3],
        user_ids=[str(number) for number in user_ids],
        item_ids=[str(number) for number in item_ids],
        item_titles=titles,
        item_genres=item_genres,
        genres=genres,
        item_years=np.array(years, np.int32),
        profile=profile,
        profile_fields=profile_fields,
    )


def _diagnose(root: Path) -> str:
    """Say what a folder without the three files looks like."""
    inner = next((path.parent for path in sorted(root.glob("*/u.data"))), None)
    if inner is not None:
        return f"they are one folder further down: set root to {inner}"
    archive = next(iter(sorted(root.glob("*.zip"))), None)
    if archive is not None:
        return f"unpack {archive.name} first"
    if (root / "ratings.dat").is_file() or (root / "ratings.csv").is_file():
        return "this is another MovieLens layout; use the 100K set, or `source: table` with ratings.csv"
    return f"expected the 100K layout. {WHERE}"


def _read_events(path: Path) -> NDArray[np.int64]:
    """Parse `u.data` into [events, 4] whole numbers: user id, item id, rating, timestamp."""
    import pyarrow as pa
    from pyarrow import csv

    try:
        table = csv.read_csv(
            path,
            read_options=csv.ReadOptions(column_names=_EVENT_COLUMNS, encoding=ENCODING),
            parse_options=csv.ParseOptions(delimiter="\t", quote_char=False),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(_EVENT_COLUMNS, pa.int64()), null_values=[]
            ),
        )
    except pa.ArrowInvalid as error:
        _locate_event_error(path)
        raise DataError(path, f"{error}. Download it again: {WHERE}") from error
    events = np.stack([table.column(name).to_numpy() for name in _EVENT_COLUMNS], axis=1)
    low, high = RATINGS
    if ((events[:, 2] < low) | (events[:, 2] > high) | (events[:, 3] < 0)).any() or _is_cut_off(path, events):
        _locate_event_error(path)
    return events


def _is_cut_off(path: Path, events: NDArray[np.int64]) -> bool:
    """Tell whether the last line lost part of its timestamp: no line end, and fewer digits than any other has."""
    with path.open("rb") as file:
        file.seek(-1, 2)
        ended = file.read(1) in b"\r\n"
    digits = [len(str(int(time))) for time in (events[-1, 3], events[:-1, 3].min(initial=events[-1, 3]))]
    return not ended and digits[0] < digits[1]


def _locate_event_error(path: Path) -> None:
    """Go through `u.data` line by line and raise the error of the first bad one."""
    lines = read_lines(path, ENCODING)
    low, high = RATINGS
    for number, line in enumerate(lines, start=1):
        fields = line.split("\t")
        if line == "":
            continue
        if len(fields) != 4:
            hint = "the file is cut off" if number == len(lines) else "the line is damaged"
            raise DataError(
                path,
                f"{hint}: expected 4 columns divided by tabs ({', '.join(_EVENT_COLUMNS)}), got {len(fields)} in "
                f"{line[:60]!r}. {WHERE}",
                number,
            )
        for name, text in zip(_EVENT_COLUMNS, fields, strict=True):
            _whole(path, number, name, text)
        rating, timestamp = int(fields[2]), int(fields[3])
        if not low <= rating <= high:
            raise DataError(path, f"rating {rating} is outside {low} to {high}", number)
        if timestamp < 0:
            raise DataError(path, f"timestamp {timestamp} is before 1970", number)
    raise DataError(
        path, f"the file is cut off: its last timestamp is short and no line end follows. {WHERE}", len(lines)
    )


def _read_genres(path: Path) -> list[str]:
    genres: list[str] = []
    for number, line in enumerate(read_lines(path, ENCODING), start=1):
        if not line.strip():
            continue
        name, _, index = line.rpartition("|")
        if not name or _whole(path, number, "genre number", index) != len(genres):
            raise DataError(path, f"expected `name|{len(genres)}`, got {line[:60]!r}", number)
        genres.append(name)
    if not genres:
        raise DataError(path, f"no genre in it; expected lines such as `Action|1`. {WHERE}")
    return genres


def _read_items(path: Path, genres: list[str]) -> tuple[list[int], list[str], list[int], list[list[str]]]:
    rows: dict[int, tuple[str, int, list[str]]] = {}
    width = len(_ITEM_COLUMNS) + len(genres)

    def take(number: int, identity: int, fields: list[str]) -> None:
        flags = fields[len(_ITEM_COLUMNS) :]
        if not set(flags) <= {"0", "1"}:
            raise DataError(
                path, f"expected {len(genres)} genre flags of 0 or 1, got {'|'.join(flags)}", number
            )
        title = fields[1].strip()
        rows[identity] = (
            title,
            _year(title, fields[2]),
            [genre for genre, flag in zip(genres, flags, strict=True) if flag == "1"],
        )

    _read_rows(path, width, f"{', '.join(_ITEM_COLUMNS)} and {len(genres)} genre flags", "movie id", take)
    ids = sorted(rows)
    return ids, [rows[i][0] for i in ids], [rows[i][1] for i in ids], [rows[i][2] for i in ids]


def _read_users(path: Path) -> tuple[list[int], NDArray[np.int32], dict[str, list[str]]]:
    rows: dict[int, tuple[str, str, str]] = {}

    def take(number: int, identity: int, fields: list[str]) -> None:
        age = _whole(path, number, "age", fields[1])
        rows[identity] = (age_band(age), {"M": "male", "F": "female"}.get(fields[2], fields[2]), fields[3])

    _read_rows(path, len(_USER_COLUMNS), ", ".join(_USER_COLUMNS), "user id", take)
    ids = sorted(rows)
    names = ("age", "gender", "occupation")
    profile, fields = encode_profile({name: [rows[i][n] for i in ids] for n, name in enumerate(names)})
    return ids, profile, fields


def _read_rows(
    path: Path, width: int, columns: str, identity: str, take: Callable[[int, int, list[str]], None]
) -> None:
    """Split each line at `|` and hand (line number, id, fields) to `take`; ids must be different."""
    lines = read_lines(path, ENCODING)
    seen: dict[int, int] = {}
    for number, line in enumerate(lines, start=1):
        if line == "":
            continue
        fields = line.split("|")
        if len(fields) != width:
            hint = "the file is cut off" if number == len(lines) else "the line is damaged"
            raise DataError(
                path,
                f"{hint}: expected {width} columns divided by | ({columns}), got {len(fields)}. {WHERE}",
                number,
            )
        key = _whole(path, number, identity, fields[0])
        if key in seen:
            raise DataError(
                path, f"{identity} {key} stands on line {seen[key]} already; expected one line each", number
            )
        seen[key] = number
        take(number, key, fields)
    if not seen:
        raise DataError(path, f"no line in it; expected {columns}. {WHERE}")


def _look_up(
    path: Path, ids: NDArray[np.int64], known: list[int], what: str, where: str
) -> NDArray[np.int32]:
    """Turn ids into indices into `known`, which is sorted."""
    vocabulary = np.array(known)
    index = np.searchsorted(vocabulary, ids).clip(max=len(vocabulary) - 1)
    wrong = np.flatnonzero(vocabulary[index] != ids)
    if wrong.size:
        row = int(wrong[0])
        raise DataError(
            path,
            f"{what} id {ids[row]} is not in {where} ({len(known)} ids); one of the files is cut off or belongs to "
            f"another set. {WHERE}",
            _line_of_row(path, row),
        )
    return index.astype(np.int32)


def _check_repeats(path: Path, user: NDArray[np.int32], item: NDArray[np.int32]) -> None:
    """A user rates a movie once: a repeated pair means that a file was joined with itself."""
    pairs = user.astype(np.int64) * (int(item.max()) + 1) + item
    _, first = np.unique(pairs, return_index=True)
    if len(first) != len(pairs):
        row = int(np.setdiff1d(np.arange(len(pairs)), first)[0])
        raise DataError(path, "this user rated this item on an earlier line already", _line_of_row(path, row))


def _check_info(path: Path, counts: dict[str, int]) -> None:
    """Compare with the counts that `u.info` promises, where it is there."""
    if not path.is_file():
        return
    for line in read_lines(path, ENCODING):
        promised, _, what = line.strip().partition(" ")
        if promised.isdigit() and counts.get(what, int(promised)) != int(promised):
            name = {"users": "u.user", "items": "u.item", "ratings": "u.data"}[what]
            raise DataError(
                path.with_name(name),
                f"expected {promised} {what} as {path.name} says, got {counts[what]}: the folder is half-downloaded or "
                f"mixed. {WHERE}",
            )


def _line_of_row(path: Path, row: int) -> int:
    """Find the 1-based line of a parsed row; blank lines are no rows."""
    filled = [number for number, line in enumerate(read_lines(path, ENCODING), start=1) if line]
    return filled[row]


def _whole(path: Path, line: int, name: str, text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise DataError(path, f"{name}: expected a whole number, got {text[:40]!r}", line)
    return int(text)


def _year(title: str, released: str) -> int:
    """Take the year from the title's brackets, or else from the release date; 0 if neither has one."""
    match = re.search(r"\((\d{4})\)", title) or re.search(r"-(\d{4})$", released)
    return int(match.group(1)) if match else 0


def age_band(age: int) -> str:
    """Name the age band, as the larger MovieLens sets divide ages."""
    return next((name for limit, name in _AGE_BANDS if age < limit), _OLDEST)
