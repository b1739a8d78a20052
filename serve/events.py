"""The online event log: what users did since a model serves them, in SQLite, and each user's state under each model.

The log is the truth; a state is a shortcut that says how far into the log it has read. What users did before, in
the data set that a model was trained on, is not here: it travels with the model (`components.data.population`).
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.data.events import Event
from components.errors import AdaptuneError

SCHEMA_VERSION = 2

_SCHEMA = """
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of arrival, never used twice
    user TEXT NOT NULL,
    id TEXT NOT NULL,
    timestamp REAL NOT NULL,
    content TEXT NOT NULL,
    kind TEXT NOT NULL,
    value REAL NOT NULL,
    UNIQUE (user, id)
);
CREATE TABLE states (
    user TEXT NOT NULL, model TEXT NOT NULL,
    state BLOB NOT NULL, seq INTEGER NOT NULL, timestamp REAL NOT NULL,
    PRIMARY KEY (user, model)
);
"""
_FROM_VERSION_1 = f"""
ALTER TABLE events RENAME TO all_events;
DROP TABLE states;
{_SCHEMA};
INSERT INTO events SELECT seq, user, id, timestamp, content, kind, value FROM all_events WHERE source = 'online';
DROP TABLE all_events;
DROP TABLE users;
DROP TABLE imports;
"""
"""Version 1 also held copies of data sets. The states go, too: they are made anew from what is there."""


@dataclass(frozen=True)
class LoggedEvent:
    """An event with its place in the order of arrival."""

    seq: int
    event: Event


@dataclass(frozen=True)
class StoredState:
    """A user's state under one model, and the part of the log that it has read."""

    state: bytes
    seq: int
    """Latest arrival that it contains."""
    timestamp: float
    """Latest time of an event that it contains."""


class EventLog:
    """The log of one task in one file; safe to use from several threads and processes."""

    def __init__(self, path: Path) -> None:
        """Open the log at `path`, or create it; raise `AdaptuneError` if the file is something else."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lock = threading.RLock()
        self._database = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise AdaptuneError(
                f"{path}: not a usable event log ({error}); move the file away, and it is made anew"
            ) from error

    def _prepare(self) -> None:
        self._database.execute("PRAGMA journal_mode = WAL")
        # Events that were answered with "accepted" survive a power cut.
        self._database.execute("PRAGMA synchronous = FULL")
        with self._transaction() as database:
            (found,) = database.execute("PRAGMA user_version").fetchone()
            if found not in (0, 1, SCHEMA_VERSION):
                raise AdaptuneError(
                    f"{self.path}: event log of schema version {found}, expected {SCHEMA_VERSION}; "
                    "use the version of Adaptune that wrote it, or another --home"
                )
            for statement in {0: _SCHEMA, 1: _FROM_VERSION_1}.get(found, "").split(";"):
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:  # whatever interrupts it, the transaction must not stay half done
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def _all(self, query: str, values: tuple[object, ...]) -> list[tuple]:
        with self._lock:
            return self._database.execute(query, values).fetchall()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def append(self, events: Iterable[Event]) -> int:
        """Add events, all or none, and return how many of them are new: a user's event id counts once."""
        with self._transaction() as database:
            before = database.total_changes
            database.executemany(
                "INSERT INTO events (user, id, timestamp, content, kind, value) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (user, id) DO NOTHING",
                ((e.user, e.id, e.timestamp, e.content, e.kind, e.value) for e in events),
            )
            return database.total_changes - before

    def history(self, user: str, after: int = 0) -> list[LoggedEvent]:
        """Return the user's events by timestamp and then arrival, those that arrived up to `after` left out."""
        rows = self._all(
            "SELECT seq, id, timestamp, content, kind, value FROM events"
            " WHERE user = ? AND seq > ? ORDER BY timestamp, seq",
            (user, after),
        )
        return [LoggedEvent(seq, Event(id, user, *rest)) for seq, id, *rest in rows]

    def has(self, user: str) -> bool:
        """Whether there is an event of the user."""
        return bool(self._all("SELECT 1 FROM events WHERE user = ? LIMIT 1", (user,)))

    def contents(self, user: str) -> set[str]:
        """Return everything that the user has an event about."""
        query = "SELECT DISTINCT content FROM events WHERE user = ?"
        return {content for (content,) in self._all(query, (user,))}

    def state(self, user: str, model: str) -> StoredState | None:
        """Return the user's state under the model with this digest, if one is stored."""
        query = "SELECT state, seq, timestamp FROM states WHERE user = ? AND model = ?"
        rows = self._all(query, (user, model))
        return StoredState(*rows[0]) if rows else None

    def put_state(self, user: str, model: str, stored: StoredState) -> None:
        """Store the user's state under the model with this digest."""
        with self._transaction() as database:
            database.execute(
                "INSERT OR REPLACE INTO states (user, model, state, seq, timestamp) VALUES (?, ?, ?, ?, ?)",
                (user, model, stored.state, stored.seq, stored.timestamp),
            )
