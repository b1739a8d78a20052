"""Runs the seats of an evaluation as fresh processes, each with a program of its own; returns what each said."""

import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]

PREAMBLE = """
import json, os, sys, time
import numpy as np
from components.privacy.failures import ProtocolError
from components.privacy.scoring import DotHead, MlpHead
from components.privacy.seat import Seat, deal, join, load
from components.privacy.waiting import end_process
rank, parties, rendezvous, receiver, timeout, insecure = json.loads(sys.argv[1])
seat = Seat(rank, parties, rendezvous, receiver, timeout, insecure)
load()
print("LOADED", flush=True)
sys.stdin.readline()
def say(**values):
    print("SAYS " + json.dumps(values), flush=True)
"""

DEALER = "traffic = deal(seat)"

ENDING = """
except ProtocolError as error:
    say(failure=type(error).__name__, rank=error.rank, message=str(error))
    end_process(0)
"""


@dataclass
class Running:
    """The process of one seat."""

    process: subprocess.Popen[str]
    said: dict[str, Any]

    def until(self, key: str) -> Any:
        """Read on until the seat has said `key`."""
        assert self.process.stdout is not None
        while key not in self.said:
            line = self.process.stdout.readline()
            assert line, f"the seat ended without saying {key}: {self.said}"
            if line.startswith("SAYS "):
                self.said.update(json.loads(line[5:]))
        return self.said[key]

    def end(self, timeout: float) -> dict[str, Any]:
        """Wait for the end of the process and return all that it said."""
        try:
            out, _ = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            out, _ = self.process.communicate()
            self.said["hung"] = True
        for line in out.splitlines():
            if line.startswith("SAYS "):
                self.said.update(json.loads(line[5:]))
        return self.said


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"127.0.0.1:{probe.getsockname()[1]}"


def start(
    programs: list[str],
    timeout: float = 60,
    receiver: int = 0,
    insecure: bool = False,
    ranks: list[int] | None = None,
    rendezvous: str | None = None,
    within: list[list[str]] | None = None,
) -> list[Running]:
    """Start one process a program, the last one the dealer's; a program is what a party does in its session.

    `within` names a command for each program that runs it elsewhere. A program that takes its seat by itself says so
    by calling `join` or `deal`; an empty one is not started.
    """
    rendezvous = rendezvous or free_address()
    parties = len(programs) - 1
    seats = []
    for position, program in enumerate(programs):
        rank = ranks[position] if ranks else position
        if not program:
            continue
        by_itself = "join(" in program or "deal(" in program
        body = program if by_itself else "with join(seat) as session:\n" + _indented(program)
        text = PREAMBLE + "try:\n" + _indented(body) + ENDING
        arguments = json.dumps([rank, parties, rendezvous, receiver, timeout, insecure])
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            [*(within[position] if within else ()), sys.executable, "-c", text, arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        seats.append(Running(process, {}))
    for seat in seats:  # on a busy machine, loading may take longer than the seats wait for each other
        assert seat.process.stdout is not None
        assert seat.process.stdout.readline() == "LOADED\n", "a seat did not start"
    for seat in seats:
        assert seat.process.stdin is not None
        seat.process.stdin.write("\n")
        seat.process.stdin.flush()
    return seats


def run(programs: list[str], timeout: float = 60, **options: Any) -> list[dict[str, Any]]:
    """Run one process a program to its end and return what each said; see `start`."""
    return ended(start(programs, timeout, **options), 2 * timeout + 30)


def ended(seats: list[Running], timeout: float) -> list[dict[str, Any]]:
    """Wait for all at once: one that has much to say must not wait for its reader while the others wait for it."""
    with ThreadPoolExecutor(len(seats)) as pool:
        return list(pool.map(lambda seat: seat.end(timeout), seats))


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.strip("\n").splitlines())
