"""What a run makes of trials that fail, have become stale, are damaged, or no longer win."""

import csv
import json
import os
import shutil
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest

from components.metrics.rows import FULL_HISTORY, read_rows, write_rows
from orchestrator.planning.identity import validity
from orchestrator.planning.plan import FINAL, MODEL
from orchestrator.records.ledger import Member
from orchestrator.records.workspace import Workspace, read_json
from tests.orchestrator.conftest import TINY, Finished
from tests.orchestrator.sweeping import (
    Call,
    Json,
    adaptune,
    edit_json,
    edit_ledger,
    end,
    ledger_of,
    results,
    start,
    without_ray,
    write_sweep,
)

pytestmark = pytest.mark.xdist_group("ray")

TRIALS = 18
SMALL: Json = {**TINY, "grid": {}, "seeds": [0], "ablations": {}, "training": {"epochs": 1, "batch_size": 8}}
NEVER = 1e38
"""A weight decay that no training survives."""


@dataclass(frozen=True)
class Troubled:
    """A sweep in which not all went well, and how its run ended."""

    sweep: Path
    home: Path
    call: Call


def not_chosen(home: Path, phase: str) -> list[Member]:
    """The members of a grid that are not in the comparison."""
    final = {member.trial_id for member in ledger_of(home).members("tiny", FINAL)}
    return [member for member in ledger_of(home).members("tiny", phase) if member.trial_id not in final]


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory, local_ray: None) -> Troubled:
    """A sweep half of whose trials diverge, and whose mirror cannot be written."""
    folder = tmp_path_factory.mktemp("troubled")
    (folder / "home").mkdir()
    (folder / "home" / "wandb").write_text("in the way")
    values = {**SMALL, "grid": {"training.weight_decay": [0.01, NEVER]}, "tracking": {"enabled": True}}
    sweep = write_sweep(folder, values)
    with mock.patch("orchestrator.running.cluster.ray_cluster", lambda address, home: nullcontext()):
        return Troubled(sweep, folder / "home", adaptune("run", sweep, "--home", folder / "home", "--json"))


def test_trials_that_diverge_fail_and_the_others_go_on(troubled: Troubled) -> None:
    call, home = troubled.call, troubled.home
    assert (call.code, call.document["finished"], call.document["failed"]) == (3, 2, 2), call.err
    assert "failed" in call.err and "diverged" in call.err
    [trial, _] = call.document["failures"]
    assert "training diverged: its loss in epoch 1 is nan" in call.document["failures"][trial]
    [line] = adaptune("status", "--home", home, "--json").document["sweeps"]
    assert line["trials"] == {"finished": 2, "failed": 2} and trial in line["failed_trials"]
    compared = adaptune("compare", troubled.sweep, "--home", home)
    assert compared.code == 0, "the point without failures was chosen"


def test_a_failed_trial_shows_its_cause_traceback_and_log(troubled: Troubled) -> None:
    trial = next(iter(troubled.call.document["failures"]))
    shown = adaptune("show", trial, "--home", troubled.home, "--json").document
    assert shown["state"] == "failed" and shown["metrics"] is None
    assert shown["cause"].startswith("Traceback") and "DivergedError" in shown["cause"]
    assert "training run" in shown["log"]
    assert "DivergedError" in adaptune("show", trial, "--home", troubled.home).out


def test_failed_trials_are_not_repeated_unasked(troubled: Troubled, no_ray: None) -> None:
    assert adaptune("plan", troubled.sweep, "--home", troubled.home, "--json").document["failed"] == 2
    again = adaptune("run", troubled.sweep, "--home", troubled.home, "--json")
    counts = (again.document["finished"], again.document["failed"], again.document["skipped"])
    assert (again.code, counts) == (3, (0, 2, 2))
    assert again.document["failures"] == troubled.call.document["failures"]
    assert "--retry-failed" in adaptune("run", troubled.sweep, "--home", troubled.home).out


def test_a_mirror_that_cannot_be_written_costs_nothing_but_itself(troubled: Troubled) -> None:
    assert troubled.call.document["finished"] == 2
    [problem] = troubled.call.document["mirror_problems"]
    assert "nothing is mirrored" in problem


def test_a_failed_trial_that_is_retried_can_finish(
    finished: Finished, tmp_path: Path, warm_ray: None
) -> None:
    home = finished.copy(tmp_path)
    trial = not_chosen(home, "baseline-grid")[0].trial_id
    edit_ledger(home, "UPDATE trials SET state = 'failed', cause = 'bad luck' WHERE id = :trial", trial=trial)
    before = (home / "trials" / trial / "result.json").stat().st_mtime_ns
    assert adaptune("run", finished.sweep, "--home", home, "--json").document["failures"] == {
        trial: "bad luck"
    }
    assert (home / "trials" / trial / "result.json").stat().st_mtime_ns == before
    call = adaptune("run", finished.sweep, "--home", home, "--retry-failed", "--json")
    assert (call.code, call.document["finished"], call.document["failed"]) == (0, 1, 0), call.err
    assert results(home) == results(finished.home)


def test_stale_trials_are_shown_kept_or_redone(finished: Finished, tmp_path: Path, warm_ray: None) -> None:
    home = finished.copy(tmp_path)
    trial = not_chosen(home, "grid")[0].trial_id
    edit_ledger(home, "UPDATE trials SET validity = 'older code' WHERE id = :trial", trial=trial)
    result = home / "trials" / trial / "result.json"
    edit_json(result, validity="older code")
    planned = adaptune("plan", finished.sweep, "--home", home, "--json").document
    assert (planned["done"], planned["stale"], planned["to_run"]) == (TRIALS - 1, 1, 1)
    kept = adaptune("run", finished.sweep, "--home", home, "--accept-stale", "--json").document
    assert (kept["finished"], kept["skipped"]) == (0, TRIALS)
    assert read_json(result)["validity"] == "older code"
    redone = adaptune("run", finished.sweep, "--home", home, "--json").document
    assert (redone["finished"], redone["skipped"]) == (1, TRIALS - 1)
    assert read_json(result)["validity"] == validity("recommendation")
    assert results(home) == results(finished.home)


def test_another_winner_supersedes_the_rows_of_the_one_before(
    finished: Finished, tmp_path: Path, warm_ray: None
) -> None:
    home = finished.copy(tmp_path)
    winner = finished.call.document["best"]["point"]["training.learning_rate"]
    other = next(rate for rate in TINY["grid"]["training.learning_rate"] if rate != winner)
    grid = {**TINY["grid"], "training.learning_rate": [other]}
    looks = ledger_of(home).evaluations("test")
    sweep = write_sweep(tmp_path, {**TINY, "grid": grid})
    call = adaptune("run", sweep, "--home", home, "--json")
    assert call.document["best"]["point"]["training.learning_rate"] == other, call.err
    assert call.document["finished"] == 2, "only the ablation at the new point was left to train"
    extended = adaptune("run", finished.sweep, "--home", home, "--json").document
    assert (extended["finished"], extended["skipped"]) == (0, TRIALS)
    assert extended["best"] == finished.call.document["best"]
    ledger = ledger_of(home)
    models = [member for member in ledger.members("tiny", FINAL, superseded=True) if member.name == MODEL]
    assert {(member.point["training.learning_rate"], member.superseded) for member in models} == {
        (winner, False),
        (other, True),
    }
    evaluated = ledger.evaluations("test")
    assert looks.items() < evaluated.items()
    superseded = [member.trial_id for member in models if member.superseded]
    assert all((home / "trials" / trial / "test.arrow").exists() for trial in superseded)


def test_what_was_deleted_or_damaged_is_trained_again_to_the_same_end(
    finished: Finished, tmp_path: Path, warm_ray: None
) -> None:
    home = finished.copy(tmp_path)
    ledger, workspace = ledger_of(home), Workspace(home)
    models = [member.trial_id for member in ledger.members("tiny", FINAL) if member.name == MODEL]
    os.truncate(workspace.trial(models[0]) / "result.json", 0)
    (workspace.trial(models[1]) / "model" / "model.safetensors").unlink()
    assert adaptune("plan", finished.sweep, "--home", home, "--json").document["to_run"] == len(models)
    rate = finished.call.document["best"]["point"]["training.learning_rate"]
    others = [member for member in not_chosen(home, "grid") if member.point["training.learning_rate"] != rate]
    first, second = [member for member in others if member.point["training.epochs"] == 2]
    runs = []
    for member in (first, second):  # as a driver and its worker leave them when they are killed
        row = ledger.trials([member.trial_id])[member.trial_id]
        edit_ledger(home, "UPDATE trials SET state = 'running' WHERE id = :trial", trial=row.id)
        shutil.rmtree(workspace.trial(row.id))
        runs.append(workspace.run(row.run_id, validity("recommendation")))
    (runs[0] / "curve.json").write_text(json.dumps(read_json(runs[0] / "curve.json")[:1]))
    os.truncate(runs[0] / "last.ckpt", 1000)
    os.truncate(runs[1] / "curve.json", 20)
    trivial = [workspace.trial(member.trial_id) for member in ledger.members("tiny", "trivial")]
    (trivial[0] / "test.arrow").unlink()
    os.truncate(trivial[1] / "validation.arrow", 100)
    refused = adaptune("compare", "tiny", "--home", home)
    assert refused.code == 2 and "never evaluated" in refused.err
    baseline = next(member.trial_id for member in ledger.members("tiny", FINAL) if member.name == "baseline")
    os.truncate(workspace.trial(baseline) / "test.arrow", 100)
    refused = adaptune("compare", "tiny", "--home", home)
    assert refused.code == 2 and "test.arrow: damaged" in refused.err and "run the sweep again" in refused.err

    call = adaptune("run", finished.sweep, "--home", home, "--json")
    assert (call.code, call.document["finished"]) == (0, 4), call.err
    assert results(home) == results(finished.home)
    assert adaptune("compare", "tiny", "--home", home).code == 0


def histories(home: Path, trial: str) -> set[int]:
    rows = read_rows(home / "trials" / trial / "validation.arrow")
    return set(rows["history"].to_pylist())


def without_slices(trial: Path) -> pa.Table:
    """Leave a trial as its training left it; return the rows that it had."""
    rows = read_rows(trial / "validation.arrow")
    whole = pa.array(np.asarray(rows["history"]) == FULL_HISTORY)
    write_rows(rows.filter(whole), trial / "validation.arrow")
    (trial / "validation.json").unlink(missing_ok=True)
    return rows


def test_slices_are_validated_for_what_is_compared_alone_and_again_where_they_are_gone(
    finished: Finished, tmp_path: Path, warm_ray: None
) -> None:
    home = finished.copy(tmp_path)
    compared = {member.trial_id for member in ledger_of(home).members("tiny", FINAL)}
    assert all(len(histories(home, trial)) > 1 for trial in compared)
    dropped = {member.trial_id for member in not_chosen(home, "grid")} - compared
    assert dropped and all(histories(home, trial) == {FULL_HISTORY} for trial in dropped)
    assert set(ledger_of(home).evaluations("validation")) >= {(trial, "") for trial in compared}
    trial = min(compared)
    folder, before = home / "trials" / trial, results(home)
    rows = without_slices(folder)
    call = adaptune("run", finished.sweep, "--home", home, "--json")
    assert (call.code, call.document["finished"]) == (0, 0), call.err
    assert read_rows(folder / "validation.arrow").equals(rows)
    assert results(home) == before


def test_rows_that_older_code_validated_itself_are_left_alone_where_they_are_accepted(
    finished: Finished, tmp_path: Path, warm_ray: None
) -> None:
    home = finished.copy(tmp_path)
    trial = next(m.trial_id for m in ledger_of(home).members("tiny", FINAL) if m.name == "no-attention")
    folder = home / "trials" / trial
    edit_ledger(home, "UPDATE trials SET validity = 'older code' WHERE id = :trial", trial=trial)
    edit_json(folder / "result.json", validity="older code")
    edit_ledger(home, "DELETE FROM evaluations WHERE trial_id = :trial AND part = 'validation'", trial=trial)
    (folder / "validation.json").unlink()
    accept = ("run", finished.sweep, "--home", home, "--accept-stale", "--json")
    assert adaptune(*accept).document["finished"] == 0
    assert not (folder / "validation.json").exists(), "nobody evaluated what has its slices"
    rows = without_slices(folder)
    call = adaptune(*accept)
    assert (call.code, call.document["finished"]) == (0, 0), call.err
    assert read_rows(folder / "validation.arrow").equals(rows)


def test_a_comparison_without_one_of_its_seeds_is_refused(finished: Finished, tmp_path: Path) -> None:
    home = finished.copy(tmp_path)
    second = next(m for m in ledger_of(home).members("tiny", FINAL) if m.name == MODEL and m.seed == 1)
    (home / "trials" / second.trial_id / "test.arrow").unlink()
    for command in ("compare", "report"):
        call = adaptune(command, "tiny", "--home", home, "--json")
        assert (call.code, call.out) == (2, "")
        assert "'model': no results of seed 1" in call.err


def test_a_comparison_says_which_of_its_trainings_failed_and_of_what(
    finished: Finished, tmp_path: Path
) -> None:
    home = finished.copy(tmp_path)
    lost = [member for member in ledger_of(home).members("tiny", FINAL) if member.name == "no-attention"]
    for member in lost:
        shutil.rmtree(home / "trials" / member.trial_id)
    failed = "UPDATE trials SET state = 'failed', cause = 'Traceback\nOSError: bad luck' WHERE id = :trial"
    edit_ledger(home, failed, trial=lost[0].trial_id)
    interrupted = "UPDATE trials SET state = 'interrupted', attempts = :attempts WHERE id = :trial"
    edit_ledger(home, interrupted, trial=lost[1].trial_id, attempts=3)
    call = adaptune("compare", "tiny", "--home", home)
    said = " ".join(call.err.split())
    first, second = (f"row 'no-attention': the training of seed {member.seed} failed" for member in lost)
    assert call.code == 2
    assert f"{first} (OSError: bad luck): run the sweep with --retry-failed" in said
    assert f"row 'no-attention': no results of seed {lost[1].seed}" in said, "it would run again by itself"
    edit_ledger(home, interrupted, trial=lost[1].trial_id, attempts=4)
    assert second in " ".join(adaptune("compare", "tiny", "--home", home).err.split())


def test_a_plan_counts_trials_without_files_that_only_now_are_compared(
    finished: Finished, tmp_path: Path
) -> None:
    home = finished.copy(tmp_path)
    winner = finished.call.document["best"]["point"]["training.learning_rate"]
    other = next(rate for rate in TINY["grid"]["training.learning_rate"] if rate != winner)
    sweep = write_sweep(tmp_path, {**TINY, "grid": {**TINY["grid"], "training.learning_rate": [other]}})
    before = adaptune("plan", sweep, "--home", home, "--json").document["to_run"]
    for member in not_chosen(home, "grid"):
        shutil.rmtree(home / "trials" / member.trial_id / "model", ignore_errors=True)
    after = adaptune("plan", sweep, "--home", home, "--json").document["to_run"]
    assert after == before + len(TINY["seeds"]), "those at the point that is chosen now"
    assert adaptune("plan", finished.sweep, "--home", home, "--json").document["to_run"] == 0


def test_a_file_about_another_task_is_not_taken_for_the_sweep_of_its_name(
    finished: Finished, tmp_path: Path
) -> None:
    other = write_sweep(tmp_path, {"name": "tiny", "task": "captioning", "data": {"source": "synthetic"}})
    for command in ("status", "compare", "report", "promote"):
        call = adaptune(command, other, "--home", finished.home)
        said = " ".join(call.err.split())
        assert call.code == 2 and "was last run as recommendation: give the file another name" in said, (
            command
        )


def test_a_run_that_is_refused_leaves_the_results_of_the_last(finished: Finished, tmp_path: Path) -> None:
    home = finished.copy(tmp_path)
    before = adaptune("compare", "tiny", "--home", home, "--json").document
    too_much = ("--set", "resources.cpu=100000", "--set", "training.batch_size=4")
    refused = end(start("run", finished.sweep, *too_much, "--home", home))  # starts a Ray of its own
    assert refused.code == 2 and "a trial gets 100,000 processor cores" in refused.err
    assert adaptune("compare", "tiny", "--home", home, "--json").document == before


def test_a_winner_whose_weights_are_gone_is_not_promoted(finished: Finished, tmp_path: Path) -> None:
    home = finished.copy(tmp_path)
    weights = home / "trials" / finished.call.document["best"]["trial"] / "model" / "model.safetensors"
    weights.unlink()
    call = adaptune("promote", "tiny", "--home", home)
    assert call.code == 2 and "gone or damaged" in call.err and "adaptune run" in call.err
    weights.write_bytes(b"garbage")
    call = adaptune("promote", "tiny", "--home", home)
    assert call.code == 2 and "gone or damaged" in call.err
    assert adaptune("models", "--home", home, "--json").document == {"models": []}


def test_a_winner_travels_with_the_data_that_it_was_trained_on(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = finished.copy(tmp_path)
    other = tmp_path / "other"
    monkeypatch.setattr(
        "orchestrator.release.promote.prepare", lambda *_: other
    )  # the source has changed since
    assert adaptune("promote", "tiny", "--home", home).code == 0
    shutil.rmtree(home / "data")
    call = adaptune("promote", "tiny", "--home", home, "--alias", "second")
    assert call.code == 2 and "the source gives other now" in call.err
    assert len(adaptune("models", "--home", home, "--json").document["models"]) == 1


def test_a_version_answers_for_many_users(finished: Finished, tmp_path: Path, warm_ray: None) -> None:
    home = finished.copy(tmp_path)
    assert adaptune("promote", "tiny", "--home", home).code == 0
    users, out = tmp_path / "users.csv", tmp_path / "out.csv"
    users.write_text("user\n1\nnobody\n")
    asked = adaptune(
        "predict",
        "recommendation/champion",
        "--users",
        users,
        "--out",
        out,
        "--k",
        "3",
        "--home",
        home,
        "--json",
    )
    assert asked.code == 0, asked.err
    with out.open() as file:
        assert asked.document["rows"] == len(list(csv.DictReader(file))) == 6


def test_a_home_that_is_a_file_is_refused(tmp_path: Path, no_ray: None) -> None:
    (tmp_path / "home").write_text("a file")
    call = adaptune("run", write_sweep(tmp_path, SMALL), "--home", tmp_path / "home")
    assert call.code == 2 and "cannot be the home folder" in call.err
    assert adaptune("status", "--home", tmp_path / "home").code == 2


def test_a_value_added_to_a_grid_runs_only_the_new_trials(tmp_path: Path) -> None:
    home = tmp_path / "home"
    small = {**SMALL, "grid": {"training.learning_rate": [0.01], "training.epochs": [1, 2]}}
    more = {**SMALL, "grid": {"training.learning_rate": [0.01, 0.003], "training.epochs": [1, 2, 3]}}
    with without_ray():
        first = adaptune("run", write_sweep(tmp_path, small), "--home", home, "--json").document
        written = {path: path.stat().st_mtime_ns for path in (home / "trials").glob("*/result.json")}
        second = adaptune("run", write_sweep(tmp_path, more), "--home", home, "--json").document
    assert (first["finished"], first["skipped"]) == (4, 0)
    assert (second["finished"], second["skipped"]) == (8, 4)
    assert all(path.stat().st_mtime_ns == time for path, time in written.items())
