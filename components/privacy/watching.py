"""Each seat's pulse, and the finding of who is to blame when an exchange fails.

A thread of each seat writes its pulse to the store that rank 0 keeps and reads those of the others. When an exchange
ends in an error, whoever has fallen silent is to blame; the first finding is written to the store and holds for all.
"""

import threading
import time
from collections.abc import Callable

from torch.distributed import Store

from components.privacy.failures import Disagreement, PartyLost, ProtocolError, Stalled

_CAUSE = "cause"
_INTERVAL = 0.2
_SILENT = 1.5
_PATIENCE = 3.0


def seat_name(rank: int, parties: int) -> str:
    """Return what messages call the seat of `rank`."""
    return "the dealer" if rank == parties else f"party {rank}"


class Watch:
    """The pulse of one seat and what it hears of the others."""

    def __init__(
        self, store: Store, rank: int, parties: int, timeout: float, steps: Callable[[], int]
    ) -> None:
        """Start the pulse over `store`, a connection of its own; `steps` counts this seat's exchanges."""
        self._store, self._rank, self._parties, self._timeout, self._steps = (
            store,
            rank,
            parties,
            timeout,
            steps,
        )
        self._others = [other for other in range(parties + 1) if other != rank]
        now = time.monotonic()
        self._heard = dict.fromkeys(self._others, now)
        self._pulses = dict.fromkeys(self._others, "")
        self._answered = now
        self._broken = False
        self._cause: ProtocolError | None = None
        self._report: ProtocolError | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
        for other in [rank, *self._others]:
            store.compare_set(f"pulse/{other}", "", "-1:0")
        self._thread.start()

    @property
    def cause(self) -> ProtocolError | None:
        """Why the evaluation has ended for all, as far as this seat has heard."""
        return self._cause

    def end(self) -> None:
        """Stop the pulse."""
        self._ending.set()
        self._thread.join(timeout=2 * _INTERVAL)

    def report(self, failure: ProtocolError) -> None:
        """Tell all seats why this one stops, unless another was first; returns when it is told or cannot be."""
        self._report = failure
        deadline = time.monotonic() + _PATIENCE
        while self._cause is None and not self._broken and time.monotonic() < deadline:
            time.sleep(0.02)
        if self._rank == 0:
            time.sleep(3 * _INTERVAL)  # the store ends with this process: let all others read it first

    def diagnose(self, error: RuntimeError) -> ProtocolError:
        """Return the named cause of an exchange's `error`, and tell the others of it."""
        timed_out = "timed out" in str(error).lower()
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            if self._cause is not None:
                return self._cause
            if self._unreachable() or self._silent():
                break
            time.sleep(0.05)
        failure = self._finding(timed_out)
        self.report(failure)
        return self._cause or failure

    def _finding(self, timed_out: bool) -> ProtocolError:
        if self._unreachable() and self._rank != 0:
            kind = Stalled if timed_out and not self._broken else PartyLost
            return self._blame(kind, 0)
        if silent := self._silent():
            return self._blame(Stalled if timed_out else PartyLost, silent[0])
        steps = {other: int(pulse.split(":")[1]) for other, pulse in self._pulses.items() if ":" in pulse}
        if timed_out and steps:
            return self._blame(Stalled, min(steps, key=lambda other: steps[other]))
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

    def _silent(self) -> list[int]:
        now = time.monotonic()
        return [other for other in self._others if now - self._heard[other] > _SILENT]

    def _unreachable(self) -> bool:
        return self._broken or time.monotonic() - self._answered > _SILENT

    def _run(self) -> None:
        beat = 0
        keys = [f"pulse/{other}" for other in self._others]
        while not self._ending.is_set():
            try:
                if self._report is not None:
                    self._store.compare_set(_CAUSE, "", self._report.to_text())
                    self._report = None
                self._store.set(f"pulse/{self._rank}", f"{beat}:{self._steps()}")
                pulses = [pulse.decode() for pulse in self._store.multi_get(keys)]
                if self._cause is None and self._store.check([_CAUSE]):
                    self._cause = ProtocolError.from_text(self._store.get(_CAUSE).decode())
            except (
                RuntimeError
            ):  # torch's errors of a lost store are of several kinds; what counts is that it is gone
                self._broken = True
                return
            self._answered = now = time.monotonic()
            for other, pulse in zip(self._others, pulses, strict=True):
                if pulse != self._pulses[other]:
                    self._pulses[other], self._heard[other] = pulse, now
            beat += 1
            self._ending.wait(_INTERVAL)
