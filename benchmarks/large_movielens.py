"""How much memory and time the preparation of a log of MovieLens 25M's size and shape takes.

    python -m benchmarks.large_movielens [--share 0.1] [--folder FOLDER] [--zip] [--split leave-one-out] [--json]

Generates `ratings.csv` and `movies.csv` (162,541 users, 62,423 movies, 25 million ratings in half stars; long-tailed
activity and popularity; ratings in sittings, several of them a second) and prepares them in a process of its own,
whose peak resident memory is the kernel's `VmHWM`. `--share` scales users and ratings. Ends with code 1 above 4 GB.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

USERS, MOVIES, RATINGS = 162_541, 62_423, 25_000_095
"""Counts that the README of MovieLens 25M states."""
LEAST = 20
"""Ratings of the least active user, by the same README."""
LIMIT = 4 * 10**9
"""Bytes that a preparation may take."""
BATCH_USERS = 5_000

STARS = pa.array([f"{half / 2:.1f}" for half in range(1, 11)])
COLUMNS = ("userId", "movieId", "rating", "timestamp")


def write_log(folder: Path, share: float, seed: int = 0) -> int:
    """Write both files into `folder` and return the number of ratings."""
    generator = np.random.default_rng(seed)
    users = max(1, round(USERS * share))
    extra = generator.lognormal(0, 1.3, users)
    counts = LEAST + np.round(extra / extra.sum() * (RATINGS * share - LEAST * users)).astype(np.int64)
    counts = np.minimum(counts, MOVIES // 2)
    popularity = 1 / np.arange(1, MOVIES + 1) ** 0.9
    upto = np.cumsum(popularity / popularity.sum())
    names = generator.permutation(np.arange(1, MOVIES + 1)).astype(np.int32)
    title = pa.array([f"Movie, The {number} ({1920 + number % 100})" for number in range(1, MOVIES + 1)])
    genres = pa.array([("Drama|War", "Comedy", "(no genres listed)")[n % 3] for n in range(MOVIES)])
    movies = pa.table({"movieId": np.arange(1, MOVIES + 1), "title": title, "genres": genres})
    plain = csv.WriteOptions(quoting_style="none", include_header=False)
    with (folder / "movies.csv").open("wb") as file:
        file.write(b"movieId,title,genres\n")
        csv.write_csv(movies, file, csv.WriteOptions(include_header=False))
    written = 0
    with (folder / "ratings.csv").open("wb") as file:
        file.write(f"{','.join(COLUMNS)}\n".encode())
        for first in range(0, users, BATCH_USERS):
            part = _draw(generator, counts[first : first + BATCH_USERS], upto)
            user, movie, rating, timestamp = part
            columns = (user + 1 + first, names[movie], STARS.take(pa.array(rating)), timestamp)
            csv.write_csv(pa.table(dict(zip(COLUMNS, columns, strict=True))), file, plain)
            written += len(user)
    return written


def _draw(
    generator: np.random.Generator, counts: NDArray[np.int64], upto: NDArray[np.float64]
) -> tuple[NDArray[Any], ...]:
    """Draw user, movie, place in `STARS` and timestamp for a batch of users, who rate a movie at most once each."""
    user = np.concatenate([np.repeat(np.arange(len(counts)), counts * times) for times in (2, 1)])
    popular = np.searchsorted(upto, generator.random(2 * counts.sum())).clip(max=MOVIES - 1)
    movie = np.concatenate([popular, generator.integers(0, MOVIES, counts.sum())])
    _, first = np.unique(user * MOVIES + movie, return_index=True)
    first.sort()  # the popular ones first, as they were drawn
    first = first[np.argsort(user[first], kind="stable")]
    user, movie = user[first], movie[first]
    start = np.searchsorted(user, np.arange(len(counts)))
    kept = np.arange(len(user)) - start[user] < counts[user]
    user, movie = user[kept], movie[kept]
    rating = np.round(generator.normal(7, 2, len(user))).clip(1, 10).astype(np.int32) - 1
    sitting = generator.integers(820_000_000, 1_574_000_000, len(counts))[user]
    timestamp = sitting + generator.integers(0, 3 * np.bincount(user, minlength=len(counts))[user] + 1)
    return user, movie, rating, timestamp


def measure(root: Path, split: str) -> dict[str, Any]:
    """Prepare `root` in a process of its own and return what it says of itself."""
    command = [sys.executable, "-m", "benchmarks.large_movielens", "--prepare", str(root), "--split", split]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def prepare_here(root: Path, split: str) -> dict[str, Any]:
    """Prepare `root` into a folder that is deleted again; return seconds, rows and the peak memory in bytes."""
    from components.config import MovieLensSettings
    from components.data import store

    settings = MovieLensSettings.model_validate({"source": "movielens", "root": root, "split": split})
    with tempfile.TemporaryDirectory(dir=root.parent) as temporary:
        started = time.perf_counter()
        digest = store.data_digest(settings)
        read = time.perf_counter()
        folder = store.prepare(settings, Path(temporary))
        ended = time.perf_counter()
        rows = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["rows"]
        size = sum(path.stat().st_size for path in folder.iterdir())
        notes = store.notes(folder)
    return {
        "digest": digest,
        "seconds_of_the_digest": round(read - started, 1),
        "seconds_of_the_preparation": round(ended - read, 1),
        "rows": rows,
        "prepared_bytes": size,
        "peak_bytes": peak_memory(),
        "notes": notes,
    }


def peak_memory() -> int:
    """Return this process's peak resident memory in bytes. Unlike `ru_maxrss` it knows nothing of the parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def pack(folder: Path) -> Path:
    """Zip the folder as it is published."""
    archive = folder.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in folder.iterdir():
            file.write(path, f"{folder.name}/{path.name}")
    return archive


def lines(found: dict[str, Any]) -> Iterator[str]:
    """Say what was measured."""
    rows = found["rows"]
    yield f"{rows['events']:,} ratings of {rows['users']:,} users and {rows['items']:,} movies"
    yield f"digest {found['seconds_of_the_digest']} s, digest and preparation {found['seconds_of_the_preparation']} s"
    yield f"peak memory {found['peak_bytes'] / 1e9:.2f} GB; prepared files {found['prepared_bytes'] / 1e9:.2f} GB"
    yield from found["notes"]


def main() -> None:
    """Generate, prepare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--share", type=float, default=1.0, help="share of the users and ratings")
    parser.add_argument("--folder", type=Path, help="write or find the generated files here and keep them")
    parser.add_argument("--zip", action="store_true", help="prepare the zip archive of the files")
    parser.add_argument("--split", default="temporal", choices=("temporal", "leave-one-out"))
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.prepare is not None:
        print(json.dumps(prepare_here(options.prepare, options.split)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        root = (options.folder or Path(temporary)) / "ml-generated"
        if not root.exists():
            root.mkdir(parents=True)
            write_log(root, options.share)
        found = measure(pack(root) if options.zip else root, options.split)
    print(json.dumps(found, indent=1) if options.json else "\n".join(lines(found)))
    sys.exit(found["peak_bytes"] > LIMIT)


if __name__ == "__main__":
    main()
