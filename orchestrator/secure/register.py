"""A party's own ledger of what was evaluated on its data: a JSON file in its folder that only it writes.

Sums over the same users from two evaluations can be subtracted, so a (version, data snapshot, metric set) is
evaluated once. An evaluation that broke off may be repeated, but only as it was: the same parties, the same receiver.
With noise it may be evaluated again, whatever the version and metrics, while the party's budget for the snapshot
lasts: epsilons add up (basic composition), those of evaluations that broke off included.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from components.errors import AdaptuneError, DataError
from orchestrator.records.workspace import read_json, write_json

FILE = "evaluations.json"
LOCK = ".evaluations.lock"


class AlreadyEvaluated(AdaptuneError):
    """A party's ledger does not allow an evaluation."""


@dataclass(frozen=True)
class Entry:
    """One evaluation that this party has taken part in."""

    version: str
    """Name of the model's version, such as `recommendation/1`."""
    model: str
    """Digest of its files."""
    snapshot: str
    """Digest of the party's data."""
    metric_set: str
    request: str
    """All that the parties had agreed on."""
    began: str
    state: Literal["begun", "finished"] = "begun"
    """`begun` before anything is added up; `finished` after the last sum was opened."""
    epsilon: float = 0.0
    """What it spends of the party's budget; 0 where sums are exact."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What may be evaluated once."""
        return self.model, self.snapshot, self.metric_set


class Register:
    """The ledger in one party's folder."""

    def __init__(self, folder: Path) -> None:
        """Use the ledger in `folder`, which need not have one yet."""
        self.path = folder / FILE

    def entries(self) -> list[Entry]:
        """Return all entries, oldest first; a `DataError` where the file is damaged."""
        if not self.path.exists():
            return []
        try:
            return [Entry(**entry) for entry in read_json(self.path)]
        except (ValueError, TypeError) as error:
            raise DataError(
                self.path,
                f"the ledger of evaluations is damaged ({error}); nothing is evaluated without it: restore it",
            ) from error

    def spent(self, snapshot: str) -> float:
        """Return the epsilon that evaluations with noise have spent on a snapshot."""
        return sum(known.epsilon for known in self.entries() if known.snapshot == snapshot)

    def check(self, entry: Entry, budget: float = 0.0) -> None:
        """Raise `AlreadyEvaluated` where `entry` may not be evaluated (again); `budget` is for those with noise."""
        if entry.epsilon:
            left = max(0.0, budget - self.spent(entry.snapshot))
            if entry.epsilon > left + 1e-9:
                raise AlreadyEvaluated(
                    f"{self.path}: this evaluation would spend an epsilon of {entry.epsilon:g}, and {left:g} of this "
                    f"party's {budget:g} is left for this data; lower `noise.epsilon`, or raise its `privacy_budget`"
                )
            return
        for known in self.entries():
            if known.key != entry.key or known.epsilon:
                continue
            if known.state == "finished":
                raise AlreadyEvaluated(
                    f"{self.path}: {entry.version} was evaluated on this data with these metrics on {known.began}; "
                    "the same sums are opened once, because sums of different sets of parties can be subtracted; "
                    "again only with `noise`"
                )
            if known.request != entry.request:
                raise AlreadyEvaluated(
                    f"{self.path}: an evaluation of {entry.version} on this data broke off on {known.began}; it may "
                    "be repeated only as it was, with the same parties, receiver and cohort"
                )

    def begin(self, entry: Entry, budget: float = 0.0) -> None:
        """Enter an evaluation before anything is opened; raises what `check` does."""
        with self._locked():
            self.check(entry, budget)
            others = [
                known for known in self.entries() if known.epsilon or entry.epsilon or known.key != entry.key
            ]
            self._write([*others, entry])

    def finish(self, entry: Entry) -> None:
        """Mark an evaluation that has begun as finished."""
        with self._locked():
            done = replace(entry, state="finished")
            self._write([done if known == entry else known for known in self.entries()])

    def _write(self, entries: list[Entry]) -> None:
        write_json(self.path, [asdict(entry) for entry in entries])

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.path.parent / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def now() -> str:
    """Return the time, as entries have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
