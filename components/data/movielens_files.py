"""The single files of MovieLens 100K. Each reader refuses what is not as published, with the line."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.data.text import read_lines
from components.errors import DataError

WHERE = "Get MovieLens 100K (ml-100k.zip, 5 MB) at https://grouplens.org/datasets/movielens/100k/"
ENCODING = "latin-1"
LOWEST, HIGHEST = 1, 5

GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *(
        "Fantasy",
        "Film-Noir",
        "Horror",
        "Musical",
        "Mystery",
        "Romance",
        "Sci-Fi",
        "Thriller",
        "War",
        "Western",
    ),
)
"""The genre flags of `u.item`, in their order."""

_EVENT_COLUMNS = ("user id", "item id", "rating", "timestamp")
_ITEM_COLUMNS = ("movie id", "title", "release date", "video release date", "IMDb URL")
_USER_COLUMNS = ("user id", "age", "gender", "occupation", "zip code")


@dataclass(frozen=True)
class Movie:
    """A line of `u.item`."""

    title: str
    year: int
    """Year of publication, 0 where unknown."""
    genres: list[str]


@dataclass(frozen=True)
class Person:
    """A line of `u.user`."""

    age: int
    gender: str
    occupation: str


def read_events(path: Path) -> NDArray[np.int64]:
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
        raise DataError(path, f"{error}. {WHERE}") from error
    events = np.stack([table.column(name).to_numpy() for name in _EVENT_COLUMNS], axis=1)
    rating, timestamp = events[:, 2], events[:, 3]
    if ((rating < LOWEST) | (rating > HIGHEST) | (timestamp < 0)).any():
        _locate_event_error(path)
    if _is_cut_off(path, timestamp):
        message = "the file is cut off: no line end, and a shorter timestamp than on any other line"
        raise DataError(path, f"{message}. {WHERE}", len(read_lines(path, ENCODING)))
    return events


def read_genres(path: Path) -> list[str]:
    """Parse `u.genre`: `name|number`, numbered from 0."""
    genres: list[str] = []
    for number, line in enumerate(read_lines(path, ENCODING), start=1):
        name, _, index = line.strip().rpartition("|")
        if name and index == str(len(genres)):
            genres.append(name)
        elif line.strip():
            raise DataError(path, f"expected `genre|{len(genres)}`, got {line[:60]!r}. {WHERE}", number)
    return genres


def read_items(path: Path, genres: list[str]) -> dict[int, Movie]:
    """Parse `u.item`: five columns and one flag a genre."""
    columns = f"{', '.join(_ITEM_COLUMNS)} and {len(genres)} genre flags"
    movies = {}
    for number, identity, cells in _read_rows(path, len(_ITEM_COLUMNS) + len(genres), columns):
        flags = cells[len(_ITEM_COLUMNS) :]
        if not set(flags) <= {"0", "1"}:
            raise DataError(
                path, f"expected {len(genres)} genre flags of 0 or 1, got {'|'.join(flags)}", number
            )
        chosen = [genre for genre, flag in zip(genres, flags, strict=True) if flag == "1"]
        movies[identity] = Movie(cells[1].strip(), _year(cells[1], cells[2]), chosen)
    return movies


def read_users(path: Path) -> dict[int, Person]:
    """Parse `u.user`: id, age, gender, occupation and zip code (which is not used)."""
    people = {}
    genders = {"M": "male", "F": "female"}
    for number, identity, cells in _read_rows(path, len(_USER_COLUMNS), ", ".join(_USER_COLUMNS)):
        age = _whole(path, number, "age", cells[1])
        people[identity] = Person(age, genders.get(cells[2], cells[2]), cells[3])
    return people


def _read_rows(path: Path, width: int, columns: str) -> Iterator[tuple[int, int, list[str]]]:
    """Split each line at `|` into (line number, id, cells); the ids must be different."""
    lines = read_lines(path, ENCODING)
    lines_of: dict[int, int] = {}
    for number, line in enumerate(lines, start=1):
        if line == "":
            continue
        cells = line.split("|")
        if len(cells) != width:
            message = f"expected {width} columns divided by | ({columns}), got {len(cells)}"
            raise DataError(path, f"{_damage(number, lines)}: {message}. {WHERE}", number)
        identity = _whole(path, number, "id", cells[0])
        if identity in lines_of:
            message = f"id {identity} stands on line {lines_of[identity]} already; expected every id once"
            raise DataError(path, message, number)
        lines_of[identity] = number
        yield number, identity, cells


def _locate_event_error(path: Path) -> None:
    """Go through `u.data` line by line and raise the error of the first bad one."""
    lines = read_lines(path, ENCODING)
    for number, line in enumerate(lines, start=1):
        cells = line.split("\t")
        if line == "":
            continue
        if len(cells) != len(_EVENT_COLUMNS):
            message = f"expected 4 columns divided by tabs ({', '.join(_EVENT_COLUMNS)}), got {len(cells)}"
            raise DataError(path, f"{_damage(number, lines)}: {message} in {line[:60]!r}. {WHERE}", number)
        _, _, rating, timestamp = (
            _whole(path, number, name, cell) for name, cell in zip(_EVENT_COLUMNS, cells, strict=True)
        )
        if not LOWEST <= rating <= HIGHEST:
            raise DataError(path, f"expected a rating from {LOWEST} to {HIGHEST}, got {rating}", number)
        if timestamp < 0:
            raise DataError(path, f"expected a timestamp in seconds since 1970, got {timestamp}", number)


def _is_cut_off(path: Path, timestamp: NDArray[np.int64]) -> bool:
    """Tell whether the last timestamp lost digits: no line end follows, and all others have more."""
    with path.open("rb") as file:
        file.seek(-1, 2)
        if file.read(1) in b"\r\n":
            return False
    return len(timestamp) > 1 and len(str(int(timestamp[-1]))) < len(str(int(timestamp[:-1].min())))


def _damage(number: int, lines: list[str]) -> str:
    return "the file is cut off" if number == len(lines) else "the line is damaged"


def _whole(path: Path, line: int, name: str, text: str) -> int:
    if not re.fullmatch(r"\s*-?[0-9]{1,18}\s*", text, re.ASCII):
        raise DataError(path, f"{name}: expected a whole number, got {text[:40]!r}", line)
    return int(text)


def _year(title: str, released: str) -> int:
    """Take the year from the title's brackets, or else from the release date; 0 if neither has one."""
    match = re.search(r"\((\d{4})\)", title) or re.search(r"-(\d{4})$", released)
    return int(match.group(1)) if match else 0
