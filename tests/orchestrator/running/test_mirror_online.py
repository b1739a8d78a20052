"""With a server that answers: what arrives, how a run is resumed, what it costs if server or service die."""

import time
from collections.abc import Iterator

import psutil
import pytest
import wandb

from orchestrator.running.mirror import Mirror
from tests.orchestrator.wandb_file import read_runs
from tests.orchestrator.wandb_server import Server, serving


@pytest.fixture(autouse=True)
def fresh_service(monkeypatch, tmp_path) -> Iterator[None]:
    monkeypatch.setattr(Mirror, "_failed", {})
    monkeypatch.chdir(tmp_path)
    wandb.teardown()
    yield
    wandb.teardown()


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
        yield server


@pytest.fixture
def to(tmp_path) -> Mirror:
    return Mirror("adaptune-tests", "a-sweep", enabled=True, folder=tmp_path / "home" / "wandb")


def steps(server: Server, trial_id: str) -> list[int]:
    return [row["_step"] for row in server.history.get(trial_id, [])]


def test_a_trial_arrives_with_its_steps(server, to):
    with to:
        to.open("trial", {"epochs": 3}, role="model", tags=["recommendation"])
        for epoch in (1, 2, 3):
            to.log("trial", epoch, {"train_loss": 1 / epoch})
    assert to.problems == []
    assert server.runs["trial"]["groupName"] == "a-sweep"
    assert server.runs["trial"]["jobType"] == "model"
    assert steps(server, "trial") == [1, 2, 3]


def test_a_resumed_run_is_sent_only_what_the_server_lacks(server, to):
    server.resumable = 2
    with to:
        to.open("trial", {"epochs": 4}, role="model")
        for epoch in (1, 2, 3, 4):
            to.log("trial", epoch, {"train_loss": 1 / epoch})
    assert to.problems == []
    assert steps(server, "trial") == [3, 4]


def test_a_server_that_falls_silent_is_waited_for_once(server, to, monkeypatch):
    monkeypatch.setattr("orchestrator.running.mirror.PATIENCE", 2)
    to.open("first", {}, role="model")
    to.open("second", {}, role="model")
    server.silent.set()
    start = time.monotonic()
    for trial_id in ("first", "second"):
        to.log(trial_id, 1, {"train_loss": 1.0})
        to.close(trial_id)
    to.open("third", {}, role="model")
    to.log("third", 1, {"train_loss": 1.0})
    to.close("third")
    assert time.monotonic() - start < 15
    assert "the end of trial first is only in" in to.problems[0]
    wandb.teardown()
    runs = read_runs(to._folder)
    assert [list(runs[trial_id][0].history) for trial_id in ("first", "second", "third")] == [[1], [1], [1]]


def test_a_service_that_dies_is_replaced_for_the_next_trial(to):
    to.open("first", {}, role="model")
    [service] = [child for child in psutil.Process().children() if "wandb-core" in child.name()]
    service.kill()
    service.wait(10)
    start = time.monotonic()
    for epoch in range(1, 101):
        to.log("first", epoch, {"train_loss": 1.0})
    to.close("first")
    to.open("second", {}, role="model")
    to.log("second", 1, {"train_loss": 1.0})
    to.close("second")
    assert time.monotonic() - start < 15
    assert any("trial first" in problem for problem in to.problems)
    wandb.teardown()
    assert list(read_runs(to._folder)["second"][0].history) == [1]
