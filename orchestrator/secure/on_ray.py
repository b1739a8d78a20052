"""An evaluation on a Ray cluster: an actor for each party and one for the dealer, each where the party file pins it.

Whoever can reach a Ray cluster can run code on all of its nodes, so a cluster is one domain of trust: what the
protocol hides from the other parties, it does not hide from whoever runs the cluster.
"""

import socket
import tempfile
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.errors import AdaptuneError
from orchestrator.secure.following import Event, follow
from orchestrator.secure.model_files import packed, unpack
from orchestrator.secure.seats import Assignment, Outcome, Say

POLL_SECONDS = 0.3
START_SECONDS = 120
"""Time that the cluster has to start all actors."""


def run_on_ray(
    assignments: Sequence[Assignment],
    pins: Mapping[str, Mapping[str, str | None]],
    say: Say = lambda event: None,
) -> list[Outcome]:
    """Run all seats as actors of the Ray that this process is connected to; return their outcomes in order.

    `pins` names the `node` (address or id) or the `resource` of seats that are to run in a certain place. The model's
    files travel with the actors; data stays where it is. Raises `EvaluationFailed`, and AdaptuneError where an actor
    cannot be placed.
    """
    import ray

    folders = {each.model for each in assignments if each.model}
    files = {folder: packed(Path(folder)) for folder in folders}
    actor_type = ray.remote(_SeatActor)
    actors: dict[str, Any] = {}
    try:
        for each in assignments:
            where = _placement(each.name, pins.get(each.name, {}))
            given = files[each.model] if each.model else {}
            actors[each.name] = actor_type.options(num_cpus=0, max_concurrency=4, **where).remote(each, given)
        starting = [actor.pid.remote() for actor in actors.values()]
        waiting = ray.wait(starting, num_returns=len(starting), timeout=START_SECONDS)[1]
        if waiting:
            late = [name for name, start in zip(actors, starting, strict=True) if start in waiting]
            raise AdaptuneError(
                f"the cluster has no place for {', '.join(late)}: check `node` and `resource` of the party file "
                "against what `ray status` lists"
            )
        first = next(iter(actors.values()))
        seats = {name: _Remote(actor) for name, actor in actors.items()}
        for name, pid in zip(actors, ray.get(starting), strict=True):
            say({"seat": name, "did": "has started", "pid": pid})
        events = _Events({name: seat.actor for name, seat in seats.items()})
        return follow(
            seats, events.next, lambda: str(ray.get(first.address.remote())), assignments[0].timeout, say
        )
    finally:
        for actor in actors.values():
            ray.kill(actor)


def _placement(name: str, pin: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the options that pin an actor."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    if resource := pin.get("resource"):
        return {"resources": {resource: 1}}
    wanted = pin.get("node")
    if wanted is None:
        return {}
    alive = [node for node in ray.nodes() if node["Alive"]]
    for node in alive:
        if wanted in (node["NodeID"], node["NodeManagerAddress"], node["NodeManagerHostname"]):
            return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)}
    known = ", ".join(sorted(node["NodeManagerAddress"] for node in alive))
    raise AdaptuneError(
        f"{name} is pinned to the node {wanted}, which the cluster does not have; it has {known}"
    )


class _SeatActor:
    """Takes one seat in a process of its own."""

    def __init__(self, assignment: Assignment, files: Mapping[str, bytes]) -> None:
        self._events: list[dict[str, Any]] = []
        self._where = ""
        self._told = threading.Event()
        self._assignment = assignment
        self._files = files

    def pid(self) -> int:
        """Return the number of the actor's process."""
        import os

        return os.getpid()

    def address(self) -> str:
        """Return an address of this node at which nobody listens."""
        import ray

        host = ray.util.get_node_ip_address()
        with socket.socket() as probe:
            probe.bind((host, 0))
            return f"{host}:{probe.getsockname()[1]}"

    def meet(self, rendezvous: str) -> None:
        """Let the seat go on to the meeting."""
        self._where = rendezvous
        self._told.set()

    def heard(self, since: int) -> list[dict[str, Any]]:
        """Return what has happened after so many events."""
        return self._events[since:]

    def run(self) -> dict[str, Any]:
        """Take the seat; return the outcome, or the error that is meant for a person."""
        from dataclasses import replace

        import torch

        from orchestrator.secure.seats import take_seat

        torch.set_num_threads(1)
        with tempfile.TemporaryDirectory() as folder:
            unpack(self._files, Path(folder))
            assignment = replace(self._assignment, model=folder) if self._files else self._assignment
            try:
                return {"outcome": take_seat(assignment, self._ready, self._events.append).to_json()}
            except AdaptuneError as error:
                return {"error": str(error)}

    def _ready(self) -> str:
        self._told.wait()
        return self._where


class _Remote:
    """A seat's actor as `follow` sees it."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor

    def meet(self, rendezvous: str) -> None:
        """Let the actor go on; one that has died is noticed elsewhere."""
        self.actor.meet.remote(rendezvous)


class _Events:
    """Starts the actors' runs, and asks them again and again what has happened."""

    def __init__(self, actors: Mapping[str, Any]) -> None:
        self._actors = actors
        self._runs = {name: actor.run.remote() for name, actor in actors.items()}
        self._polls = {name: actor.heard.remote(0) for name, actor in actors.items()}
        self._seen = dict.fromkeys(actors, 0)
        self._waiting: deque[Event] = deque()

    def next(self, seconds: float) -> Event | None:
        """Return the next event; None where nothing happens for that long."""
        import ray

        if not self._waiting and self._runs:
            asked = [*self._runs.values(), *self._polls.values()]
            ray.wait(asked, num_returns=len(asked), timeout=min(seconds, POLL_SECONDS))
            for name in list(self._polls):
                self._poll(name)
            for name in list(self._runs):
                self._end(name)
        return self._waiting.popleft() if self._waiting else None

    def _poll(self, name: str) -> None:
        """Take in an actor's answer, and ask again."""
        import ray

        if not ray.wait([self._polls[name]], timeout=0)[0]:
            return
        try:
            news = ray.get(self._polls.pop(name))
        except ray.exceptions.RayError:
            return  # its run tells how it ended
        self._seen[name] += len(news)
        self._waiting.extend((name, event) for event in [*news, {"alive": True}])
        if name in self._runs:
            self._polls[name] = self._actors[name].heard.remote(self._seen[name])

    def _end(self, name: str) -> None:
        """Take in how an actor's run ended, if it has, after what it said last."""
        import ray

        if not ray.wait([self._runs[name]], timeout=0)[0]:
            return
        run = self._runs.pop(name)
        try:
            said = ray.get(run)
        except ray.exceptions.RayActorError:
            said = {"error": "its actor died: the process was killed, or its node was lost"}
        except ray.exceptions.RayError as error:
            said = {"error": str(error).strip().splitlines()[-1]}
        self._waiting.extend([(name, said), (name, {"ended": "its actor ended"})])
