"""Batch prediction: a promoted version's recommendations for a whole file of users, by Ray Data."""

import logging
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import AdaptuneError, DataError
from components.tasks import TASKS
from orchestrator.release.registry import Registry, Version, load_servable
from orchestrator.running.cluster import ray_cluster

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = (".csv", ".parquet")
USERS_A_TASK = 100
"""Users that one task of Ray Data scores; so few or fewer are scored right here, which takes no Ray."""

Load = Callable[[Version], Any]


def predict(
    registry: Registry,
    version: str,
    users_file: Path,
    out_file: Path,
    k: int = 10,
    load: Load = load_servable,
) -> dict[str, Any]:
    """Write the top k of every user in one CSV or Parquet file to another, and say what was written.

    `users_file` has a column `user`; columns that are named like the model's profile fields override what the
    data set says. Histories are those of the data set that the version was trained on; what a user has an
    event about is not recommended. `out_file` has the columns user, rank (from 1), item, title, score,
    like_probability and known (whether the data set has the user), and appears only when it is complete.

    Raises `AdaptuneError` for an unknown version, a missing file or column, an unknown format, and k below 1.
    """
    if k < 1:
        raise AdaptuneError(f"k is {k}: expected at least one recommendation a user")
    _check_format(out_file)
    if out_file.resolve() == users_file.resolve():
        raise AdaptuneError(f"{out_file} is the file of users itself: write the predictions to another file")
    found = registry.version(version)
    _check_task(found)
    users = _read_users(users_file)
    scorer = Scorer(found, k, load)
    fields = scorer.profile_fields
    _check_columns(users_file, users.column_names, fields)
    kept = [name for name in users.column_names if name == "user" or name in fields]
    tables = _scored(users.select(kept), partial(_score, found, k, load), registry.root)
    rows = _write(tables, out_file)
    return {
        "version": found.name,
        "out": str(out_file),
        "users": len(users),
        "known": sum(user in scorer.population for user in users["user"].to_pylist()),
        "rows": rows,
        "ignored_columns": [name for name in users.column_names if name not in kept],
        "unknown_values": _unknown_values(users, fields),
    }


class Scorer:
    """Recommends to users by their histories in the version's data set."""

    def __init__(self, version: Version, k: int, load: Load) -> None:
        """Load the model and the users of its data set."""
        from components.data.population import Population

        self._model = load(version)
        self._k = k
        self.population = Population(version.folder)
        self.profile_fields = self._model.profile_fields

    def rows(self, user: str, **profile: str | None) -> Iterator[dict[str, Any]]:
        """Return the rows of one user; the profile's fields override those of the data set."""
        history = self.population.history(user)
        state = self._model.initial_state()
        for event in history:
            state = self._model.step(state, event)
        known = {**self.population.profile(user), **{name: value for name, value in profile.items() if value}}
        seen = {event.content for event in history}
        for index, item in enumerate(self._model.recommend(state, known, self._k, seen)):
            yield {
                "user": user,
                "rank": index + 1,
                "item": item.id,
                "title": item.title,
                "score": item.score,
                "like_probability": item.like_probability,
                "known": user in self.population,
            }


_scorers: dict[tuple[str, int], Scorer] = {}
"""The scorer of the last version and k in this process, which Ray uses for task after task."""


def _score(version: Version, k: int, load: Load, users: "pa.Table") -> "pa.Table":
    import pyarrow as pa

    key = (version.digest, k)
    if key not in _scorers:
        _scorers.clear()
        _scorers[key] = Scorer(version, k, load)
    rows = [row for user in users.to_pylist() for row in _scorers[key].rows(**user)]
    return pa.Table.from_pylist(rows, _schema())


def _schema() -> "pa.Schema":
    import pyarrow as pa

    types = {
        "user": pa.string(),
        "rank": pa.int32(),
        "item": pa.string(),
        "title": pa.string(),
        "score": pa.float64(),
        "like_probability": pa.float64(),
        "known": pa.bool_(),
    }
    return pa.schema(list(types.items()))


def _scored(users: "pa.Table", score: Callable[["pa.Table"], "pa.Table"], root: Path) -> Iterator["pa.Table"]:
    """Score the users, in order, on the Ray that is running or on one for the purpose."""
    if len(users) <= USERS_A_TASK:
        yield score(users)
        return
    import ray
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    with nullcontext() if ray.is_initialized() else ray_cluster(None, root):
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True
        parts = [users.slice(row, USERS_A_TASK) for row in range(0, len(users), USERS_A_TASK)]
        scored = ray.data.from_arrow(parts).map_batches(score, batch_format="pyarrow", batch_size=None)
        yield from scored.iter_batches(batch_format="pyarrow", batch_size=None)


def _check_task(version: Version) -> None:
    """Refuse a model that ranks nothing."""
    info = TASKS.get(version.task)
    if info is not None and info.servable != "recommend":
        able = ", ".join(name for name, each in TASKS.items() if each.servable == "recommend")
        raise AdaptuneError(
            f"{version.name}: a model of {version.task} recommends nothing, so there is nothing to predict for a "
            f"table of users; tasks that recommend: {able}"
        )


def _check_columns(path: Path, columns: Sequence[str], fields: Collection[str]) -> None:
    """Refuse a column that was surely meant to be a profile field."""
    for column in columns:
        meant = [field for field in fields if field.lower() == column.lower()] or get_close_matches(
            column, fields, 1, 0.75
        )
        if column != "user" and column not in fields and meant:
            raise DataError(path, f"no profile field is called {column!r}; did you mean {meant[0]!r}?", 1)


def _unknown_values(users: "pa.Table", fields: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return what the columns of profile fields hold that is no category of the model; to it, it is unknown."""
    found = {
        name: sorted(set(users[name].to_pylist()) - {None, "", *fields[name]})
        for name in users.column_names
        if name in fields
    }
    return {name: values for name, values in found.items() if values}


def _check_format(path: Path) -> None:
    if path.suffix not in FORMATS:
        raise AdaptuneError(f"{path}: unknown format {path.suffix!r}; expected one of {', '.join(FORMATS)}")


def _read_users(path: Path) -> "pa.Table":
    """Return the users file with every column as text."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    _check_format(path)
    try:
        if path.suffix == ".csv":
            with path.open(encoding="utf-8") as file:
                names = next(iter(file), "").strip().split(",")
            types = csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            )
            users = csv.read_csv(path, convert_options=types)
        else:
            users = parquet.read_table(path)
        users = users.cast(pa.schema([(name, pa.string()) for name in users.column_names]))
    except FileNotFoundError:
        raise DataError(path, "no such file; expected a table of users") from None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError) as error:
        raise DataError(path, f"not a readable {path.suffix} table: {error}") from error
    if "user" not in users.column_names:
        found = ", ".join(users.column_names) or "none"
        hint = (
            "; columns are separated by commas"
            if path.suffix == ".csv" and len(users.column_names) == 1
            else ""
        )
        raise DataError(path, f"no column `user`; found {found}{hint}")
    for row, user in enumerate(users["user"].to_pylist()):
        if not user:
            raise DataError(path, f"no user in row {row + 1}; every row names one", row + 2)
    if not len(users):
        raise DataError(path, "no users; expected a row a user")
    return users


def _write(tables: Iterator["pa.Table"], path: Path) -> int:
    """Write tables to one file, which appears when all are written; return the number of rows."""
    from pyarrow import csv, parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}{path.suffix}")
    rows = 0
    try:
        writer_type = csv.CSVWriter if path.suffix == ".csv" else parquet.ParquetWriter
        with writer_type(str(temporary), _schema()) as writer:
            for table in tables:
                writer.write_table(table)
                rows += len(table)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return rows
