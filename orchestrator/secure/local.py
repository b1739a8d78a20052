"""An evaluation on one machine: a process for each party and one for the dealer, which only the protocol connects."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from orchestrator.secure.following import Event, follow
from orchestrator.secure.seats import Assignment, Outcome, Say


def run_local(assignments: Sequence[Assignment], say: Say = lambda event: None) -> list[Outcome]:
    """Run all seats as processes of this machine; return their outcomes in the order of `assignments`.

    Raises `EvaluationFailed` with what each of them said where one fails; no process is left behind.
    """
    events: queue.Queue[Event] = queue.Queue()
    processes: dict[str, _Process] = {}

    def next_event(seconds: float) -> Event | None:
        with suppress(queue.Empty):
            return events.get(timeout=seconds)
        return None

    try:
        for assignment in assignments:
            process = processes[assignment.name] = _Process(assignment, events)
            say({"seat": assignment.name, "did": "has started", "pid": process.pid})
        return follow(processes, next_event, _here, assignments[0].timeout, say)
    finally:
        for process in processes.values():
            process.close()


class _Process:
    """One seat's process."""

    def __init__(self, assignment: Assignment, events: "queue.Queue[Event]") -> None:
        self._name = assignment.name
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  closed in `close`
        self._process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator.secure.seats"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={"TORCH_CPP_LOG_LEVEL": "ERROR", **os.environ},  # else a page for each lost connection
        )
        self.pid = self._process.pid
        self._write(json.dumps(assignment.to_json()))
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout, events), daemon=True)
        self._reader.start()

    def meet(self, rendezvous: str) -> None:
        """Send the second line that the process waits for."""
        self._write(rendezvous)

    def close(self) -> None:
        """End the process, if it has not ended by itself."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            with suppress(BrokenPipeError):
                if stream is not None:
                    stream.close()

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, which the reader tells
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def _read(self, lines: IO[str], events: "queue.Queue[Event]") -> None:
        for line in lines:
            with suppress(ValueError):  # a line that was cut off when the process was killed
                events.put((self._name, json.loads(line)))
        events.put((self._name, {"ended": self._explain(self._process.wait())}))

    def _explain(self, code: int) -> str:
        if code < 0:
            return f"its process was ended by {signal.Signals(-code).name}"
        self._log.seek(0)
        said = self._log.read().strip().splitlines()
        return f"its process ended with code {code}" + (f": {said[-1]}" if said else "")


def _here() -> str:
    """Return an address of this machine at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
