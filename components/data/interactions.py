"""The prepared form of an interaction log: flat arrays over all events, users one after the other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from components.config import LogSettings
from components.data import SOURCES, item_content, splits
from components.data.arrow import offsets, open_table, read_manifest, view, write_manifest, write_table
from components.data.events import Event
from components.data.source import Recording
from components.data.text import DataFile
from components.errors import DataError

if TYPE_CHECKING:
    from components.data.population import EventColumns

VERSION = 1
"""Raised whenever the same recording is prepared differently."""

KINDS = ("rated",)
BATCH_EVENTS = 1 << 21
"""Events that are sorted at once."""

_EVENT_COLUMNS = {
    "content": np.int32,
    "value": np.float32,
    "timestamp": np.int64,
    "kind": np.int8,
    "like": np.int8,
    "part": np.int8,
    "before": np.int32,
}


@dataclass(frozen=True)
class Interactions:
    """A log sorted by user, time and, inside a tie, keyed hash. The arrays are read-only views of files.

    E events, U users, I items, F profile fields.
    """

    folder: Path
    digest: str
    name: str
    """The source's name, such as `movielens`."""
    user_offsets: NDArray[np.int64]
    """[U + 1]; the events of user u are `user_offsets[u]:user_offsets[u + 1]`, at least one."""
    content: NDArray[np.int32]
    """[E] item index."""
    value: NDArray[np.float32]
    """[E] feedback in [-1, 1]."""
    timestamp: NDArray[np.int64]
    """[E] seconds since 1970."""
    kind: NDArray[np.int8]
    """[E] index into `kinds`."""
    like: NDArray[np.bool_]
    """[E] whether the rating reached the threshold."""
    part: NDArray[np.int8]
    """[E] 0 training, 1 validation, 2 test; an unseen user's training part is history only."""
    before: NDArray[np.int32]
    """[E] number of this user's events with a strictly smaller timestamp: all that an example may see."""
    oracle: NDArray[np.float32] | None
    """[E] P(like) by the generator's truth; generated data only."""
    kinds: tuple[str, ...]
    user_ids: list[str]
    unseen: NDArray[np.bool_]
    """[U] whether none of the user's events may train anything."""
    profile: NDArray[np.int32]
    """[U, F] category of each field; 0 is unknown."""
    profile_fields: dict[str, list[str]]
    """Name of each field to its categories; the first is `unknown`."""
    item_ids: list[str]
    item_titles: list[str]
    item_genres: list[list[str]]
    genres: list[str]
    item_years: NDArray[np.int32]
    """[I] year of publication, 0 where unknown."""
    item_overviews: Sequence[str] | None = None
    """[I] a text about each item, empty where it has none; None where the data has no overviews."""
    item_posters: NDArray[np.uint8] | None = None
    """[I, 3, 36, 24] red, green and blue, zeros where an item has none; None where the data has no posters."""
    item_has_poster: NDArray[np.bool_] | None = None
    """[I]"""
    item_vectors: NDArray[np.float32] | None = None
    """[I, D] what a pretrained encoder says, zeros where it says nothing; None where the data has no vectors."""
    item_has_vector: NDArray[np.bool_] | None = None
    """[I]"""

    def __reduce__(self) -> tuple[Callable[[Path], "Interactions"], tuple[Path]]:
        """Travel to another process as the folder, which is mapped there again."""
        return open_interactions, (self.folder,)

    def event_columns(self) -> "EventColumns":
        """Return all events as they travel with a promoted model."""
        from components.data.population import EventColumns, coded

        content, kind = coded(self.content, self.item_ids), coded(self.kind, self.kinds)
        return EventColumns(self.user_offsets, self.timestamp, content, kind, self.value)

    def events_of(self, user: int) -> Iterator[Event]:
        """Replay the log of the user with this index, in order, as events with stable ids."""
        for row in range(int(self.user_offsets[user]), int(self.user_offsets[user + 1])):
            yield Event(
                id=f"{self.digest}-{row}",
                user=self.user_ids[user],
                timestamp=float(self.timestamp[row]),
                content=self.item_ids[self.content[row]],
                kind=self.kinds[self.kind[row]],
                value=float(self.value[row]),
            )


def versions(settings: Any) -> Mapping[str, Any]:
    """Name the versions of preparation, split and source, and of what else is read of the items, if anything is."""
    return {
        "preparation": VERSION,
        "split": splits.SPLIT_VERSION,
        "source": [settings.source, SOURCES[settings.source].VERSION],
        **item_content.versions(settings),
    }


def files(settings: Any) -> Mapping[str, DataFile]:
    """Name the source's files."""
    return {**SOURCES[settings.source].files(settings), **item_content.files(settings)}


def read(settings: Any) -> Recording:
    """Parse the source."""
    recording = SOURCES[settings.source].read(settings)
    return replace(recording, content=item_content.read(settings, recording))


def open_interactions(folder: Path) -> Interactions:
    """Map a prepared folder into memory; the big arrays are views of the files, not copies."""
    manifest = read_manifest(folder, VERSION)
    events, users, items = (open_table(folder / f"{name}.arrow") for name in ("events", "users", "items"))
    fields: dict[str, list[str]] = manifest["profile_fields"]
    columns = [view(users, f"profile.{name}") for name in fields]
    counted = int(view(users, "events").sum())
    if counted != events.num_rows:
        raise DataError(
            folder,
            f"its users.arrow counts {counted} events and its events.arrow holds {events.num_rows}: the files are of "
            "different data; restore both from one copy",
        )
    return Interactions(
        folder=folder,
        digest=manifest["digest"],
        name=manifest["source"],
        user_offsets=offsets(view(users, "events")),
        content=view(events, "content"),
        value=view(events, "value"),
        timestamp=view(events, "timestamp"),
        kind=view(events, "kind"),
        like=view(events, "like").view(np.bool_),
        part=view(events, "part"),
        before=view(events, "before"),
        oracle=view(events, "oracle") if "oracle" in events.schema.names else None,
        kinds=tuple(manifest["kinds"]),
        user_ids=users.column("id").to_pylist(),
        unseen=view(users, "unseen").view(np.bool_),
        profile=np.stack(columns, axis=1) if columns else np.zeros((users.num_rows, 0), np.int32),
        profile_fields=fields,
        item_ids=items.column("id").to_pylist(),
        item_titles=items.column("title").to_pylist(),
        item_genres=items.column("genres").to_pylist(),
        genres=manifest["genres"],
        item_years=view(items, "year"),
        **item_content.open_columns(items),
    )


def write(recording: Recording, settings: Any, digest: str, folder: Path) -> None:
    """Arrange the recording and write it as `events`, `users` and `items`, with the truth if there is one."""
    import pyarrow as pa

    # Users without events have nothing to train, test or ask about.
    found = np.bincount(recording.user, minlength=len(recording.user_ids))
    present = np.flatnonzero(found)
    user_ids = [recording.user_ids[index] for index in present]
    counts = found[present].astype(np.int64)
    log = settings if isinstance(settings, LogSettings) else LogSettings()
    leave_one_out = log.split == "leave-one-out"
    events = _arrange(recording, user_ids, offsets(counts), log)
    unseen = np.zeros(len(user_ids), bool) if leave_one_out else splits.unseen_users(user_ids)
    users: dict[str, Any] = {
        "id": pa.array(user_ids, pa.string()),
        "events": counts,
        "unseen": unseen.view(np.int8),
    }
    for column, name in enumerate(recording.profile_fields):
        users[f"profile.{name}"] = np.ascontiguousarray(recording.profile[present, column], np.int32)
    items = {
        "id": pa.array(recording.item_ids, pa.string()),
        "title": pa.array(recording.item_titles, pa.string()),
        "genres": pa.array(recording.item_genres, pa.list_(pa.string())),
        "year": recording.item_years.astype(np.int32),
        **item_content.columns(recording.content),
    }
    tables = {"events": pa.table(events), "users": pa.table(users), "items": pa.table(items)}
    for name, table in (tables | dict(recording.truth)).items():
        write_table(folder / f"{name}.arrow", table)
    manifest: dict[str, Any] = {
        "digest": digest,
        "source": settings.source,
        "preparation": VERSION,
        "split": splits.SPLIT_VERSION,
        "kinds": KINDS,
        "profile_fields": recording.profile_fields,
        "genres": recording.genres,
        "rows": {name: table.num_rows for name, table in tables.items()},
    }
    notes = item_content.notes(recording.content)
    if leave_one_out:
        tied = splits.tied_at_the_end(offsets(counts), events["timestamp"])
        notes = [_tie_note(int(np.count_nonzero(tied)), len(user_ids), log.ties), *notes]
    said = {"notes": notes, "left_out": dict(recording.content.left_out)}
    manifest |= {name: value for name, value in said.items() if value}
    write_manifest(folder, manifest)


def _arrange(
    recording: Recording, user_ids: list[str], first: NDArray[np.int64], log: LogSettings
) -> dict[str, NDArray[Any]]:
    """Sort the events and divide them into parts; those of user u become `first[u]:first[u + 1]`.

    A batch of users at a time, as sorting tens of millions of events at once takes several times their memory.
    """
    events: dict[str, NDArray[Any]] = {
        name: np.zeros(len(recording.user), kind) for name, kind in _EVENT_COLUMNS.items()
    }
    if recording.oracle is not None:
        events["oracle"] = np.zeros(len(recording.user), np.float32)
    by_user = np.argsort(recording.user, kind="stable")
    for start, stop in _batches(first):
        batch = slice(first[start], first[stop])
        rows, bounds = by_user[batch], first[start : stop + 1] - first[start]
        rows = rows[
            splits.order_events(
                np.repeat(np.arange(stop - start), np.diff(bounds)),
                recording.item[rows],
                recording.value[rows],
                recording.timestamp[rows],
                user_ids[start:stop],
                recording.item_ids,
                log.ties,
            )
        ]
        timestamp = recording.timestamp[rows]
        events["content"][batch] = recording.item[rows]
        events["value"][batch] = recording.value[rows]
        events["timestamp"][batch] = timestamp
        events["like"][batch] = recording.like[rows]
        events["before"][batch] = splits.count_before(bounds, timestamp)
        events["part"][batch] = (
            splits.temporal(bounds, timestamp) if log.split == "temporal" else splits.leave_one_out(bounds)
        )
        if recording.oracle is not None:
            events["oracle"][batch] = recording.oracle[rows]
    return events


def _batches(first: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield ranges of users with about `BATCH_EVENTS` events together, at least one user each."""
    start, users = 0, len(first) - 1
    while start < users:
        upto = int(np.searchsorted(first, first[start] + BATCH_EVENTS, side="right")) - 1
        stop = min(max(upto, start + 1), users)
        yield start, stop
        start = stop


def _tie_note(tied: int, users: int, ties: str) -> str:
    """Say how much of a leave-one-out split hangs on the order inside ties."""
    other = "reversed" if ties == "hashed" else "hashed"
    return (
        f"leave-one-out: the last two events of {tied:,} of {users:,} users ({tied / users:.1%}) share a timestamp; "
        f"which of them is the test event is arbitrary (`data.ties: {ties}`). A run with `data.ties: {other}` shows "
        "how much that matters"
    )
