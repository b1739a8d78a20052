"""The further workers of a trial with `resources.workers` above 1.

The Tune worker of the trial is the first of them and does what it does alone: it evaluates, reports and writes. The
others are Ray actors in the rest of the trial's placement group. Ray gives them their processors and the shipped
code, says how they ended, and ends them with the worker that started them, also where that one is killed.
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.tasks import TASKS
from orchestrator.running.jobs import Surroundings, TrainJob

if TYPE_CHECKING:
    from components.team import Team

_log = logging.getLogger("adaptune.worker")

CAUSE_SECONDS = 10
"""Time that Ray has to say how a worker ended, once its connections are closed."""


@contextmanager
def team_of(job: TrainJob, around: Surroundings) -> "Iterator[Team | None]":
    """Start the further workers of a trial, and end them in the end; None where there are none.

    Raises what one of them failed with, or `ConnectionError` if one died, which is not the trial's fault.
    """
    if around.workers == 1:
        yield None
        return
    import ray
    from ray.util.placement_group import get_current_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    from components.team import joined

    with tempfile.TemporaryDirectory(prefix="adaptune-") as folder:
        meeting = Path(folder) / "meeting"
        start = ray.remote(num_cpus=around.threads, num_gpus=around.gpu)(Peer)
        group = get_current_placement_group()
        assert group is not None
        peers: list[Any] = [
            start.options(scheduling_strategy=PlacementGroupSchedulingStrategy(group, rank)).remote()
            for rank in range(1, around.workers)
        ]
        try:
            waiting = [peer.build.remote(job, around) for peer in peers]
            try:
                ray.get(waiting)
                waiting = [peer.train.remote(rank, str(meeting)) for rank, peer in enumerate(peers, start=1)]
                with joined(0, around.workers, meeting) as team:
                    _log.info("%d workers train together", around.workers)
                    yield team
            except (ConnectionError, ray.exceptions.RayActorError) as error:
                raise _cause(waiting, error) from error
        finally:
            for peer in peers:
                ray.kill(peer)


def _cause(ends: list[Any], error: Exception) -> Exception:
    """Find what stands behind a broken connection: rather a worker's own failure than that it died."""
    import ray

    done, _ = ray.wait(ends, num_returns=len(ends), timeout=CAUSE_SECONDS)
    died: Exception = ConnectionError(*error.args)
    for rank, end in enumerate(ends, start=1):
        if end not in done:
            continue
        try:
            ray.get(end)
        except ConnectionError:
            pass  # it tells of another one
        except ray.exceptions.RayTaskError as failure:
            return failure
        except ray.exceptions.RayError as lost:
            _log.warning("worker %d of the trial died: %s", rank, lost)
            died = ConnectionError(f"worker {rank} of the trial died: killed, crashed, or out of memory")
    return died


class Peer:
    """One of the further workers of a trial."""

    def build(self, job: TrainJob, around: Surroundings) -> None:
        """Open the data and build the model, which takes as long as it takes."""
        from orchestrator.running.worker import check_code

        check_code(around)
        self._job, self._around = job, around
        self._task = TASKS[around.task].load()
        self._data = self._task.open_data(Path(job.data_folder))
        self._module = self._task.build(job.readings[-1].config, self._data)

    def train(self, rank: int, meeting: str) -> None:
        """Take part in the training as member `rank` of the team that meets at the file `meeting`."""
        from components.team import joined
        from components.training import fit
        from orchestrator.records.workspace import Workspace

        job, around = self._job, self._around
        with joined(rank, around.workers, Path(meeting)) as team:
            fit(
                self._task,
                self._module,
                self._data,
                job.readings[-1].config.training,
                job.epochs,
                group=TASKS[around.task].main_group,
                checkpoint_folder=Workspace(Path(around.home)).run(job.run_id, around.validity),
                on_epoch=lambda report, module: None,
                threads=around.threads,
                accelerator=around.accelerator,
                team=team,
            )
