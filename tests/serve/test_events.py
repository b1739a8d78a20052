import sqlite3
import threading
from dataclasses import replace

import pytest

from components.data.events import Event
from components.errors import AdaptuneError
from serve.events import EventLog, StoredState


def event(id: str, user: str = "ada", timestamp: float = 100.0, content: str = "i1") -> Event:
    return Event(id, user, timestamp, content, "rated", 0.5)


def ids(log: EventLog, user: str) -> list[str]:
    return [entry.event.id for entry in log.history(user)]


def test_events_come_back_by_time_and_then_by_arrival(log):
    events = [event("c", timestamp=300), event("a", timestamp=100), event("b2", timestamp=200)]
    assert log.append([*events, event("b1", timestamp=200)]) == 4
    assert ids(log, "ada") == ["a", "b2", "b1", "c"]
    assert log.history("ada")[0].event == event("a", timestamp=100)


def test_an_event_counts_once_and_its_first_telling_stays(log):
    assert log.append([event("a"), event("a"), event("b")]) == 2
    assert log.append([event("a", content="i2"), event("c")]) == 1
    assert log.contents("ada") == {"i1"}


def test_users_have_ids_of_their_own(log):
    assert log.append([event("a"), event("a", user="bob")]) == 2
    assert ids(log, "bob") == ["a"]
    assert ids(log, "cyd") == []


def test_a_batch_is_taken_whole_or_not_at_all(log):
    with pytest.raises(sqlite3.IntegrityError):
        log.append([event("a"), replace(event("b"), content=None)])
    assert ids(log, "ada") == []
    assert log.append([event("a")]) == 1


def test_the_log_and_states_outlive_the_process(log):
    log.append([event("a")])
    log.put_state("ada", "model", StoredState(b"\x00\x01", 1, 100.0))
    log.put_state("ada", "model", StoredState(b"\x00\x02", 2, 200.0))
    again = EventLog(log.path)
    assert ids(again, "ada") == ["a"]
    assert again.state("ada", "model") == StoredState(b"\x00\x02", 2, 200.0)
    assert again.state("ada", "other model") is None
    assert again.state("bob", "model") is None
    again.close()


def test_what_arrived_later_can_be_read_alone(log):
    log.append([event("a", timestamp=1), event("b", timestamp=2)])
    seen = log.history("ada")[-1].seq
    log.append([event("late", timestamp=0), event("c", timestamp=3)])
    assert [entry.event.id for entry in log.history("ada", after=seen)] == ["late", "c"]


def test_threads_share_a_log(log):
    def post(user: str) -> None:
        for n in range(50):
            log.append([event(str(n), user=user, timestamp=n)])

    threads = [threading.Thread(target=post, args=(user,)) for user in ("ada", "bob", "ada", "cyd")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for user in ("ada", "bob", "cyd"):
        assert ids(log, user) == [str(n) for n in range(50)]


def test_a_file_that_is_no_log_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "online.db"
    path.write_bytes(b"not a database, " * 100)
    with pytest.raises(AdaptuneError, match=r"online.db: not a usable event log"):
        EventLog(path)
    assert path.read_bytes().startswith(b"not a database")


def test_a_log_of_another_schema_is_refused(log):
    log._database.execute("PRAGMA user_version = 99")
    with pytest.raises(AdaptuneError, match=r"schema version 99, expected 2"):
        EventLog(log.path)


VERSION_1 = """
CREATE TABLE events (seq INTEGER PRIMARY KEY AUTOINCREMENT, user TEXT NOT NULL, source TEXT NOT NULL,
    id TEXT NOT NULL,
    timestamp REAL NOT NULL, content TEXT NOT NULL, kind TEXT NOT NULL, value REAL NOT NULL,
    UNIQUE (user, source, id));
CREATE TABLE users (user TEXT NOT NULL, source TEXT NOT NULL, profile TEXT NOT NULL, PRIMARY KEY (user, source))
    WITHOUT ROWID;
CREATE TABLE states (user TEXT NOT NULL, model TEXT NOT NULL, state BLOB NOT NULL, seq INTEGER NOT NULL,
    timestamp REAL NOT NULL, PRIMARY KEY (user, model));
CREATE TABLE imports (source TEXT PRIMARY KEY, events INTEGER NOT NULL);
INSERT INTO events (user, source, id, timestamp, content, kind, value) VALUES
    ('ada', 'online', 'late', 300, 'i3', 'rated', 0.5), ('ada', 'feed', '7', 10, 'i7', 'rated', 1),
    ('ada', 'online', '7', 200, 'i1', 'rated', -1), ('ada', 'feed', '8', 11, 'i8', 'rated', 1);
INSERT INTO users VALUES ('ada', 'feed', '{}');
INSERT INTO states VALUES ('ada', 'model', x'00', 4, 300);
INSERT INTO imports VALUES ('feed', 2);
PRAGMA user_version = 1
"""


def test_a_log_of_the_first_schema_goes_on_with_what_users_posted(tmp_path):
    """It held copies of data sets, which are read from the models now, and states that counted those."""
    database = sqlite3.connect(tmp_path / "old.db")
    database.executescript(VERSION_1)
    database.close()
    for _ in range(2):
        log = EventLog(tmp_path / "old.db")
        assert [(e.event.id, e.event.content, e.event.value) for e in log.history("ada")] == [
            ("7", "i1", -1.0),
            ("late", "i3", 0.5),
        ]
        assert log.state("ada", "model") is None
        log.close()
    log = EventLog(tmp_path / "old.db")
    assert log.append([event("7"), event("new", timestamp=400)]) == 1
    assert ids(log, "ada") == ["7", "late", "new"]
    log.close()
