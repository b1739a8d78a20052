"""One seat of an evaluation, from opening the data to the opened sums: the same code wherever it runs.

As a program (`python -m orchestrator.secure.seats`) it reads its assignment from the first line of standard input, as
JSON, and from the second one, when all are ready, where to meet. What happens it writes to standard output, one JSON
document a line; the last one is the outcome.
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from components.data.column_folders import check_folder
from components.errors import AdaptuneError

if TYPE_CHECKING:
    from components.privacy.identity import Identity
    from components.privacy.seat import Seat
    from orchestrator.secure.register import Entry
    from orchestrator.secure.work import Work

Say = Callable[[dict[str, Any]], None]
"""Takes events such as `{"seat": "north", "did": "has joined"}`."""
Ready = Callable[[], str]
"""Called when a seat has nothing left to do alone; returns `host:port` of the rendezvous once all are ready."""
READY = "is ready"
ALIVE_SECONDS = 1.0
"""Between two signs of life."""


@dataclass(frozen=True)
class Assignment:
    """Who sits where and computes what; plain values, so that it travels to another process or host."""

    name: str
    """Name of the party, or `dealer`."""
    role: Literal["party", "dealer"]
    rank: int
    parties: tuple[str, ...]
    receiver: int
    timeout: float
    insecure_simulation: bool
    part: Literal["validation", "test"]
    minimum_cohort: int
    owner: int | None = None
    """Rank of the party that keeps the model; None where all have it."""
    version: str = ""
    """Name of the model; a dealer knows nothing of it."""
    task: str = ""
    model: str | None = None
    """Folder of the model, or of its encoder where another party keeps it."""
    data: str | None = None
    """Folder of the party's users, if it has any."""
    divided: Literal["users", "columns"] = "users"
    """What each party has: users of its own, or columns of the same users."""
    privacy_budget: float = 0.0
    """Epsilon that the party may spend on one snapshot of its data."""
    noise: dict[str, Any] | None = None
    """Fields of `components.privacy.noise.Noise`, if numbers are given any."""

    def to_json(self) -> dict[str, Any]:
        """Return the assignment as a JSON document."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Assignment":
        """Read what `to_json` returned."""
        known = {field.name: document[field.name] for field in fields(cls)}
        return cls(**{**known, "parties": tuple(known["parties"])})


@dataclass(frozen=True)
class Outcome:
    """What a seat has to show in the end."""

    name: str
    role: str
    traffic: dict[str, Any]
    """Rounds, bytes and seconds, as CrypTen's side counted them."""
    seconds: float
    """From the first to the last, with loading and evaluating."""
    groups: dict[str, Any] | None = None
    """At the receiver: the results by group."""
    holds: dict[str, str] | None = None
    """Where columns are divided: which party holds `profiles`, and which `logs`."""

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as a JSON document."""
        return asdict(self)


def take_seat(
    assignment: Assignment,
    ready: Ready,
    say: Say = lambda event: None,
    identity: "Identity | None" = None,
) -> Outcome:
    """Take a seat in this process, which must not have had one before, and compute to the end.

    With an `identity` the seat proves who it is, and demands the same of the others.
    Raises AdaptuneError with the named cause where this party refuses, or where others do, are lost or stall.
    """
    from components.privacy.seat import Seat, deal

    started = time.perf_counter()

    def did(what: str, **more: Any) -> None:
        say({"seat": assignment.name, "did": what, "after": time.perf_counter() - started, **more})

    def seat() -> Seat:
        did(READY)
        return Seat(
            rank=assignment.rank,
            parties=len(assignment.parties),
            rendezvous=ready(),
            receiver=assignment.receiver,
            timeout=assignment.timeout,
            insecure_simulation=assignment.insecure_simulation,
            identity=identity,
        )

    groups = holds = None
    if assignment.role == "party" and assignment.data is not None:
        check_folder(Path(assignment.data), assignment.divided)
    if assignment.role == "dealer":
        traffic = asdict(deal(seat()))
    else:
        groups, holds, traffic = _take_part(assignment, seat, did)
    did("is done", traffic=traffic)
    return Outcome(assignment.name, assignment.role, traffic, time.perf_counter() - started, groups, holds)


def _take_part(
    assignment: Assignment, seat: Callable[[], "Seat"], did: Callable[..., None]
) -> tuple[dict[str, Any] | None, dict[str, str] | None, dict[str, Any]]:
    """Evaluate with the others; return results (at the receiver), who holds which columns, and traffic."""
    from components.privacy.seat import join, load
    from orchestrator.secure.register import SEAL_BYTES, Register, seals_of
    from orchestrator.secure.work import work_of

    register = entry = None
    entered: list[Entry] = []
    seal = bytes(SEAL_BYTES)
    with work_of(assignment) as work:
        if assignment.data is not None:
            register, entry = Register(Path(assignment.data)), entry_of(assignment, work)
            register.check(entry, assignment.privacy_budget)
            if work.request.noise is None:  # with noise, it would tell of a change without any
                seal = register.seal(entry.snapshot)
        users = work.alone()
        if assignment.data is not None:
            did("has evaluated its own users", **({} if users is None else {"users": users}))
        load()

        with join(seat()) as session:
            did("has joined")

            def reached(what: str) -> None:
                did(what, traffic=asdict(session.traffic))

            seals = seals_of(session, assignment.parties, seal)

            def permit() -> None:
                if register is not None and entry is not None:
                    sealed = replace(entry, seals=seals)
                    entered.append(register.begin(sealed, assignment.privacy_budget))

            found = work.together(session, permit, reached)
            traffic = asdict(session.traffic)
    if register is not None and entered:
        register.finish(entered[0])
    groups = None if found is None else {name: group.to_json() for name, group in found.items()}
    return groups, work.holds, traffic


def entry_of(assignment: Assignment, work: "Work") -> "Entry":
    """Return the line that a party's ledger gets."""
    from components.data.party_folders import snapshot_digest
    from orchestrator.secure.register import Entry, now

    assert assignment.data is not None
    return Entry(
        version=assignment.version,
        model=work.request.model,
        snapshot=snapshot_digest(Path(assignment.data)),
        metric_set=work.metric_set,
        request=work.request.text(),
        began=now(),
        epsilon=0.0 if work.request.noise is None else work.request.noise.epsilon,
    )


def _told_where() -> str:
    """Wait for the line that says where to meet."""
    line = sys.stdin.readline().strip()
    if not line:
        raise AdaptuneError("called off before the parties met: nothing was opened")
    return line


def main() -> None:
    """Take the seat that standard input describes; end with code 2 after an error that is meant for a person."""
    out, lock = sys.stdout, threading.Lock()
    sys.stdout = sys.stderr  # whatever libraries print is no event

    def write(document: dict[str, Any]) -> None:
        with lock:
            out.write(json.dumps(document) + "\n")
            out.flush()

    def live() -> None:
        while True:
            time.sleep(ALIVE_SECONDS)
            write({"alive": True})

    threading.Thread(target=live, daemon=True).start()
    import torch

    torch.set_num_threads(1)
    assignment = Assignment.from_json(json.loads(sys.stdin.readline()))
    try:
        outcome = take_seat(assignment, _told_where, write)
    except AdaptuneError as error:
        write({"error": str(error), "kind": type(error).__name__})
        from components.privacy.waiting import end_process

        end_process(2)
    write({"outcome": outcome.to_json()})


if __name__ == "__main__":
    main()
