"""A party's own ledger of what was evaluated on its data: a JSON file in its folder that only it writes.

Sums over different sets of users can be subtracted, so a (version, data snapshot, metric set) is evaluated once, and
afterwards only repeated exactly as it was: the same parties, receiver and cohort, and the same data at all of them.
That opens the same exact sums to the same receiver again, of which it learns nothing new, whether or not the first
time broke off. With noise it may be evaluated again, whatever the version and metrics, while the party's budget for
the snapshot lasts: epsilons add up (basic composition), those of evaluations that broke off included.

No party sees another one's data. Each shows a seal, HMAC-SHA256 of its snapshot under a key that never leaves its
folder: equal exactly while the data are, and worthless for guessing what they are.
"""

import hmac
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from components.errors import AdaptuneError, DataError
from orchestrator.records.workspace import locked, read_json, write_json

FILE = "evaluations.json"
LOCK = ".evaluations.lock"
KEY = ".evaluations.key"
KEY_BYTES = 32
SEAL_BYTES = 32


class Announcing(Protocol):
    """What the exchange of seals needs of `components.privacy.seat.Session`."""

    def announce(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tell every party these numbers, [n], and return everybody's, [parties, n]."""


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
    seals: Mapping[str, str] = field(default_factory=dict)
    """What each party showed of its data, by name."""

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
        """Raise `AlreadyEvaluated` where `entry` may not be evaluated (again); `budget` is for those with noise.

        Its seals count once they are known.
        """
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
            before = (
                f"{self.path}: {entry.version} was evaluated on this data with these metrics on {known.began}"
            )
            why = "Sums over different users can be subtracted, so it may be repeated only as it was, or with `noise`"
            if known.request != entry.request:
                raise AlreadyEvaluated(f"{before}, with other parties, another receiver or cohort. {why}")
            changed = [name for name, seal in entry.seals.items() if known.seals.get(name) != seal]
            if changed:
                raise AlreadyEvaluated(
                    f"{before}; the data of {', '.join(changed)} have changed since. {why}"
                )

    def begin(self, entry: Entry, budget: float = 0.0) -> Entry:
        """Enter an evaluation before anything is opened, and return it; raises what `check` does."""
        with locked(self.path.parent / LOCK):
            self.check(entry, budget)
            self._write([*self.entries(), entry])
        return entry

    def seal(self, snapshot: str) -> bytes:
        """Return what this party shows of its data, SEAL_BYTES long."""
        path = self.path.parent / KEY
        with locked(self.path.parent / LOCK):
            if not path.exists():
                with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                    file.write(os.urandom(KEY_BYTES))
            key = path.read_bytes()
        if len(key) != KEY_BYTES:
            raise DataError(path, "damaged: restore it; without it no earlier evaluation can be repeated")
        return hmac.digest(key, snapshot.encode(), "sha256")

    def finish(self, entry: Entry) -> None:
        """Mark an evaluation that has begun as finished."""
        with locked(self.path.parent / LOCK):
            done = replace(entry, state="finished")
            self._write([done if known == entry else known for known in self.entries()])

    def _write(self, entries: list[Entry]) -> None:
        write_json(self.path, [asdict(entry) for entry in entries])


def seals_of(session: Announcing, parties: Sequence[str], seal: bytes) -> dict[str, str]:
    """Show the others this party's seal of its data; return everybody's, by name."""
    shown = session.announce(np.frombuffer(seal, np.int64))
    return {name: row.tobytes().hex() for name, row in zip(parties, shown, strict=True)}


def now() -> str:
    """Return the time, as entries have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
