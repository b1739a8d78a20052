"""What is mirrored can be read back; whatever is wrong with W&B is reported at once and raises nothing."""

import http.server
import json
import os
import socket
import threading
import time
from collections.abc import Iterator

import pyarrow as pa
import pytest
import wandb

from orchestrator.running.mirror import Mirror
from tests.orchestrator.wandb_file import MirroredRun, read_runs

KEY = "0123456789" * 4
CONFIG = {"task": "recommendation", "training": {"learning_rate": 0.001, "epochs": 3}}


@pytest.fixture(autouse=True)
def surroundings_without_wandb(monkeypatch, tmp_path) -> Iterator[None]:
    """No key, no mode, no memory of earlier failures, and a service of the test's own."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr(Mirror, "_failed", {})
    monkeypatch.chdir(tmp_path)
    wandb.teardown()
    yield
    wandb.teardown()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "home" / "wandb"


def mirror(folder, enabled=True) -> Mirror:
    return Mirror("adaptune-tests", "a-sweep", enabled=enabled, folder=folder)


def mirrored(folder) -> dict[str, list[MirroredRun]]:
    wandb.teardown()  # ends W&B's service, which may still be writing
    return read_runs(folder)


def write_trial(to: Mirror, trial_id: str, epochs: range, code: str = "") -> None:
    to.open(trial_id, CONFIG, role="model", tags=["personalised", "recommendation"], code=code)
    for epoch in epochs:
        to.log(trial_id, epoch, {"train_loss": 1 / epoch, "auc": None})
    to.close(trial_id, {"accuracy": 0.75, "auc": None})


def test_a_trial_reads_back_with_everything_that_was_written(folder, capfd):
    with mirror(folder) as to:
        write_trial(to, "a1b2c3", range(1, 4))
    [run] = mirrored(folder)["a1b2c3"]
    assert (run.project, run.group, run.job_type) == ("adaptune-tests", "a-sweep", "model")
    assert run.tags == ["personalised", "recommendation"]
    assert {name: run.config[name] for name in CONFIG} == CONFIG
    assert run.history == {epoch: {"train_loss": 1 / epoch, "epoch": epoch} for epoch in (1, 2, 3)}
    assert run.step_metrics == {"*": "epoch"}
    assert run.summary["accuracy"] == 0.75
    assert run.exit_code == 0
    assert to.problems == []
    assert capfd.readouterr() == ("", "")
    assert sorted(path.name for path in folder.parent.parent.iterdir()) == ["home"]


def test_a_trial_of_other_code_has_a_run_of_its_own(folder):
    for code, epochs in (("0" * 32, range(1, 4)), ("f" * 32, range(1, 3)), ("f" * 32, range(1, 5))):
        with mirror(folder) as to:
            write_trial(to, "a1b2c3", epochs, code)
    runs = {run.id: len(run.history) for run in mirrored(folder)["a1b2c3"]}
    assert runs == {"a1b2c3-00000000": 3, "a1b2c3-ffffffff": 4}, (
        "an attempt at the same run replaces the other"
    )


def test_a_run_ends_with_tables_and_a_page_that_wait_for_the_upload(folder):
    page = folder.parent / "report.html"
    page.parent.mkdir()
    page.write_text("<p>What was found</p>")
    slices = pa.table({"group": ["seen", "unseen"], "accuracy": [0.75, None]})
    with mirror(folder) as to:
        to.open("a-report", CONFIG, role="report")
        to.close("a-report", {"accuracy": 0.75}, tables={"slices": slices}, page=page)
    [run] = mirrored(folder)["a-report"]
    media = next(folder.glob("*run-*")) / "files"
    table = json.loads((media / run.summary["slices"]["path"]).read_text())
    assert table == {"columns": ["group", "accuracy"], "data": [["seen", 0.75], ["unseen", None]]}
    assert (media / run.summary["report"]["path"]).read_text() == page.read_text()
    assert run.artifacts == {"run-a-report-slices": "run_table", "a-report": "report"}
    assert to.problems == []
    assert sorted(path.name for path in folder.parent.iterdir()) == ["report.html", "wandb"]


def test_trials_that_share_a_training_are_open_together(folder):
    with mirror(folder) as to:
        to.open("short", CONFIG, role="model")
        to.open("long", CONFIG, role="model")
        for epoch in range(1, 5):
            if epoch <= 2:
                to.log("short", epoch, {"train_loss": float(epoch)})
            if epoch == 2:
                to.close("short")
            to.log("long", epoch, {"train_loss": float(epoch)})
    runs = mirrored(folder)
    assert list(runs["short"][0].history) == [1, 2]
    assert list(runs["long"][0].history) == [1, 2, 3, 4]
    assert runs["long"][0].exit_code == 0


def test_a_resumed_trial_replaces_its_interrupted_attempt_and_repeats_no_step(folder):
    interrupted = mirror(folder)
    interrupted.open("trial", CONFIG, role="model")
    interrupted.open("trial-2", CONFIG, role="model")
    interrupted.log("trial", 1, {"train_loss": 9.0})
    wandb.teardown()  # as at the end of the process
    with mirror(folder) as to:
        to.open("trial", CONFIG, role="model")
        for epoch in (1, 2, 2, 1, 3):
            to.log("trial", epoch, {"train_loss": 1 / epoch})
    runs = mirrored(folder)
    [run] = runs["trial"]
    assert run.history == {epoch: {"train_loss": 1 / epoch, "epoch": epoch} for epoch in (1, 2, 3)}
    assert len(runs["trial-2"]) == 1
    assert to.problems == []


def test_an_exception_on_the_way_marks_what_is_open_as_failed(folder):
    with pytest.raises(ZeroDivisionError), mirror(folder) as to:
        to.open("trial", CONFIG, role="model")
        1 / 0  # noqa: B018
    assert mirrored(folder)["trial"][0].exit_code == 1


@pytest.mark.parametrize("off", ["argument", "environment"])
def test_switched_off_it_writes_nothing(folder, monkeypatch, off):
    if off == "environment":
        monkeypatch.setenv("WANDB_MODE", "disabled")
    with mirror(folder, enabled=off != "argument") as to:
        write_trial(to, "trial", range(1, 4))
    assert not folder.exists()
    assert to.problems == []


def test_offline_is_respected_in_spite_of_a_key(folder, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_MODE", "offline")
    with mirror(folder) as to:
        write_trial(to, "trial", range(1, 4))
    assert len(mirrored(folder)["trial"][0].history) == 3
    assert to.problems == []


def test_a_folder_that_cannot_be_written_is_reported_and_costs_nothing(folder):
    folder.parent.write_text("a file stands where the folder should be")
    with mirror(folder) as to:
        for number in range(20):
            write_trial(to, f"trial-{number}", range(1, 4))
    [problem] = to.problems
    assert "nothing is mirrored" in problem
    assert str(folder.parent) in problem


def test_a_malformed_key_is_reported_and_the_run_is_kept_offline(folder, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "bad")
    with mirror(folder) as to:
        write_trial(to, "trial", range(1, 4))
    assert len(mirrored(folder)["trial"][0].history) == 3
    [problem] = to.problems
    assert "W&B's key cannot be used" in problem


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def refusing_port() -> Iterator[int]:
    """A server that refuses every key."""

    class Refuse(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            self.send_error(401)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refuse) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.mark.parametrize("port", ["silent_port", "refusing_port", "closed_port"])
def test_an_unreachable_server_is_waited_for_once_and_the_runs_are_kept_offline(
    folder, monkeypatch, request, port, capfd
):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{request.getfixturevalue(port)}")
    monkeypatch.setattr("orchestrator.running.mirror.PATIENCE", 3)
    start = time.monotonic()
    with mirror(folder) as first:
        write_trial(first, "one", range(1, 4))
        write_trial(first, "two", range(1, 4))
    with mirror(folder) as second:
        write_trial(second, "three", range(1, 4))
    seconds = time.monotonic() - start
    complete = {run.id for runs in mirrored(folder).values() for run in runs if len(run.history) == 3}
    assert complete == {"one", "two", "three"}
    assert "trial one is not mirrored online" in first.problems[0]
    assert "failed online in this process" in second.problems[0]
    assert seconds < 15
    assert capfd.readouterr() == ("", "")
