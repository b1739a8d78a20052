"""What the layouts of MovieLens have in common: what a layout is, and a log of ratings that is checked at once."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from components.data.text import DataFile, read_lines, stream_lines
from components.errors import DataError

COLUMNS = ("user id", "item id", "rating", "timestamp")
"""Columns of a log of ratings, in every layout."""
LARGEST_ID = 2**31 - 1
LATEST_TIME = 10**11
"""Seconds; a larger time (after the year 5138) is in milliseconds."""


@dataclass(frozen=True)
class Ratings:
    """A log in the order of its file, with ids as they are written there. N ratings."""

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    rating: NDArray[np.float32]
    timestamp: NDArray[np.int64]
    """[N] seconds since 1970."""


@dataclass(frozen=True)
class Movie:
    """A movie of the catalogue."""

    title: str
    year: int
    """Year of publication, 0 where unknown."""
    genres: list[str]


@dataclass(frozen=True)
class Published:
    """What a folder of any layout says."""

    ratings: Ratings
    movies: Mapping[int, Movie]
    """By id."""
    genres: list[str]
    people: Mapping[int, Mapping[str, str]] | None
    """Profile fields by user id; None in a layout that says nothing of its users."""


@dataclass(frozen=True)
class RatingsFile:
    """How a layout writes its ratings."""

    name: str
    separator: str
    shown: str
    """What the separator is called."""
    lowest: float
    step: float
    where: str
    """Where to get the data set."""
    header: str | None = None
    """Its first line, if that is no rating."""
    highest: float = 5

    def plain_row(self) -> re.Pattern[str]:
        """Return what a row looks like that needs no closer look: the quick way past millions of right ones."""
        steps = np.arange(self.lowest, self.highest + self.step, self.step)
        ratings = "|".join(re.escape(f"{step:g}" if self.step == 1 else f"{step:.1f}") for step in steps)
        identity = "[1-9][0-9]{0,8}"
        return re.compile(self.separator.join((identity, identity, f"(?:{ratings})", "[0-9]{1,11}")))


@dataclass(frozen=True)
class Layout:
    """One of the ways in which MovieLens is published."""

    name: str
    ratings: RatingsFile
    movies: str
    """Name of the file of movies."""
    people: str | None
    """Name of the file of users, if there is one."""
    read: Callable[[Mapping[str, DataFile]], Published]
    """Parse the files, given by their names."""
    optional: tuple[str, ...] = ()
    """Files that decide the recording if they are there."""

    @property
    def needed(self) -> tuple[str, ...]:
        """Files that must be there."""
        return (self.ratings.name, self.movies, *([self.people] if self.people else []))


def read_ratings(path: DataFile, form: RatingsFile) -> Ratings:
    """Parse a log of ratings; a `DataError` names the first bad line."""
    import pyarrow as pa
    from pyarrow import csv

    gap = len(form.separator) - 1  # pyarrow knows separators of one character: `::` makes empty columns
    types: dict[str, pa.DataType] = {}
    kinds = (pa.int32(), pa.int32(), pa.int32() if form.step == 1 else pa.float32(), pa.int64())
    for name, kind in zip(COLUMNS, kinds, strict=True):
        types |= {f"before {name}": pa.null()} if types and gap else {}
        types[name] = kind
    try:
        with path.open("rb") as file:
            table = csv.read_csv(
                file,
                read_options=csv.ReadOptions(
                    column_names=list(types), skip_rows=int(form.header is not None)
                ),
                parse_options=csv.ParseOptions(delimiter=form.separator[0], quote_char=False),
                convert_options=csv.ConvertOptions(column_types=types, null_values=[""] if gap else []),
            )
    except pa.ArrowInvalid as error:
        _locate(path, form)
        raise DataError(path, f"{error}. {form.where}") from error
    if not table.num_rows or any(table.column(name).null_count for name in COLUMNS):
        _locate(path, form)
    user, item, rating, timestamp = (table.column(name).to_numpy() for name in COLUMNS)
    ratings = Ratings(user, item, rating.astype(np.float32, copy=False), timestamp)
    if _any_outside(ratings, form):
        _locate(path, form)
    if _is_cut_off(path, timestamp):
        message = "the file is cut off: no line end, and a shorter timestamp than on any other line"
        refuse_row(path, form, len(user) - 1, f"{message}. {form.where}")
    return ratings


def refuse_row(path: DataFile, form: RatingsFile, row: int, message: str) -> NoReturn:
    """Raise for a parsed row of a log, at its line; blank lines are no rows."""
    rows = (number for number, _ in _stream_rows(path, form))
    raise DataError(path, message, next(number for index, number in enumerate(rows) if index == row))


def read_rows(path: DataFile, encoding: str) -> Iterator[tuple[int, str, bool]]:
    """Yield number and text of each line that is not blank, and whether it is the last."""
    lines = read_lines(path, encoding)
    for number, line in enumerate(lines, start=1):
        if line:
            yield number, line, number == len(lines)


def check_width(
    path: DataFile, number: int, cells: list[str], columns: str, width: int, last: bool, where: str
) -> None:
    """Raise for a row of another width; `columns` says what was expected."""
    if len(cells) != width:
        message = f"{_damage(last)}: expected {width} columns divided by {columns}, got {len(cells)}"
        raise DataError(path, f"{message}. {where}", number)


def check_header(path: DataFile, form: str, where: str) -> None:
    """Raise where a file's first line is not the header that it must have."""
    with path.open("rb") as file:
        line = file.readline(1000).decode("utf-8-sig", "replace").rstrip("\r\n")
    if line != form:
        raise DataError(path, f"expected the header `{form}`, got {line[:60]!r}. {where}", 1)


class Ids:
    """The ids of a file that must all be different."""

    def __init__(self, path: DataFile, least: int | None = None) -> None:
        """Read the ids of `path`, whole numbers of at least `least`."""
        self._path, self._least = path, least
        self._lines: dict[int, int] = {}

    def read(self, number: int, text: str) -> int:
        """Parse the id of a line; a `DataError` where it stands on an earlier one."""
        identity = whole(self._path, number, "id", text)
        if self._least is not None and not self._least <= identity <= LARGEST_ID:
            message = f"id: expected a whole number from {self._least} to {LARGEST_ID:,}, got {identity}"
            raise DataError(self._path, message, number)
        if identity in self._lines:
            message = f"id {identity} stands on line {self._lines[identity]} already; expected every id once"
            raise DataError(self._path, message, number)
        self._lines[identity] = number
        return identity


def whole(path: DataFile, line: int, name: str, text: str) -> int:
    """Parse a whole number of at most 18 digits."""
    if not re.fullmatch(r"\s*-?[0-9]{1,18}\s*", text, re.ASCII):
        raise DataError(path, f"{name}: expected a whole number, got {text[:40]!r}", line)
    return int(text)


def year_of(title: str) -> int:
    """Take the year from the brackets at a title's end, the first of a range of years; 0 if there is none."""
    match = re.search(r"\((\d{4})(?:\s?[-\u2013]\s?(?:\d{4})?)?\)$", title)
    return int(match.group(1)) if match else 0


def _stream_rows(path: DataFile, form: RatingsFile) -> Iterator[tuple[int, str]]:
    return (each for each in stream_lines(path, "latin-1") if each[0] > 1 or form.header is None)


def _locate(path: DataFile, form: RatingsFile) -> None:
    """Go through a log line by line and raise the error of the first bad one."""
    rows = _stream_rows(path, form)
    plain = form.plain_row()
    empty = True
    for number, line in rows:
        empty = False
        if plain.fullmatch(line):
            continue
        cells = line.split(form.separator)
        if len(cells) != len(COLUMNS):
            columns = f"{form.shown} ({', '.join(COLUMNS)})"
            message = f"expected 4 columns divided by {columns}, got {len(cells)} in {line[:60]!r}"
            raise DataError(path, f"{_damage(next(rows, None) is None)}: {message}. {form.where}", number)
        _check_cells(path, form, number, cells)
    if empty:
        raise DataError(path, f"no rating in it; expected at least one. {form.where}")


def _check_cells(path: DataFile, form: RatingsFile, number: int, cells: list[str]) -> None:
    for name, cell in zip(COLUMNS[:2], cells, strict=False):
        identity = whole(path, number, name, cell)
        if not 1 <= identity <= LARGEST_ID:
            message = f"{name}: expected a whole number from 1 to {LARGEST_ID:,}, got {identity}"
            raise DataError(path, message, number)
    _check_rating(path, form, number, cells[2])
    timestamp = whole(path, number, "timestamp", cells[3])
    if not 0 <= timestamp <= LATEST_TIME:
        hint = "; this looks like milliseconds" if timestamp > 0 else ""
        raise DataError(path, f"expected a timestamp in seconds since 1970, got {timestamp}{hint}", number)


def _check_rating(path: DataFile, form: RatingsFile, number: int, cell: str) -> None:
    span = f"from {form.lowest:g} to {form.highest:g}"
    if form.step == 1:
        rating: float = whole(path, number, "rating", cell)
    elif re.fullmatch(r"\s*-?[0-9]{1,18}(\.[0-9]{1,18})?\s*", cell, re.ASCII):
        rating = float(cell)
    else:
        raise DataError(path, f"rating: expected a number {span}, got {cell[:40]!r}", number)
    if not form.lowest <= rating <= form.highest:
        raise DataError(path, f"expected a rating {span}, got {rating:g}", number)
    if rating % form.step:
        raise DataError(path, f"expected a rating {span} in steps of {form.step:g}, got {rating:g}", number)


def _any_outside(ratings: Ratings, form: RatingsFile) -> bool:
    def span(values: NDArray[np.number]) -> tuple[float, float]:
        return float(values.min()), float(values.max())

    low, high = span(ratings.rating)
    inside = form.lowest <= low and high <= form.highest  # NaN is not
    first, last = span(ratings.timestamp)
    return not (
        inside
        and min(ratings.user.min(), ratings.item.min()) >= 1
        and first >= 0
        and last <= LATEST_TIME
        and not (ratings.rating % np.float32(form.step)).any()
    )


def _is_cut_off(path: DataFile, timestamp: NDArray[np.int64]) -> bool:
    """Tell whether the last timestamp lost digits: no line end follows, and it is not half of any other."""
    if len(timestamp) < 2 or 2 * timestamp[-1] >= timestamp[:-1].min():
        return False
    tail = b""
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            tail = block
    return tail[-1:] not in b"\r\n"


def _damage(last: bool) -> str:
    return "the file is cut off" if last else "the line is damaged"
