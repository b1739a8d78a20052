"""All tasks behind one interface, with tiny models that say what reached them."""

import json
from pathlib import Path

import pytest

from components.data.events import Event
from orchestrator.release.registry import Registry
from serve.dispatch import Dispatcher, InvalidEvents
from serve.engine import Engine, NotPromoted
from serve.events import EventLog
from tests.serve.fakes import load_fake, promote, promote_follower

TASKS = ("recommendation", "question-answering", "captioning")
JPEG = b"\xff\xd8 an image"


@pytest.fixture
def open_dispatcher(registry: Registry, tmp_path: Path):
    logs = []

    def open(*tasks: str) -> Dispatcher:
        logs.extend(EventLog(tmp_path / f"{task}.db") for task in tasks)
        engines = {
            task: Engine(registry, task, "champion", log, load=load_fake)
            for task, log in zip(tasks, logs[-len(tasks) :], strict=True)
        }
        return Dispatcher(registry, engines, clock=lambda: 1e6)

    yield open
    for log in logs:
        log.close()


@pytest.fixture
def all_promoted(registry: Registry, tmp_path: Path) -> None:
    promote(registry, tmp_path / "recommendation")
    promote_follower(registry, tmp_path / "reader", "question-answering", "answered")
    promote_follower(registry, tmp_path / "captioner", "captioning", "captioned")


def event(id: str, kind: str, content: str = "i1", wanted: str = "", user: str = "ada") -> Event:
    return Event(id, user, 5000.0, json.dumps({"wanted": wanted}) if wanted else content, kind, 1.0)


def answers(dispatcher: Dispatcher, user: str) -> tuple[str, str, str]:
    """What the three models say to the user."""
    return (
        dispatcher.recommend(user, 1).answer[0].genres[0],
        dispatcher.answer(user, "Who?", "Anna baked.").answer.text,
        dispatcher.caption(user, JPEG).answer.text,
    )


def test_events_of_all_tasks_in_one_post_reach_each_its_own_model(all_promoted, open_dispatcher):
    dispatcher = open_dispatcher(*TASKS)
    assert answers(dispatcher, "ada") == ("comedy", "Anna", "11 bytes")
    posted = [
        event("1", "captioned", wanted="humorous"),
        event("2", "rated", "i2"),
        event("3", "answered", wanted="long"),
        event("3", "rated", "i6"),
    ]
    taken = dispatcher.ingest("ada", posted)
    assert taken.models == ("captioning/1", "recommendation/1", "question-answering/1")
    assert (taken.accepted, taken.duplicates) == (4, 0), "ids are told apart by task"
    assert answers(dispatcher, "ada") == ("horror", "Anna baked.", "11 bytes, hurray")
    assert answers(dispatcher, "bob") == ("comedy", "Anna", "11 bytes")
    assert dispatcher.caption("ada", JPEG).known and not dispatcher.caption("bob", JPEG).known
    again = dispatcher.ingest("ada", posted[1:])
    assert (again.accepted, again.duplicates) == (0, 3)


def test_a_kind_that_no_model_knows_is_refused_with_those_that_are_known(all_promoted, open_dispatcher):
    dispatcher = open_dispatcher(*TASKS)
    known = r"rated \(recommendation\), answered \(question-answering\), captioned \(captioning\)"
    with pytest.raises(InvalidEvents, match=rf"events\[0\].kind: unknown kind; expected one of {known}"):
        dispatcher.ingest("ada", [event("1", "guessed")])


def test_one_wrong_event_keeps_those_of_other_tasks_out(all_promoted, open_dispatcher):
    dispatcher = open_dispatcher(*TASKS)
    with pytest.raises(InvalidEvents) as caught:
        dispatcher.ingest(
            "ada", [event("1", "rated"), event("2", "answered", "i1"), event("3", "captioned", "")]
        )
    assert [(e.index, e.field, e.message) for e in caught.value.errors] == [
        (1, "content", "unusable by question-answering/1: not an object with `wanted`"),
        (2, "content", "unusable by captioning/1: not an object with `wanted`"),
    ]
    assert answers(dispatcher, "ada") == answers(dispatcher, "bob")
    assert not dispatcher.recommend("ada", 1).known


def test_of_several_that_know_a_kind_the_first_that_can_read_the_content_takes_it(
    registry, open_dispatcher, tmp_path
):
    promote(registry, tmp_path / "recommendation")
    promote_follower(registry, tmp_path / "reader", "question-answering", "answered", "rated")
    dispatcher = open_dispatcher(*TASKS)
    assert dispatcher.ingest("ada", [event("1", "rated", "i1")]).models == ("recommendation/1",)
    assert dispatcher.ingest("ada", [event("2", "rated", wanted="long")]).models == ("question-answering/1",)
    with pytest.raises(InvalidEvents, match="unusable by recommendation/1: not among 12 items"):
        dispatcher.ingest("ada", [event("3", "rated", "nonsense")])


def test_a_task_without_a_model_says_so_and_is_served_once_it_has_one(registry, open_dispatcher, tmp_path):
    promote(registry, tmp_path / "recommendation")
    dispatcher = open_dispatcher(*TASKS)
    with pytest.raises(
        NotPromoted, match="question-answering/champion: no model in service; promote one with"
    ):
        dispatcher.answer("ada", "Who?", "Anna baked.")
    with pytest.raises(InvalidEvents, match=r"unknown kind; expected one of rated \(recommendation\)$"):
        dispatcher.ingest("ada", [event("1", "answered", wanted="long")])
    promote_follower(registry, tmp_path / "reader", "question-answering", "answered")
    dispatcher.engines["question-answering"]._looked = -1e9
    assert dispatcher.answer("ada", "Who?", "Anna baked.").model == "question-answering/1"
    assert dispatcher.ingest("ada", [event("1", "answered", wanted="long")]).accepted == 1


def test_a_task_that_is_not_served_says_what_is(all_promoted, open_dispatcher):
    dispatcher = open_dispatcher("recommendation", "captioning")
    with pytest.raises(NotPromoted, match="serves recommendation, captioning, not question-answering"):
        dispatcher.answer("ada", "Who?", "Anna baked.")


def test_with_nothing_promoted_every_task_says_what_to_do(open_dispatcher):
    dispatcher = open_dispatcher(*TASKS)
    with pytest.raises(
        NotPromoted, match=r"recommendation/champion: .*; captioning/champion: no model in service"
    ):
        dispatcher.ingest("ada", [event("1", "rated")])
