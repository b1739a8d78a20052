"""MovieLens 100K: `u.data`, `u.item`, `u.user`, perhaps `u.genre` and `u.info`, in latin-1.

Each reader refuses what is not as published, with the line.
"""

import re
from collections.abc import Iterator, Mapping

from components.data.movielens_files import (
    Ids,
    Layout,
    Movie,
    Published,
    RatingsFile,
    check_width,
    read_ratings,
    read_rows,
    whole,
)
from components.data.text import DataFile, read_lines
from components.errors import DataError

WHERE = "Get MovieLens 100K (ml-100k.zip, 5 MB) at https://grouplens.org/datasets/movielens/100k/"
ENCODING = "latin-1"
RATINGS = RatingsFile("u.data", separator="\t", shown="tabs", lowest=1, step=1, where=WHERE)

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

_ITEM_COLUMNS = ("movie id", "title", "release date", "video release date", "IMDb URL")
_USER_COLUMNS = ("user id", "age", "gender", "occupation", "zip code")


_AGE_BANDS = {18: "under 18", 25: "18-24", 35: "25-34", 45: "35-44", 50: "45-49", 56: "50-55"}
_OLDEST = "56 and over"


def read(files: Mapping[str, DataFile]) -> Published:
    """Parse the folder; with `u.info`, compare with the counts that it promises."""
    genres = read_genres(files["u.genre"]) if "u.genre" in files else list(GENRES)
    movies = read_items(files["u.item"], genres)
    people = read_users(files["u.user"])
    ratings = read_ratings(files["u.data"], RATINGS)
    _check_counts(files, {"users": len(people), "items": len(movies), "ratings": len(ratings.user)})
    return Published(ratings, movies, genres, people)


def age_band(age: int) -> str:
    """Name the age band, as the 1M set divides ages."""
    return next((name for limit, name in _AGE_BANDS.items() if age < limit), _OLDEST)


def read_genres(path: DataFile) -> list[str]:
    """Parse `u.genre`: `name|number`, numbered from 0."""
    genres: list[str] = []
    for number, line in enumerate(read_lines(path, ENCODING), start=1):
        name, _, index = line.strip().rpartition("|")
        if name and index == str(len(genres)):
            genres.append(name)
        elif line.strip():
            raise DataError(path, f"expected `genre|{len(genres)}`, got {line[:60]!r}. {WHERE}", number)
    return genres


def read_items(path: DataFile, genres: list[str]) -> dict[int, Movie]:
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


def read_users(path: DataFile) -> dict[int, dict[str, str]]:
    """Parse `u.user`: id, age, gender, occupation and zip code (which is not used)."""
    people = {}
    genders = {"M": "male", "F": "female"}
    for number, identity, cells in _read_rows(path, len(_USER_COLUMNS), ", ".join(_USER_COLUMNS)):
        age = whole(path, number, "age", cells[1])
        gender = genders.get(cells[2], cells[2])
        people[identity] = {"age": age_band(age), "gender": gender, "occupation": cells[3]}
    return people


def _check_counts(files: Mapping[str, DataFile], counts: dict[str, int]) -> None:
    names = {"users": "u.user", "items": "u.item", "ratings": "u.data"}
    for line in read_lines(files["u.info"], ENCODING) if "u.info" in files else []:
        promised, _, what = line.strip().partition(" ")
        if what in counts and promised.isdigit() and counts[what] != int(promised):
            message = f"expected {promised} {what} as u.info says, got {counts[what]}"
            raise DataError(
                files[names[what]], f"{message}; the folder is half-downloaded. {WHERE}", counts[what]
            )


def _read_rows(path: DataFile, width: int, columns: str) -> Iterator[tuple[int, int, list[str]]]:
    """Split each line at `|` into (line number, id, cells); the ids must be different."""
    ids = Ids(path)
    for number, line, last in read_rows(path, ENCODING):
        cells = line.split("|")
        check_width(path, number, cells, f"| ({columns})", width, last, WHERE)
        yield number, ids.read(number, cells[0]), cells


def _year(title: str, released: str) -> int:
    """Take the year from the title's brackets, or else from the release date; 0 if neither has one."""
    match = re.search(r"\((\d{4})\)", title) or re.search(r"-(\d{4})$", released)
    return int(match.group(1)) if match else 0


LAYOUT = Layout("100K", RATINGS, "u.item", "u.user", read, optional=("u.genre", "u.info"))
