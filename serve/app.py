"""The endpoint on Ray Serve, and how to run it on this machine.

There is one replica, because the users' events and states lie in files on its machine.
"""

import logging
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import ray
from fastapi import FastAPI
from ray import serve as ray_serve
from ray.serve.schema import LoggingConfig

from components.errors import AdaptuneError
from components.tasks import TASKS
from orchestrator.release.registry import Registry
from serve.api import create_api
from serve.dispatch import VERBS, Dispatcher
from serve.engine import Engine
from serve.events import EventLog

HOST = "127.0.0.1"
APPLICATION = "adaptune"
SERVABLE = tuple(task for task, info in TASKS.items() if info.servable in VERBS)
"""Tasks that can be served."""
MOST_ONGOING_REQUESTS = 32
"""Fewer than the replica's 40 threads, so that none waits inside; Ray Serve queues the rest."""
OBJECT_STORE_BYTES = 80 * 1024**2
"""The least that Ray allows: requests do not pass through the object store."""


class Endpoint:
    """The replica: an engine a task behind one HTTP interface."""

    def __init__(self, home: str, tasks: Sequence[str], alias: str) -> None:
        """Open the registry and the event logs below `home`, and load the promoted models."""
        self._dispatcher = open_dispatcher(Path(home), tasks, alias)

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Return what answers HTTP; Ray Serve calls this once the replica is constructed."""
        return create_api(self._dispatcher)


def open_dispatcher(home: Path, tasks: Sequence[str], alias: str) -> Dispatcher:
    """Return engines for the tasks, on the registry and the event logs below `home`; a log is a file a task."""
    registry = Registry(home / "registry")
    engines = {
        task: Engine(registry, task, alias, EventLog(home / "online" / f"{task}.db")) for task in tasks
    }
    return Dispatcher(registry, engines)


def build_app(home: Path, alias: str = "champion", tasks: Sequence[str] = SERVABLE) -> ray_serve.Application:
    """Return the application that serves the tasks' models under `alias`, for `ray.serve.run`."""
    deploy = ray_serve.deployment(
        name="endpoint",
        num_replicas=1,
        max_ongoing_requests=MOST_ONGOING_REQUESTS,
        ray_actor_options={"num_cpus": 1},
    )
    return deploy(ray_serve.ingress()(Endpoint)).bind(str(home.resolve()), list(tasks), alias)


@contextmanager
def local_endpoint(home: Path, alias: str, tasks: Sequence[str], port: int) -> Iterator[str]:
    """Run the endpoint on a Ray of its own, reachable from this machine only, and yield its URL.

    It serves the `tasks`, or without any all that can be served, also those that are promoted while it runs. Raises
    `AdaptuneError` before Ray starts if nothing is promoted, a version is damaged or the port taken.
    """
    check_promoted(home, alias, tasks)
    check_port(port)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    try:
        _start_ray()
        with deployed(home, alias, tasks, port) as url:
            yield url
    finally:
        ray.shutdown()


@contextmanager
def deployed(home: Path, alias: str, tasks: Sequence[str], port: int) -> Iterator[str]:
    """Run the endpoint on the Ray that this process has joined, and yield its URL."""
    quiet = LoggingConfig(log_level="WARNING", enable_access_log=False)
    http = {"host": HOST, "port": port}
    ray_serve.start(proxy_location="HeadOnly", http_options=http, logging_config=quiet)
    try:
        app = build_app(home, alias, tasks or SERVABLE)
        ray_serve.run(app, name=APPLICATION, route_prefix="/", logging_config=quiet)
        url = f"http://{HOST}:{port}"
        _check_health(url)
        yield url
    finally:
        ray_serve.delete(APPLICATION)  # lets requests in progress finish


def _start_ray() -> None:
    on_terminate = signal.getsignal(signal.SIGTERM)
    ray.init(
        address="local",
        num_cpus=1,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=OBJECT_STORE_BYTES,
    )
    signal.signal(signal.SIGTERM, on_terminate)  # Ray has put its own in place, which reports a crash


def _check_health(url: str) -> None:
    """Raise `AdaptuneError` if the replica runs but could not load a model."""
    for task in httpx.get(f"{url}/healthz", timeout=60).json()["tasks"].values():
        if task["problem"] is not None:
            raise AdaptuneError(task["problem"])


def check_promoted(home: Path, alias: str, tasks: Sequence[str] = ()) -> dict[str, str]:
    """Return the name of each task's version under the alias; of all tasks that can be served where none is named.

    Raises `AdaptuneError` if there is none at all, none of a task that was named, or one that is not sound.
    """
    for task in tasks:
        if task not in SERVABLE:
            raise AdaptuneError(f"models of {task!r} cannot be served; those of {', '.join(SERVABLE)} can")
    registry = Registry(home / "registry")
    found = {task: registry.alias(task, alias) for task in tasks or SERVABLE}
    missing = [task for task in tasks if found[task] is None]
    if missing or not any(found.values()):
        raise AdaptuneError(
            f"{registry.root}: no {'model' if not missing else f'{missing[0]} model'} is promoted as `{alias}`; "
            f"run a sweep and promote its winner with `adaptune promote SWEEP --alias {alias}`"
        )
    return {task: version.name for task, version in found.items() if version is not None}


def check_port(port: int) -> None:
    """Raise `AdaptuneError` if the port is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise AdaptuneError(f"port {port}: {error.strerror}; choose another with --port") from error


def free_port() -> int:
    """Return a port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]
