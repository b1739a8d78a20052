"""Waiting for operations that may never return: gloo and its store block in C++, the store without any timeout.

They run in a thread of their own, so whoever waits can stop waiting: when another seat has told of a failure, when
time is up, or when this process finds that it was itself stopped.
"""

import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

_INTERVAL = 0.1
_STARVED = 1.0
"""A wait of `_INTERVAL` that took this long means that the whole process was held up."""

R = TypeVar("R")


def end_process(code: int) -> NoReturn:
    """End a process whose seat has failed: a thread that comes back from C++ while Python ends would abort it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class Absent(Exception):
    """This process was stopped for longer than the others wait."""

    def __init__(self, seconds: float) -> None:
        """Say for how long."""
        super().__init__(f"stopped for {seconds:.0f} s")
        self.seconds = seconds


class _Task:
    """An operation on its way."""

    def __init__(self, operation: Callable[[], Any]) -> None:
        self.operation = operation
        self.done = threading.Event()
        self.result: Any = None
        self.error: Exception | None = None


class Worker:
    """Runs one operation after the other. One that never returns keeps the thread, and ends with the process."""

    def __init__(self, absence: float) -> None:
        """Start the thread; after `absence` seconds in which this process did not run, waiting is over."""
        self._absence = absence
        self._tasks: queue.SimpleQueue[_Task] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="exchanges", daemon=True).start()

    def wait(
        self, operation: Callable[[], R], seconds: float, cause: Callable[[], Exception | None] = lambda: None
    ) -> R:
        """Return what `operation` returns; raises what it raises, or the `cause` to stop waiting once there is one.

        Raises `TimeoutError` after `seconds`, and `Absent` where this process was stopped for too long.
        """
        task = _Task(operation)
        self._tasks.put(task)
        deadline = time.monotonic() + seconds
        while True:
            before = time.monotonic()
            done = task.done.wait(_INTERVAL)
            held_up = time.monotonic() - before
            if held_up > self._absence:
                raise Absent(held_up)
            if done:
                break
            if held_up > _STARVED:  # nobody else is to blame for that time
                deadline += held_up
            elif (failure := cause()) is not None:
                raise failure
            elif time.monotonic() > deadline:
                raise TimeoutError(f"no end within {seconds:g} s")
        if task.error is not None:
            raise task.error
        return task.result

    def _run(self) -> None:
        while True:
            task = self._tasks.get()
            try:
                task.result = task.operation()
            except Exception as error:  # noqa: BLE001  it is raised where somebody waits for the operation
                task.error = error
            task.done.set()
