"""MovieLens 1M: `ratings.dat`, `movies.dat` and `users.dat`, divided by `::`, in latin-1, with coded profiles.

Each reader refuses what is not as published, with the line.
"""

import difflib
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
    year_of,
)
from components.data.text import DataFile
from components.errors import DataError

WHERE = "Get MovieLens 1M (ml-1m.zip, 6 MB) at https://grouplens.org/datasets/movielens/1m/"
ENCODING = "latin-1"
RATINGS = RatingsFile("ratings.dat", separator="::", shown="::", lowest=1, step=1, where=WHERE)

GENRES = (
    *("Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy"),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
"""The genres that the set's README lists."""

AGES = {
    1: "under 18",
    18: "18-24",
    25: "25-34",
    35: "35-44",
    45: "45-49",
    50: "50-55",
    56: "56 and over",
}
"""The age bands by their code, as the set's README lists them."""

OCCUPATIONS = (
    *("other or not specified", "academic/educator", "artist", "clerical/admin", "college/grad student"),
    *("customer service", "doctor/health care", "executive/managerial", "farmer", "homemaker"),
    *("K-12 student", "lawyer", "programmer", "retired", "sales/marketing", "scientist", "self-employed"),
    *("technician/engineer", "tradesman/craftsman", "unemployed", "writer"),
)
"""The occupations in the order of their codes, as the set's README lists them."""

_GENDERS = {"M": "male", "F": "female"}
_MOVIE_COLUMNS = ("movie id", "title", "genres")
_USER_COLUMNS = ("user id", "gender", "age", "occupation", "zip code")


def read(files: Mapping[str, DataFile]) -> Published:
    """Parse the folder."""
    movies = read_movies(files["movies.dat"])
    people = read_users(files["users.dat"])
    return Published(read_ratings(files["ratings.dat"], RATINGS), movies, list(GENRES), people)


def read_movies(path: DataFile) -> dict[int, Movie]:
    """Parse `movies.dat`: id, title with the year in brackets, genres divided by `|`."""
    movies = {}
    for number, identity, cells in _read_rows(path, _MOVIE_COLUMNS):
        title, genres = cells[1].strip(), cells[2].split("|")
        if not title:
            raise DataError(path, "title: expected a text, got nothing", number)
        for genre in genres:
            if genre not in GENRES:
                near = difflib.get_close_matches(genre, GENRES, 1)
                meant = f"; did you mean {near[0]!r}?" if near else f"; the genres are {', '.join(GENRES)}"
                raise DataError(path, f"unknown genre {genre!r}{meant}", number)
        movies[identity] = Movie(title, year_of(title), genres)
    return movies


def read_users(path: DataFile) -> dict[int, dict[str, str]]:
    """Parse `users.dat`: id, gender, code of the age band, code of the occupation, zip code (not used)."""
    people = {}
    for number, identity, cells in _read_rows(path, _USER_COLUMNS):
        gender, age, occupation = (
            cells[1],
            whole(path, number, "age", cells[2]),
            whole(path, number, "occupation", cells[3]),
        )
        if gender not in _GENDERS:
            raise DataError(path, f"gender: expected M or F, got {gender[:40]!r}", number)
        if age not in AGES:
            codes = ", ".join(map(str, AGES))
            raise DataError(path, f"age: expected the code of a band ({codes}), got {age}", number)
        if not 0 <= occupation < len(OCCUPATIONS):
            message = f"occupation: expected a code from 0 to {len(OCCUPATIONS) - 1}, got {occupation}"
            raise DataError(path, message, number)
        people[identity] = {
            "age": AGES[age],
            "gender": _GENDERS[gender],
            "occupation": OCCUPATIONS[occupation],
        }
    return people


def _read_rows(path: DataFile, columns: tuple[str, ...]) -> Iterator[tuple[int, int, list[str]]]:
    """Split each line at `::` into (line number, id, cells); the ids must be different."""
    ids = Ids(path, least=1)
    for number, line, last in read_rows(path, ENCODING):
        cells = line.split("::")
        check_width(path, number, cells, f":: ({', '.join(columns)})", len(columns), last, WHERE)
        yield number, ids.read(number, cells[0]), cells


LAYOUT = Layout("1M", RATINGS, "movies.dat", "users.dat", read)
