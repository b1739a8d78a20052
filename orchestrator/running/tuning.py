"""Jobs inside one Ray Tune run: a searcher that hands them out, and a callback that hears of them.

Tune schedules, places and restarts; what is known for good is in result folders and in the ledger. Tune's own
state is written to a scratch folder and never read.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.execution import class_cache
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from orchestrator.running.bookkeeper import Bookkeeper
from orchestrator.running.cluster import WORKER_VARIABLES, ClusterError
from orchestrator.running.jobs import Job, Progress, Surroundings, TrainJob
from orchestrator.running.lease import Heart
from orchestrator.running.queue import JobQueue
from orchestrator.running.stopping import Halt, Stopping
from orchestrator.running.watcher import Watcher
from orchestrator.running.worker import execute
from orchestrator.spec.sweep import Resources

NODES_SECONDS = 5.0
"""How often it is asked whether a node of this Ray is still there."""


class QueueSearcher(Searcher):
    """Suggests the jobs of a queue."""

    def __init__(self, queue: JobQueue, places: int | None = None) -> None:
        """Hand out what `queue` has, with `places` only as many jobs as have room.

        Otherwise Tune takes jobs ahead of time, and what turns out to come before them comes after them.
        """
        super().__init__()
        self._queue = queue
        self._places = places
        self._taken: set[str] = set()

    def suggest(self, trial_id: str) -> Any:
        """Return the next job, None to wait for others to end, or that all is done."""
        if self._places is not None and len(self._taken) >= self._places:
            return None
        job = self._queue.take(trial_id)
        if job is None:
            return Searcher.FINISHED if self._queue.over else None
        self._taken.add(trial_id)
        return {"job": job}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Note that a job has ended."""
        self._taken.discard(trial_id)
        self._queue.ended(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: the ledger knows."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class WarmWorkers(FIFOScheduler):
    """Takes jobs in their order, and lets workers wait for the next stage.

    Tune by itself ends all but one of the workers that have nothing to do, and a new one loads torch for seconds.
    """

    def __init__(self, most: int = 1024) -> None:
        """Keep up to `most` workers."""
        super().__init__()
        self._most = most
        self._known: set[Any] = set()

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Let workers of this size wait; Tune has no public way to say so."""
        size = trial.placement_group_factory
        if size not in self._known:
            self._known.add(size)
            tune_controller._tune_controller._actor_cache.increase_max(size, by=self._most)


class Hearer(tune.Callback):
    """Passes on what Tune says of jobs, to the books first and then to whoever watches."""

    def __init__(self, books: Bookkeeper, watcher: Watcher, stopping: Stopping | None = None) -> None:
        """Tell `books` and `watcher`, and ask `stopping` whether a training is to be ended early."""
        self.running: dict[str, Job] = {}
        self._books = books
        self._watcher = watcher
        self._failures: dict[str, str] = {}
        self._stopping = stopping
        self._halts: dict[str, Halt] = {}

    def ends(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether a job that reported `result` is to be ended early; asked before anybody hears of the result."""
        job = self.running.get(trial_id)
        if self._stopping is None or not isinstance(job, TrainJob):
            return False
        if "epoch" not in result or result["failure"]:  # Tune asks about its own closing result, too
            return False
        halt = self._stopping.judge(job, _progress(result))
        if halt is not None:
            self._halts[trial_id] = halt
        return halt is not None

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A worker took a job."""
        job = trial.config["job"]
        if trial.trial_id not in self.running:
            self.running[trial.trial_id] = job
            self._books.started(job)
            self._watcher.started(trial.trial_id, job)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """A worker reported an epoch or a failure."""
        progress = _progress(result)
        if progress.failure:
            self._failures[trial.trial_id] = progress.failure
            return
        self._books.progressed(trial.config["job"])
        self._watcher.progressed(trial.trial_id, progress)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A worker died and Tune tries the job again."""
        self._failures.pop(trial.trial_id, None)
        self._books.interrupted(trial.config["job"])

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A job ended by itself, well or with a failure of its trial, or was ended early."""
        halt = self._halts.pop(trial.trial_id, None)
        if halt is not None:
            self.running.pop(trial.trial_id, None)
            self._books.stopped(trial.config["job"], halt)
            self._watcher.stopped(trial.trial_id, halt.reason)
            return
        self._end(trial, self._failures.pop(trial.trial_id, ""), by_trial=True)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A job was given up after its surroundings failed too often."""
        self._end(trial, self._failures.pop(trial.trial_id, "its worker process died"), by_trial=False)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Some time passed."""
        self._watcher.tick()

    def _end(self, trial: Trial, failure: str, by_trial: bool) -> None:
        self.running.pop(trial.trial_id, None)
        self._books.ended(trial.config["job"], failure, by_trial)
        self._watcher.ended(trial.trial_id, failure)

    def __getstate__(self) -> dict[str, Any]:
        return {}


def _progress(result: dict[str, Any]) -> Progress:
    return Progress(result["epoch"], result["epoch_metrics"], result["failure"])


class _Silence(TrialProgressCallback):
    """Stands in for Tune's own progress lines."""

    def _print(self, msg: str) -> None:
        pass

    def log_result(self, trial: Trial, result: dict[str, Any], error: bool = False) -> None:
        pass


class _Ends(tune.Stopper):
    """Ends everything when the sweep is cancelled or Ray has no node left, and one job where the hearer says so.

    Tune itself would wait for a node for ever.
    """

    def __init__(self, heart: Heart, hearer: Hearer) -> None:
        self.without_node = False
        self._heart = heart
        self._hearer = hearer
        self._asked = time.monotonic()

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self._hearer.ends(trial_id, result)

    def stop_all(self) -> bool:
        if time.monotonic() - self._asked > NODES_SECONDS:
            self.without_node = self.without_node or not any(node["Alive"] for node in ray.nodes())
            self._asked = time.monotonic()
        return self._heart.stopped or self.without_node

    def __getstate__(self) -> dict[str, Any]:
        return {}


def _room(resources: Resources) -> dict[str, float] | tune.PlacementGroupFactory:
    """What Tune reserves for a job; the first of several workers is Tune's own, the others are started by it."""
    if resources.workers == 1:
        return {"cpu": resources.cpu, "gpu": resources.gpu}
    worker = {"CPU": resources.cpu, "GPU": resources.gpu}
    return tune.PlacementGroupFactory([worker] * resources.workers, strategy="STRICT_PACK")


def places(resources: Resources) -> int:
    """Count the jobs that this Ray has room for, at least one."""
    total = ray.cluster_resources()
    workers = total["CPU"] // resources.cpu
    if 0 < resources.gpu < 1:  # no worker gets parts of two GPUs
        workers = min(workers, total.get("GPU", 0) * int(1 / resources.gpu + 1e-9))
    elif resources.gpu:
        workers = min(workers, total.get("GPU", 0) // resources.gpu)
    return max(1, int(workers // resources.workers))


def run_jobs(
    queue: JobQueue,
    around: Surroundings,
    resources: Resources,
    max_failures: int,
    scratch: Path,
    hearer: Hearer,
    heart: Heart,
    keep_workers: bool = False,
) -> None:
    """Run all jobs of the queue to their end, or until the sweep is cancelled or interrupted.

    Raises ClusterError when no node of this Ray is left.

    `keep_workers` is for a Ray that this process has started and that nobody else waits for: jobs go into workers
    that Ray has started ahead, workers without a job wait for the next stage, and a job is taken when it has room.
    """

    def work(config: dict[str, Any]) -> None:
        execute(config["job"], around, lambda progress: tune.report(progress.to_result()))

    ends = _Ends(heart, hearer)
    scheduler: TrialScheduler = WarmWorkers() if keep_workers else FIFOScheduler()
    tuner = tune.Tuner(
        tune.with_resources(work, _room(resources)),
        tune_config=tune.TuneConfig(
            search_alg=QueueSearcher(queue, places(resources) if keep_workers else None),
            scheduler=scheduler,
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=lambda trial: trial.trial_id,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(scratch),
            verbose=0,
            callbacks=[hearer, _Silence()],
            stop=ends,
            failure_config=tune.FailureConfig(max_failures=max_failures),
        ),
    )
    with _workers_started_ahead() if keep_workers else nullcontext():
        tuner.fit()
    if ends.without_node and not queue.over:
        raise ClusterError(
            "Ray has ended while jobs ran: a process of it was killed, or died for want of memory. What was "
            "finished is kept, and the same command goes on from here"
        )


@contextmanager
def _workers_started_ahead() -> Iterator[None]:
    """Let Tune use the workers that Ray has started ahead, which have `WORKER_VARIABLES` from this process.

    Tune asks for these variables itself, as an environment of its own, for which Ray would start other workers
    seconds later; Tune has no public way not to.
    """
    asked = dict(class_cache.DEFAULT_ENV_VARS)
    for name in WORKER_VARIABLES:
        class_cache.DEFAULT_ENV_VARS.pop(name, None)
    try:
        yield
    finally:
        class_cache.DEFAULT_ENV_VARS.update(asked)
