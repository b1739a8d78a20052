"""The users of a data set and everything they did, as two Arrow files that travel with a promoted model.

They make a version self-contained: serving and batch prediction know the known users without the data set.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from components.data.events import Event
from components.errors import DataError

if TYPE_CHECKING:
    from components.data.interactions import Interactions

EVENTS_FILE = "population_events.arrow"
USERS_FILE = "population_users.arrow"


def write_population(data: "Interactions", folder: Path) -> None:
    """Write the users of `data`, their profiles and all their events, of every part, into `folder`."""
    fields = list(data.profile_fields.items())
    profiles = [
        {name: categories[code] for (name, categories), code in zip(fields, codes, strict=True) if code > 0}
        for codes in np.asarray(data.profile).reshape(len(data.user_ids), len(fields))
    ]
    users = pa.table(
        {
            "user": pa.array(data.user_ids, pa.string()),
            "first": pa.array(np.asarray(data.user_offsets[:-1], np.int64)),
            "events": pa.array(np.diff(data.user_offsets).astype(np.int32)),
            "profile": pa.array(
                [list(profile.items()) for profile in profiles], pa.map_(pa.string(), pa.string())
            ),
        }
    ).replace_schema_metadata({"digest": data.digest, "name": data.name})
    events = pa.table(
        {
            "timestamp": pa.array(np.asarray(data.timestamp, np.int64)),
            "content": _coded(data.content, data.item_ids),
            "kind": _coded(data.kind, data.kinds),
            "value": pa.array(np.asarray(data.value, np.float32)),
        }
    )
    for name, table in ((USERS_FILE, users), (EVENTS_FILE, events)):
        with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)


def _coded(codes: np.ndarray, names: Sequence[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(
        pa.array(np.asarray(codes, np.int32)), pa.array(list(names), pa.string())
    )


class Population:
    """The users of a data set, read back from a folder that `write_population` has written to."""

    def __init__(self, folder: Path) -> None:
        """Memory-map the files in `folder`; raise `DataError` if one is missing or malformed."""
        self._users = _open(folder / USERS_FILE)
        self._events = _open(folder / EVENTS_FILE)
        self.digest: str = self._users.schema.metadata[b"digest"].decode()
        """Digest of the prepared data set."""

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {user: row for row, user in enumerate(self._users["user"].to_pylist())}

    def __len__(self) -> int:
        return len(self._users)

    def __contains__(self, user: str) -> bool:
        return user in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    @property
    def event_count(self) -> int:
        """Number of events of all users."""
        return len(self._events)

    def profile(self, user: str) -> Mapping[str, str]:
        """Return the known profile fields of `user`: an unknown user has none."""
        row = self._rows.get(user)
        return {} if row is None else dict(self._users["profile"][row].as_py())

    def history(self, user: str) -> list[Event]:
        """Return the events of `user` in order: an unknown user has none."""
        row = self._rows.get(user)
        if row is None:
            return []
        first, count = self._users["first"][row].as_py(), self._users["events"][row].as_py()
        return _events(self._events.slice(first, count), [user] * count, first)

    def events(self) -> Iterator[Event]:
        """Iterate over all events, user by user, each user's in order."""
        users = np.repeat(np.arange(len(self)), self._users["events"].to_numpy())
        names = self._users["user"].to_pylist()
        for first in range(0, len(self._events), 65_536):
            chunk = self._events.slice(first, 65_536)
            yield from _events(chunk, [names[user] for user in users[first : first + len(chunk)]], first)


def _events(table: pa.Table, users: list[str], first: int) -> list[Event]:
    columns = (table[name].to_pylist() for name in ("timestamp", "content", "kind", "value"))
    return [
        Event(str(first + row), user, float(timestamp), content, kind, value)
        for row, (user, timestamp, content, kind, value) in enumerate(zip(users, *columns, strict=True))
    ]


def _open(path: Path) -> pa.Table:
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except FileNotFoundError:
        raise DataError(path, "missing; a promoted version holds the users of its data set") from None
    except pa.ArrowInvalid as error:
        raise DataError(path, f"not an Arrow file ({error}); was the version copied whole?") from error
