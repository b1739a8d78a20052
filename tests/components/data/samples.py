"""Tiny MovieLens folders, as GroupLens lays them out: the same ratings in each layout."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from PIL import Image

USERS, ITEMS = 6, 5


def write_movielens(folder: Path, info: bool = True) -> Path:
    events = ["\t".join(map(str, event)) for event in rated()]
    items = [f"{n}|Café {n} (199{n})|01-Jan-1995||http://x/{n}|{flags(n)}" for n in range(1, ITEMS + 1)]
    users = [f"{n}|{10 * n}|{'MF'[n % 2]}|writer|9410{n}" for n in range(1, USERS + 1)]
    _write(folder, {"u.data": events, "u.item": items, "u.user": users}, "latin-1")
    if info:
        (folder / "u.info").write_text(f"{USERS} users\n{ITEMS} items\n{len(events)} ratings\n")
    return folder


def write_movielens_1m(folder: Path) -> Path:
    """Write the 1M layout: `::`, latin-1, coded ages and occupations."""
    ages = (1, 18, 25, 35, 45, 56)
    movies = [f"{n}::Café: {n} (199{n})::Action|Children's" for n in range(1, ITEMS + 1)]
    users = [f"{n}::{'MF'[n % 2]}::{ages[n - 1]}::{n + 14}::9410{n}" for n in range(1, USERS + 1)]
    events = ["::".join(map(str, event)) for event in rated()]
    contents = {"ratings.dat": events, "movies.dat": movies, "users.dat": users}
    return _write(folder, contents, "latin-1")


def write_movielens_latest(folder: Path) -> Path:
    """Write the layout of ml-latest-small: CSV, UTF-8, half stars."""
    movies = [f'{n},"Café, The {n} (199{n})",Action|IMAX' for n in range(1, ITEMS + 1)]
    movies[2] = "3,Blade (1998\u2013),(no genres listed)"
    events = [f"{user},{item},{rating - 0.5},{time}" for user, item, rating, time in rated()]
    contents = {
        "ratings.csv": ["userId,movieId,rating,timestamp", *events],
        "movies.csv": ["movieId,title,genres", *movies],
        "tags.csv": ["userId,movieId,tag,timestamp", '1,1,"a, ""b""",881250000'],
        "links.csv": ["movieId,imdbId,tmdbId", "1,0114709,862"],
    }
    return _write(folder, contents, "utf-8")


def write_movielens_25m(folder: Path) -> Path:
    """Write the layout of 20M, 25M and 32M: that of ml-latest-small, and the tag genome."""
    genome = {
        "genome-scores.csv": ["movieId,tagId,relevance", "1,1,0.5"],
        "genome-tags.csv": ["tagId,tag", "1,x"],
    }
    return _write(write_movielens_latest(folder), genome, "utf-8")


LAYOUTS = {
    "100K": write_movielens,
    "1M": write_movielens_1m,
    "latest": write_movielens_latest,
    "25M": write_movielens_25m,
}


def rated() -> list[tuple[int, int, int, int]]:
    """The ratings of all layouts: user, item, rating, timestamp."""
    return [
        (user, item, 1 + (user + item) % 5, 881250000 + 10 * item + user)
        for user in range(1, USERS + 1)
        for item in range(1, ITEMS + 1)
    ]


def zip_folder(folder: Path, archive: Path) -> Path:
    """Zip a folder as it is published: under its own name."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in [folder, *sorted(folder.iterdir())]:
            file.write(path, path.relative_to(folder.parent))
    return archive


def _write(folder: Path, contents: dict[str, list[str]], encoding: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in contents.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding=encoding)
    return folder


def flags(chosen: int) -> str:
    return "|".join("1" if index == chosen else "0" for index in range(19))


def edit(path: Path, line: int, text: str, encoding: str = "latin-1") -> None:
    """Replace the 1-based line of a file."""
    lines = path.read_bytes().split(b"\n")
    lines[line - 1] = text.encode(encoding)
    path.write_bytes(b"\n".join(lines))


def write_overviews(folder: Path, *rows: str, header: str = "movie_id,overview") -> Path:
    """Write `overviews.csv` with one row a movie, or with these rows."""
    path = folder / "overviews.csv"
    lines = rows or [f'{n},"A story, told {n} times."' for n in range(1, ITEMS + 1)]
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def write_posters(folder: Path, *items: object) -> Path:
    """Write a poster of 92 x 138 pixels for each item, or for these: a frame, and a colour that tells the item."""
    posters = folder / "posters"
    posters.mkdir(exist_ok=True)
    for n in items or range(1, ITEMS + 1):
        image = Image.new("RGB", (92, 138), (255, 255, 255))
        image.paste((40 * (int(str(n)) % 6), 90, 200), (10, 10, 82, 128))
        image.save(posters / f"{n}.jpg", quality=95)
    return posters


def write_vectors(
    path: Path, ids: Sequence[object], vectors: object, kind: pa.DataType | None = None
) -> Path:
    """Write an Arrow IPC file of vectors."""
    vector = pa.array(vectors, kind or pa.list_(pa.float32()))
    table = pa.table({"item_id": pa.array(ids), "vector": vector})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return path
