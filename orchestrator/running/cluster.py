"""Joining or starting a Ray cluster, and checking that all of its nodes share the storage."""

import logging
import os
import socket
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from components.errors import AdaptuneError
from orchestrator.spec.problems import counted
from orchestrator.spec.sweep import Resources

MAX_PENDING = 64
"""Jobs that Tune may ask for ahead of time; with its default of one, workers would start one after another."""
WORKER_VARIABLES = {"PL_DISABLE_FORK": "1"}
"""What Tune wants Lightning to see in workers; those of a Ray that is started here have it from the start."""

REACH_SECONDS = 10
"""Time that a cluster has to take a connection."""
PROBE_SECONDS = 120
"""Time that a node has to start a worker with the code that was shipped to it, and to answer a probe."""


class ClusterError(AdaptuneError):
    """Ray cannot be started or joined, a node of it cannot be used, or it has ended."""


@contextmanager
def ray_cluster(address: str | None, home: Path, shared_storage: bool = True) -> Iterator[None]:
    """Start Ray on this machine, or join the cluster at `address`; shut down or leave in the end.

    What Ray prints meanwhile goes to standard error, and Tune's log of failed jobs nowhere: the ledger has it.
    Raises ClusterError if the cluster cannot be reached, or, where `shared_storage` is needed, a node of it cannot
    read and write `home`.
    """
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", str(MAX_PENDING))
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.update(WORKER_VARIABLES)
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")  # else a worker's memory grows from training to training
    import ray

    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)

    if address is not None:
        _check_reachable(address)
    try:
        ray.init(
            address=address or "local",
            include_dashboard=False if address is None else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env=_shipped_code() if address else None,
        )
    except Exception as error:  # a Ray that takes too long to start raises just that
        where = (
            f"the Ray cluster at {address} cannot be joined"
            if address
            else "Ray cannot start on this machine"
        )
        remedy = "; if this machine is busy, try again" if address is None else ""
        raise ClusterError(f"{where}: {error}{remedy}") from error
    try:
        with redirect_stdout(sys.stderr):
            if address is not None and shared_storage:
                _check_shared_storage(home)
            yield
    finally:
        ray.shutdown()


def check_room(resources: Resources) -> None:
    """Raise AdaptuneError if no machine of this Ray, which does not grow, is big enough for a trial."""
    import ray

    workers = resources.workers
    if workers == 1 and resources.cpu == 1 and not resources.gpu:
        return  # every machine has a core
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for key, kind, what in (("cpu", "CPU", "processor core"), ("gpu", "GPU", "GPU")):
        each = getattr(resources, key)
        most = max((node.get(kind, 0.0) for node in nodes), default=0.0)
        if each * workers > most:
            asked = f"`resources.{key}` {each:g}" + (
                f" x `resources.workers` {workers}" if workers > 1 else ""
            )
            raise AdaptuneError(
                f"a trial gets {counted(each * workers, what)} ({asked}), and this machine has {most:g}: ask for "
                "less, or name a bigger cluster with --address"
            )


def _check_reachable(address: str) -> None:
    """Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_SECONDS).close()
        except OSError as error:
            raise ClusterError(
                f"the Ray cluster at {address} cannot be joined ({error}): start it with `ray up`, or name "
                "the address that `ray start --head` printed"
            ) from error


def _shipped_code() -> dict[str, list[str]]:
    import components
    import orchestrator

    return {"py_modules": [str(Path(next(iter(package.__path__)))) for package in (components, orchestrator)]}


def _check_shared_storage(home: Path) -> None:
    """Let every node read a probe that this process writes, and write one that this process reads."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    token = uuid.uuid4().hex
    probe = home / f".probe-{token}"
    answer = ray.remote(num_cpus=0)(_answer_probe)
    try:
        home.mkdir(parents=True, exist_ok=True)
        probe.write_text(token)
        for node in ray.nodes():
            if not node["Alive"]:
                continue
            here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            back = probe.with_name(f"{probe.name}-{node['NodeID']}")
            asked = answer.options(scheduling_strategy=here).remote(str(probe), str(back), token)
            problem = ray.get(asked, timeout=PROBE_SECONDS)
            if problem or not back.exists():
                raise ClusterError(
                    f"node {node['NodeManagerHostname']} does not share the storage {home}"
                    f" ({problem or 'what it wrote is not visible here'}): mount the same folder on every node "
                    "(NFS, EFS) and name it with --home"
                )
    except OSError as error:
        raise ClusterError(f"the storage {home} cannot be written: {error.strerror}") from error
    except ray.exceptions.RayError as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ClusterError(f"a node of the Ray cluster does not do what it is asked: {reason}") from error
    finally:
        for path in home.glob(f"{probe.name}*"):
            path.unlink()


def _answer_probe(probe: str, back: str, expected: str) -> str:
    """Read a probe and write one back; return what is wrong, if anything."""
    try:
        if Path(probe).read_text() != expected:
            return "it sees another file there"
        Path(back).write_text(expected)
    except OSError as error:
        return str(error)
    return ""
