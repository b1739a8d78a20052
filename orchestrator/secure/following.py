"""Following the seats of one evaluation from outside, wherever they run: who is ready, who has ended, and why."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from components.errors import AdaptuneError
from orchestrator.secure.seats import READY, Outcome, Say

GRACE_SECONDS = 15
"""Beyond the protocol's own timeout, for a seat to notice what has happened and to end."""

Event = tuple[str, dict[str, Any]]
"""Name of a seat and what it has said, or `{"ended": why}` where it has stopped."""


class EvaluationFailed(AdaptuneError):
    """A seat refused, died or lost the others."""


class Running(Protocol):
    """A seat that somebody runs."""

    def meet(self, rendezvous: str) -> None:
        """Tell it where to meet the others; one that has died meanwhile is noticed by its end."""


def follow(
    seats: Mapping[str, Running],
    next_event: Callable[[float], Event | None],
    rendezvous: Callable[[], str],
    timeout: float,
    say: Say,
) -> list[Outcome]:
    """Follow seats until all have ended; return their outcomes in order.

    `next_event` waits at most that many seconds. Seats say something all the time, if only that they are alive:
    one that has been silent for `timeout` seconds and some grace counts as lost. When a seat fails before the
    meeting it is called off; afterwards the others are given the same time to notice. Raises `EvaluationFailed`
    with what each said; whoever called then ends what still runs.
    """
    patience = timeout + GRACE_SECONDS
    outcomes: dict[str, Outcome] = {}
    errors: dict[str, str] = {}
    failures: dict[str, str] = {}
    ready: set[str] = set()
    heard = dict.fromkeys(seats, time.monotonic())
    running = set(seats)
    met = False
    deadline: float | None = None
    while running:
        found = next_event(1.0)
        now = time.monotonic()
        if found is not None:
            name, event = found
            heard[name] = now
            if "outcome" in event:
                outcomes[name] = Outcome(**event["outcome"])
            elif "error" in event:
                errors[name] = event["error"]
            elif "ended" in event:
                running.discard(name)
                if name not in outcomes:
                    failures.setdefault(name, errors.get(name) or event["ended"])
            elif "did" in event:
                say(event)
                ready |= {name} if event["did"] == READY else set()
        for name in sorted(running):
            if now - heard[name] > patience:
                failures.setdefault(name, f"has been silent for {patience:.0f} seconds and was ended")
        if failures:
            deadline = deadline or now + patience
            if not met or now > deadline:
                break
        elif not met and ready == set(seats):
            met = True
            place = rendezvous()
            for seat in seats.values():
                seat.meet(place)
    if failures:
        for name in sorted(running - failures.keys()):
            failures[name] = "was called off" if not met else "did not end by itself and was ended"
        raise EvaluationFailed(_told(failures))
    return [outcomes[name] for name in seats]


def _told(failures: Mapping[str, str]) -> str:
    """Write what each seat said, the first cause first."""
    lines = (f"  {name}: {reason}" for name, reason in failures.items())
    return "the evaluation broke off; there is no result\n" + "\n".join(lines)
