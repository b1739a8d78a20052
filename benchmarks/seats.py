"""Takes all seats of a secure session on this machine, with one program for the parties: for benchmarks.

A program is a function of a module, `program(session, rank, plan)`; what party 0 returns is the result. The seats are
processes, or Ray actors; what runs in them is the same.
"""

import socket
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

from components.privacy.seat import Seat, Session, deal, join

Program = Callable[[Session, int, Any], Any]


def run_seats(program: Program, plan: Any, parties: int, timeout: float = 300, on_ray: bool = False) -> Any:
    """Run `program` at each party, with a dealer beside them; return what party 0 returned.

    With `on_ray` this process must be connected to Ray. Raises whatever a seat raised first.
    """
    run = _run_on_ray if on_ray else _run_as_processes
    seats = [Seat(rank, parties, "127.0.0.1:1", receiver=0, timeout=timeout) for rank in range(parties + 1)]
    return run(program, plan, seats)


def take_seat(seat: Seat, program: Program, plan: Any) -> Any:
    """Take one seat in this process, which must not have had one before."""
    import torch

    torch.set_num_threads(1)
    if seat.rank == seat.parties:
        return deal(seat)
    with join(seat) as session:
        return program(session, seat.rank, plan)


def _run_as_processes(program: Program, plan: Any, seats: list[Seat]) -> Any:
    rendezvous = _free_address("127.0.0.1")
    with ProcessPoolExecutor(len(seats), get_context("spawn"), max_tasks_per_child=1) as pool:
        running = [
            pool.submit(take_seat, replace(seat, rendezvous=rendezvous), program, plan) for seat in seats
        ]
        results = [seat.result() for seat in running]  # all of them: any may have failed
        return results[0]


def _run_on_ray(program: Program, plan: Any, seats: list[Seat]) -> Any:
    import ray

    actors = [ray.remote(_SeatActor).options(num_cpus=0).remote() for _ in seats]
    try:
        rendezvous = ray.get(actors[0].address.remote())
        running = [
            actor.take.remote(replace(seat, rendezvous=rendezvous), program, plan)
            for actor, seat in zip(actors, seats, strict=True)
        ]
        return ray.get(running)[0]
    finally:
        for actor in actors:
            ray.kill(actor)


class _SeatActor:
    """Takes one seat in a process of its own."""

    def address(self) -> str:
        """Return an address of this node at which nobody listens."""
        import ray

        return _free_address(ray.util.get_node_ip_address())

    def take(self, seat: Seat, program: Program, plan: Any) -> Any:
        """Take the seat to the end."""
        return take_seat(seat, program, plan)


def _free_address(host: str) -> str:
    with socket.create_server((host, 0)) as probe:
        return f"{host}:{probe.getsockname()[1]}"
