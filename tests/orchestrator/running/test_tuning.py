"""Workers that wait for the next stage, and jobs that wait for a worker."""

from types import SimpleNamespace
from unittest import mock

import pytest
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher
from ray.tune.utils.object_cache import _ObjectCache

from orchestrator.running.jobs import TrivialJob
from orchestrator.running.queue import JobQueue
from orchestrator.running.tuning import QueueSearcher, WarmWorkers, places
from orchestrator.spec.sweep import Resources

SIZE = "one core"


@pytest.mark.parametrize(("scheduler", "kept"), [(WarmWorkers(), 3), (FIFOScheduler(), 1)])
def test_workers_without_a_job_wait_where_they_are_kept(scheduler: FIFOScheduler, kept: int) -> None:
    cache = _ObjectCache(may_keep_one=True)
    controller = SimpleNamespace(_tune_controller=SimpleNamespace(_actor_cache=cache))
    for _ in range(5):
        scheduler.on_trial_add(controller, SimpleNamespace(placement_group_factory=SIZE))

    for worker in range(3):
        cache.cache_object(SIZE, worker)
    list(cache.flush_cached_objects())

    assert cache.num_cached_objects == kept


def job(name: str) -> TrivialJob:
    return TrivialJob((("id", name),), "folder", "digest")


def test_only_as_many_jobs_are_taken_as_have_room() -> None:
    lines = [iter([[job("first")], [job("its evaluation")]]), iter([[job("second"), job("third")]])]
    searcher = QueueSearcher(JobQueue([lines]), places=2)
    assert [searcher.suggest("a"), searcher.suggest("b")] == [{"job": job("first")}, {"job": job("second")}]
    assert searcher.suggest("c") is None
    searcher.on_trial_complete("a")
    assert searcher.suggest("c") == {"job": job("third")}
    assert searcher.suggest("d") is None
    searcher.on_trial_complete("c", error=True)
    assert searcher.suggest("d") == {"job": job("its evaluation")}
    searcher.on_trial_complete("b")
    searcher.on_trial_complete("d")
    assert searcher.suggest("e") == Searcher.FINISHED


def test_where_others_use_the_cluster_jobs_wait_for_it_as_tune_likes() -> None:
    searcher = QueueSearcher(JobQueue([[iter([[job(str(number)) for number in range(9)]])]]))
    assert all(searcher.suggest(str(number)) for number in range(9))
    assert searcher.suggest("more") is None, "until the last has ended"


@pytest.mark.parametrize(
    ("cpu", "gpu", "workers", "room"),
    [
        (1, 0, 1, 16),
        (3, 0, 1, 5),
        (1, 1, 1, 4),
        (1, 0.3, 1, 12),
        (1, 0.6, 1, 4),
        (1, 0.2, 3, 5),
        (9, 2, 2, 1),
    ],
)
def test_room_is_counted_without_parts_of_two_gpus(cpu: int, gpu: float, workers: int, room: int) -> None:
    machine = mock.patch("ray.cluster_resources", lambda: {"CPU": 16.0, "GPU": 4.0})
    with machine:
        assert places(Resources(cpu=cpu, gpu=gpu, workers=workers)) == room
