"""Several sweeps as one. Jobs run in this process, without Ray, so that the toy task can be one of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from components.config import MODEL_SETTINGS
from components.data.store import FORMS
from components.tasks import TASKS
from orchestrator.planning.identity import validity
from orchestrator.running.jobs import Progress
from orchestrator.running.queue import JobQueue
from orchestrator.running.worker import execute
from orchestrator.spec.sweep import spec_class
from tests.components.tasks.question_answering.fixtures import write_squad
from tests.orchestrator.conftest import TINY
from tests.orchestrator.report.test_report import Page
from tests.orchestrator.sweeping import adaptune, end, start, write_sweep
from tests.orchestrator.test_further_task import GUESSES
from tests.orchestrator.toy_task import INFO

SMALL: dict[str, Any] = {
    **TINY,
    "training": {**TINY["training"], "epochs": 1},
    "grid": {},
    "seeds": [0],
    "ablations": {},
}


class Cluster:
    """Stands in for Ray: counts how often it starts, and fails as it is told."""

    def __init__(self) -> None:
        self.starts = 0
        self.problem: Exception | None = None
        self.broken_sweep = ""
        self.breaks_with: Exception = OSError("no space left on device")
        self.interrupted_sweep = ""
        self.order: list[str] = []

    @contextmanager
    def start(self, address: str | None, home: Path) -> Iterator[None]:
        if self.problem is not None:
            raise self.problem
        self.starts += 1
        yield

    def run(self, queue: JobQueue, around: Any, *rest: Any, keep_workers: bool) -> None:
        assert not keep_workers, "the other sweeps of the study may need their cores"
        hearer = rest[3]
        self.order.append(around.sweep)
        if around.sweep == self.broken_sweep:
            raise self.breaks_with
        if around.sweep == self.interrupted_sweep:
            return  # as Tune does after an interrupt: it stops asking for jobs
        while job := queue.take("the only one"):
            failures: list[str] = []

            def report(progress: Progress, failures: list[str] = failures) -> None:
                failures += [progress.failure] if progress.failure else []

            hearer._books.started(job)
            execute(job, around, report)
            hearer._books.ended(job, failures[0] if failures else "", by_trial=True)
            queue.ended("the only one")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    here = Cluster()
    monkeypatch.setattr("orchestrator.running.cluster.ray_cluster", here.start)
    monkeypatch.setattr("orchestrator.running.tuning.run_jobs", here.run)
    monkeypatch.setitem(FORMS, INFO.form, "tests.orchestrator.toy_form")
    monkeypatch.setitem(MODEL_SETTINGS, INFO.name, INFO.settings)
    monkeypatch.setitem(TASKS, INFO.name, INFO)
    yield here
    spec_class.cache_clear()
    validity.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "both"
    folder.mkdir()
    write_sweep(folder, GUESSES)
    write_sweep(folder, SMALL)
    return folder


def test_a_study_runs_what_its_sweeps_ask_for_on_one_cluster(
    cluster: Cluster, folder: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    planned = adaptune("study", folder, "--plan", "--home", home, "--json").document
    assert [sweep["sweep"] for sweep in planned["sweeps"]] == ["guesses", "tiny"]
    assert (planned["study"], planned["trials"], planned["to_run"]) == ("both", 6, 6)
    assert planned["epochs_to_run"] == sum(sweep["epochs_to_run"] for sweep in planned["sweeps"])
    assert not home.exists()
    text = adaptune("study", folder, "--dry-run", "--home", home).out
    assert "together" in text and "guesses" in text

    call = adaptune("study", folder, "--home", home, "--report", "--json")
    assert call.code == 0, call.err
    assert [sweep["finished"] for sweep in call.document["sweeps"]] == [4, 2]
    assert (cluster.starts, cluster.order) == (1, ["guesses", "tiny"])
    page = Page(Path(call.document["report"]).read_text(encoding="utf-8"))
    assert not page.open and page.ids[0] == "guesses"
    assert {"tiny", "tiny-leaderboard", "guesses-leaderboard"} <= set(page.ids)

    again = adaptune("study", folder, "--home", home)
    assert again.code == 0 and again.out.count("nothing to do") == 2
    single = adaptune("run", folder / "tiny.yaml", "--home", home)
    assert "nothing to do" in single.out
    assert cluster.starts == 1
    planned = adaptune("study", folder, "--plan", "--home", home, "--json").document
    assert (planned["done"], planned["to_run"]) == (6, 0)


def test_a_sweep_that_breaks_leaves_the_others_alone(cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    cluster.broken_sweep = "guesses"
    call = adaptune("study", folder, "--home", tmp_path / "home", "--json", "--report")
    assert call.code == 3
    assert "no space left on device" in call.document["problems"]["guesses"]
    assert [sweep["sweep"] for sweep in call.document["sweeps"]] == ["tiny"]
    assert "guesses" in Path(call.document["report"]).read_text(encoding="utf-8")  # among what is not on it
    cluster.broken_sweep = ""
    call = adaptune("study", folder, "--home", tmp_path / "home")
    assert call.code == 0 and "tiny: nothing to do" in call.out
    report = adaptune("report", folder, "--home", tmp_path / "home", "--json").document
    assert (report["study"], report["unfinished"]) == ("both", {})


def test_a_stopped_sweep_stops_the_study_and_the_next_call_goes_on(
    cluster: Cluster, folder: Path, tmp_path: Path
) -> None:
    cluster.interrupted_sweep = "guesses"
    call = adaptune("study", folder, "--home", tmp_path / "home", "--json")
    assert call.code == 130
    assert (call.document["stopped"], call.document["waiting"]) == (True, ["tiny"])
    assert cluster.order == ["guesses"]
    cluster.interrupted_sweep = ""
    assert adaptune("study", folder, "--home", tmp_path / "home").code == 0


def test_without_a_cluster_nothing_is_tried_twice(cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    from orchestrator.running.cluster import ClusterError

    cluster.problem = ClusterError("the Ray cluster at nowhere cannot be joined")
    call = adaptune("study", folder, "--home", tmp_path / "home")
    assert call.code == 2 and call.err.count("cannot be joined") == 1 and not call.out


def test_a_cluster_that_ends_after_the_first_sweep_ends_the_study_and_keeps_what_came_of_it(
    cluster: Cluster, folder: Path, tmp_path: Path
) -> None:
    from orchestrator.running.cluster import ClusterError

    (folder / "last.yaml").write_text((folder / "tiny.yaml").read_text().replace("name: tiny", "name: last"))
    cluster.broken_sweep, cluster.breaks_with = "last", ClusterError("Ray has ended")
    call = adaptune("study", folder, "--home", tmp_path / "home", "--json")
    assert call.code == 3 and cluster.order == ["guesses", "last"]
    assert [outcome["sweep"] for outcome in call.document["sweeps"]] == ["guesses"]
    assert (call.document["problems"], call.document["waiting"]) == ({"last": "Ray has ended"}, ["tiny"])


def test_everything_that_is_wrong_in_any_file_is_said_before_anything_runs(
    cluster: Cluster, folder: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    (folder / "a.yaml").write_text("name: a\ntask: guesss\ndata: {source: synthetic}\n")
    (folder / "b.yaml").write_text("name: b\ntask: guess\ndata: {source: synthetic}\nseed: [1]\n")
    write_sweep(folder, SMALL).rename(folder / "c.yaml")
    write_sweep(folder, SMALL)
    call = adaptune("study", folder, "--home", home)
    assert call.code == 2 and not home.exists()
    for said in ("a.yaml:2:7: ", "b.yaml:4:1: ", "c.yaml: the name 'tiny' is also that of tiny.yaml"):
        assert said in call.err, call.err

    for name in "abc":
        (folder / f"{name}.yaml").unlink()
    missing = {"source": "table", "events": str(tmp_path / "nowhere.csv")}
    write_sweep(folder, {**SMALL, "name": "other", "data": missing})
    write_sweep(folder, {**SMALL, "name": "big", "budget": {"max_trials": 1}})
    call = adaptune("study", folder, "--home", home)
    assert call.code == 2 and not cluster.order
    assert "nowhere.csv" in call.err and "`budget.max_trials` allows 1" in call.err


def test_data_that_breaks_off_is_found_before_anything_trains(
    cluster: Cluster, folder: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    for name in ("cut", "torn"):
        root = write_squad(tmp_path / name)
        whole = (root / "train.json").read_bytes()
        (root / "train.json").write_bytes(whole[: len(whole) // 2])
        data = {"source": "squad", "root": str(root), "users": 40}
        write_sweep(folder, {"name": name, "task": "question-answering", "data": data})
    assert adaptune("study", folder, "--plan", "--home", home).code == 0
    call = adaptune("study", folder, "--home", home)
    assert call.code == 2 and not cluster.order and not call.out
    for name in ("cut", "torn"):
        assert f"{name}.yaml: {tmp_path / name / 'train.json'}:1: the file is cut off" in call.err, call.err
        write_squad(tmp_path / name)
    call = adaptune("study", folder, "--plan", "--home", home, "--json")
    assert call.document["done"] == 0 and call.document["to_run"] > 6


def test_a_failure_to_prepare_that_is_no_fault_of_the_data_costs_one_sweep(
    cluster: Cluster, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(settings: Any) -> Any:
        raise OSError("no space left on device")

    monkeypatch.setattr("tests.orchestrator.toy_form.read", fail)
    call = adaptune("study", folder, "--home", tmp_path / "home", "--json")
    assert call.code == 3 and cluster.order == ["tiny"]
    assert "no space left on device" in call.document["problems"]["guesses"]


def test_a_folder_without_sweeps_is_refused(tmp_path: Path) -> None:
    assert "has no sweep files" in adaptune("study", tmp_path).err
    assert "is no folder" in adaptune("study", tmp_path / "nowhere").err


def test_settings_are_written_over_every_file(cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    planned = adaptune("study", folder, "--plan", "--set", "seeds=[0, 1]", "--home", tmp_path, "--json")
    assert planned.document["trials"] == 12


def test_settings_may_be_meant_for_one_file(cluster: Cluster, folder: Path, tmp_path: Path) -> None:
    plan = ("study", folder, "--plan", "--home", tmp_path, "--json")
    planned = adaptune(*plan, "--set", "tiny:training.epochs=3", "--set", "guesses:seeds=[0, 1]").document
    trials, epochs = zip(*((one["trials"], one["epochs"]) for one in planned["sweeps"]), strict=True)
    assert (trials, epochs[1]) == ((8, 2), 6)
    call = adaptune(*plan, "--set", "tin:training.epochs=3")
    assert call.code == 2 and "there is no tin.yaml in the folder; did you mean 'tiny'?" in call.err


@pytest.mark.xdist_group("ray")
def test_two_sweeps_share_one_ray(tmp_path: Path) -> None:
    folder = tmp_path / "both"
    folder.mkdir()
    for number in (1, 2):
        write_sweep(folder, {**SMALL, "name": f"sweep-{number}", "seeds": [number]})
    call = end(start("study", folder, "--home", tmp_path / "home", "--json"))
    assert call.code == 0, call.err
    assert [sweep["finished"] for sweep in call.document["sweeps"]] == [2, 2]
    for number in (1, 2):
        compared = adaptune("compare", f"sweep-{number}", "--home", tmp_path / "home", "--json")
        assert compared.document["seeds"] == [number]
