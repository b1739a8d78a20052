"""Workers that wait for the next stage."""

from types import SimpleNamespace

import pytest
from ray.tune.schedulers import FIFOScheduler
from ray.tune.utils.object_cache import _ObjectCache

from orchestrator.running.tuning import WarmWorkers

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
