"""What a sweep file means: defaults, grid points, the baseline, trials."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.config import RecommendationSettings, TrialConfig
from components.errors import AdaptuneError
from orchestrator.spec.load import SpecErrors, load_sweep, sweep_from_values

SMALL = {"name": "demo", "task": "recommendation", "data": {"source": "synthetic"}}


def test_what_is_left_out_follows_from_the_rest():
    spec = sweep_from_values({**SMALL, "training": {"seed": 7}})
    assert spec.seeds == (7,)
    assert (spec.objective.metric, spec.objective.mode) == ("accuracy", "max")
    assert spec.ablations == {"baseline": {"model.personalization": None}}
    assert spec.baseline == {"model.personalization": None}
    assert spec.model == RecommendationSettings()
    assert list(spec.grid_points()) == [{}]


def test_the_direction_is_the_metrics_own():
    assert sweep_from_values({**SMALL, "objective": {"metric": "log_loss"}}).objective.mode == "min"


def test_the_baseline_can_be_another_ablation():
    changes = {"no-history": {"model.personalization.history": False}}
    spec = sweep_from_values({**SMALL, "ablations": changes, "compare": {"against": "no-history"}})
    assert spec.ablations == changes and spec.baseline == changes["no-history"]


def test_the_grid_is_a_product_with_the_last_path_fastest():
    grid = {"training.learning_rate": [1, 0.1], "training.epochs": [2, 3]}
    spec = sweep_from_values({**SMALL, "grid": grid})
    assert [tuple(point.values()) for point in spec.grid_points()] == [(1.0, 2), (1.0, 3), (0.1, 2), (0.1, 3)]
    assert spec.grid_size == 4
    assert all(type(point["training.learning_rate"]) is float for point in spec.grid_points())


def test_the_baseline_gets_the_grid_that_concerns_it():
    grid = {"training.epochs": [2, 3], "model.personalization.hidden": [16, 32]}
    spec = sweep_from_values({**SMALL, "grid": grid})
    assert spec.baseline_grid() == {"training.epochs": (2, 3)}
    assert list(spec.baseline_points()) == [
        {"training.epochs": 2, "model.personalization": None},
        {"training.epochs": 3, "model.personalization": None},
    ]


CORE = "model.personalization"
HEADS = {"method": "random", "trials": 4, "space": {f"{CORE}.hidden": {"choice": [96, 192]}}}
HISTORY = {"method": "random", "trials": 4, "space": {f"{CORE}.history": {"choice": [True, False]}}}
PARTS = {"no-attention": {f"{CORE}.attention": False}, "no-feedback": {f"{CORE}.feedback": False}}


@pytest.mark.parametrize(
    "varied",
    [
        {"ablations": {"plain": {CORE: None}}, "grid": {"training.epochs": [2, 3]}},
        {"ablations": PARTS, "grid": {f"{CORE}.history": [False, True]}},
        {"ablations": PARTS, "grid": {f"{CORE}.history": [True, False]}},
        {"ablations": PARTS, "search": HISTORY, "model": {"personalization": {"history": False}}},
        {"ablations": {"three": {f"{CORE}.heads": 3}, "six": {f"{CORE}.heads": 6}}, "search": HEADS},
        {
            "ablations": {
                "one": {"model.embedding": 32},
                "two": {"model.embedding": 32, "model.dropout": 0.5},
            },
            "grid": {"model.dropout": [0.1, 0.5]},
        },
    ],
    ids=["baseline of its own point", "silent first", "silent last", "silent in the file", "search", "grid"],
)
def test_ablations_that_are_the_same_only_here_and_there_are_accepted(varied):
    assert sweep_from_values({**SMALL, **varied}).ablations.keys() > varied["ablations"].keys()


def test_a_trial_is_the_base_with_its_assignments():
    spec = sweep_from_values({**SMALL, "model": {"embedding": 8, "personalization": {"hidden": 16}}})
    trial = spec.resolve({"training.epochs": 3, "model.personalization.attention": False}, seed=5)
    assert isinstance(trial, TrialConfig)
    assert (trial.training.epochs, trial.training.seed) == (3, 5)
    assert trial.model.personalization is not None
    assert (trial.model.personalization.hidden, trial.model.personalization.attention) == (16, False)
    assert trial.model.embedding == 8
    assert spec.resolve({}, seed=5).model.personalization.attention is True


def test_a_section_that_is_set_replaces_what_was_set_inside():
    spec = sweep_from_values(SMALL)
    trial = spec.resolve({"model.personalization.hidden": 16, "model.personalization": None}, seed=0)
    assert trial.model.personalization is None
    trial = spec.resolve({"model.personalization": {"hidden": 16}}, seed=0)
    assert trial.model.personalization.hidden == 16


@pytest.mark.parametrize(
    ("grid", "changes"),
    [
        ({}, {"model.personalization.history": True, "model.personalization.feedback": False}),
        ({"model.personalization.history": [False, True]}, {"model.personalization.feedback": False}),
    ],
)
def test_an_ablation_of_what_is_silent_in_the_file_may_be_heard_elsewhere(grid, changes):
    model = {"personalization": {"history": False}}
    spec = sweep_from_values({**SMALL, "model": model, "grid": grid, "ablations": {"changed": changes}})
    assert spec.ablations["changed"] == changes


@pytest.mark.parametrize(
    "changes",
    [
        {"model.personalization.attention": False},
        {"training.learning_rate": 0.5},
        {"training.learning_rate": 0.1, "model.personalization.attention": False},
    ],
)
def test_an_ablation_may_set_what_the_grid_varies_if_no_point_of_it_is_the_same(changes):
    grid = {"training.learning_rate": [0.1, 0.2], "training.epochs": [1, 2]}
    spec = sweep_from_values({**SMALL, "grid": grid, "ablations": {"changed": changes}})
    assert spec.ablations["changed"] == changes


@pytest.mark.parametrize(
    "assignments",
    [
        {"model.nothing": 1},
        {"data.users": 50},
        {"training": 5},
        {"model.personalization": None, "model.personalization.hidden": 8},
        {"model.personalization.heads": 3},
        {"training.epochs": "many"},
    ],
)
def test_what_makes_no_trial_is_refused(assignments):
    with pytest.raises(AdaptuneError):
        sweep_from_values(SMALL).resolve(assignments, seed=0)


def test_ten_thousand_trials_are_resolved_in_two_seconds():
    grid = {
        "training.learning_rate": [(index + 1) / 1e4 for index in range(100)],
        "model.personalization.hidden": [16 * (index + 1) for index in range(10)],
    }
    start = time.process_time()
    spec = sweep_from_values({**SMALL, "grid": grid, "seeds": list(range(10))})
    trials = [spec.resolve(point, seed) for point in spec.grid_points() for seed in spec.seeds]
    assert len({(trial.training, trial.model) for trial in trials}) == 10_000
    assert time.process_time() - start < 2


def test_ten_million_trials_are_refused_at_once():
    grid = {
        f"training.{name}": [(i + 1) / 100 for i in range(215)] for name in ("learning_rate", "weight_decay")
    }
    grid["training.gradient_clip"] = grid["training.learning_rate"]
    start = time.process_time()
    with pytest.raises(SpecErrors, match=r"9,938,375 trials \(215 x 215 x 215\)"):
        sweep_from_values({**SMALL, "grid": grid})
    assert time.process_time() - start < 1


def test_values_without_a_file_are_named_by_their_path():
    with pytest.raises(SpecErrors, match=r"^sweep\.training\.epochs: expected a whole number"):
        sweep_from_values({**SMALL, "training": {"epochs": "many"}})


@given(st.permutations(["name", "task", "data", "grid", "seeds", "ablations"]))
def test_the_order_of_the_keys_means_nothing(order):
    values = {
        **SMALL,
        "grid": {"training.epochs": [2, 3]},
        "seeds": [0, 1],
        "ablations": {"no-attention": {"model.personalization.attention": False}},
    }
    assert sweep_from_values({key: values[key] for key in order}) == sweep_from_values(values)


def test_a_file_gives_the_same_as_its_values(tmp_path: Path):
    file = tmp_path / "sweep.yaml"
    file.write_text("name: demo\ntask: recommendation\ndata:\n  source: synthetic\n")
    assert load_sweep(file) == sweep_from_values(SMALL)
