"""MovieLens as CSV: ml-latest, ml-latest-small, 20M, 25M and 32M. `ratings.csv` with half stars, and `movies.csv`.

UTF-8. Nothing is said of the users. `tags.csv`, `links.csv` and `genome-*.csv` are not used. Each reader refuses
what is not as published, with the line.
"""

import csv
from collections import Counter
from collections.abc import Mapping

from components.data.movielens_files import (
    Ids,
    Layout,
    Movie,
    Published,
    RatingsFile,
    check_header,
    check_width,
    read_ratings,
    read_rows,
    year_of,
)
from components.data.text import DataFile
from components.errors import DataError

WHERE = "Get it (ml-latest-small.zip, 1 MB; ml-25m.zip, 250 MB) at https://grouplens.org/datasets/movielens/"
RATINGS = RatingsFile(
    "ratings.csv",
    separator=",",
    shown="commas",
    lowest=0.5,
    step=0.5,
    where=WHERE,
    header="userId,movieId,rating,timestamp",
)
MOVIES_HEADER = "movieId,title,genres"
NO_GENRES = "(no genres listed)"


def read(files: Mapping[str, DataFile]) -> Published:
    """Parse the folder. Its genres are those that occur."""
    movies = read_movies(files["movies.csv"])
    check_header(files["ratings.csv"], RATINGS.header or "", WHERE)
    ratings = read_ratings(files["ratings.csv"], RATINGS)
    genres = sorted({genre for movie in movies.values() for genre in movie.genres})
    return Published(ratings, movies, genres, people=None)


def read_movies(path: DataFile) -> dict[int, Movie]:
    """Parse `movies.csv`: id, title with the year in brackets, genres divided by `|`; titles may be quoted."""
    check_header(path, MOVIES_HEADER, WHERE)
    movies = {}
    ids = Ids(path, least=1)
    met: Counter[str] = Counter()
    for number, line, last in read_rows(path, "utf-8-sig"):
        if number == 1:
            continue
        cells = _split(path, number, line)
        check_width(path, number, cells, f"commas ({MOVIES_HEADER})", 3, last, WHERE)
        identity, title = ids.read(number, cells[0]), cells[1].strip()
        if not title:
            raise DataError(path, "title: expected a text, got nothing", number)
        genres = [] if cells[2] == NO_GENRES else cells[2].split("|")
        if "" in genres:
            message = f"genres: expected names divided by |, or `{NO_GENRES}`, got {cells[2][:60]!r}"
            raise DataError(path, message, number)
        met.update(genres)
        movies[identity] = Movie(title, year_of(title), genres)
        if last:
            _refuse_cut(path, number, genres, met)
    if not movies:
        raise DataError(path, f"no movie in it; expected at least one. {WHERE}")
    return movies


def _split(path: DataFile, number: int, line: str) -> list[str]:
    """Split a line by itself: no title holds a line end, so a quote that stays open is damage of this line."""
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error as error:
        raise DataError(
            path, f"the line is damaged: its quotes do not pair up ({error}). {WHERE}", number
        ) from error


def _refuse_cut(path: DataFile, number: int, genres: list[str], met: Counter[str]) -> None:
    """Raise where the last line has no end and its last genre is only the beginning of another one."""
    with path.open("rb") as file:
        ended = file.read().endswith((b"\n", b"\r"))
    begun = genres[-1] if genres else ""
    if not ended and met[begun] == 1 and any(each.startswith(begun) for each in met if each != begun):
        raise DataError(path, f"the file is cut off: it ends inside a genre, {begun!r}. {WHERE}", number)


LAYOUT = Layout("latest", RATINGS, "movies.csv", None, read)
