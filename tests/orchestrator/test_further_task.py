"""A task that the orchestrator has never heard of is planned, run, compared, reported and promoted.

Only the entries in the literal dictionaries are made for it: forms, model settings, tasks. The jobs run in this
process, as those entries do not travel to Ray's workers.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.config import MODEL_SETTINGS
from components.data.store import FORMS, prepare
from components.tasks import TASKS
from orchestrator.planning.identity import validity
from orchestrator.planning.plan import Planner
from orchestrator.planning.stages import Stages
from orchestrator.records.ledger import Ledger
from orchestrator.records.workspace import Workspace
from orchestrator.release.registry import Registry
from orchestrator.running.bookkeeper import Bookkeeper
from orchestrator.running.jobs import Progress, Surroundings
from orchestrator.running.queue import JobQueue
from orchestrator.running.worker import execute
from orchestrator.spec.load import load_sweep
from orchestrator.spec.sweep import spec_class
from tests.orchestrator.sweeping import adaptune, write_sweep
from tests.orchestrator.toy_task import INFO

GUESSES: dict[str, Any] = {
    "name": "guesses",
    "task": "guess",
    "data": {"source": "synthetic", "users": 200, "items": 30, "events": 12},
    "training": {"epochs": 2, "learning_rate": 1.0},
    "grid": {"model.start": [0.0, 5.0]},
    "ablations": {"baseline": {"model.shared": True}},
    "controls": ["turned"],
    "tracking": {"enabled": False},
}


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Enter the task in the dictionaries."""
    monkeypatch.setitem(FORMS, INFO.form, "tests.orchestrator.toy_form")
    monkeypatch.setitem(MODEL_SETTINGS, INFO.name, INFO.settings)
    monkeypatch.setitem(TASKS, INFO.name, INFO)
    yield
    spec_class.cache_clear()
    validity.cache_clear()


@pytest.fixture
def home(known: None, tmp_path: Path) -> Path:
    """A home folder in which the sweep has been run."""
    spec = load_sweep(write_sweep(tmp_path, GUESSES))
    workspace = Workspace(tmp_path / "home")
    workspace.create()
    ledger, planner = Ledger(workspace.ledger_url), Planner(spec)
    ledger.record_sweep(spec.name, spec.task, planner.data_digest, spec.model_dump(mode="json"))
    books = Bookkeeper(spec, ledger, workspace, planner.data_digest)
    around = Surroundings(
        spec.name, spec.task, str(workspace.home), validity(spec.task), 1, "cpu", "tests", mirror=False
    )
    folder = prepare(spec.data, workspace.data, TASKS[spec.task].form)
    queue = JobQueue(Stages(spec, ledger, workspace, folder))
    while job := queue.take("the only one"):
        failures: list[str] = []

        def report(progress: Progress, failures: list[str] = failures) -> None:
            failures += [progress.failure] if progress.failure else []

        books.started(job)
        execute(job, around, report)
        assert not failures, failures[0]
        books.ended(job, "", by_trial=False)
        queue.ended("the only one")
    return workspace.home


def test_a_task_nobody_has_heard_of_goes_the_whole_way(home: Path, tmp_path: Path) -> None:
    sweep = tmp_path / "guesses.yaml"
    plan = adaptune("plan", sweep, "--home", home, "--json").document
    assert (plan["task"], plan["trials"], plan["done"]) == ("guess", 4, 4)
    document = adaptune("compare", "guesses", "--home", home, "--json").document
    assert (document["unit"], document["objective"]) == ("item", {"metric": "error", "mode": "min"})
    error = {row["name"]: row["metrics"]["error"]["mean"] for row in document["rows"]}
    assert list(error) == ["model", "turned", "baseline", "zero", "told"]
    assert error["told"] == 0 < error["model"] < error["baseline"]
    text = " ".join(adaptune("compare", "guesses", "--home", home).out.split())
    assert "30 rated items" in text and "best trivial row, zero" in text and "user" not in text
    assert adaptune("report", "guesses", "--home", home, "--out", tmp_path / "r.html").code == 0
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", (tmp_path / "r.html").read_text()))
    assert "mean over 30 items that have ratings" in page and "bootstrap over items" in page
    assert adaptune("promote", sweep, "--home", home).code == 0
    version = Registry(home / "registry").version("guess/champion")
    assert (version.folder / "nobody.json").read_text() == "[]"


def test_its_sweep_file_is_checked_like_any_other(known: None, tmp_path: Path) -> None:
    broken = {
        **GUESSES,
        "controls": ["shuffled-users"],
        "objective": {"metric": "accuracy"},
        "compare": {"unit": "user"},
        "model": {"begin": 1},
    }
    call = adaptune("validate", write_sweep(tmp_path, broken))
    assert call.code == 2
    for said in (
        "there is no control of guess named 'shuffled-users'",
        "there is no metric of guess named 'accuracy'",
        "there is no unit of guess named 'user'",
        "unknown key 'begin'",
    ):
        assert said in call.err, call.err
