"""A meeting of parties in one process, in the clear: what the steps of an evaluation need of a session."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from components.errors import AdaptuneError


class Table:
    """Where all parties sit; it remembers what was opened to whom."""

    def __init__(self, parties: int, receiver: int = 0) -> None:
        self.parties, self.receiver = parties, receiver
        self.opened: list[np.ndarray] = []
        self._lock = threading.Lock()
        self._barrier = threading.Barrier(parties, timeout=20)
        self._given: dict[int, Any] = {}
        self.swaps: list[queue.Queue[np.ndarray]] = [queue.Queue() for _ in range(parties)]
        self.swapped: list[tuple[int, int]] = []

    def exchange(self, rank: int, what: Any) -> list[Any]:
        with self._lock:
            self._given[rank] = what
        self._barrier.wait()
        everything = [self._given[each] for each in range(self.parties)]
        self._barrier.wait()
        return everything

    def together(self, step: Callable[["Chair"], Any]) -> list[Any]:
        """Run `step` at every chair; return results and errors by rank."""

        def guarded(rank: int) -> Any:
            try:
                return step(Chair(self, rank))
            except AdaptuneError as error:  # which all raise at the same step
                return error

        with ThreadPoolExecutor(self.parties) as pool:
            return list(pool.map(guarded, range(self.parties)))


class Chair:
    """One party's side."""

    def __init__(self, table: Table, rank: int) -> None:
        self.table, self.rank = table, rank

    def agree(self, text: str) -> None:
        assert len(set(self.table.exchange(self.rank, text))) == 1, "they disagree"

    def announce(self, numbers: np.ndarray) -> np.ndarray:
        return np.stack(self.table.exchange(self.rank, numbers))

    def total(self, counts: np.ndarray) -> np.ndarray | None:
        total = np.sum(self.table.exchange(self.rank, counts), axis=0)
        if self.rank != self.table.receiver:
            return None
        self.table.opened.append(total)
        return total

    def exchange(self, numbers: np.ndarray, other: int) -> np.ndarray:
        """Meet one other party only: the rest does not wait."""
        self.table.swapped.append((min(self.rank, other), max(self.rank, other)))
        self.table.swaps[self.rank].put(numbers)
        return self.table.swaps[other].get(timeout=20)

    def look_up(self, choice: np.ndarray | None = None, table: np.ndarray | None = None) -> np.ndarray | None:
        found = self._looked_up(choice, table)
        if self.rank != self.table.receiver:
            return None
        self.table.opened.append(found)
        return found

    def sufficient(self, standing: np.ndarray, least: int, barring: np.ndarray) -> np.ndarray:
        total = np.sum(self.table.exchange(self.rank, standing), axis=0)
        users, cells = total[:, : len(barring)], total[:, len(barring) :]
        barred = ((cells > 0) & (cells < least)) @ barring.T > 0
        return (users >= least) & ~barred

    def sufficient_columns(
        self,
        standing: np.ndarray,
        least: int,
        barring: np.ndarray,
        choice: np.ndarray | None = None,
        table: np.ndarray | None = None,
    ) -> np.ndarray:
        found = self._looked_up(choice, table).reshape(len(standing), -1)
        own = standing.copy()
        own[:, len(barring) :] += found if self.rank == 0 else 0
        return self.sufficient(own, least, barring)

    def _looked_up(self, choice: np.ndarray | None, table: np.ndarray | None) -> np.ndarray:
        brought = self.table.exchange(self.rank, (choice, table))
        (chosen,) = [each[0] for each in brought if each[0] is not None]
        (numbers,) = [each[1] for each in brought if each[1] is not None]
        return numbers[np.arange(len(chosen)), chosen].sum(axis=0)
