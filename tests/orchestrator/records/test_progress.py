"""How far a sweep is, from what the ledger and the curves say."""

from orchestrator.planning.identity import validity
from orchestrator.planning.plan import Planner
from orchestrator.records.ledger import Ledger, Member
from orchestrator.records.progress import awaiting, progress_of
from orchestrator.records.workspace import Workspace, write_json
from orchestrator.spec.sweep import SweepSpec
from tests.orchestrator.conftest import tiny_spec


def begin(spec: SweepSpec, ledger: Ledger, workspace: Workspace, epochs_done: int) -> int:
    """Record the grid as planned, with its first run begun; return how many trials that run yields."""
    grid = Planner(spec).grid()
    members = [Member("grid", trial.name, trial.id, trial.point, trial.seed) for trial in grid.trials]
    ledger.set_members(spec.name, "grid", members)
    run, code = grid.runs[0], validity(spec.task)
    for trial in run.trials:
        ledger.record_trial(
            trial.id, run_id=run.id, task=spec.task, config=trial.config.model_dump(mode="json"), seed=trial.seed,
            data_digest="digest", epochs=trial.epochs, attempts=0, validity=code, state="running", cause=None,
        )  # fmt: skip
    points = [
        {"epoch": number, "metrics": {spec.objective.metric: number / 10}, "seconds": 2.0}
        for number in range(1, epochs_done + 1)
    ]
    write_json(workspace.run(run.id, code) / "curve.json", points)
    return len(run.trials)


def test_epochs_of_trials_that_share_a_training_count_once(
    spec: SweepSpec, ledger: Ledger, workspace: Workspace
) -> None:
    begun = begin(spec, ledger, workspace, epochs_done=1)
    grid = Planner(spec).grid()
    found = progress_of(spec, ledger, workspace, alive=True)
    assert found.epochs == sum(run.epochs for run in grid.runs) < sum(trial.epochs for trial in grid.trials)
    assert found.epochs_done == 1
    ablations = len(spec.seeds)
    assert found.trials == {"running": begun, "waiting": len(grid.trials) - begun + ablations}
    [run] = found.working
    assert (run.row, run.epoch, run.epochs, run.value) == ("model", 1, grid.runs[0].epochs, 0.1)
    assert found.seconds_left == 2.0 * (found.epochs - 1)
    assert found.best is None and found.failed_trials == ()


def test_what_nobody_works_on_is_interrupted(spec: SweepSpec, ledger: Ledger, workspace: Workspace) -> None:
    begun = begin(spec, ledger, workspace, epochs_done=1)
    found = progress_of(spec, ledger, workspace, alive=False)
    assert found.trials["interrupted"] == len(found.failed_trials) == begun and "running" not in found.trials
    assert found.working == () and found.seconds_left is None
    assert found.epochs_done == 1, "the epoch is not lost: its training goes on from there"


def test_ablations_and_further_seeds_await_the_choice_of_their_point() -> None:
    change = {"model.personalization.attention": False}
    assert [(one.row, one.change, one.seed) for one in awaiting(tiny_spec(), [])] == [
        ("no-attention", change, 0),
        ("no-attention", change, 1),
    ]
    stopping = tiny_spec(grid={"training.learning_rate": [0.01, 0.003]}, stop={"method": "median"})
    planned = [Member("seeds", "baseline", "b1", {}, 1), Member("ablations", "no-attention", "n0", change, 0)]
    assert [(one.phase, one.row, one.seed) for one in awaiting(stopping, planned)] == [("seeds", "model", 1)]
