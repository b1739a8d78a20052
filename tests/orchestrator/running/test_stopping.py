"""The rules that end trainings early decide as Ray Tune's do, and know what earlier runs of a sweep have reached."""

import random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.planning.plan import PlannedTrial, Planner, make_plan
from orchestrator.records.ledger import Ledger, Stop
from orchestrator.records.workspace import Workspace, write_json
from orchestrator.running.jobs import Progress, Reading, TrainJob
from orchestrator.running.stopping import Stopping, asha, median_rule
from orchestrator.spec.search import AshaStopping, MedianStopping
from orchestrator.spec.sweep import Objective, SweepSpec
from tests.orchestrator.conftest import tiny_spec
from tests.orchestrator.planning.test_plan import record

RATES = [0.01, 0.003, 0.001, 0.0003]
EPOCHS = 9
ASHA = AshaStopping(method="asha", reduction_factor=3)

curves_of_trials = st.lists(
    st.lists(st.integers(1, 20).map(float), min_size=EPOCHS, max_size=EPOCHS), min_size=2, max_size=6
)
"""Whole numbers, so that no mean depends on the order in which it is added up."""


def shuffled(trials: int, seed: int) -> list[int]:
    """In which order the trials report, each all of its epochs."""
    order = [number for number in range(trials) for _ in range(EPOCHS)]
    random.Random(seed).shuffle(order)
    return order


def ours(rule: Any, rule_settings: Any, curves: list[list[float]], order: list[int]) -> list[tuple[int, int]]:
    """Let trials report, one epoch at a time in `order`; return who was stopped at which epoch."""
    known: dict[int, dict[int, float]] = {}
    stopped: list[tuple[int, int]] = []
    for trial in order:
        mine = known.setdefault(trial, {})
        if trial in dict(stopped) or len(mine) == EPOCHS:
            continue
        epoch = len(mine) + 1
        mine[epoch] = curves[trial][epoch - 1]
        others = [curve for other, curve in known.items() if other != trial]
        if epoch < EPOCHS and rule(rule_settings, mine, others, epoch):
            stopped.append((trial, epoch))
    return stopped


def rays(scheduler: Any, curves: list[list[float]], order: list[int]) -> list[tuple[int, int]]:
    """The same by a scheduler of Ray Tune."""
    trials = [type("T", (), {"trial_id": str(number)})() for number in range(len(curves))]
    controller = SimpleNamespace(get_live_trials=list)
    done: dict[int, int] = {}
    stopped: list[tuple[int, int]] = []
    for trial in trials:
        scheduler.on_trial_add(controller, trial)
    for number in order:
        if number in dict(stopped) or done.get(number) == EPOCHS:
            continue
        epoch = done[number] = done.get(number, 0) + 1
        result = {"training_iteration": epoch, "value": curves[number][epoch - 1]}
        if scheduler.on_trial_result(controller, trials[number], result) == "STOP" and epoch < EPOCHS:
            stopped.append((number, epoch))
    return stopped


@settings(max_examples=25, deadline=None)
@given(curves=curves_of_trials, seed=st.integers(0, 2**32), factor=st.integers(2, 4), grace=st.integers(1, 3))
def test_asha_decides_as_rays_does(curves: list[list[float]], seed: int, factor: int, grace: int) -> None:
    schedulers = pytest.importorskip("ray.tune.schedulers")
    order = shuffled(len(curves), seed)
    rule = AshaStopping(method="asha", reduction_factor=factor, grace_period=grace)
    reference = schedulers.AsyncHyperBandScheduler(
        metric="value", mode="max", max_t=EPOCHS, grace_period=grace, reduction_factor=factor
    )
    assert ours(asha, rule, curves, order) == rays(reference, curves, order)


@settings(max_examples=25, deadline=None)
@given(
    curves=curves_of_trials, seed=st.integers(0, 2**32), samples=st.integers(1, 4), grace=st.integers(1, 3)
)
def test_the_median_rule_decides_as_rays_does(
    curves: list[list[float]], seed: int, samples: int, grace: int
) -> None:
    schedulers = pytest.importorskip("ray.tune.schedulers")
    order = shuffled(len(curves), seed)
    rule = MedianStopping(method="median", min_samples_required=samples, grace_period=grace)
    reference = schedulers.MedianStoppingRule(
        time_attr="training_iteration",
        metric="value",
        mode="max",
        grace_period=grace,
        min_samples_required=samples,
    )
    assert ours(median_rule, rule, curves, order) == rays(reference, curves, order)


def stopping_spec(**changes: Any) -> SweepSpec:
    grid = {"training.learning_rate": RATES}
    training = {"batch_size": 8, "epochs": EPOCHS}
    return tiny_spec(grid=grid, training=training, stop={"method": "asha", **changes})


def job_of(trial: PlannedTrial, may_stop: bool = True) -> TrainJob:
    readings = (Reading(trial.id, trial.epochs, trial.config),)
    return TrainJob(trial.run_id, trial.name, "model", "folder", "d", readings, may_stop)


def test_the_worst_is_stopped_with_the_reason_and_the_last_epoch_never_stops() -> None:
    trials = Planner(stopping_spec()).grid().trials
    stopping = Stopping(ASHA, Objective(metric="log_loss", mode="min"))
    reports = [(trial, epoch) for trial in trials[:3] for epoch in range(1, EPOCHS + 1)]
    for trial, epoch in reports:
        assert stopping.judge(job_of(trial), Progress(epoch, {"log_loss": 0.5})) is None
    worse = Progress(3, {"log_loss": 0.75})
    assert stopping.judge(job_of(trials[3], may_stop=False), worse) is None, "nobody stops the winner's seeds"
    assert stopping.judge(job_of(trials[3]), Progress(EPOCHS, {"log_loss": 0.75})) is None
    assert stopping.judge(job_of(trials[3]), Progress(2, {"log_loss": 0.75})) is None, "between two looks"
    halt = stopping.judge(job_of(trials[3]), worse)
    assert halt is not None and halt.stop == Stop(ASHA.model_dump(), 3, [0.75, 0.75])
    assert halt.reason == (
        "stopped after epoch 3 of 9: log_loss 0.7500 is worse than 0.5000, which the best 1 in 3 of 3 others "
        "had reached"
    )


def test_a_resumed_sweep_compares_with_what_earlier_runs_reached(
    ledger: Ledger, workspace: Workspace
) -> None:
    trials = Planner(stopping_spec()).grid().trials
    points = [{"epoch": epoch, "metrics": {"accuracy": 0.7}, "seconds": 1.0} for epoch in (1, 2, 3)]
    record(ledger, trials[0], validity="now")
    write_json(workspace.trial(trials[0].id) / "curve.json", points)
    record(ledger, trials[1], state="stopped", validity="now")
    ledger.record_stop(trials[1].id, Stop(ASHA.model_dump(), 1, [0.8]))
    record(ledger, trials[2], state="interrupted", validity="now")
    write_json(workspace.run(trials[2].run_id, "now") / "curve.json", points[:1])

    def judged(code: str) -> bool:
        stopping = Stopping(ASHA, Objective(metric="accuracy", mode="max"))
        stopping.know(trials, ledger, workspace, code)
        return stopping.judge(job_of(trials[3]), Progress(1, {"accuracy": 0.75})) is not None

    # Of .7, .8 and .7 the best third begins at .733.
    assert not judged("now")
    ledger.record_stop(trials[1].id, Stop(ASHA.model_dump(), 1, [0.9]))
    assert judged("now")
    assert not judged("other code")


def test_a_stop_holds_for_the_rule_that_made_it_and_is_no_failure(ledger: Ledger) -> None:
    spec = stopping_spec()
    trials = Planner(spec).grid().trials
    for trial in trials:
        record(ledger, trial, metrics={"accuracy": 0.5}, validity="old")
    record(ledger, trials[0], state="stopped", metrics=None, validity="old")
    ledger.record_stop(trials[0].id, Stop(spec.stop.model_dump(mode="json"), 1, [0.9]))
    assert make_plan(spec, ledger).standing[trials[0].id] == "stale"
    code = next(row.validity for row in ledger.trials().values())
    assert code == "old"
    for changed in (
        stopping_spec(grace_period=2),
        tiny_spec(grid=spec.grid, training={"batch_size": 8, "epochs": 9}),
    ):
        assert make_plan(changed, ledger).standing[trials[0].id] == "to run"


def test_what_was_stopped_is_never_chosen(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.planning.plan.validity", lambda task: "now")
    spec = stopping_spec()
    planner = Planner(spec, ledger)
    for phase in (planner.grid(), planner.baseline_grid()):
        for trial in phase.trials:
            record(ledger, trial, metrics={"accuracy": 0.5}, validity="now")
    first = planner.grid().trials[0]
    record(ledger, first, state="stopped", metrics=None, validity="now")
    ledger.record_stop(first.id, Stop(spec.stop.model_dump(mode="json"), 1, [0.9]))
    plan = make_plan(spec, ledger)
    assert plan.to_json()["stopped"] == 1 and plan.standing[first.id] == "stopped"
    seeds, ablations = plan.phases[2:]
    assert not ablations.provisional and not seeds.provisional
    assert {(trial.name, trial.seed) for trial in seeds.trials} == {("model", 1), ("baseline", 1)}
    assert {trial.config.training.learning_rate for trial in ablations.trials} == {RATES[1]}
