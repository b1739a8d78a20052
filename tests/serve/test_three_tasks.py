"""All three tasks from their sweeps to one address: what a user posts changes every answer, and nobody else's.

The sweeps share the generated population and one Ray, on which the endpoint then runs, too.
"""

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.data.population import Population
from orchestrator.release.registry import Registry
from orchestrator.running.cluster import ray_cluster
from serve.app import deployed, free_port
from serve.demo_items import demonstrate
from serve.demo_styles import Answers, Captions, StyleShift, demonstrate_styles
from tests.orchestrator.sweeping import adaptune, write_sweep

pytestmark = pytest.mark.xdist_group("ray")

CORE = {"layers": 1, "hidden": 32, "window": 12, "heads": 2}
POPULATION = {"source": "synthetic", "users": 150, "items": 100, "events": 30, "genres": 4}
SWEEPS: dict[str, dict[str, Any]] = {
    "recommendation": {
        "data": POPULATION,
        "model": {"personalization": CORE, "embedding": 32},
        "training": {"epochs": 3, "learning_rate": 3e-3, "batch_size": 16},
    },
    "question-answering": {
        "data": POPULATION | {"articles": 20, "passages": 6},
        "model": {"personalization": CORE, "embedding": 24, "hidden": 24},
        "training": {"epochs": 3, "learning_rate": 5e-3, "batch_size": 16},
    },
    "captioning": {
        "data": POPULATION | {"images": 150},
        "model": {
            "personalization": CORE | {"window": 8},
            **{"hidden": 32, "layers": 1, "heads": 2, "dropout": 0.0, "beam": 1, "guidance": 3.0},
        },
        "training": {"epochs": 8, "learning_rate": 6e-3, "batch_size": 3},
    },
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home folder with a champion of every task, from sweeps of one trial and its baseline, and Ray running."""
    home = tmp_path_factory.mktemp("three") / "home"
    stdout = sys.stdout
    with pytest.MonkeyPatch.context() as patch, ray_cluster(None, Path()):
        sys.stdout = stdout
        patch.setattr("orchestrator.running.cluster.ray_cluster", lambda address, home: nullcontext())
        for task, sections in SWEEPS.items():
            rest = {
                # nothing is compared here, so the baseline is trained no longer than it must be
                "ablations": {"baseline": {"model.personalization": None, "training.epochs": 1}},
                "tracking": {"enabled": False},
            }
            sweep = write_sweep(home.parent, {"name": task, "task": task, **sections, **rest})
            for command in ("run", "promote"):
                call = adaptune(command, sweep, "--home", home)
                assert call.code == 0, call.err
        yield home


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[httpx.Client]:
    with deployed(home, "champion", (), free_port()) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def folder_of(home: Path, task: str) -> Path:
    digest = Registry(home / "registry").version(f"{task}/champion").provenance["data_digest"]
    return home / "data" / digest


def assert_moved(shift: StyleShift) -> None:
    assert shift.after.get(shift.liked, 0) > shift.before.get(shift.liked, 0)
    assert shift.after.get(shift.disliked, 0) < shift.before[shift.disliked]
    assert shift.first != shift.then
    assert shift.control_unchanged


def test_every_task_is_in_service(client):
    health = client.get("/healthz").json()
    assert health["status"] == "ok"
    assert {task: state["model"] for task, state in health["tasks"].items()} == {
        task: f"{task}/1" for task in SWEEPS
    }


def test_recommendations_follow_what_a_newcomer_liked(client):
    shift = demonstrate(client)
    assert shift.after[shift.liked] > shift.before.get(shift.liked, 0)
    assert shift.after.get(shift.disliked, 0) < shift.before[shift.disliked]
    assert shift.control_unchanged


def test_answers_follow_what_a_newcomer_liked(client, home):
    assert_moved(demonstrate_styles(client, Answers(folder_of(home, "question-answering"))))


def test_captions_follow_what_a_newcomer_liked(client, home):
    assert_moved(demonstrate_styles(client, Captions(folder_of(home, "captioning"))))


def test_one_post_holds_events_of_every_task(client, home):
    answers, captions = (
        Answers(folder_of(home, "question-answering")),
        Captions(folder_of(home, "captioning")),
    )
    item = client.post("/v1/recommend", json={"user": "eve"}).json()["items"][0]["id"]
    contents = {
        "captioned": captions.contents("humorous", 1)[0],
        "rated": item,
        "answered": answers.contents("short", 1)[0],
    }
    events = [
        {"id": kind, "timestamp": 1000 + n, "content": content, "kind": kind, "value": 1.0}
        for n, (kind, content) in enumerate(contents.items())
    ]
    taken = client.post("/v1/events", json={"user": "eve", "events": events}).json()
    assert taken["accepted"] == 3
    assert taken["models"] == ["captioning/1", "recommendation/1", "question-answering/1"]
    assert client.post("/v1/recommend", json={"user": "eve"}).json()["known"]
    assert all(reply["known"] for reply in answers.ask(client, "eve") + captions.ask(client, "eve"))


def test_the_users_of_the_population_are_known_in_every_task(client, home):
    folders = [home / "registry" / task / "1" for task in SWEEPS]
    user = min(set.intersection(*(set(Population(folder)) for folder in folders)))
    answers, captions = (
        Answers(folder_of(home, "question-answering")),
        Captions(folder_of(home, "captioning")),
    )
    assert client.post("/v1/recommend", json={"user": user}).json()["known"]
    for material in (answers, captions):
        known, unknown = material.ask(client, user), material.ask(client, "nobody")
        assert all(reply["known"] for reply in known) and not any(reply["known"] for reply in unknown)
        assert [reply["text"] for reply in known] != [reply["text"] for reply in unknown]


def test_a_broken_picture_is_refused(client, home):
    captions = Captions(folder_of(home, "captioning"))
    whole = captions._files[0]
    for broken in (b"", b"nonsense", whole[: len(whole) // 2]):
        files = {"image": ("picture.png", broken)}
        assert client.post("/v1/caption", data={"user": "ada"}, files=files).status_code == 422
