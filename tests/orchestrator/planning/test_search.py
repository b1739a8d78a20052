"""The points of a search follow from the file, the seed and results, and from nothing else."""

import math
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import AdaptuneError
from orchestrator.planning.plan import Planner, make_plan
from orchestrator.planning.search import Tried, random_points, suggest
from orchestrator.records.ledger import Ledger, Stop
from orchestrator.spec.search import Distribution, OptunaSearch
from orchestrator.spec.sweep import SweepSpec
from tests.orchestrator.conftest import tiny_spec
from tests.orchestrator.planning.test_plan import record

RATE = "training.learning_rate"
SPACE = {
    RATE: Distribution(log_uniform=(1e-4, 1e-1)),
    "training.epochs": Distribution(int=(2, 5)),
    "training.batch_size": Distribution(log_int=(1, 64)),
    "model.dropout": Distribution(uniform=(0.0, 0.5)),
    "model.personalization": Distribution(choice=(None, {"hidden": 16})),
}
SEARCH: dict[str, Any] = {
    "method": "optuna",
    "trials": 8,
    "batch": 3,
    "space": {RATE: {"log_uniform": [1e-4, 1e-1]}, "model.dropout": {"uniform": [0, 0.5]}},
}


def searching(name: str = "tiny", **changes: Any) -> SweepSpec:
    return tiny_spec(name=name, grid={}, search={**SEARCH, **changes})


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**40))
def test_what_is_drawn_is_in_its_bounds_and_does_not_depend_on_what_else_is_drawn(seed: int) -> None:
    points = list(random_points(SPACE, 6, seed))
    for point in points:
        assert 1e-4 <= point[RATE] <= 1e-1 and float(f"{point[RATE]:.4g}") == point[RATE]
        assert point["training.epochs"] in range(2, 6) and point["training.batch_size"] in range(1, 65)
        assert 0 <= point["model.dropout"] <= 0.5
        assert point["model.personalization"] in (None, {"hidden": 16})
    assert list(random_points(SPACE, 9, seed))[:6] == points, "more trials only add"
    alone = random_points({RATE: SPACE[RATE]}, 6, seed)
    assert [point[RATE] for point in alone] == [point[RATE] for point in points]


def test_logarithmic_draws_are_spread_over_the_decades() -> None:
    points = list(random_points(SPACE, 3000, 0))
    for low in (1e-4, 1e-3, 1e-2):
        share = sum(low <= point[RATE] < 10 * low for point in points) / len(points)
        assert share == pytest.approx(1 / 3, abs=0.03)
    ones = sum(point["training.batch_size"] == 1 for point in points) / len(points)
    assert ones == pytest.approx(math.log(3) / math.log(129), abs=0.03)
    lasts = sum(point["training.epochs"] == 5 for point in points) / len(points)
    assert lasts == pytest.approx(1 / 4, abs=0.03)


def test_a_random_search_is_planned_whole_with_one_seed_and_the_others_for_the_winner_only() -> None:
    search = {"method": "random", "trials": 5, "space": SEARCH["space"]}
    spec = tiny_spec(grid={"training.epochs": [1, 2]}, search=search)
    document = make_plan(spec, None).to_json()
    counts = {phase["name"]: (phase["trials"], phase["runs"]) for phase in document["phases"]}
    assert counts == {"search": (10, 5), "baseline-search": (10, 5), "seeds": (2, 2), "ablations": (2, 2)}
    assert {trial.seed for trial in Planner(spec).grid().trials} == {0}


def test_a_baseline_without_a_searched_part_is_searched_over_the_rest() -> None:
    space = {**SEARCH["space"], "model.personalization.hidden": {"choice": [8, 16]}}
    spec = tiny_spec(grid={}, search={"method": "random", "trials": 4, "space": space})
    points = [trial.point for trial in Planner(spec).baseline_grid().trials]
    assert [set(point) for point in points] == [{*SEARCH["space"], "model.personalization"}] * 4
    models = [trial.point for trial in Planner(spec).grid().trials]
    assert [point[RATE] for point in points] == [point[RATE] for point in models]


def test_more_trials_than_the_budget_are_refused_before_they_are_suggested() -> None:
    plan = make_plan(searching(trials=150), None)
    assert plan.to_json()["trials"] == plan.to_json()["to_run"] == 2 * 150 + 2 + 2
    with pytest.raises(AdaptuneError, match=r"304 trials.*shorten `search.trials`"):
        plan.check_budget()


def value_of(point: dict[str, Any]) -> float:
    """What a training at a point would reach: the best learning rate is .01, and dropout harms a little."""
    return -((math.log10(point[RATE]) + 2) ** 2) - point["model.dropout"] / 10


def run_what_is_planned(planner: Planner, ledger: Ledger) -> None:
    """Record results of all trials that have none."""
    known = ledger.trials()
    for trial in (*planner.grid().trials, *planner.baseline_grid().trials):
        if trial.id not in known:
            record(ledger, trial, metrics={"accuracy": value_of(trial.point)})


def search_to_its_end(spec: SweepSpec, ledger: Ledger) -> list[dict[str, Any]]:
    run_what_is_planned(Planner(spec, ledger), ledger)
    while [name for name in ("model", spec.compare.against) if Planner(spec, ledger).suggest(name)]:
        run_what_is_planned(Planner(spec, ledger), ledger)
    return [trial.point for trial in Planner(spec, ledger).grid().trials]


def test_suggestions_come_batch_by_batch_and_learn_from_results(ledger: Ledger) -> None:
    pytest.importorskip("optuna")
    spec = searching(trials=24, batch=4)
    planner = Planner(spec, ledger)
    assert planner.grid().trials == () and planner.grid().awaited == 24
    assert planner.suggest("model") and len(planner.grid().trials) == 4 and planner.grid().awaited == 20
    points = search_to_its_end(spec, ledger)
    assert len(points) == 24 and planner.grid().awaited == 0 and not planner.suggest("model")
    late, early = ([abs(math.log10(point[RATE]) + 2) for point in part] for part in (points[12:], points[:8]))
    assert sum(late) / len(late) < 0.85 * sum(early) / len(early)
    ablations = make_plan(spec, ledger).phases[3]
    assert not ablations.provisional
    assert {trial.point[RATE] for trial in ablations.trials} == {max(points, key=value_of)[RATE]}


def test_a_search_that_was_interrupted_or_extended_goes_on_as_if_it_had_not_been(tmp_path: Any) -> None:
    pytest.importorskip("optuna")
    whole = search_to_its_end(searching(trials=11), Ledger(f"sqlite:///{tmp_path / 'whole.db'}"))
    other = Ledger(f"sqlite:///{tmp_path / 'other.db'}")
    assert search_to_its_end(searching(trials=7), other) == whole[:7], "the third batch is not full"
    assert search_to_its_end(searching(trials=9, name="renamed"), other) == whole[:9]
    assert search_to_its_end(searching(trials=11), other) == whole
    assert search_to_its_end(searching(trials=11, seed=1), other) != whole


def test_what_was_suggested_is_kept_when_results_change(ledger: Ledger) -> None:
    pytest.importorskip("optuna")
    spec = searching()
    points = search_to_its_end(spec, ledger)
    for trial in Planner(spec, ledger).grid().trials[:3]:
        record(ledger, trial, metrics={"accuracy": 1.0})
    assert [trial.point for trial in Planner(spec, ledger).grid().trials] == points


def test_a_suggestion_keeps_away_from_what_diverged_and_from_what_was_stopped(ledger: Ledger) -> None:
    pytest.importorskip("optuna")
    search = OptunaSearch(method="optuna", trials=99, batch=20, space={RATE: SPACE[RATE]})
    rates = [10 ** (-4 + 3 * (number + 0.5) / 20) for number in range(20)]
    for outcome, curve in (("diverged", ()), ("stopped", (0.1,))):
        tried = [
            Tried({RATE: rate}, "finished", 0.5) if rate < 1e-3 else Tried({RATE: rate}, outcome, curve=curve)
            for rate in rates
        ]
        suggested = suggest(search, search.space, "max", tried)
        assert sum(point[RATE] < 1e-3 for point in suggested) >= 15, outcome


def test_a_search_whose_trials_failed_goes_on(ledger: Ledger) -> None:
    pytest.importorskip("optuna")
    spec = searching(trials=4, batch=2)
    planner = Planner(spec, ledger)
    planner.suggest("model")
    first, second = planner.grid().trials
    record(ledger, first, state="failed", cause="diverged")
    record(ledger, second, state="stopped")
    ledger.record_stop(second.id, Stop({}, 1, [0.4]))
    assert [tried.outcome for tried in planner._results("model")] == ["diverged", "stopped"]
    assert planner.suggest("model") and len(planner.grid().trials) == 4


def test_without_optuna_a_plan_can_be_seen_and_a_run_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    spec = searching()
    assert make_plan(spec, ledger).awaited == 16
    with pytest.raises(AdaptuneError, match=r"pip install 'adaptune\[search\]'"):
        Planner(spec, ledger).suggest("model")
