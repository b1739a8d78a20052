"""Running a sweep: plan minus ledger, and what came of it."""

import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from components.data.store import left_out, notes, prepare
from components.errors import AdaptuneError
from components.tasks import TASKS
from orchestrator.planning.identity import validity
from orchestrator.planning.plan import Planner, make_plan
from orchestrator.planning.search import check_optuna
from orchestrator.planning.stages import MODEL, Stages
from orchestrator.records.adopt import adopt_unknown
from orchestrator.records.ledger import Ledger
from orchestrator.records.results import unmeasured_objective
from orchestrator.records.workspace import Workspace
from orchestrator.running.bookkeeper import Bookkeeper
from orchestrator.running.jobs import Surroundings
from orchestrator.running.lease import hold_lease
from orchestrator.running.queue import JobQueue
from orchestrator.running.watcher import Nobody, Watcher
from orchestrator.spec.gates import party_file_of
from orchestrator.spec.problems import last_line
from orchestrator.spec.sweep import SweepSpec

if TYPE_CHECKING:
    from orchestrator.secure.winner import Judged


@dataclass(frozen=True)
class Outcome:
    """How a run of a sweep ended.

    `finished` counts the trials that this run finished, `stopped_early` those that it ended because `stop` says so,
    `skipped` those that were done before in either way, and `failed` all that failed in this run or in an earlier
    one, or could not be evaluated.
    """

    sweep: str
    finished: int
    stopped_early: int
    failed: int
    skipped: int
    best: dict[str, Any] | None
    wall_seconds: float
    stopped: bool
    failures: dict[str, str]
    mirror_problems: tuple[str, ...]
    left_out: dict[str, int]
    """How much of the source the prepared data does not use, by reason."""
    notes: tuple[str, ...] = ()
    """What the preparation of the data has to say, a sentence each."""
    judged: "Judged | None" = None
    """How the evaluation of the winner over parties stands, where the sweep file asks for one."""

    @property
    def failures_told(self) -> bool:
        """Whether a trial failed, or the evaluation over parties did."""
        return bool(self.failed) or (self.judged is not None and self.judged.state == "failed")

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as a JSON document."""
        return {
            "sweep": self.sweep,
            "finished": self.finished,
            "stopped_early": self.stopped_early,
            "failed": self.failed,
            "skipped": self.skipped,
            "best": self.best,
            "wall_seconds": round(self.wall_seconds, 3),
            "stopped": self.stopped,
            "failures": {name: last_line(cause) for name, cause in self.failures.items()},
            "mirror_problems": list(self.mirror_problems),
            "left_out": dict(self.left_out),
            "notes": list(self.notes),
            "secure_evaluation": None if self.judged is None else self.judged.to_json(),
        }


def run_sweep(
    spec: SweepSpec,
    workspace: Workspace,
    address: str | None = None,
    retry_failed: bool = False,
    accept_stale: bool = False,
    watcher: Watcher | None = None,
    cluster: Callable[[], AbstractContextManager[None]] | None = None,
) -> Outcome:
    """Run what the plan asks for and the ledger does not have; the second call of the same sweep does nothing.

    `cluster` gives a Ray that is shared with others, in place of the one at `address`.
    Raises AdaptuneError if the budget is exceeded, the data or the party file is unusable, another driver holds the
    sweep, the cluster cannot be used, or, in the end, no trial has a value of the objective. A trial that fails does
    not raise: the rest goes on, and it is counted.
    """
    started = time.perf_counter()
    watcher = watcher or Nobody()
    workspace.create()
    ledger = Ledger(workspace.ledger_url)
    make_plan(spec, ledger).check_budget()
    party_file_of(spec)  # what is wrong with it is said before the work, not after
    if spec.search is not None and spec.search.method == "optuna":
        check_optuna()
    with hold_lease(ledger, spec.name) as heart:
        adopt_unknown(ledger, workspace)
        folder = prepare(spec.data, workspace.data, TASKS[spec.task].form)
        digest = Planner(spec).data_digest
        stages = Stages(spec, ledger, workspace, folder, retry_failed, accept_stale)
        plan = make_plan(spec, ledger, workspace)
        watcher.planned(plan.epochs_of(stages.redo), plan.seconds_per_epoch)
        books = Bookkeeper(spec, ledger, workspace, digest)
        ray = cluster or (lambda: _own_cluster(address, workspace))
        alone = cluster is None and address is None
        trains = plan.trains(stages.redo)
        cut_short = _work(stages, trains, spec, workspace, ray, address, alone, books, watcher, heart)
    problem = unmeasured_objective(spec, ledger)
    if problem and not cut_short:
        raise AdaptuneError(problem)
    plan = make_plan(spec, ledger)
    rows = ledger.trials(list(plan.standing))
    finished = {trial_id for trial_id, row in rows.items() if row.state == "finished"}
    stopped = {trial_id for trial_id, standing in plan.standing.items() if standing == "stopped"}
    failed = {trial_id for trial_id, standing in plan.standing.items() if standing == "failed"}
    failures = {trial_id: rows[trial_id].cause or "" for trial_id in sorted(failed)} | books.failures
    return Outcome(
        sweep=spec.name,
        finished=len(finished & set(books.finished)),
        stopped_early=len(books.stopped_early),
        failed=len({name.split()[0] for name in failures}),
        skipped=len(finished - set(books.finished)) + len(stopped - set(books.stopped_early)),
        best=_best(stages, spec, ledger),
        wall_seconds=time.perf_counter() - started,
        stopped=cut_short,
        failures=failures,
        mirror_problems=tuple(books.mirror_problems),
        left_out=left_out(folder),
        notes=notes(folder),
    )


def _own_cluster(address: str | None, workspace: Workspace) -> AbstractContextManager[None]:
    from orchestrator.running.cluster import ray_cluster

    return ray_cluster(address, workspace.home)


def _work(
    stages: Stages,
    trains: bool,
    spec: SweepSpec,
    workspace: Workspace,
    cluster: Callable[[], AbstractContextManager[None]],
    address: str | None,
    alone: bool,
    books: Bookkeeper,
    watcher: Watcher,
    heart: Any,
) -> bool:
    """Run the stages; Ray starts only if one of them has a job. Return whether the work was cut short.

    Where trials are to be trained, nothing is recorded before there is a Ray with room for them: a run that is
    refused leaves the results of the last one. `alone` says that nobody else uses this Ray.
    """
    queue = JobQueue(stages)
    if not trains:
        books.begin()
        if not queue.fill():
            return False
    import ray  # noqa: F401  whole before the thread below imports parts of it

    from orchestrator.running.cluster import ClusterError, check_room

    around = Surroundings(
        sweep=spec.name,
        task=spec.task,
        home=str(workspace.home),
        validity=validity(spec.task),
        threads=spec.resources.cpu,
        accelerator="gpu" if spec.resources.gpu else "cpu",
        project=spec.tracking.project,
        mirror=spec.tracking.enabled,
        workers=spec.resources.workers,
        gpu=spec.resources.gpu,
    )
    workspace.ray.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix="tune-", dir=workspace.ray, ignore_cleanup_errors=True
    ) as scratch:
        # Importing Tune takes seconds, in which this process would only wait for Ray.
        loading = Thread(target=import_module, args=["orchestrator.running.tuning"])
        loading.start()
        with cluster():
            if address is None:
                check_room(spec.resources)
            books.begin()
            loading.join()
            from orchestrator.running.tuning import Hearer, run_jobs

            hearer = Hearer(books, watcher, stages.stopping)
            cause = "the sweep was stopped"
            try:
                run_jobs(
                    queue,
                    around,
                    spec.resources,
                    spec.budget.max_failures,
                    Path(scratch),
                    hearer,
                    heart,
                    keep_workers=alone,
                )
            except ClusterError:
                cause = "Ray ended while it ran"
                raise
            finally:
                for job in hearer.running.values():
                    books.left(job, cause)
    return not queue.over


def _best(stages: Stages, spec: SweepSpec, ledger: Ledger) -> dict[str, Any] | None:
    """Return the trial of the chosen point with the best validation objective."""
    chosen = stages.chosen.get(MODEL, ())
    rows = ledger.trials([trial.id for trial in chosen])
    # A seed that had no part in the choice may have failed.
    trials = [trial for trial in chosen if trial.id in rows and rows[trial.id].state == "finished"]
    if not trials:
        return None
    metric, sign = spec.objective.metric, 1 if spec.objective.mode == "max" else -1
    best = max(trials, key=lambda trial: sign * (rows[trial.id].metrics or {})[metric])
    return {"trial": best.id, "point": best.point, "seed": best.seed, "metrics": rows[best.id].metrics}
