"""Strikes the seats of a secure evaluation at random moments: nothing may be opened after that, and nobody may hang.

    python -m benchmarks.secure_interruptions [--cases 30] [--seed 1] [--timeout 6] [--turns 12]

Three parties and a dealer announce, add up and score in turns. Each case kills (SIGKILL) or stops (SIGSTOP) one of
the four at a moment between before the meeting and the end, and prints a line:

- opened: what the receiver opened after the blow. One opening may be on its way: it counts as failed unless the
  victim had given its share (or the dealer had answered that it is there) before the blow.
- ended: how long after the blow the last survivor had ended; at most the timeout and 5 s more are allowed.
- what the survivors said. Whoever did not finish must name the cause, and the victim; a traceback fails the case.

A stopped victim is woken when the others have ended: it must end in the same time, and must not open anything either.
The exit code is 1 when a case fails.
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import socket
import sys
import tempfile
import time
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.errors import AdaptuneError
from components.privacy import dealing
from components.privacy.failures import FAILURES
from components.privacy.scoring import MlpHead
from components.privacy.seat import Seat, deal, join, load
from components.privacy.wire import Wire

PARTIES, DEALER, RECEIVER = 3, 3, 0
GRACE = 5.0
STAGGER = 1.0
"""Seats begin within this many seconds of each other."""


class Log:
    """A seat's notes in a file, which survive it: what it did, and when."""

    def __init__(self, path: Path) -> None:
        """Append to `path`; what the process prints as an error goes beside it."""
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(os.open(path.with_suffix(".err"), os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)

    def note(self, what: str, **more: Any) -> None:
        """Write a line at once."""
        os.write(self._file, (json.dumps({"what": what, "at": time.monotonic(), **more}) + "\n").encode())


def take_seat(rank: int, rendezvous: str, wait: float, timeout: float, turns: int, path: Path) -> None:
    """Be one seat in a process of its own."""
    log = Log(path)
    torch.set_num_threads(1)
    time.sleep(wait)
    seat = Seat(rank, PARTIES, rendezvous, RECEIVER, timeout)
    try:
        if rank == DEALER:
            note_answers(log)
            deal(seat)
        else:
            work(seat, turns, log)
        log.note("done")
    except AdaptuneError as error:
        log.note("failed", kind=type(error).__name__, rank=getattr(error, "rank", None), message=str(error))


def note_answers(log: Log) -> None:
    """Note each time that the dealer answers that it is there."""
    sent = Wire.send

    def send(self: Wire, values: torch.Tensor, rank: int) -> None:
        if values.shape == dealing.THERE.shape:
            log.note("gives")
        sent(self, values, rank)

    setattr(Wire, "send", send)  # noqa: B010  a method of a class that is in use


def work(seat: Seat, turns: int, log: Log) -> None:
    """Announce, add up and score again and again, and compare what is opened with what it must be."""
    collected = Wire.collect

    def collect(self: Wire, share: torch.Tensor, receiver: int) -> torch.Tensor | None:
        log.note("gives")
        total = collected(self, share, receiver)
        if total is not None:
            log.note("opened")
        return total

    setattr(Wire, "collect", collect)  # noqa: B010  a method of a class that is in use
    head = MlpHead(np.eye(8), np.zeros(8), np.ones(8), -1.0)
    vectors = np.ones((40, 8)) * (seat.rank - 1)
    with join(seat) as session:
        log.note("joined")
        for turn in range(turns):
            everybody = session.announce(np.array([turn, seat.rank]))
            assert everybody.tolist() == [[turn, rank] for rank in range(PARTIES)]
            total = session.total(np.array([turn * seat.rank, 1]))
            assert total is None or total.tolist() == [3 * turn, PARTIES]
            counts = session.score(
                vectors, np.zeros(40, dtype=int), head if seat.rank == 1 else None, owner=1
            )
            assert counts is None or (counts.predicted_positive, counts.examples) == (40, 120)


@dataclass
class Case:
    """One blow and what followed."""

    victim: int
    blow: signal.Signals
    moment: float
    """Seconds after the start."""
    waits: list[float]
    struck: float = 0.0
    ended: dict[int, float] = field(default_factory=dict)
    """When each seat had ended; one that hung is missing."""
    notes: list[list[dict[str, Any]]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    woken: float = 0.0

    def run(self, timeout: float, turns: int) -> None:
        """Start the seats, strike, and wait."""
        context = multiprocessing.get_context("fork")  # all libraries are loaded already
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / f"{rank}.jsonl" for rank in range(PARTIES + 1)]
            place = free_address()
            seats = [
                context.Process(target=take_seat, args=(rank, place, wait, timeout, turns, path))
                for rank, (wait, path) in enumerate(zip(self.waits, paths, strict=True))
            ]
            for seat in seats:
                seat.start()
            began = time.monotonic()
            survivors = {rank: seat for rank, seat in enumerate(seats) if rank != self.victim}
            try:
                if self.moment >= 0:
                    time.sleep(max(0.0, began + self.moment - time.monotonic()))
                    if seats[self.victim].is_alive():
                        os.kill(seats[self.victim].pid or 0, self.blow)
                        self.struck = time.monotonic()
                self._await(survivors, (timeout if self.struck else 120) + GRACE + 10)
                if self.struck and self.blow == signal.SIGSTOP:
                    os.kill(seats[self.victim].pid or 0, signal.SIGCONT)
                self.woken = time.monotonic()
                self._await({self.victim: seats[self.victim]}, timeout + GRACE + 10)
            finally:
                for seat in seats:
                    seat.kill()
                    seat.join()
            self.notes = [read(path) for path in paths]
            self.errors = [errors_in(path.with_suffix(".err")) for path in paths]

    def _await(self, seats: dict[int, BaseProcess], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        waiting = dict(seats)
        while waiting and time.monotonic() < deadline:
            for rank, seat in list(waiting.items()):
                if not seat.is_alive():
                    self.ended[rank] = time.monotonic()
                    del waiting[rank]
            time.sleep(0.02)

    @property
    def late(self) -> int:
        """How many openings ended after the blow."""
        return sum(note["at"] > self.struck for note in self.notes[RECEIVER] if note["what"] == "opened")

    def faults(self, timeout: float) -> list[str]:
        """Say what must not be."""
        found = []
        given = sum(note["what"] == "gives" and note["at"] <= self.struck for note in self.notes[self.victim])
        opened = sum(note["what"] == "opened" for note in self.notes[RECEIVER])
        if self.struck and opened > given:
            found.append(f"{opened} openings, but {name(self.victim)} gave its share to {given}")
        for rank in range(PARTIES + 1):
            if rank == self.victim and self.struck and self.blow == signal.SIGKILL:
                continue
            since = self.woken if rank == self.victim else self.struck
            if rank not in self.ended:
                found.append(f"{name(rank)} hung")
            elif self.struck and self.ended[rank] - since > timeout + GRACE:
                found.append(f"{name(rank)} ended {self.ended[rank] - since:.1f} s after it")
            if self.errors[rank]:
                found.append(f"{name(rank)} printed {self.errors[rank]!r}")
            last = self.notes[rank][-1] if self.notes[rank] else {"what": "nothing"}
            if last["what"] == "failed" and last["kind"] not in FAILURES:
                found.append(f"{name(rank)} has no name for it: {last['message']}")
            elif last["what"] == "failed" and last["rank"] != self.victim and rank != self.victim:
                found.append(f"{name(rank)} blames seat {last['rank']}: {last['message']}")
            elif last["what"] not in ("failed", "done"):
                found.append(f"{name(rank)} ended without a word")
        return found

    def told(self) -> dict[str, list[str]]:
        """Return what was said in the end, and by whom."""
        said: dict[str, list[str]] = {}
        for rank, notes in enumerate(self.notes):
            if not (rank == self.victim and self.blow == signal.SIGKILL and self.struck):
                last = notes[-1] if notes else {"what": "nothing"}
                text = f"{last['kind']}: {last['message']}" if last["what"] == "failed" else last["what"]
                said.setdefault(text, []).append(name(rank) + (" (woken)" if rank == self.victim else ""))
        return said


def name(rank: int) -> str:
    """Return what a seat is called."""
    return "dealer" if rank == DEALER else f"party {rank}"


def read(path: Path) -> list[dict[str, Any]]:
    """Read a seat's notes; a killed one may not have begun any."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def errors_in(path: Path) -> str:
    """Return the last line where a seat has printed a traceback, else nothing; torch's warnings are none."""
    lines = path.read_text().splitlines() if path.exists() else []
    traces = ("Traceback", "terminate called", "Exception ignored", "Fatal")
    return lines[-1] if any(line.lstrip().startswith(traces) for line in lines) else ""


def free_address() -> str:
    """Return an address of this machine at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"127.0.0.1:{probe.getsockname()[1]}"


def drawn(generator: random.Random, length: float) -> Case:
    """Return a case that is yet to be run."""
    return Case(
        victim=generator.randrange(PARTIES + 1),
        blow=generator.choice([signal.SIGKILL, signal.SIGSTOP]),
        moment=generator.random() * length,
        waits=[generator.random() * STAGGER for _ in range(PARTIES + 1)],
    )


def main() -> None:
    """Run all cases and print a line a case and a summary."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=6.0)
    parser.add_argument("--turns", type=int, default=12)
    options = parser.parse_args()
    load()
    generator = random.Random(options.seed)
    undisturbed = Case(0, signal.SIGKILL, -1.0, [STAGGER] * (PARTIES + 1))
    undisturbed.run(options.timeout, options.turns)
    assert list(undisturbed.told()) == ["done"], (undisturbed.told(), undisturbed.errors)
    length = max(undisturbed.ended.values()) - min(notes[0]["at"] for notes in undisturbed.notes) + STAGGER
    print(f"undisturbed, the seats take {length:.1f} s; timeout {options.timeout:g} s", flush=True)
    failed, worst, run, late, reached = 0, 0.0, 0, 0, {"before joining": 0, "at work": 0}
    while run < options.cases:
        case = drawn(generator, length)
        case.run(options.timeout, options.turns)
        what = f"{name(case.victim)} {'killed' if case.blow == signal.SIGKILL else 'stopped'}"
        if not case.struck:
            print(f"    {what} at {case.moment:.2f} s: all had ended before; drawn again", flush=True)
            continue
        run += 1
        faults = case.faults(options.timeout)
        failed += bool(faults)
        after = max((at - case.struck for rank, at in case.ended.items() if rank != case.victim), default=0.0)
        worst, late = max(worst, after), late + case.late
        working = any(
            note["at"] < case.struck for notes in case.notes for note in notes if note["what"] == "joined"
        )
        reached["at work" if working else "before joining"] += 1
        opened = sum(note["what"] == "opened" for note in case.notes[RECEIVER]) - case.late
        print(
            f"{run:2d}  {what} at {case.moment:.2f} s, {opened} opened before: {case.late} on their way were opened, "
            f"survivors ended after {after:.1f} s" + ("  FAILED" if faults else ""),
            flush=True,
        )
        for text, who in case.told().items():
            print(f"      {', '.join(who)}: {text}")
        for fault in faults:
            print(f"      FAULT: {fault}", flush=True)
    print(
        f"{run - failed} of {run} cases went well ({reached['before joining']} before the seats had joined, "
        f"{reached['at work']} after); {late} openings were on their way; the last survivor ended {worst:.1f} s "
        f"after a blow (allowed: the timeout of {options.timeout:g} s and {GRACE:g} s)"
    )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
