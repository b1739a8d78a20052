"""Each seat's pulse, and the finding of who is to blame when an exchange fails.

A thread of each seat writes its pulse to the store that rank 0 keeps and reads those of the others. A pulse says
whether the seat waits for others, and whether it has heard why all end. When an exchange ends in an error, whoever
has fallen silent is to blame; the first finding is written to the store and holds for all. A seat that is silent for
the whole timeout ends the evaluation, whether or not somebody waits for it.
"""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from torch.distributed import Store

from components.privacy.failures import Disagreement, PartyLost, ProtocolError, Stalled
from components.privacy.waiting import Absent, Worker

_CAUSE = "cause"
_INTERVAL = 0.2
_SILENT = 1.5
_PATIENCE = 2.0

R = TypeVar("R")


def seat_name(rank: int, parties: int) -> str:
    """Return what messages call the seat of `rank`."""
    return "the dealer" if rank == parties else f"party {rank}"


class _Pulse(NamedTuple):
    """What a seat last said of itself."""

    beat: int
    waits: int
    """1 while it waits for other seats."""
    told: int
    """1 once it knows why all end."""

    def to_text(self) -> str:
        return ":".join(map(str, self))

    @staticmethod
    def from_text(text: str) -> "_Pulse":
        return _Pulse(*map(int, text.split(":")))


_NONE_YET = _Pulse(-1, 0, 0)


class Watch:
    """The pulse of one seat and what it hears of the others."""

    def __init__(self, store: Store, worker: Worker, rank: int, parties: int, timeout: float) -> None:
        """Start the pulse over `store`, a connection of its own; `worker` runs what this seat waits for."""
        self._store, self._worker, self._rank, self._parties, self._timeout = (
            store,
            worker,
            rank,
            parties,
            timeout,
        )
        self._others = [other for other in range(parties + 1) if other != rank]
        now = time.monotonic()
        self._heard = dict.fromkeys(self._others, now)
        self._pulses = dict.fromkeys(self._others, _NONE_YET)
        self._answered = now
        self._waits = False
        self._broken = False
        self._cause: ProtocolError | None = None
        self._report: ProtocolError | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        for other in [rank, *self._others]:
            store.compare_set(f"pulse/{other}", "", _NONE_YET.to_text())
        self._thread.start()

    @property
    def cause(self) -> ProtocolError | None:
        """Why the evaluation has ended for all, as far as this seat has heard or found."""
        return self._cause or self._report or self._overdue()

    def wait(self, operation: Callable[[], R], seconds: float | None = None) -> R:
        """Return what an operation returns that needs other seats; it has `seconds`, by default the timeout.

        Raises the named cause where it fails, takes too long, or the evaluation has ended for all.
        """
        if (cause := self.cause) is not None:
            raise cause
        self._waits = True
        try:
            return self._worker.wait(operation, seconds or self._timeout, lambda: self.cause)
        except Absent as absence:
            name = seat_name(self._rank, self._parties).capitalize()
            self._report = Stalled(
                f"{name} was itself stopped for {absence.seconds:.0f} s, longer than the others wait "
                f"({self._timeout:g} s). See what held its process up; then start over.",
                self._rank,
            )
            raise self._report from absence
        except (
            RuntimeError,
            TimeoutError,
        ) as error:  # gloo's errors of lost connections are of several kinds
            raise self.diagnose(error) from error
        finally:
            self._waits = False

    def end(self) -> None:
        """Stop the pulse."""
        self._ending.set()
        self._thread.join(timeout=2 * _INTERVAL if self._unreachable() else _PATIENCE)

    def report(self, failure: ProtocolError) -> None:
        """Tell all seats why this one stops, unless another was first; returns when it is told or cannot be."""
        self._report = self._report or failure
        deadline = time.monotonic() + _PATIENCE
        while self._cause is None and not self._unreachable() and time.monotonic() < deadline:
            time.sleep(0.02)
        while self._rank == 0 and self._untold() and time.monotonic() < deadline:
            time.sleep(0.02)  # the store ends with this process: let all others read it first

    def diagnose(self, error: Exception) -> ProtocolError:
        """Return the named cause of an exchange's `error`, and tell the others of it."""
        timed_out = isinstance(error, TimeoutError) or "timed out" in str(error).lower()
        deadline = time.monotonic() + (0 if timed_out else _PATIENCE)
        while time.monotonic() < deadline and self._cause is None:
            if self._unreachable() or self._silent(_SILENT):
                break
            time.sleep(0.05)
        self.report(self._cause or self._finding(timed_out))
        return self._cause or self._report or self._finding(timed_out)

    def _finding(self, timed_out: bool) -> ProtocolError:
        if self._unreachable():
            return self._blame(Stalled if timed_out and not self._broken else PartyLost, 0)
        if silent := self._silent(_SILENT):
            stalled = timed_out or silent[0] in self._silent(self._timeout - 1)
            return self._blame(Stalled if stalled else PartyLost, silent[0])
        busy = [other for other, pulse in self._pulses.items() if not pulse.waits]
        if timed_out and busy:
            return self._blame(Stalled, busy[0])
        return Disagreement(
            "An exchange between the parties failed although all are alive. They may have called different "
            "operations, or a connection was cut: compare what each runs, and the network between them."
        )

    def _blame(self, kind: type[ProtocolError], rank: int) -> ProtocolError:
        name = seat_name(rank, self._parties)
        if kind is PartyLost:
            return PartyLost(
                f"Lost {name}: its process or connection is gone. See its own messages; then start over.",
                rank,
            )
        return Stalled(
            f"No progress for {self._timeout:g} s: {name} does not take part. See whether it is stopped, busy or "
            "cut off; then start over, with a longer timeout if it was only slow.",
            rank,
        )

    def _overdue(self) -> ProtocolError | None:
        """Blame whoever has not been heard of for the whole timeout, or a store that is gone."""
        if self._rank != 0 and self._broken:
            return self._blame(PartyLost, 0)
        if self._rank != 0 and time.monotonic() - self._answered > self._timeout:
            return self._blame(Stalled, 0)
        if self._unreachable():  # then nothing is known of the others
            return None
        silent = [other for other in self._silent(self._timeout) if self._pulses[other] != _NONE_YET]
        return self._blame(Stalled, silent[0]) if silent else None

    def _silent(self, seconds: float) -> list[int]:
        now = time.monotonic()
        return [other for other in self._others if now - self._heard[other] > seconds]

    def _unreachable(self) -> bool:
        return self._rank != 0 and (self._broken or time.monotonic() - self._answered > _SILENT)

    def _untold(self) -> bool:
        silent = self._silent(_SILENT)
        return any(not pulse.told for other, pulse in self._pulses.items() if other not in silent)

    def _run(self) -> None:
        beat = 0
        keys = [f"pulse/{other}" for other in self._others]
        while not self._ending.is_set():
            try:
                if self._report is not None and self._cause is None:
                    self._store.compare_set(_CAUSE, "", self._report.to_text())
                if self._cause is None and self._store.check([_CAUSE]):
                    self._cause = ProtocolError.from_text(self._store.get(_CAUSE).decode())
                own = _Pulse(beat, int(self._waits), int(self._cause is not None))
                self._store.set(f"pulse/{self._rank}", own.to_text())
                pulses = [_Pulse.from_text(pulse.decode()) for pulse in self._store.multi_get(keys)]
            except RuntimeError:  # torch's errors of a lost store are of several kinds
                self._broken = True
                return
            self._answered = now = time.monotonic()
            for other, pulse in zip(self._others, pulses, strict=True):
                if pulse != self._pulses[other]:
                    self._pulses[other], self._heard[other] = pulse, now
            beat += 1
            self._ending.wait(_INTERVAL)
