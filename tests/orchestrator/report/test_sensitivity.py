"""How the objective depends on each setting of a grid, and how a search went."""

from types import SimpleNamespace

import pytest

from components.tasks import TASKS
from orchestrator.report.data import GridPoint, Stopped
from orchestrator.report.points import grid, searched
from orchestrator.report.sensitivity import sensitivity

COMPARISON = SimpleNamespace(
    task=TASKS["recommendation"], metric="accuracy", mode="max", seeds=(0, 1), baseline="baseline"
)
PATHS = ("training.learning_rate", "training.batch_size")


def point(rate, size, values, **more):
    settings = {"training.learning_rate": rate, "training.batch_size": size}
    return GridPoint("model", settings, dict(enumerate(values)), **more)


POINTS = [
    point(0.001, 16, (0.60, 0.62)),
    point(0.001, 32, (0.61, 0.61)),
    point(0.003, 16, (0.70, 0.72)),
    point(0.003, 32, (0.71, 0.71)),
    point(0.01, 16, (0.75, 0.77)),
    point(0.01, 32, (0.76, 0.78), chosen=True),
]


def test_each_value_is_averaged_over_the_others_and_the_seeds_give_its_spread():
    [view] = sensitivity(COMPARISON, POINTS, PATHS)
    rate, size = view.settings
    assert (rate.name, rate.over, size.name, size.over) == ("learning rate", 2, "batch size", 3)
    assert [(line.text, line.mean, line.spread, line.chosen) for line in rate.lines] == [
        ("0.001", "61.0 %", "60.5 % to 61.5 %", False),
        ("0.003", "71.0 %", "70.5 % to 71.5 %", False),
        ("0.01", "76.5 %", "75.5 % to 77.5 %", True),
    ]
    assert rate.span == pytest.approx(0.155) and rate.noise == pytest.approx(0.02)
    assert size.span == pytest.approx((0.61 + 0.71 + 0.77 - 0.61 - 0.71 - 0.76) / 3)


def test_sentences_tell_what_matters_from_chance_and_warn_of_the_edge():
    [view] = sensitivity(COMPARISON, POINTS, PATHS)
    rate, size, edge = view.sentences
    assert (
        rate
        == "learning rate: 15.5 points between its best and its worst value; seeds differ by 2.0 points at most."
    )
    assert size.startswith("batch size: 0.3 points") and size.endswith("which value is best is not shown.")
    assert edge.startswith("The chosen learning rate, 0.01, is the largest that was tried")


def test_two_settings_cross_in_a_table_that_marks_the_choice():
    [view] = sensitivity(COMPARISON, POINTS, PATHS)
    [crossing] = view.crossings
    assert (crossing.rows, crossing.columns, list(crossing.values)) == (
        "learning rate",
        "batch size",
        ["16", "32"],
    )
    assert crossing.lines[-1] == ("0.01", [("76.0 %", False), ("77.0 %", True)])


def test_a_value_is_only_averaged_where_all_values_have_a_result():
    broken = [*POINTS[:-1], point(0.01, 32, (0.76, None))]
    [view] = sensitivity(COMPARISON, broken, PATHS)
    rate = next(one for one in view.settings if one.name == "learning rate")
    assert rate.over == 1 and [line.mean for line in rate.lines] == ["61.0 %", "71.0 %", "76.0 %"]
    assert view.crossings[0].lines[-1][1] == [("76.0 %", False), ("–", False)]  # noqa: RUF001
    lost = [one for one in POINTS if one.settings["training.learning_rate"] != 0.003]
    lost += [point(0.003, size, (None, None)) for size in (16, 32)]
    [view] = sensitivity(COMPARISON, lost, PATHS)
    assert any(text.startswith("learning rate: cannot be said") for text in view.sentences)


def test_a_setting_that_does_not_vary_is_left_out():
    assert sensitivity(COMPARISON, POINTS[:1], PATHS) == []
    [view] = sensitivity(COMPARISON, POINTS[:2], PATHS)
    assert [one.name for one in view.settings] == ["batch size"] and not view.crossings


def test_a_search_is_drawn_in_its_order_with_the_best_so_far_and_what_was_stopped():
    points = [
        point(0.01, 16, (0.70,), number=1),
        point(0.02, 16, (None,), number=2, missing={0: "stopped"}, stopped={0: Stopped(2, 8, 0.55)}),
        point(0.03, 16, (0.74,), number=3, chosen=True),
        point(0.04, 16, (0.72,), number=4),
    ]
    view = searched(COMPARISON, points)
    chart = str(view.chart)
    assert view.sentences == [
        "model: of 4 trials 3 finished, 1 stopped early. The best, 74.0 %, was trial 3; 1 after it brought "
        "nothing better."
    ]
    assert "model, stopped early, trial 2: 55, stopped after 2 of 8 epochs" in chart
    assert "model, chosen, trial 3: 74, chosen" in chart
    assert "model, best so far, trial 4: 74" in chart
    cells = {point.number: values for point, _, values, _ in grid(COMPARISON, points).lines}
    assert cells[2] == ["stopped after 2 of 8 epochs at 55.0 %"]
