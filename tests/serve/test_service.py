"""The real model in service: in the engine, and over HTTP as `adaptune serve` runs it on Ray Serve."""

import json
import os
import signal
import subprocess
import sysconfig
import time
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
import safetensors.numpy

from components.data.events import Event
from components.data.population import Population
from orchestrator.release.registry import Registry
from serve.demo_items import demonstrate
from serve.dispatch import Dispatcher
from serve.engine import Engine
from serve.events import EventLog, StoredState

ADAPTUNE = Path(sysconfig.get_path("scripts")) / "adaptune"


@pytest.fixture
def engine(trained_home, tmp_path) -> Engine:
    """An engine on the trained model, with an event log of its own."""
    return Engine(
        Registry(trained_home / "registry"), "recommendation", "champion", EventLog(tmp_path / "events.db")
    )


def recommend(engine: Engine, user: str):
    return Dispatcher(engine.registry, {"recommendation": engine}).recommend(user, 1000).answer


def scores(engine: Engine, user: str) -> dict[str, float]:
    return {item.id: item.score for item in recommend(engine, user)}


def same(left: dict[str, float], right: dict[str, float]) -> bool:
    return left.keys() == right.keys() and all(abs(left[item] - right[item]) < 1e-5 for item in left)


def test_events_one_by_one_and_any_replay_come_to_the_same(engine):
    population = Population(engine.model.version.folder)
    longest = max((population.history(user) for user in population), key=len)
    events = [replace(event, user="ada", timestamp=3600.0 * n) for n, event in enumerate(longest)]
    for event in events:
        engine.take(engine.model, "ada", [event])
    one_by_one = scores(engine, "ada")
    engine._events.put_state("ada", engine.model.version.digest, StoredState(b"by older code", 1, 0.0))
    assert same(scores(engine, "ada"), one_by_one)
    for index in np.random.default_rng(0).permutation(len(events)):
        engine.take(engine.model, "bob", [replace(events[index], user="bob")])
    assert same(scores(engine, "bob"), one_by_one)


def test_a_state_keeps_its_size(engine):
    items = engine.model.servable.item_ids
    sizes = set()
    for n in range(60):
        engine.take(engine.model, "ada", [Event(str(n), "ada", 1000.0 + n, items[n], "rated", 1.0)])
        stored = engine._events.state("ada", engine.model.version.digest)
        sizes.add(sum(array.nbytes for array in safetensors.numpy.load(stored.state).values()))
    assert len(sizes) == 1


def test_profiles_of_known_users_count(engine):
    population = Population(engine.model.version.folder)
    user = next(user for user in population if population.profile(user))
    with_profile = recommend(engine, user)
    state = engine.state(engine.model, user)
    seen = engine.contents(engine.model, user)
    assert with_profile == engine.model.servable.recommend(state, population.profile(user), 1000, seen)
    assert with_profile != engine.model.servable.recommend(state, {}, 1000, seen)


class Endpoint:
    """`adaptune serve` in a process group of its own."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [ADAPTUNE, "serve", "--home", home, "--port", "0", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.announced = json.loads(line)
        self.children = psutil.Process(self.process.pid).children(recursive=True)
        self.client = httpx.Client(base_url=self.announced["url"], timeout=60)

    def end(self, number: signal.Signals) -> None:
        """Interrupt the whole group, as a terminal does, or terminate the process; hold that it ends cleanly."""
        assert self.children
        if number == signal.SIGINT:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        rest, errors = self.process.communicate(timeout=60)
        assert (self.process.returncode, rest) == (0, "")
        assert errors.splitlines() == ["starting recommendation/1 (`champion`) …", "stopped"]
        assert psutil.wait_procs(self.children, timeout=20)[1] == []


@pytest.fixture(scope="module")
def endpoint(trained_home):
    endpoint = Endpoint(trained_home)
    yield endpoint
    if endpoint.process.poll() is None:
        endpoint.end(signal.SIGTERM)


def test_the_endpoint_says_where_it_is_and_listens_on_loopback_only(endpoint):
    assert endpoint.announced["url"].startswith("http://127.0.0.1:")
    assert endpoint.announced["model"] == "recommendation/1"
    port = httpx.URL(endpoint.announced["url"]).port
    listening = {
        c.laddr.ip for c in psutil.net_connections("tcp") if c.laddr.port == port and c.status == "LISTEN"
    }
    assert listening == {"127.0.0.1"}
    assert endpoint.client.get("/healthz").json()["status"] == "ok"


def test_posted_likes_and_dislikes_move_genres_among_unseen_items(endpoint):
    shift = demonstrate(endpoint.client)
    assert shift.after[shift.liked] > shift.before.get(shift.liked, 0)
    assert shift.after.get(shift.disliked, 0) < shift.before[shift.disliked]
    assert shift.control_unchanged


def test_known_users_are_known_over_http(endpoint, trained_home):
    population = Population(trained_home / "registry" / "recommendation" / "1")
    user = next(iter(population))
    answer = endpoint.client.post("/v1/recommend", json={"user": user, "k": 1000}).json()
    assert answer["known"]
    assert not {event.content for event in population.history(user)} & {
        item["id"] for item in answer["items"]
    }


def test_a_wrong_event_is_refused_over_http(endpoint):
    event = {"id": "1", "timestamp": 1, "content": "nonsense", "kind": "rated", "value": 0}
    answer = endpoint.client.post("/v1/events", json={"user": "ada", "events": [event]})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "events", 0, "content"]


def test_the_endpoint_follows_the_alias(endpoint, trained_home):
    from tests.serve.trained import register_untrained

    registry = Registry(trained_home / "registry")
    first = registry.version("recommendation/1")
    registry.set_alias("recommendation", "champion", register_untrained(trained_home))
    try:
        deadline = time.monotonic() + 30
        while endpoint.client.get("/healthz").json()["model"] != "recommendation/2":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert (
            endpoint.client.post("/v1/recommend", json={"user": "ada"}).json()["model"] == "recommendation/2"
        )
    finally:
        registry.set_alias("recommendation", "champion", first)


def test_ctrl_c_ends_it_and_leaves_the_events_and_nothing_running(endpoint, trained_home):
    event = {"id": "last", "timestamp": 1000, "kind": "rated", "value": 1.0}
    item = endpoint.client.post("/v1/recommend", json={"user": "ada"}).json()["items"][0]["id"]
    posted = endpoint.client.post("/v1/events", json={"user": "ada", "events": [event | {"content": item}]})
    assert posted.json()["accepted"] == 1
    endpoint.end(signal.SIGINT)
    log = EventLog(trained_home / "online" / "recommendation.db")
    assert [entry.event.content for entry in log.history("ada")] == [item]
    log.close()


def test_a_termination_ends_it_as_cleanly(trained_home):
    Endpoint(trained_home).end(signal.SIGTERM)
