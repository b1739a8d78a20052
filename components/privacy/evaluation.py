"""The steps of an evaluation over several parties' users, as each party takes them.

1. All agree on what is computed: the same model, part, measures, parties, receiver and minimum cohort.
2. Each announces how many users it has in each group. Every party itself drops a group in which the parties other
   than the receiver have fewer users together than the minimum cohort, and refuses when none is left.
3. Which measures stand on enough users of the others, and follow from nothing that would tell of few, is computed on
   shares; the answers, and no number of users, are opened to all.
4. The sums of these measures are opened to the receiver, who checks that they are possible and divides.

Nobody learns a single party's numbers but the ones announced. With two parties the receiver, knowing its own numbers,
learns the other's sums: why a cohort is counted without the receiver's own users.

With noise, every number that leaves a party has noise before it does, the announced ones included, and that protects
each single user (`components.privacy.noise`); so step 3 falls away: which measures stand on few users would be told
without noise.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from components.errors import AdaptuneError
from components.privacy.cohorts import barring, standing
from components.privacy.noise import Noise, noisy_numbers, noisy_users
from components.privacy.noisy_metrics import NoisyMetrics, noisy_metrics
from components.privacy.totals import (
    MEASURES,
    PRIVATE_MEASURES,
    Implausible,
    Measures,
    Numbers,
    Tally,
    metrics_of,
    packed,
    unpacked,
)

PROTOCOL = 2
"""Version of the steps; parties of different versions refuse each other."""


class CohortTooSmall(AdaptuneError):
    """The sums would stand on too few users to be opened."""


AddUp = Callable[[Sequence[tuple[str, str]]], NDArray[np.int64] | None]
"""Takes groups and measures, and returns their sums, one after the other, at the receiver; None elsewhere."""


class Meeting(Protocol):
    """What the steps need of `components.privacy.seat.Session`."""

    def agree(self, text: str) -> None:
        """Raise unless all parties pass the same text."""

    def announce(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tell every party these numbers, [n], and return everybody's, [parties, n]."""

    def total(self, counts: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Add up secret numbers; the sums are opened to the receiver alone, None elsewhere."""

    def sufficient(
        self, standing: NDArray[np.int64], least: int, barring: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Tell all parties which measures stand on enough users, [groups, measures], and no number of users."""


@dataclass(frozen=True)
class Request:
    """What is evaluated; every party must have been asked for the same."""

    task: str
    model: str
    """Digest of the model's files."""
    part: str
    parties: tuple[str, ...]
    """Names, by rank."""
    receiver: int
    """Rank of who learns the sums."""
    minimum_cohort: int
    noise: Noise | None = None
    """How much noise the numbers are given; None for exact ones."""
    owner: int | None = None
    """Rank of the party that keeps the model to itself; None where every party has it."""

    @property
    def measures(self) -> Measures:
        """What is measured."""
        return (MEASURES if self.owner is None else PRIVATE_MEASURES)[self.task]

    def text(self) -> str:
        """Write the request so that two are equal exactly if they ask for the same."""
        return json.dumps(
            {
                "protocol": PROTOCOL,
                "task": self.task,
                "model": self.model,
                "part": self.part,
                "parties": list(self.parties),
                "receiver": self.receiver,
                "minimum_cohort": self.minimum_cohort,
                "noise": None if self.noise is None else asdict(self.noise),
                "owner": self.owner,
                "measures": self.measures.as_json(),
            },
            sort_keys=True,
        )

    @property
    def metric_set(self) -> str:
        """What is measured, in the words of a ledger: the same text for the same sums."""
        return json.dumps([PROTOCOL, self.part, self.measures.as_json()], sort_keys=True)


@dataclass(frozen=True)
class GroupResult:
    """What the receiver has learnt of one group."""

    users: int
    """Over all parties, as announced: with noise, that of each party included."""
    metrics: Mapping[str, float]
    opened: Mapping[str, list[int]]
    """The sums by measure, as they were opened."""
    withheld: tuple[str, ...]
    """Measures whose sums nobody has seen: they stand on too few users, or would tell of too few."""
    holders: tuple[str, ...] = ()
    """Parties that have users in the group; with noise nobody knows."""
    margins: Mapping[str, float] | None = None
    """With noise: how far it moves each metric at most, 19 times of 20."""
    moved: tuple[str, ...] = ()
    """With noise: measures whose numbers it made impossible, taken as the nearest possible ones."""

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON document."""
        return {
            "users": self.users,
            "metrics": dict(self.metrics),
            "opened": dict(self.opened),
            "withheld": list(self.withheld),
            "holders": list(self.holders),
            "margins": None if self.margins is None else dict(self.margins),
            "moved": list(self.moved),
        }


def evaluate(
    meeting: Meeting,
    rank: int,
    request: Request,
    tallies: Mapping[str, Tally] | None,
    permit: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = lambda text: None,
    add_up: AddUp | None = None,
) -> dict[str, GroupResult] | None:
    """Take all steps with what this party has tallied; return the results, by group, at the receiver.

    `tallies` is None where a party has no data, and so nothing that noise would hide. `permit` is called before
    anything of a user leaves the party, and raises where this party has said no. `add_up` computes the sums under MPC
    where a party cannot tally alone, the model being another one's. Raises `CohortTooSmall`, `Implausible`, and
    whatever the meeting does where parties disagree, are lost or stall.
    """
    measures, noise = request.measures, request.noise
    held = tallies or {}
    meeting.agree(request.text())
    say("all agree on what is computed")
    own = np.array([tally.users if (tally := held.get(group)) else 0 for group in measures.groups], np.int64)
    noisy = 0
    if noise is not None:
        noisy = int(meeting.announce(np.array([tallies is not None], np.int64)).sum())
        permit()
        own = own if tallies is None else noisy_users(measures, noise, held)
    sizes = meeting.announce(own)
    kept = _large_enough(sizes, measures.groups, request)
    if noise is None:
        permit()
        chosen = _sufficient(meeting, rank, request, held, kept)
        say("which measures stand on enough users is known to all")
        numbers = packed(measures, held, chosen)
    else:
        chosen = [(group, name) for group in kept for name in measures.names]
        numbers = packed(measures, {}, chosen)
        if tallies is not None:
            numbers = noisy_numbers(measures, noise, held, kept)
    sums = None
    if chosen:
        sums = meeting.total(numbers) if add_up is None else add_up(chosen)
    say("sums are opened to the receiver")
    if rank != request.receiver:
        return None
    found = {} if sums is None else unpacked(measures, sums, chosen)
    results = {}
    for group in kept:
        opened, column = found.get(group, {}), sizes[:, measures.groups.index(group)]
        users, exact = max(int(column.sum()), 0), noise is None
        if noise is None:
            _must_fit(opened, users, request)
            divided = NoisyMetrics(metrics_of(measures, opened), {}, ())
        else:
            divided = noisy_metrics(measures, noise, opened, noisy)
        results[group] = GroupResult(
            users=users,
            metrics=divided.metrics,
            opened={name: each.tolist() for name, each in opened.items()},
            withheld=tuple(name for name in measures.names if (group, name) not in chosen),
            holders=tuple(request.parties[each] for each in np.flatnonzero(column)) if exact else (),
            margins=None if exact else divided.margins,
            moved=divided.moved,
        )
    return results


def _sufficient(
    meeting: Meeting, rank: int, request: Request, tallies: Mapping[str, Tally], groups: Sequence[str]
) -> list[tuple[str, str]]:
    """Return the (group, measure) that may be opened; the receiver's own users count for nothing."""
    measures = request.measures
    mine = {} if rank == request.receiver else tallies
    numbers = np.stack([standing(measures, mine.get(group)) for group in groups])
    enough = meeting.sufficient(numbers, request.minimum_cohort, barring(measures))
    return [
        (group, name)
        for group, row in zip(groups, enough, strict=True)
        for name, allowed in zip(measures.names, row, strict=True)
        if allowed
    ]


def _large_enough(sizes: NDArray[np.int64], groups: tuple[str, ...], request: Request) -> list[str]:
    """Return the groups in which those who do not receive have enough users; raise where there is none."""
    others = sizes.sum(axis=0) - sizes[request.receiver]
    kept = [group for group, count in zip(groups, others, strict=True) if count >= request.minimum_cohort]
    if not kept:
        counted = ", ".join(f"{count} {group}" for group, count in zip(groups, others.tolist(), strict=True))
        raise CohortTooSmall(
            f"the parties other than {request.parties[request.receiver]}, who receives, have too few users together "
            f"({counted}); at least {request.minimum_cohort} are needed (`minimum_cohort`). "
            + ("Nothing was opened" if request.noise is None else "No sum was opened, but epsilon is spent")
        )
    return kept


def _must_fit(opened: Mapping[str, Numbers], users: int, request: Request) -> None:
    """Refuse scores of users that are more than the users who were announced."""
    measures = request.measures
    for name, numbers in opened.items():
        if measures.unit == "user" and name in measures.scores and int(numbers[1]) > users:
            raise Implausible(
                f"`{name}` would stand on {int(numbers[1])} of {users} users: a party added something else than its "
                "counts"
            )
