import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.errors import AdaptuneError
from components.tasks import TASKS
from orchestrator.planning.plan import PlannedTrial, Planner, choose, make_plan, standing
from orchestrator.planning.stages import role_of
from orchestrator.records.ledger import Ledger, TrialRow
from orchestrator.spec.load import load_sweep
from orchestrator.spec.sweep import SweepSpec
from tests.orchestrator.conftest import tiny_spec


def row(trial: PlannedTrial, **values: Any) -> TrialRow:
    known = dict.fromkeys(TrialRow.__dataclass_fields__)
    known |= {"id": trial.id, "run_id": trial.run_id, "state": "finished", "attempts": 0, "validity": "now"}
    return TrialRow(**(known | values))


def record(ledger: Ledger, trial: PlannedTrial, **values: Any) -> None:
    ledger.record_trial(
        trial.id,
        run_id=trial.run_id,
        task="recommendation",
        config={},
        data_digest="d",
        seed=trial.seed,
        epochs=trial.epochs,
        **{"state": "finished", "attempts": 0, **values},
    )


def test_phases_count_trials_runs_and_shared_epochs(spec: SweepSpec) -> None:
    document = make_plan(spec, None).to_json()
    assert [phase["name"] for phase in document["phases"]] == ["grid", "baseline-grid", "ablations"]
    grid = document["phases"][0]
    assert (grid["trials"], grid["runs"]) == (8, 4)
    assert (grid["epochs"], grid["epochs_without_sharing"]) == (8, 12)
    assert document["trials"] == document["to_run"] == 18
    assert document["epochs"] == 8 + 8 + 4


@pytest.mark.parametrize(
    ("task", "trials", "runs", "epochs"),
    [
        ("recommendation", 66, 42, 2100),
        ("question-answering", 69, 45, 2250),
        ("captioning", 69, 45, 2250),
    ],
)
def test_the_papers_grid_costs_600_epochs_instead_of_840(
    task: str, trials: int, runs: int, epochs: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ADAPTUNE_DATA", str(tmp_path))
    monkeypatch.setattr("orchestrator.planning.plan.data_digest", lambda settings, form: "digest")
    file = Path(f"sweeps/paper/{task}.yaml")
    spec = load_sweep(file)
    plan = make_plan(spec, None)
    assert plan.phases[0].to_json() == {
        "name": "grid",
        "trials": 24,
        "runs": 12,
        "epochs": 600,
        "epochs_without_sharing": 840,
    }
    document = plan.to_json()
    assert document["trials"] == trials
    assert sum(phase["runs"] for phase in document["phases"]) == runs
    assert document["epochs"] == epochs
    cost = f"# Cost:     {trials} trials in {runs} training runs, {epochs:,} epochs at most"
    assert cost in file.read_text(encoding="utf-8")
    parts = {"no-history", "no-attention", "no-feedback", "no-profile"}
    assert parts | {"no-attention-modulation", "no-fusion-modulation", "baseline"} <= spec.ablations.keys()
    assert set(spec.controls) == set(TASKS[task].controls)
    roles = {name: role_of(spec, name) for name in ("model", *spec.ablations)}
    assert (roles["model"], roles["baseline"], roles["no-history"]) == ("model", "baseline", "ablation")
    assert roles.get("oracle") == ("oracle" if TASKS[task].told else None)


def test_the_settings_for_a_gpu_that_the_papers_files_name_exist(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ADAPTUNE_DATA", str(tmp_path))
    files = sorted(Path("sweeps/paper").glob("*.yaml"))
    for file in files:
        named = re.findall(r"--set '?([^\s']+)", file.read_text(encoding="utf-8"))
        load_sweep(file, named)
    assert len(files) == 3


def test_ten_thousand_trials_are_planned_in_under_three_seconds() -> None:
    grid = {
        "training.learning_rate": [0.001 + 0.0001 * step for step in range(50)],
        "training.weight_decay": [0.01 * step for step in range(10)],
        "model.dropout": [0.05 * step for step in range(10)],
    }
    spec = tiny_spec(grid=grid, seeds=[0], ablations={}, budget={"max_trials": 10_000})
    started = time.process_time()
    plan = make_plan(spec, None)
    assert time.process_time() - started < 3
    assert len(plan.standing) == 10_000
    plan.check_budget()


def test_a_plan_above_its_budget_is_refused() -> None:
    plan = make_plan(tiny_spec(budget={"max_trials": 17}), None)
    with pytest.raises(AdaptuneError, match=r"18 trials.*max_trials.*17"):
        plan.check_budget()


def test_ablations_wait_for_the_grid_and_then_stand_at_its_best_point(
    spec: SweepSpec, ledger: Ledger
) -> None:
    grid = Planner(spec).grid()
    assert make_plan(spec, ledger).phases[2].provisional
    for trial in grid.trials:
        best = trial.point == {"training.learning_rate": 0.003, "training.epochs": 1}
        record(ledger, trial, metrics={"accuracy": 0.8 if best else 0.7})
    ablations = make_plan(spec, ledger).phases[2]
    assert not ablations.provisional
    assert {trial.config.training.epochs for trial in ablations.trials} == {1}
    assert {trial.config.training.learning_rate for trial in ablations.trials} == {0.003}


def test_a_point_with_a_missing_seed_is_left_out_of_the_choice(spec: SweepSpec) -> None:
    trials = Planner(spec).grid().trials
    rows = {trial.id: row(trial, metrics={"accuracy": 0.5}) for trial in trials}
    lucky = trials[0]
    rows[lucky.id] = row(lucky, metrics={"accuracy": 0.99})
    partner = next(trial for trial in trials if trial.point == lucky.point and trial.seed != lucky.seed)
    assert choose(trials, rows, "accuracy", "max") == lucky.point
    rows[partner.id] = row(partner, state="failed", metrics=None)
    assert choose(trials, rows, "accuracy", "max") != lucky.point
    assert choose(trials, {}, "accuracy", "max") is None


def test_the_choice_follows_the_objectives_direction_and_prefers_fewer_epochs(spec: SweepSpec) -> None:
    trials = Planner(spec).grid().trials
    rows = {
        trial.id: row(trial, metrics={"log_loss": trial.config.training.learning_rate}) for trial in trials
    }
    assert choose(trials, rows, "log_loss", "min") == {"training.learning_rate": 0.003, "training.epochs": 1}
    assert choose(trials, rows, "log_loss", "max") == {"training.learning_rate": 0.01, "training.epochs": 1}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"state": "finished"}, "done"),
        ({"state": "finished", "validity": "old"}, "stale"),
        ({"state": "failed"}, "failed"),
        ({"state": "failed", "validity": "old"}, "to run"),
        ({"state": "running"}, "to run"),
        ({"state": "interrupted", "attempts": 3}, "to run"),
        ({"state": "interrupted", "attempts": 4}, "failed"),
        ({"state": "interrupted", "attempts": 4, "validity": "old"}, "to run"),
    ],
)
def test_what_a_ledger_row_means(values: dict[str, Any], expected: str) -> None:
    assert standing(row(SimpleNamespace(id="t", run_id="r"), **values), "now", 3) == expected


def test_an_unknown_trial_is_to_run() -> None:
    assert standing(None, "now", 3) == "to run"
