import sqlite3
import threading
import time
from dataclasses import replace

import pytest

from components.data.events import Event
from components.data.population import Population, write_population
from components.errors import AdaptuneError
from serve.events import EventLog, StoredState
from tests.serve.fakes import interactions


def event(id: str, user: str = "ada", timestamp: float = 100.0, content: str = "i1") -> Event:
    return Event(id, user, timestamp, content, "rated", 0.5)


def ids(log: EventLog, user: str, source: str = "online") -> list[str]:
    return [entry.event.id for entry in log.history(user, source)]


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


def test_known_users_are_imported_once_with_their_profiles(log, tmp_path):
    write_population(interactions(users=3, events=4, digest="feed"), tmp_path)
    population = Population(tmp_path)
    assert log.import_population(population) == 12
    assert log.import_population(population) == 0
    assert [entry.event for entry in log.history("known1", "feed")] == population.history("known1")
    assert log.profile("known0", "feed") == {}
    assert log.profile("known1", "feed") == {"favourite": "drama"}
    assert log.profile("stranger", "feed") is None
    assert log.contents("known2", "feed") == {"i2", "i3", "i4", "i5"}


def test_a_data_set_is_read_only_under_its_own_digest(log, tmp_path):
    write_population(interactions(digest="feed"), tmp_path)
    log.import_population(Population(tmp_path))
    log.append([event("new", user="known1", timestamp=1015)])
    assert ids(log, "known1", "beef") == ["new"]
    assert ids(log, "known1", "feed") == ["4", "5", "new", "6", "7"]
    assert log.profile("known1", "beef") is None


def test_what_arrived_later_can_be_read_alone(log):
    log.append([event("a", timestamp=1), event("b", timestamp=2)])
    seen = log.history("ada")[-1].seq
    log.append([event("late", timestamp=0), event("c", timestamp=3)])
    assert [entry.event.id for entry in log.history("ada", after=seen)] == ["late", "c"]


def test_importing_a_hundred_thousand_events_takes_seconds(log, tmp_path):
    write_population(interactions(users=1000, events=100, items=1000), tmp_path)
    start = time.process_time()
    assert log.import_population(Population(tmp_path)) == 100_000
    assert time.process_time() - start < 10


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
    with pytest.raises(AdaptuneError, match=r"schema version 99, expected 1"):
        EventLog(log.path)
