"""The steps of an evaluation over several parties' users, as each party takes them.

1. All agree on what is computed: the same model, part, measures, parties, receiver and minimum cohort. Each shows a
   seal of its data, which tells nothing but whether the data are those of an earlier evaluation.
2. Each announces how many users it has in each group. Every party itself drops a group in which the parties other
   than the receiver have fewer users together than the minimum cohort, and refuses when none is left.
3. The sum over parties of users that each measure stands on is opened to the receiver, who announces which measures
   stand on enough users of the others.
4. The sums of these measures are opened to the receiver, who checks that they are possible and divides.

Nobody learns a single party's numbers but the ones announced. With two parties the receiver, knowing its own numbers,
learns the other's sums: why a cohort is counted without the receiver's own users.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from components.errors import AdaptuneError
from components.privacy.totals import MEASURES, Implausible, Numbers, Tally, metrics_of, packed, unpacked

PROTOCOL = 1
"""Version of the steps; parties of different versions refuse each other."""
SEAL_BYTES = 32


class CohortTooSmall(AdaptuneError):
    """The sums would stand on too few users to be opened."""


class Meeting(Protocol):
    """What the steps need of `components.privacy.seat.Session`."""

    def agree(self, text: str) -> None:
        """Raise unless all parties pass the same text."""

    def announce(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tell every party these numbers, [n], and return everybody's, [parties, n]."""

    def total(self, counts: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Add up secret numbers; the sums are opened to the receiver alone, None elsewhere."""


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
                "measures": MEASURES[self.task].as_json(),
            },
            sort_keys=True,
        )

    @property
    def metric_set(self) -> str:
        """What is measured, in the words of a ledger: the same text for the same sums."""
        return json.dumps([PROTOCOL, self.part, MEASURES[self.task].as_json()], sort_keys=True)


@dataclass(frozen=True)
class GroupResult:
    """What the receiver has learnt of one group."""

    users: int
    metrics: Mapping[str, float]
    opened: Mapping[str, list[int]]
    """The sums by measure, as they were opened."""
    withheld: tuple[str, ...]
    """Measures that stand on too few users, whose sums nobody has seen."""

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON document."""
        return {
            "users": self.users,
            "metrics": dict(self.metrics),
            "opened": dict(self.opened),
            "withheld": list(self.withheld),
        }


def evaluate(
    meeting: Meeting,
    rank: int,
    request: Request,
    tallies: Mapping[str, Tally],
    permit: Callable[[Mapping[str, str]], None] = lambda seals: None,
    say: Callable[[str], None] = lambda text: None,
    seal: bytes = bytes(SEAL_BYTES),
) -> dict[str, GroupResult] | None:
    """Take all steps with what this party has tallied; return the results, by group, at the receiver.

    `permit` is called with everybody's seal by name before anything secret is added up, and raises where this party
    says no; `seal` is this party's own. Raises `CohortTooSmall`, `Implausible`, and whatever the meeting does where
    parties disagree, are lost or stall.
    """
    measures = MEASURES[request.task]
    meeting.agree(request.text())
    shown = meeting.announce(np.frombuffer(seal, np.int64))
    seals = {name: row.tobytes().hex() for name, row in zip(request.parties, shown, strict=True)}
    say("all agree on what is computed")
    own = np.array(
        [tally.users if (tally := tallies.get(group)) else 0 for group in measures.groups], np.int64
    )
    sizes = meeting.announce(own)
    kept = _large_enough(sizes, measures.groups, request)
    permit(seals)

    asked = [(group, name) for group in kept for name in measures.names]
    users = np.array([measures.users(name, tallies.get(group)) for group, name in asked], np.int64)
    concerned = meeting.total(users)
    say("numbers of users are opened to the receiver")
    others_have = np.zeros(len(asked), np.int64)
    if concerned is not None:
        _must_exceed(
            concerned, users, asked, dict(zip(measures.groups, sizes.sum(axis=0).tolist(), strict=True))
        )
        others_have = (concerned - users >= request.minimum_cohort).astype(np.int64)
    allowed = meeting.announce(others_have)[request.receiver].astype(bool)

    chosen = [pair for pair, enough in zip(asked, allowed, strict=True) if enough]
    sums = meeting.total(packed(measures, tallies, chosen)) if chosen else None
    say("sums are opened to the receiver")
    if rank != request.receiver:
        return None
    found = {} if sums is None else unpacked(measures, sums, chosen)
    group_users = dict(zip(measures.groups, sizes.sum(axis=0).tolist(), strict=True))
    return {
        group: GroupResult(
            users=group_users[group],
            metrics=metrics_of(measures, found.get(group, {})),
            opened={name: numbers.tolist() for name, numbers in found.get(group, {}).items()},
            withheld=tuple(name for name in measures.names if (group, name) not in chosen),
        )
        for group in kept
    }


def _large_enough(sizes: NDArray[np.int64], groups: tuple[str, ...], request: Request) -> list[str]:
    """Return the groups in which those who do not receive have enough users; raise where there is none."""
    others = sizes.sum(axis=0) - sizes[request.receiver]
    kept = [group for group, count in zip(groups, others, strict=True) if count >= request.minimum_cohort]
    if not kept:
        counted = ", ".join(f"{count} {group}" for group, count in zip(groups, others.tolist(), strict=True))
        raise CohortTooSmall(
            f"the parties other than {request.parties[request.receiver]}, who receives, have too few users together "
            f"({counted}); at least {request.minimum_cohort} are needed (`minimum_cohort`). Nothing was opened"
        )
    return kept


def _must_exceed(
    concerned: Numbers, own: Numbers, asked: list[tuple[str, str]], group_users: Mapping[str, int]
) -> None:
    """Refuse numbers of users that are below one's own or above the whole group's."""
    for (group, name), found, mine in zip(asked, concerned.tolist(), own.tolist(), strict=True):
        if not mine <= found <= group_users[group]:
            raise Implausible(
                f"`{name}` of {group} users would stand on {found} of {group_users[group]} users, of whom {mine} are "
                "our own: a party added something else than its counts"
            )
