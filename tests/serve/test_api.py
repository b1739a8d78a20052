import json

import pytest
from fastapi.testclient import TestClient

from serve.api import LARGEST_BODY, create_api
from serve.dispatch import Dispatcher
from serve.engine import Engine
from tests.serve.fakes import load_fake, promote

NOW = 1_000_000.0


def dispatcher(registry, log) -> Dispatcher:
    engine = Engine(registry, "recommendation", "champion", log, load=load_fake)
    return Dispatcher(registry, {"recommendation": engine}, clock=lambda: NOW)


@pytest.fixture
def client(registry, champion, log):
    with TestClient(create_api(dispatcher(registry, log))) as client:
        yield client


@pytest.fixture
def empty_client(registry, log):
    with TestClient(create_api(dispatcher(registry, log))) as client:
        yield client


def event(**changes):
    return {"id": "a", "timestamp": 5000, "content": "i1", "kind": "rated", "value": 1.0} | changes


def post_events(client, *events, user="ada"):
    return client.post("/v1/events", json={"user": user, "events": list(events)})


def recommend(client, user="ada", **keys):
    answer = client.post("/v1/recommend", json={"user": user, **keys})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_recommendations_have_the_documented_shape(client):
    answer = recommend(client, "known1", k=2)
    assert answer | {"items": None} == {
        "user": "known1",
        "known": True,
        "model": "recommendation/1",
        "items": None,
    }
    assert len(answer["items"]) == 2
    assert set(answer["items"][0]) == {"id", "title", "score", "like_probability", "genres"}
    assert len(recommend(client, "stranger")["items"]) == 10


def test_events_are_taken_once_and_move_the_recommendations(client):
    assert post_events(client, event(), event(id="b", content="i2", value=-1)).json() == {
        "user": "ada",
        "accepted": 2,
        "duplicates": 0,
        "model": "recommendation/1",
        "models": ["recommendation/1"],
    }
    assert post_events(client, event()).json()["duplicates"] == 1
    items = recommend(client, k=50)["items"]
    assert (items[0]["genres"], items[-1]["genres"]) == (["drama"], ["horror"])


def test_the_registry_and_health_are_shown(client, registry, tmp_path):
    promote(registry, tmp_path / "candidate", items=8, alias="candidate")
    models = client.get("/v1/models").json()["models"]
    assert [(m["name"], m["aliases"], m["serving"]) for m in models] == [
        ("recommendation/1", ["champion"], True),
        ("recommendation/2", ["candidate"], False),
    ]
    assert models[0]["metrics"] == {"accuracy": 0.7}
    task = {"alias": "recommendation/champion", "model": "recommendation/1", "problem": None}
    assert client.get("/healthz").json() == {"status": "ok", **task, "tasks": {"recommendation": task}}


def test_without_a_promoted_model_the_answer_is_404(empty_client):
    for path, body in (("recommend", {"user": "ada"}), ("events", {"user": "ada", "events": [event()]})):
        answer = empty_client.post(f"/v1/{path}", json=body)
        assert answer.status_code == 404
        assert "promote one with `adaptune promote" in answer.json()["detail"]
    assert empty_client.get("/healthz").status_code == 503
    assert empty_client.get("/v1/models").json() == {"models": []}


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({}, ["user"]),
        ({"user": 7}, ["user"]),
        ({"user": ""}, ["user"]),
        ({"user": "u" * 201}, ["user"]),
        ({"user": "ada", "k": 0}, ["k"]),
        ({"user": "ada", "k": 1001}, ["k"]),
        ({"user": "ada", "k": "ten"}, ["k"]),
        ({"user": "ada", "k": 1.5}, ["k"]),
        ({"user": "ada", "k": None}, ["k"]),
        ({"user": "ada", "count": 3}, ["count"]),
        ([], []),
        ("text", []),
    ],
)
def test_a_bad_recommend_request_names_the_field(client, body, loc):
    answer = client.post("/v1/recommend", json=body)
    assert answer.status_code == 422
    assert [problem["loc"] for problem in answer.json()["detail"]] == [["body", *loc]]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"content": "nonsense"}, "content"),
        ({"kind": "guessed"}, "kind"),
        ({"value": 1.01}, "value"),
        ({"value": True}, "value"),
        ({"value": "1"}, "value"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": 1000 * NOW}, "timestamp"),
        ({"timestamp": -1}, "timestamp"),
        ({"timestamp": 10**400}, "timestamp"),
        ({"id": ""}, "id"),
        ({"rating": 5}, "rating"),
    ],
)
def test_a_bad_event_names_the_field_and_nothing_is_taken(client, change, field):
    answer = post_events(client, event(id="good"), event(**change))
    assert answer.status_code == 422
    assert [problem["loc"] for problem in answer.json()["detail"]] == [["body", "events", 1, field]]
    assert not recommend(client)["known"]


@pytest.mark.parametrize("content", [None, 7, True, ["i1"]])
def test_content_that_is_neither_text_nor_object_is_told_what_it_may_be(client, content):
    (problem,) = post_events(client, event(content=content)).json()["detail"]
    assert problem == {
        "type": "invalid_content",
        "loc": ["body", "events", 0, "content"],
        "msg": "expected text, such as the id of an item, or a JSON object",
    }


def test_numbers_of_events_are_bounded(client):
    for events in ([], [event(id=str(n)) for n in range(1001)]):
        answer = client.post("/v1/events", json={"user": "ada", "events": events})
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["body", "events"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"user": NaN}',
        b'{"user": "ada", "k": Infinity}',
        b'{"user": "\\ud800"}',
        b'{"user": "ada", "\\ud800": 1}',
        b'{"user": "ada", "k": ' + b"9" * 5000 + b"}",
        b'{"user": ' + b"[" * 100_000,
    ],
)
def test_what_is_hardly_json_is_refused_calmly(client, body):
    answer = client.post("/v1/recommend", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.json()["detail"]


def test_a_body_over_the_limit_is_refused(client):
    answer = client.post("/v1/recommend", json={"user": "u" * LARGEST_BODY})
    assert answer.status_code == 413
    chunks = (b"x" * 100_000 for _ in range(100))
    assert client.post("/v1/events", content=chunks).status_code == 413


def test_unusual_ids_are_ids_all_the_same(client):
    for user in ("Ünïcode 用户", "a\x00b", "'; DROP TABLE events; --", " "):
        assert post_events(client, event(), user=user).json()["accepted"] == 1
        assert recommend(client, user)["known"]


def test_openapi_documents_examples_and_refusals(client):
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {
        *("/v1/recommend", "/v1/answer", "/v1/caption", "/v1/events"),
        *("/v1/models", "/healthz"),
    }
    event_fields = document["components"]["schemas"]["EventMessage"]["properties"]
    assert all(field["examples"] and field["description"] for field in event_fields.values())
    assert {"200", "404", "413", "422"} <= set(document["paths"]["/v1/events"]["post"]["responses"])
    assert "null" not in json.dumps(document["paths"]["/v1/recommend"]["post"]["requestBody"])
