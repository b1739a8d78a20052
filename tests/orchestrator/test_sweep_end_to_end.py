"""Every command on one finished sweep: what it prints, as text and as JSON, and how it exits."""

import os
import re
import resource
import shutil
from numbers import Real
from pathlib import Path
from typing import Any

import pytest

from components.tasks import TASKS
from orchestrator import Sweep
from orchestrator.records.workspace import read_json
from tests.orchestrator.conftest import TINY, Finished
from tests.orchestrator.report.test_report import Page
from tests.orchestrator.sweeping import Json, adaptune, end, ledger_of, start, write_sweep

pytestmark = pytest.mark.xdist_group("ray")

TRIALS = 18


def shape(document: Any) -> Any:
    """Names and types of a JSON document; numbers are one type, a list is known by its first element."""
    if isinstance(document, dict):
        return {name: shape(value) for name, value in document.items()}
    if isinstance(document, list):
        return [shape(document[0])] if document else []
    return Real if isinstance(document, Real) and not isinstance(document, bool) else type(document)


def test_tests_of_a_group_run_in_one_process(request: pytest.FixtureRequest) -> None:
    assert "PYTEST_XDIST_WORKER" not in os.environ or request.node.nodeid.endswith("@ray")


def test_run_reports_what_it_did_and_leaves_no_process(finished: Finished) -> None:
    document = finished.call.document
    counts = ["finished", "stopped_early", "failed", "skipped"]
    assert list(document)[:7] == ["sweep", *counts, "best", "wall_seconds"]
    assert (document["sweep"], document["finished"]) == ("tiny", TRIALS)
    assert [document[name] for name in counts[1:]] == [0, 0, 0]
    assert document["best"]["trial"] and document["best"]["metrics"]["accuracy"] > 0
    assert document["wall_seconds"] > 0 and not document["stopped"] and not document["mirror_problems"]
    assert "epochs of training ahead" in finished.call.err
    assert finished.left_running == []


def test_the_second_run_does_nothing_and_starts_no_ray(finished: Finished, no_ray: None) -> None:
    before = {path: path.stat().st_mtime_ns for path in (finished.home / "trials").rglob("*")}
    looks = ledger_of(finished.home).test_looks(adaptune_digest(finished))
    call = adaptune("run", finished.sweep, "--home", finished.home)
    assert (call.code, call.out.splitlines()[0]) == (0, f"tiny: nothing to do, all {TRIALS} trials are done")
    document = adaptune("run", finished.sweep, "--home", finished.home, "--json").document
    assert (document["finished"], document["failed"], document["skipped"]) == (0, 0, TRIALS)
    assert document["best"] == finished.call.document["best"]
    assert {path: path.stat().st_mtime_ns for path in (finished.home / "trials").rglob("*")} == before
    assert ledger_of(finished.home).test_looks(adaptune_digest(finished)) == looks


def adaptune_digest(finished: Finished) -> str:
    return next(iter(ledger_of(finished.home).trials().values())).data_digest


def test_the_second_run_is_over_at_once(finished: Finished) -> None:
    before = cpu_seconds()
    call = end(start("run", finished.sweep, "--home", finished.home, "--json"))
    assert call.code == 0 and call.document["skipped"] == TRIALS
    assert cpu_seconds() - before < 5


def cpu_seconds() -> float:
    """Processor time of this process's children that have ended, which a busy machine does not stretch much."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_a_plan_tells_phases_and_what_is_done(finished: Finished, tmp_path: Path) -> None:
    phase = {"name": str, "trials": Real, "runs": Real, "epochs": Real, "epochs_without_sharing": Real}
    expected = dict.fromkeys(("trials", "done", "stale", "to_run", "epochs", "epochs_without_sharing"), Real)
    call = adaptune("plan", finished.sweep, "--home", finished.home, "--json")
    found = shape(call.document)
    assert call.code == 0 and {name: found[name] for name in expected} == expected
    assert (found["sweep"], found["task"], found["phases"]) == (str, str, [phase])
    assert [phase["name"] for phase in call.document["phases"]] == ["grid", "baseline-grid", "ablations"]
    assert (call.document["done"], call.document["to_run"], call.document["epochs_to_run"]) == (TRIALS, 0, 0)
    assert call.document["seconds_per_epoch"] > 0
    assert f"{TRIALS} done" in adaptune("plan", finished.sweep, "--home", finished.home).out
    fresh = adaptune("plan", finished.sweep, "--home", tmp_path / "fresh", "--json").document
    assert (fresh["done"], fresh["to_run"]) == (0, TRIALS)
    assert not (tmp_path / "fresh").exists(), "a plan changes nothing"


def test_ten_thousand_trials_are_planned_by_the_command_in_little_more_time_than_a_handful(
    tmp_path: Path,
) -> None:
    grid = {
        "training.learning_rate": [0.001 + 0.0001 * step for step in range(50)],
        "training.weight_decay": [0.01 * step for step in range(10)],
        "model.dropout": [0.05 * step for step in range(10)],
    }
    large = {**TINY, "grid": grid, "seeds": [0], "ablations": {}, "budget": {"max_trials": 10_000}}
    (tmp_path / "small").mkdir()
    files = {TRIALS: write_sweep(tmp_path / "small", TINY), 10_000: write_sweep(tmp_path, large)}
    # A handful takes what starting the command takes, .85 s where ten thousand may take 3; both are slower where
    # the machine is.
    times = []
    for _ in range(3):
        seconds = {}
        for trials, sweep in files.items():
            before = cpu_seconds()
            call = end(start("plan", sweep, "--home", tmp_path / "home", "--json"))
            seconds[trials] = cpu_seconds() - before
            assert call.document["trials"] == trials, call.err
        times.append(seconds[10_000] / seconds[TRIALS])
        if times[-1] < 3.5:
            break
    assert min(times) < 3.5


def test_status_and_show_tell_of_sweeps_and_trials(finished: Finished) -> None:
    [line] = adaptune("status", "--home", finished.home, "--json").document["sweeps"]
    assert (line["sweep"], line["running"], line["trials"]) == ("tiny", False, {"finished": TRIALS})
    assert line["failed_trials"] == line["working"] == [] and line["epochs_done"] == line["epochs"] > 0
    assert line["best"] > 0 and line["seconds_left"] is None
    assert "tiny" in adaptune("status", "--home", finished.home).out
    assert "tiny" in adaptune("status", "--watch", "--home", finished.home).out, (
        "nothing runs: it ends at once"
    )
    refused = adaptune("status", "--watch", "--json", "--home", finished.home)
    assert refused.code == 2 and "--json" in refused.err
    trials = adaptune("status", "tiny", "--home", finished.home, "--json").document["trials"]
    assert {trial["state"] for trial in trials} == {"finished"}
    assert finished.call.document["best"]["trial"] in {trial["trial"] for trial in trials if trial["chosen"]}
    assert trials[0]["trial"] in adaptune("status", "tiny", "--home", finished.home).out
    trial = finished.call.document["best"]["trial"]
    document = adaptune("show", trial[:8], "--home", finished.home, "--json").document
    assert (document["id"], document["state"], document["cause"]) == (trial, "finished", None)
    chosen = finished.call.document["best"]["point"]["training.epochs"]
    assert document["config"]["training"]["epochs"] == chosen and document["metrics"]["accuracy"] > 0
    assert f"epoch {chosen}:" in document["log"]
    assert "accuracy" in adaptune("show", trial, "--home", finished.home).out


def test_a_comparison_has_every_row_with_its_intervals(finished: Finished) -> None:
    call = adaptune("compare", finished.sweep, "--home", finished.home, "--json")
    document = call.document
    assert call.code == 0 and call.err == ""
    assert (document["sweep"], document["task"]) == ("tiny", "recommendation")
    assert document["objective"] == {"metric": "accuracy", "mode": "max"}
    assert (document["unit"], document["seeds"]) == ("user", [0, 1])
    assert document["test_looks"] >= 8
    rows = {row["name"]: row for row in document["rows"]}
    roles = {name: row["role"] for name, row in rows.items()}
    assert {"model": "model", "baseline": "baseline", "no-attention": "ablation"}.items() <= roles.items()
    assert roles["shuffled-users"] == "control" and roles["item-bias"] == roles["oracle"] == "trivial"
    assert shape(rows["model"]["metrics"]["accuracy"]) == {"mean": Real, "low": Real, "high": Real}
    numbers = ("difference", "low", "high", "p_value", "p_adjusted", "effect_size", "detectable")
    assert shape(rows["model"]["against_baseline"]["accuracy"]) == dict.fromkeys(numbers, Real)
    assert rows["model"]["users"] == rows["baseline"]["users"] > 0
    assert rows["model"]["parameters"] > rows["baseline"]["parameters"] > 0
    assert "no-attention" in adaptune("compare", "tiny", "--home", finished.home).out


def test_a_report_is_one_page(finished: Finished, tmp_path: Path) -> None:
    call = adaptune("report", finished.sweep, "--home", finished.home, "--out", tmp_path / "a.html", "--json")
    assert (call.code, call.document) == (0, {"sweep": "tiny", "report": str(tmp_path / "a.html")})
    page = (tmp_path / "a.html").read_text()
    assert "no-attention" in page and not re.search(r"(src|href)=.https?:", page)


def test_a_report_says_what_each_training_took_and_shows_what_was_promoted(
    finished: Finished, tmp_path: Path
) -> None:
    home = finished.copy(tmp_path)
    results = [read_json(path) for path in (home / "trials").glob("[!.]*/result.json")]
    assert len(results) >= TRIALS
    assert all(result["cpu_seconds"] > 0 and result["peak_memory"] > 50e6 for result in results)
    assert adaptune("promote", "tiny", "--home", home).code == 0
    page = Page(Path(adaptune("report", "tiny", "--home", home, "--json").document["report"]).read_text())
    text = " ".join(" ".join(page.text).split())
    assert "of processor time" in text and "evaluation" in text
    assert "recommendation/1 champion" in text and "Not the present winner" not in text
    assert "None: the sweep file asks for nothing before a promotion" in text
    assert "How much each setting matters, model" in text


def test_a_report_of_several_sweeps_is_of_all_that_are_named_or_says_of_which_it_cannot_be(
    finished: Finished, tmp_path: Path
) -> None:
    home = finished.copy(tmp_path)
    call = adaptune("report", "tiny", "nowhere", "tiny", "--home", home)
    assert call.code == 2 and not (home / "reports" / "study-tiny-nowhere.html").exists()
    assert "no report was written\nthe sweep 'nowhere' has not been run in this home folder" in call.err
    folder = tmp_path / "sweeps"
    folder.mkdir()
    shutil.copy(finished.sweep, folder / "tiny.yaml")
    write_sweep(folder, {**TINY, "name": "later"})
    call = adaptune("report", folder, "--home", home, "--json")
    assert call.code == 0, call.err
    assert Path(call.document["report"]).name == "study-sweeps.html"
    assert "has not been run in this home folder" in call.document["unfinished"]["later"]
    assert call.document["side_by_side"] == []
    call = adaptune("report", finished.sweep.parent, "tiny", "--home", finished.home)
    assert call.code == 2 and "is a folder: name it alone, or name sweeps" in call.err


def test_a_report_is_mirrored_beside_the_trials_the_newest_alone(finished: Finished, tmp_path: Path) -> None:
    import wandb

    from tests.orchestrator.wandb_file import read_runs

    for name in ("first.html", "our report.html"):
        adaptune("report", finished.sweep, "--home", finished.home, "--out", tmp_path / name)
    wandb.teardown()  # ends W&B's service, which may still be writing
    [run] = read_runs(finished.home / "wandb")["report-tiny"]
    assert (run.group, run.job_type, run.tags, run.exit_code) == ("tiny", "report", ["recommendation"], 0)
    assert run.artifacts == {"report-tiny": "report"}
    [file] = (finished.home / "wandb").glob("*run-*/run-report-tiny.wandb")
    shown = file.parent / "files" / run.summary["report"]["path"]
    assert shown.read_text() == (tmp_path / "our report.html").read_text()


def test_a_report_that_cannot_be_mirrored_is_written_all_the_same(finished: Finished, tmp_path: Path) -> None:
    home = finished.copy(tmp_path)
    shutil.rmtree(home / "wandb")
    (home / "wandb").write_text("a file stands where the folder should be")
    call = adaptune("report", finished.sweep, "--home", home, "--out", tmp_path / "a.html")
    assert call.code == 0 and (tmp_path / "a.html").exists()
    assert "not mirrored to Weights & Biases: nothing is mirrored" in call.err


def test_the_winner_is_promoted_and_listed(finished: Finished, tmp_path: Path) -> None:
    home = finished.copy(tmp_path)
    assert adaptune("models", "--home", home, "--json").document == {"models": []}
    call = adaptune("promote", finished.sweep, "--home", home, "--json")
    assert (call.code, call.document) == (
        0, {"version": "recommendation/1", "alias": "champion", "gates": []}
    )  # fmt: skip
    again = adaptune("promote", "tiny", "--home", home, "--alias", "second", "--json").document
    assert again["version"] == "recommendation/1", "the same model is the same version"
    [model] = adaptune("models", "--home", home, "--json").document["models"]
    assert (model["name"], sorted(model["aliases"])) == ("recommendation/1", ["champion", "second"])
    assert model["provenance"]["trial"] == finished.call.document["best"]["trial"]


@pytest.mark.parametrize("bounds", [{"min": 0.999}, {"max_p_value": 1e-9}])
def test_a_gate_that_refuses_moves_no_alias(
    bounds: Json, finished: Finished, tmp_path: Path, no_ray: None
) -> None:
    home = finished.copy(tmp_path)
    gates = {"gates": [{"metric": "accuracy", **bounds}]}
    sweep = write_sweep(tmp_path, {**TINY, "promote": gates})
    early = adaptune("promote", sweep, "--home", finished.copy(tmp_path / "early"))
    assert "has other gates under `promote` than tiny was last run with" in " ".join(early.err.split())
    assert adaptune("run", sweep, "--home", home).code == 0
    call = adaptune("promote", sweep, "--home", home, "--json")
    assert (call.code, call.document["version"], call.document["alias"]) == (4, None, None)
    assert [verdict["passed"] for verdict in call.document["gates"]] == [False]
    assert adaptune("models", "--home", home, "--json").document == {"models": []}
    assert "a gate refused" in adaptune("promote", sweep, "--home", home).out


def test_an_objective_that_the_data_does_not_let_be_measured_is_named(
    finished: Finished, tmp_path: Path, no_ray: None
) -> None:
    home = finished.copy(tmp_path)
    measured = next(row.metrics or {} for row in ledger_of(home).trials().values())
    metric = next(name for name in TASKS["recommendation"].metrics if name not in measured)
    sweep = write_sweep(tmp_path, {**TINY, "objective": {"metric": metric}})
    for command in ("run", "compare", "promote"):
        call = adaptune(command, sweep, "--home", home)
        assert call.code == 2, command
        assert f"no trained trial has a value of `objective.metric` {metric}" in " ".join(call.err.split())
        assert "Take one of accuracy, auc" in " ".join(call.err.split())


def test_garbage_collection_keeps_what_the_comparison_stands_on(finished: Finished, tmp_path: Path) -> None:
    home = finished.copy(tmp_path)
    leftover = home / "trials" / f".{'a' * 12}.{'b' * 32}"
    leftover.mkdir()
    (home / "trials" / ".somebodys").mkdir()
    compared = adaptune("compare", "tiny", "--home", home).out
    said = adaptune("gc", "--dry-run", "--home", home, "--json").document
    assert said["dry_run"] and said["leftovers"] == 1 and leftover.exists()
    done = adaptune("gc", "--home", home, "--json").document
    assert {**said, "dry_run": False} == done
    assert (done["runs"], done["models"]) == (10, TRIALS - 6) and done["bytes"] > 0
    assert not leftover.exists() and (home / "trials" / ".somebodys").exists()
    assert adaptune("compare", "tiny", "--home", home).out == compared
    assert adaptune("promote", "tiny", "--home", home).code == 0
    assert adaptune("gc", "--home", home, "--json").document["bytes"] == 0


def test_a_notebook_gets_objects_and_frames(finished: Finished, no_ray: None) -> None:
    sweep = Sweep.load(finished.sweep, home=finished.home)
    assert sweep.plan().count("done") == TRIALS
    assert sweep.run().skipped == TRIALS
    frame = sweep.compare().frame()
    assert {"model", "baseline", "oracle"} <= set(frame["row"])
    trials = sweep.trials()
    assert set(trials["state"]) == {"finished"} and trials["accuracy"].notna().sum() >= TRIALS
    changed = Sweep.load(finished.sweep, ["training.weight_decay=0.5"], home=finished.home)
    assert changed.plan().count("to run") == TRIALS


def test_the_ledger_can_be_elsewhere(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_ray: None
) -> None:
    home = finished.copy(tmp_path)
    monkeypatch.setenv("ADAPTUNE_LEDGER", f"sqlite:///{tmp_path / 'team' / 'ledger.db'}")
    assert adaptune("plan", finished.sweep, "--home", home, "--json").document["done"] == 0
    assert adaptune("status", "--home", home).code == 2
    (tmp_path / "team").mkdir()
    for path in home.glob("ledger.db*"):
        path.rename(tmp_path / "team" / path.name)
    assert adaptune("run", finished.sweep, "--home", home, "--json").document["skipped"] == TRIALS
    assert adaptune("compare", finished.sweep, "--home", home).code == 0
    assert not (home / "ledger.db").exists()


def test_each_trial_is_mirrored_with_config_group_and_steps(finished: Finished) -> None:
    from tests.orchestrator.wandb_file import read_runs

    runs = read_runs(finished.home / "wandb")
    runs.pop("report-tiny", None)
    trial = finished.call.document["best"]["trial"]
    [run] = runs[trial]
    assert len(runs) == TRIALS, "what adds the test part goes on with the trial's run"
    assert (run.group, run.job_type, run.exit_code) == ("tiny", "model", 0)
    assert run.config["training"] == read_json(finished.home / "trials" / trial / "config.json")["training"]
    curve = read_json(finished.home / "trials" / trial / "curve.json")
    assert run.history == {point["epoch"]: point["metrics"] | {"epoch": point["epoch"]} for point in curve}
    assert run.summary["accuracy"] == finished.call.document["best"]["metrics"]["accuracy"]
    tested = read_json(finished.home / "trials" / trial / "test.json")["metrics"]
    assert {name: run.summary[f"test/{name}"] for name in tested} == tested
    [folder] = (finished.home / "wandb").glob(f"*run-*{trial}-*")
    slices = read_json(folder / "files" / run.summary["slices"]["path"])
    assert slices["columns"][:4] == ["part", "group", "history", "units"]
    assert {row[0] for row in slices["data"]} == {"validation", "test"}
    other = next(runs[one][0] for one in runs if not (finished.home / "trials" / one / "test.json").exists())
    assert "slices" in other.summary and not any(name.startswith("test/") for name in other.summary)
