"""Searches from the file to the report: what is tried, stopped, chosen and resumed."""

from pathlib import Path
from typing import Any

import pytest

from orchestrator.planning.plan import BASELINE_GRID, FINAL, GRID, MODEL, SEEDS
from tests.orchestrator.conftest import TINY
from tests.orchestrator.sweeping import Json, adaptune, ledger_of, results, without_ray, write_sweep

pytestmark = pytest.mark.xdist_group("search")

RATE = "training.learning_rate"
SPACE: Json = {RATE: {"log_uniform": [1e-3, 3e-2]}}
RANDOM: Json = {
    **TINY,
    "grid": {},
    "training": {"batch_size": 8, "epochs": 1},
    "search": {"method": "random", "trials": 3, "space": SPACE},
    "controls": [],
    "ablations": {},
}
OPTUNA: Json = {
    **RANDOM,
    "training": {"batch_size": 8, "epochs": 3},
    "search": {"method": "optuna", "trials": 5, "batch": 2, "space": SPACE},
    "stop": {"method": "asha", "reduction_factor": 2},
}


def states(home: Path, phase: str) -> list[tuple[str, Any, int, str]]:
    """Row, learning rate, seed and state of a phase's trials, in their order."""
    ledger = ledger_of(home)
    rows = ledger.trials()
    members = ledger.members("tiny", phase)
    return [(each.name, each.point[RATE], each.seed, rows[each.trial_id].state) for each in members]


def test_a_random_search_tries_one_seed_runs_the_winner_with_all_and_can_be_extended(tmp_path: Path) -> None:
    sweep, home = write_sweep(tmp_path, RANDOM), tmp_path / "home"
    with without_ray():
        call = adaptune("run", sweep, "--home", home, "--json")
        assert (call.code, call.document["finished"], call.document["skipped"]) == (0, 8, 0), call.err
        again = adaptune("run", sweep, "--home", home, "--json")
        assert (again.document["finished"], again.document["skipped"]) == (0, 8)
        before = states(home, GRID)
        longer = ("--set", "search.trials=4")
        planned = adaptune("plan", sweep, "--home", home, "--json", *longer).document
        assert planned["to_run"] == 2 + 2, (
            "two new points, and the other seeds of a choice that is open again"
        )
        extended = adaptune("run", sweep, "--home", home, "--json", *longer).document
    assert states(home, GRID)[:3] == before and len(states(home, GRID)) == 4
    assert {state[2:] for state in before} == {(0, "finished")}
    assert {(name, seed) for name, _, seed, _ in states(home, SEEDS)} == {("model", 1), ("baseline", 1)}
    best = extended["best"]["point"][RATE]
    final = [member for member in ledger_of(home).members("tiny", FINAL) if member.name == MODEL]
    assert [(member.point[RATE], member.seed) for member in final] == [(best, 0), (best, 1)]
    compared = adaptune("compare", "tiny", "--home", home, "--json").document
    assert compared["seeds"] == [0, 1]
    page = Path(adaptune("report", "tiny", "--home", home, "--json").document["report"]).read_text()
    assert "4 random points, seed 0; tried with seed 0, the best one trained with all" in page


@pytest.mark.slow
def test_an_interrupted_search_with_stopping_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    sweep, whole, cut = write_sweep(tmp_path, OPTUNA), tmp_path / "whole", tmp_path / "cut"
    with without_ray():
        call = adaptune("run", sweep, "--home", whole, "--json")
    assert call.code == 0, call.err
    for epochs in (5, 7):
        with without_ray(stop_after=epochs):
            assert adaptune("run", sweep, "--home", cut).code == 130
    listed = adaptune("status", "tiny", "--home", cut).out
    assert "of 5 points are suggested so far" in listed
    with without_ray():
        resumed = adaptune("run", sweep, "--home", cut, "--json")
    for phase in (GRID, BASELINE_GRID, SEEDS):
        assert states(cut, phase) == states(whole, phase)
    assert results(cut) == results(whole)
    assert resumed.document["best"] == call.document["best"]

    tried = states(whole, GRID) + states(whole, BASELINE_GRID)
    stopped = [state for state in tried if state[3] == "stopped"]
    assert len(tried) == 10 and 0 < len(stopped) < 10
    assert call.document["failed"] == 0 and call.document["stopped_early"] == len(stopped)
    assert call.document["best"]["metrics"] and {state[3] for state in states(whole, SEEDS)} == {"finished"}
    assert "stopped after 1" in adaptune("status", "tiny", "--home", whole).out
    with without_ray():
        again = adaptune("run", sweep, "--home", whole, "--json").document
        assert (again["finished"], again["stopped_early"], again["skipped"]) == (0, 0, 12)
    plain = {key: value for key, value in OPTUNA.items() if key != "stop"}
    planned = adaptune("plan", write_sweep(tmp_path, plain), "--home", whole, "--json").document
    assert planned["to_run"] >= len(stopped), "a sweep without the rule trains to the end what it stopped"
