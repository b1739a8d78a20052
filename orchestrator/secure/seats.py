"""One seat of an evaluation, from opening the data to the opened sums: the same code wherever it runs.

As a program (`python -m orchestrator.secure.seats`) it reads its assignment from the first line of standard input, as
JSON, and from the second one, when all are ready, where to meet. What happens it writes to standard output, one JSON
document a line; the last one is the outcome.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from components.errors import AdaptuneError

if TYPE_CHECKING:
    from components.privacy.evaluation import Request
    from components.privacy.identity import Identity
    from components.privacy.seat import Seat
    from orchestrator.secure.register import Entry

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
    version: str = ""
    """Name of the model; a dealer knows nothing of it."""
    task: str = ""
    model: str | None = None
    """Folder of the model."""
    data: str | None = None
    """Folder of the party's users, if it has any."""

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

    groups = None
    if assignment.role == "dealer":
        traffic = asdict(deal(seat()))
    else:
        groups, traffic = _take_part(assignment, seat, did)
    did("is done", traffic=traffic)
    return Outcome(assignment.name, assignment.role, traffic, time.perf_counter() - started, groups)


def _take_part(
    assignment: Assignment, seat: Callable[[], "Seat"], did: Callable[..., None]
) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Evaluate this party's users and add them up with the others'."""
    from components.privacy.evaluation import SEAL_BYTES, evaluate
    from components.privacy.seat import join, load
    from components.privacy.tallies import tallies_of
    from orchestrator.secure.register import Register

    assert assignment.model is not None
    request = request_of(assignment)
    tallies = {}
    register = entry = None
    entered: list[Entry] = []
    seal = bytes(SEAL_BYTES)
    if assignment.data is not None:
        data = Path(assignment.data)
        register, entry = Register(data), entry_of(assignment, request)
        register.check(entry)
        seal = register.seal(entry.snapshot)
        tallies = tallies_of(assignment.task, Path(assignment.model), data, assignment.part)
        did("has evaluated its own users", users=sum(tally.users for tally in tallies.values()))

    load()

    def permit(seals: Mapping[str, str]) -> None:
        if register is not None and entry is not None:
            entered.append(register.begin(replace(entry, seals=dict(seals))))

    with join(seat()) as session:
        did("has joined")

        def reached(what: str) -> None:
            did(what, traffic=asdict(session.traffic))

        found = evaluate(session, assignment.rank, request, tallies, permit, reached, seal)
        traffic = asdict(session.traffic)
    if register is not None and entered:
        register.finish(entered[0])
    groups = None if found is None else {name: group.to_json() for name, group in found.items()}
    return groups, traffic


def request_of(assignment: Assignment) -> "Request":
    """Return what a party is asked for, by the model that it really has."""
    from components.privacy.evaluation import Request
    from orchestrator.secure.model_files import model_digest

    assert assignment.model is not None
    return Request(
        task=assignment.task,
        model=model_digest(Path(assignment.model)),
        part=assignment.part,
        parties=assignment.parties,
        receiver=assignment.receiver,
        minimum_cohort=assignment.minimum_cohort,
    )


def entry_of(assignment: Assignment, request: "Request") -> "Entry":
    """Return the line that a party's ledger gets."""
    from components.data.party_folders import snapshot_digest
    from orchestrator.secure.register import Entry, now

    assert assignment.data is not None
    return Entry(
        version=assignment.version,
        model=request.model,
        snapshot=snapshot_digest(Path(assignment.data)),
        metric_set=request.metric_set,
        request=request.text(),
        began=now(),
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
