import random
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.data.events import Event
from orchestrator.release.registry import Registry
from serve.dispatch import Dispatcher, Ingested, InvalidEvents, Reply
from serve.engine import Engine, NotPromoted
from serve.events import EventLog
from tests.serve.fakes import load_fake, promote

NOW = 1_000_000.0


def engine_on(registry: Registry, log: EventLog, alias: str = "champion") -> Engine:
    return Engine(registry, "recommendation", alias, log, load=load_fake)


def served(engine: Engine) -> Dispatcher:
    return Dispatcher(engine.registry, {"recommendation": engine}, clock=lambda: NOW)


def recommend(engine: Engine, user: str, k: int) -> Reply:
    return served(engine).recommend(user, k)


def ingest(engine: Engine, user: str, events: list[Event]) -> Ingested:
    return served(engine).ingest(user, events)


@pytest.fixture
def engine(registry, champion, log) -> Engine:
    return engine_on(registry, log)


def event(
    id: str, content: str = "i1", value: float = 1.0, timestamp: float = 5000.0, user: str = "ada"
) -> Event:
    return Event(id, user, timestamp, content, "rated", value)


def recommended(engine: Engine, user: str, k: int = 20) -> list[tuple[str, float]]:
    return [(item.id, item.score) for item in recommend(engine, user, k).answer]


def replayed(engine: Engine, user: str):
    """The state by definition: all events in order, from the beginning."""
    model = engine.model
    state = model.servable.initial_state()
    for entry in engine.history(model, user):
        state = model.servable.step(state, entry.event)
    return state


def test_a_stranger_gets_recommendations_and_leaves_no_trace(engine, champion):
    answer = recommend(engine, "stranger", 5)
    assert (answer.model, answer.known, len(answer.answer)) == ("recommendation/1", False, 5)
    assert engine._events.state("stranger", champion.digest) is None


def test_known_users_are_known_with_history_and_profile(engine):
    answer = recommend(engine, "known1", 20)
    assert answer.known
    assert {item.id for item in answer.answer} == {f"i{n}" for n in range(12)} - {"i1", "i2", "i3", "i4"}
    scores = {item.genres[0]: item.score for item in answer.answer}
    state = replayed(engine, "known1")
    assert scores["drama"] == pytest.approx(state[1] + 0.1)
    assert scores["comedy"] == pytest.approx(state[0])


def test_feedback_moves_what_is_unseen_and_excludes_what_is_seen(engine):
    taken = ingest(engine, "ada", [event("a", "i1", 1.0), event("b", "i2", -1.0)])
    assert (taken.accepted, taken.duplicates) == (2, 0)
    items = recommend(engine, "ada", 20).answer
    assert items[0].genres == ("drama",) and items[-1].genres == ("horror",)
    assert not {"i1", "i2"} & {item.id for item in items}


def test_an_event_posted_twice_counts_once(engine):
    ingest(engine, "ada", [event("a")])
    before = recommended(engine, "ada")
    again = ingest(engine, "ada", [event("a"), event("a")])
    assert (again.accepted, again.duplicates) == (0, 2)
    assert recommended(engine, "ada") == before


def test_users_do_not_influence_each_other(engine):
    before = {user: recommended(engine, user) for user in ("bob", "known0", "stranger")}
    for n in range(10):
        ingest(engine, "ada", [event(str(n), f"i{n}", (-1) ** n)])
    ingest(engine, "known1", [event("0", "i9", user="known1")])
    assert {user: recommended(engine, user) for user in before} == before
    assert recommended(engine, "ada") != before["bob"]


def test_an_event_costs_one_step_however_long_the_history(engine):
    steps = []
    for n in range(30):
        start = engine.model.servable.steps
        ingest(engine, "ada", [event(str(n), timestamp=5000 + n)])
        steps.append(engine.model.servable.steps - start)
    assert steps == [1] * 30
    recommend(engine, "ada", 3)
    assert engine.model.servable.steps == 30


def test_threads_that_post_for_one_user_lose_nothing(engine):
    def post(thread: int) -> None:
        for n in range(25):
            ingest(
                engine,
                "ada",
                [event(f"{thread}-{n}", f"i{(thread + n) % 12}", 0.5, 5000 + (7 * n + thread) % 50)],
            )

    threads = [threading.Thread(target=post, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(engine._events.history("ada")) == 100
    assert engine.state(engine.model, "ada") == pytest.approx(replayed(engine, "ada"))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(0, 20), max_size=4), max_size=6), st.randoms())
def test_the_state_is_always_a_replay_in_order(
    registry, champion, log, tmp_path, batches, source: random.Random
):
    """Batches with late, simultaneous and repeated events, for a new and for a known user."""
    engine = engine_on(registry, log)
    run = source.getrandbits(64)
    for user in (f"ada{run}", "known1"):
        for batch in batches:
            events = [
                event(
                    f"{run}-{source.randrange(30)}",
                    f"i{time % 12}",
                    source.uniform(-1, 1),
                    990.0 + time,
                    user,
                )
                for time in batch
            ]
            ingest(engine, user, events)
            assert engine.state(engine.model, user) == pytest.approx(replayed(engine, user))


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"content": "nonsense"}, "content", "unusable by recommendation/1: not among 12 items"),
        ({"value": 1.5}, "value", "from -1 to 1"),
        ({"value": float("nan")}, "value", "from -1 to 1"),
        ({"timestamp": NOW * 1000}, "timestamp", "milliseconds"),
        ({"timestamp": -1.0}, "timestamp", "negative; expected seconds since 1970$"),
        ({"timestamp": float("nan")}, "timestamp", "seconds since 1970"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_taken(engine, change, field, message):
    with pytest.raises(InvalidEvents, match=message) as caught:
        ingest(engine, "ada", [event("good"), event("bad", **change)])
    assert [(error.index, error.field) for error in caught.value.errors] == [(1, field)]
    assert not recommend(engine, "ada", 1).known


def test_all_wrong_fields_are_named_at_once(engine):
    bad = Event("bad", "ada", -5.0, "nonsense", "rated", 7.0)
    with pytest.raises(InvalidEvents) as caught:
        ingest(engine, "ada", [bad, event("good"), bad])
    found = {(error.index, error.field) for error in caught.value.errors}
    assert found == {(index, field) for index in (0, 2) for field in ("content", "value", "timestamp")}


def test_without_a_promoted_model_there_is_no_answer_until_there_is_one(registry, log, tmp_path):
    engine = engine_on(registry, log)
    with pytest.raises(NotPromoted, match=r"recommendation/champion: no model in service; promote one"):
        recommend(engine, "ada", 3)
    promote(registry, tmp_path / "first")
    engine._looked = -1e9
    assert recommend(engine, "ada", 3).model == "recommendation/1"


def wait_for(engine: Engine, name: str) -> None:
    deadline = time.monotonic() + 10
    while engine.model.version.name != name:
        assert time.monotonic() < deadline, engine.problem
        time.sleep(0.02)


def test_the_engine_follows_the_alias_and_rebuilds_states(engine, registry, log, tmp_path):
    ingest(engine, "ada", [event("a", "i1", 1.0), event("b", "i11", -0.5)])
    smaller = promote(registry, tmp_path / "smaller", items=8, digest="beef")
    wait_for(engine, "recommendation/2")
    model = engine.model
    assert engine.state(model, "ada") == model.servable.step(
        model.servable.initial_state(), event("a", "i1", 1.0)
    ), "an item that the new model does not know is left out"
    assert {item for item, _ in recommended(engine, "ada")} == {f"i{n}" for n in range(8)} - {"i1"}
    registry.set_alias("recommendation", "champion", registry.version("recommendation/1"))
    wait_for(engine, "recommendation/1")
    assert engine.state(engine.model, "ada") == replayed(engine, "ada")
    assert smaller.digest != engine.model.version.digest


def test_another_models_data_set_is_not_mixed_in(engine, registry, log, tmp_path):
    before = recommended(engine, "known1")
    promote(registry, tmp_path / "other", items=12, digest="beef", alias="candidate")
    candidate = engine_on(registry, log, "candidate")
    assert recommended(candidate, "known1") == before
    ingest(candidate, "known1", [event("x", "i9", user="known1")])
    assert {entry.event.id for entry in engine.history(engine.model, "known1")} == {"4", "5", "6", "7", "x"}
    assert recommended(engine, "known1") == recommended(candidate, "known1") != before


def test_a_version_that_could_not_be_loaded_for_a_moment_is_loaded_later(
    engine, registry, tmp_path, monkeypatch
):
    monkeypatch.setattr("serve.engine.FOLLOW_SECONDS", 0.01)
    failures = iter([OSError("input/output error"), OSError("input/output error")])

    def load(version):
        for failure in failures:
            raise failure
        return load_fake(version)

    monkeypatch.setattr(engine, "_load", load)
    promote(registry, tmp_path / "next", items=8)
    engine.refresh()
    assert "input/output" in engine.problem
    deadline = time.monotonic() + 20
    while recommend(engine, "ada", 3).model != "recommendation/2":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert engine.problem is None and next(failures, None) is None


def test_a_broken_new_version_leaves_the_old_one_in_service(engine, registry, tmp_path):
    broken = promote(registry, tmp_path / "broken", items=8, alias=None)
    registry.set_alias("recommendation", "champion", broken)
    (broken.folder / "config.json").chmod(0o644)
    (broken.folder / "config.json").write_text("{}")
    engine.refresh()
    assert "altered since recommendation/2" in engine.problem
    assert recommend(engine, "ada", 3).model == "recommendation/1"
    registry.set_alias("recommendation", "champion", registry.version("recommendation/1"))
    engine.refresh()
    assert engine.problem is None


def test_a_deleted_alias_leaves_the_model_in_service_and_is_named_until_it_is_back(engine, registry):
    path = registry.alias_path("recommendation", "champion")
    path.unlink()
    engine.refresh()
    assert engine.problem.startswith(f"{path}: the alias was deleted, and recommendation/1 answers until")
    assert recommend(engine, "ada", 3).model == "recommendation/1"
    registry.set_alias("recommendation", "champion", registry.version("recommendation/1"))
    engine.refresh()
    assert engine.problem is None
