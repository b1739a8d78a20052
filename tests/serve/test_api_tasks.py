"""The HTTP interface of question answering and captioning, beside what `test_api` holds of recommendation."""

import pytest
from fastapi.testclient import TestClient

from serve.api import LARGEST_IMAGE, create_api
from serve.dispatch import Dispatcher
from serve.engine import Engine
from serve.events import EventLog
from serve.messages import LONGEST_CONTENT, LONGEST_TEXT
from tests.serve.fakes import load_fake, promote, promote_follower

JPEG = b"\xff\xd8 an image"
PASSAGE = "Anna baked."


@pytest.fixture
def client(registry, tmp_path):
    """Question answering and captioning are promoted; recommendation is served, but not promoted."""
    promote_follower(registry, tmp_path / "reader", "question-answering", "answered")
    promote_follower(registry, tmp_path / "captioner", "captioning", "captioned")
    tasks = ("recommendation", "question-answering", "captioning")
    logs = {task: EventLog(tmp_path / f"{task}.db") for task in tasks}
    engines = {task: Engine(registry, task, "champion", log, load=load_fake) for task, log in logs.items()}
    with TestClient(create_api(Dispatcher(registry, engines))) as client:
        yield client
    for log in logs.values():
        log.close()


def answer(client, **changes):
    return client.post("/v1/answer", json={"user": "ada", "question": "Who?", "passage": PASSAGE} | changes)


def caption(client, image=JPEG, user="ada", **changes):
    return client.post("/v1/caption", data={"user": user}, files={"image": ("photo.jpg", image)}, **changes)


def post_event(client, kind, content):
    event = {"id": "1", "timestamp": 5000, "content": content, "kind": kind, "value": 1.0}
    return client.post("/v1/events", json={"user": "ada", "events": [event]})


def test_an_answer_follows_what_the_user_liked(client):
    before = {"user": "ada", "known": False, "model": "question-answering/1", "score": -1.0}
    assert answer(client).json() == before | {"text": "Anna", "start": 0, "end": 4}
    taken = post_event(client, "answered", {"wanted": "long"})
    assert taken.json() == {
        "user": "ada",
        "accepted": 1,
        "duplicates": 0,
        "model": "question-answering/1",
        "models": ["question-answering/1"],
    }
    after = before | {"known": True, "text": PASSAGE, "start": 0, "end": len(PASSAGE)}
    assert answer(client).json() == after
    assert answer(client, user="bob").json() == before | {"user": "bob", "text": "Anna", "start": 0, "end": 4}


def test_the_content_of_an_event_may_be_an_object_or_its_text(client):
    assert post_event(client, "answered", '{"wanted": "long"}').json()["accepted"] == 1
    assert post_event(client, "answered", {"wanted": "long"}).json()["duplicates"] == 1


def test_a_caption_follows_what_the_user_liked(client):
    said = {"user": "ada", "known": False, "model": "captioning/1", "text": "11 bytes", "score": -1.0}
    assert caption(client).json() == said
    assert post_event(client, "captioned", {"wanted": "humorous"}).json()["models"] == ["captioning/1"]
    assert caption(client).json() == said | {"known": True, "text": "11 bytes, hurray"}
    assert caption(client, b"\x89PNG", user="bob").json()["text"] == "4 bytes"


@pytest.mark.parametrize(
    ("change", "loc"),
    [
        ({"question": ""}, ["question"]),
        ({"passage": 7}, ["passage"]),
        ({"passage": "a" * (LONGEST_TEXT + 1)}, ["passage"]),
        ({"user": ""}, ["user"]),
        ({"k": 3}, ["k"]),
        ({"question": "no question"}, []),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(client, change, loc):
    refused = answer(client, **change)
    assert refused.status_code == 422
    assert [problem["loc"] for problem in refused.json()["detail"]] == [["body", *loc]]


@pytest.mark.parametrize(
    "content", ["", "a" * (LONGEST_CONTENT + 1), {"wanted": "a" * LONGEST_CONTENT}, 7, [], "i1"]
)
def test_the_content_of_an_event_is_checked(client, content):
    refused = post_event(client, "answered", content)
    assert refused.status_code == 422
    assert [problem["loc"] for problem in refused.json()["detail"]] == [["body", "events", 0, "content"]]


@pytest.mark.parametrize("image", [b"", b"GIF89a", b"text"])
def test_a_broken_image_is_refused(client, image):
    refused = caption(client, image)
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["type"] == "unusable_content"
    assert "JPEG" in refused.json()["detail"][0]["msg"]


def test_a_request_in_another_form_is_told_what_is_expected(client):
    untyped = client.post("/v1/answer", content='{"user": "ada"}')
    assert untyped.status_code == 422
    assert "`content-type: application/json`" in untyped.json()["detail"][0]["msg"]
    no_file = client.post("/v1/caption", data={"user": "ada", "image": "cat.jpg"})
    assert no_file.status_code == 422
    assert no_file.json()["detail"][0]["msg"] == "expected an uploaded file, a JPEG or PNG"


def test_an_image_over_the_limit_is_refused(client):
    assert caption(client, JPEG + b"x" * (LARGEST_IMAGE - 10_000)).status_code == 200
    refused = caption(client, JPEG + b"x" * LARGEST_IMAGE)
    assert refused.status_code == 413
    assert refused.json()["detail"] == f"body over {LARGEST_IMAGE} bytes; send a smaller image"


def test_an_upload_without_its_parts_names_them(client):
    for body, loc in (
        ({"data": {"user": "ada"}}, [["body", "image"]]),
        ({"files": {"image": JPEG}}, [["body", "user"]]),
        ({"data": {"user": "ada", "image": "text"}}, [["body", "image"]]),
        ({"data": {"user": "u" * 201}, "files": {"image": JPEG}}, [["body", "user"]]),
        ({"json": {"user": "ada", "image": "aGk="}}, [["body", "user"], ["body", "image"]]),
        ({"data": {"user": "ada", "beam": "5"}, "files": {"image": JPEG}}, [["body", "beam"]]),
    ):
        refused = client.post("/v1/caption", **body)
        assert refused.status_code == 422
        assert [problem["loc"] for problem in refused.json()["detail"]] == loc
    half = {"content-type": "multipart/form-data; boundary=x"}
    assert client.post("/v1/caption", content=b"--x\r\nnonsense", headers=half).status_code in (400, 422)


def test_a_task_without_a_model_is_not_found_and_the_others_are_healthy(client, registry, tmp_path):
    refused = client.post("/v1/recommend", json={"user": "ada"})
    assert refused.status_code == 404
    assert "recommendation/champion: no model in service; promote one with" in refused.json()["detail"]
    health = client.get("/healthz")
    reader = {"alias": "question-answering/champion", "model": "question-answering/1", "problem": None}
    captioner = {"alias": "captioning/champion", "model": "captioning/1", "problem": None}
    missing = {"alias": "recommendation/champion", "model": None, "problem": None}
    assert (health.status_code, health.json()) == (
        200,
        {
            "status": "ok",
            **reader,
            "tasks": {"recommendation": missing, "question-answering": reader, "captioning": captioner},
        },
    )
    promote(registry, tmp_path / "candidate", alias="candidate")
    models = client.get("/v1/models").json()["models"]
    assert {model["name"]: model["serving"] for model in models} == {
        "captioning/1": True,
        "question-answering/1": True,
        "recommendation/1": False,
    }
