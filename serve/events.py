"""The online event log: what every user did, in SQLite, and each user's state under each model.

The log is the truth; a state is a shortcut that says how far into the log it has read. An event has a source:
`online`, or the digest of the prepared data set that a model's known users come from. A model reads online
events and those of its own data set, so models of different data sets can follow each other on one alias.
"""

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.data.events import Event
from components.data.population import Population
from components.errors import AdaptuneError

ONLINE = "online"
SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of arrival, never used twice
    user TEXT NOT NULL,
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    timestamp REAL NOT NULL,
    content TEXT NOT NULL,
    kind TEXT NOT NULL,
    value REAL NOT NULL,
    UNIQUE (user, source, id)
);
CREATE TABLE users (
    user TEXT NOT NULL, source TEXT NOT NULL, profile TEXT NOT NULL, PRIMARY KEY (user, source)
) WITHOUT ROWID;
CREATE TABLE states (
    user TEXT NOT NULL, model TEXT NOT NULL,
    state BLOB NOT NULL, seq INTEGER NOT NULL, timestamp REAL NOT NULL,
    PRIMARY KEY (user, model)
);
CREATE TABLE imports (source TEXT PRIMARY KEY, events INTEGER NOT NULL);
"""


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
            if found == 0:
                for statement in _SCHEMA.split(";"):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            elif found != SCHEMA_VERSION:
                raise AdaptuneError(
                    f"{self.path}: event log of schema version {found}, expected {SCHEMA_VERSION}; "
                    "use the version of Adaptune that wrote it, or another --home"
                )

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

    def append(self, events: Iterable[Event], source: str = ONLINE) -> int:
        """Add events, all or none, and return how many of them are new: a user's event id counts once."""
        with self._transaction() as database:
            before = database.total_changes
            _insert(database, events, source)
            return database.total_changes - before

    def history(self, user: str, source: str = ONLINE, after: int = 0) -> list[LoggedEvent]:
        """Return the user's online events and those of `source`, by timestamp and then arrival.

        `after` leaves out the events that had arrived up to that point.
        """
        rows = self._all(
            "SELECT seq, id, timestamp, content, kind, value FROM events"
            " WHERE user = ? AND source IN (?, ?) AND seq > ? ORDER BY timestamp, seq",
            (user, ONLINE, source, after),
        )
        return [LoggedEvent(seq, Event(id, user, *rest)) for seq, id, *rest in rows]

    def contents(self, user: str, source: str = ONLINE) -> set[str]:
        """Return everything that the user has an event about."""
        query = "SELECT DISTINCT content FROM events WHERE user = ? AND source IN (?, ?)"
        return {content for (content,) in self._all(query, (user, ONLINE, source))}

    def profile(self, user: str, source: str) -> Mapping[str, str] | None:
        """Return the user's profile in a prepared data set, or None if the data set has no such user."""
        rows = self._all("SELECT profile FROM users WHERE user = ? AND source = ?", (user, source))
        return json.loads(rows[0][0]) if rows else None

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

    def import_population(self, population: Population) -> int:
        """Make the users of a data set known, with profiles and events; return the number of new events.

        A data set is imported once, whole or not at all.
        """
        source = population.digest
        with self._transaction() as database:
            if database.execute("SELECT 1 FROM imports WHERE source = ?", (source,)).fetchone():
                return 0
            database.executemany(
                "INSERT OR REPLACE INTO users (user, source, profile) VALUES (?, ?, ?)",
                ((user, source, json.dumps(dict(population.profile(user)))) for user in population),
            )
            _insert(database, population.events(), source)
            database.execute("INSERT INTO imports VALUES (?, ?)", (source, population.event_count))
            return population.event_count


def _insert(database: sqlite3.Connection, events: Iterable[Event], source: str) -> None:
    database.executemany(
        "INSERT INTO events (user, source, id, timestamp, content, kind, value) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (user, source, id) DO NOTHING",
        ((e.user, source, e.id, e.timestamp, e.content, e.kind, e.value) for e in events),
    )
