"""The endpoint on Ray Serve, and how to run it on this machine.

There is one replica, because the users' events and states lie in a file on its machine.
"""

import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import ray
from fastapi import FastAPI
from ray import serve as ray_serve
from ray.serve.schema import LoggingConfig

from components.errors import AdaptuneError
from components.tasks import TASKS
from orchestrator.registry import Registry
from serve.api import create_api
from serve.engine import Engine
from serve.events import EventLog

HOST = "127.0.0.1"
APPLICATION = "adaptune"
MOST_ONGOING_REQUESTS = 32
"""Fewer than the replica's 40 threads, so that none waits inside; Ray Serve queues the rest."""
OBJECT_STORE_BYTES = 80 * 1024**2
"""The least that Ray allows: requests do not pass through the object store."""


class Endpoint:
    """The replica: an engine behind the HTTP interface."""

    def __init__(self, home: str, task: str, alias: str) -> None:
        """Open the registry and the event log below `home`, and load the promoted model."""
        self._engine = open_engine(Path(home), task, alias)

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Return what answers HTTP; Ray Serve calls this once the replica is constructed."""
        return create_api(self._engine)


def open_engine(home: Path, task: str, alias: str) -> Engine:
    """Return an engine on the registry and the event log below `home`."""
    events = EventLog(home / "online" / f"{task}.db")
    return Engine(Registry(home / "registry"), task, alias, events)


def build_app(home: Path, alias: str = "champion", task: str = "recommendation") -> ray_serve.Application:
    """Return the application that serves the model under `alias`, for `ray.serve.run`."""
    deploy = ray_serve.deployment(
        name="endpoint",
        num_replicas=1,
        max_ongoing_requests=MOST_ONGOING_REQUESTS,
        ray_actor_options={"num_cpus": 1},
    )
    return deploy(ray_serve.ingress()(Endpoint)).bind(str(home.resolve()), task, alias)


@contextmanager
def local_endpoint(home: Path, alias: str, task: str, port: int) -> Iterator[str]:
    """Run the endpoint on a Ray of its own, reachable from this machine only, and yield its URL.

    Raises `AdaptuneError` before Ray starts if nothing is promoted, the version is damaged or the port taken.
    """
    check_promoted(home, alias, task)
    check_port(port)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    quiet = LoggingConfig(log_level="WARNING", enable_access_log=False)
    try:
        _start_ray()
        http = {"host": HOST, "port": port}
        ray_serve.start(proxy_location="HeadOnly", http_options=http, logging_config=quiet)
        try:
            app = build_app(home, alias, task)
            ray_serve.run(app, name=APPLICATION, route_prefix="/", logging_config=quiet)
            url = f"http://{HOST}:{port}"
            _check_health(url)
            yield url
        finally:
            ray_serve.delete(APPLICATION)  # lets requests in progress finish
    finally:
        ray.shutdown()


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
    """Raise `AdaptuneError` if the replica runs but has no model to serve."""
    health = httpx.get(f"{url}/healthz", timeout=60).json()
    if health["model"] is None:
        raise AdaptuneError(health["problem"])


def check_promoted(home: Path, alias: str, task: str) -> str:
    """Return the name of the version under the alias; raise `AdaptuneError` without a sound, servable one."""
    if (info := TASKS.get(task)) is None or info.servable != "recommend":
        able = ", ".join(name for name, each in TASKS.items() if each.servable == "recommend")
        raise AdaptuneError(f"models of {task!r} cannot be served yet; those of {able} can")
    version = Registry(home / "registry").alias(task, alias)
    if version is None:
        raise AdaptuneError(
            f"{home / 'registry'}: no {task} model is promoted as `{alias}`; "
            f"run a sweep and promote its winner with `adaptune promote SWEEP --alias {alias}`"
        )
    return version.name


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
