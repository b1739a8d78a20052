"""The steps of an evaluation over users whose profiles one party holds and whose logs another.

1. All agree on what is computed, and on who holds what: exactly one party profiles, exactly one logs.
2. These two swap keyed hashes of their users' ids, which nobody else sees, and keep the users whom both have, in the
   order of the hashes. All learn how many these are.
3. Who holds the logs announces how many of them are in each group. Every party itself drops a group that has fewer
   than the minimum cohort, and refuses when none is left.
4. Which measures stand on enough users, and have no cell with few in a histogram, is computed on shares; the answers,
   and no number of users, are opened to all.
5. The numbers that depend on profiles are looked up under MPC, the others are added up; both sums are opened to the
   receiver alone, who checks that they are possible and divides.

Where the party with the logs receives, it knows what every profile would add to a sum. Scores in millionths are so
fine-grained that a few of their sums could be solved for the profiles of a small group; then only counts are opened.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from components.privacy.cohorts import Cell, barring, cells_of
from components.privacy.column_tallies import MEASURED, MOST_RANKED, RANKED, Logs, Profiles, varying_places
from components.privacy.evaluation import CohortTooSmall, GroupResult, Meeting, Request
from components.privacy.failures import Disagreement
from components.privacy.totals import Numbers, Tally, metrics_of, unpacked

Chosen = Sequence[tuple[str, str]]
"""Groups and measures, in the order in which their numbers stand."""
HOLDS = (None, "profiles", "logs")


class ColumnMeeting(Meeting, Protocol):
    """What the steps need of `components.privacy.seat.Session`."""

    def exchange(self, numbers: NDArray[np.int64], other: int) -> NDArray[np.int64]:
        """Swap rows of numbers with one other party, unseen by all others."""

    def look_up(
        self, choice: NDArray[np.integer] | None = None, table: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64] | None:
        """Open the sums over users of `table[user, choice[user]]` to the receiver."""

    def sufficient_columns(
        self,
        standing: NDArray[np.int64],
        least: int,
        barring: NDArray[np.int64],
        choice: NDArray[np.integer] | None = None,
        table: NDArray[np.int64] | None = None,
    ) -> NDArray[np.bool_]:
        """Tell all parties which measures stand on enough users, those in cells being looked up."""


@dataclass(frozen=True)
class Holders:
    """Ranks of the two parties that hold columns."""

    profiles: int
    logs: int


def evaluate_columns(
    meeting: ColumnMeeting,
    rank: int,
    request: Request,
    own: Profiles | Logs | None,
    combinations: int,
    permit: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[dict[str, GroupResult] | None, Holders]:
    """Take all steps with this party's columns; return the results, by group, at the receiver, and who holds what.

    `combinations` is how many the model knows. `permit` is called before anything secret is computed, and raises
    where this party has said no. Raises `CohortTooSmall`, `Disagreement`, `Implausible`, and whatever the meeting
    does where parties are lost or stall.
    """
    meeting.agree(json.dumps([request.text(), "columns", combinations]))
    say("all agree on what is computed")
    holders = _holders(meeting, request, own)
    common = None if own is None else _join(meeting, own, holders)
    say("the two parties with columns have found their common users")
    groups, chosen = _announced(meeting, request, own, common, holders, combinations, permit)
    say("which measures stand on enough users is known to all")

    choice = table = None
    if isinstance(own, Profiles) and common is not None:
        choice = own.combination[common]
    if isinstance(own, Logs) and common is not None:
        table = _table(own, common, chosen)
    found = meeting.look_up(choice=choice, table=table) if chosen else None
    say("sums that depend on profiles are opened to the receiver")
    rest = meeting.total(_fixed(own, common, chosen)) if chosen else None
    say("the other sums are opened to the receiver")
    if rank != request.receiver:
        return None, holders
    sums = {}
    if found is not None and rest is not None:
        sums = unpacked(MEASURED, _put(rest, found, chosen), chosen)
    results = {
        group: GroupResult(
            users=users,
            metrics=metrics_of(MEASURED, sums.get(group, {})),
            opened={name: numbers.tolist() for name, numbers in sums.get(group, {}).items()},
            withheld=tuple(name for name in MEASURED.names if (group, name) not in chosen),
            holders=(request.parties[holders.profiles], request.parties[holders.logs]),
        )
        for group, users in groups.items()
    }
    return results, holders


def allowed(logs_receive: bool, combinations: int) -> tuple[str, ...]:
    """Return the measures that may be opened, given who receives and how many combinations there are."""
    names = MEASURED.counts if logs_receive else MEASURED.names
    return tuple(name for name in names if combinations <= MOST_RANKED or name not in RANKED)


def side_of(own: Profiles | Logs | None) -> Literal["profiles", "logs"] | None:
    """Return what a party holds."""
    if own is None:
        return None
    return "profiles" if isinstance(own, Profiles) else "logs"


def _holders(meeting: ColumnMeeting, request: Request, own: Profiles | Logs | None) -> Holders:
    told = meeting.announce(np.array([HOLDS.index(side_of(own))], np.int64))[:, 0].tolist()
    found = {side: [rank for rank, code in enumerate(told) if HOLDS[code] == side] for side in HOLDS[1:]}
    for side, ranks in found.items():
        if len(ranks) != 1:
            names = " and ".join(request.parties[rank] for rank in ranks) or "nobody"
            raise Disagreement(
                f"With `divided: columns` exactly one party holds {side}: here it is {names}. Nothing was opened."
            )
    return Holders(found["profiles"][0], found["logs"][0])


def _join(meeting: ColumnMeeting, own: Profiles | Logs, holders: Holders) -> NDArray[np.int64]:
    """Return the places of the common users among one's own, in an order that is the same at both parties."""
    other = holders.logs if isinstance(own, Profiles) else holders.profiles
    theirs = meeting.exchange(np.concatenate([own.key_token, own.tokens]), other)
    if not np.array_equal(theirs[:1], own.key_token):
        raise Disagreement(
            "The two parties with columns have different keys (`join.key`), so no user of one is known to the "
            "other. Hand both the same key file, and nobody else. Nothing was opened.",
            other,
        )
    place = {(first, second): user for user, (first, second) in enumerate(own.tokens.tolist())}
    common = sorted(place.keys() & {(first, second) for first, second in theirs[1:].tolist()})
    if not common:
        raise Disagreement(
            "The two parties with columns have no user in common, though their keys are equal: the ids in "
            "their folders must be written the same way. Nothing was opened.",
            other,
        )
    return np.array([place[token] for token in common], np.int64)


def _announced(
    meeting: ColumnMeeting,
    request: Request,
    own: Profiles | Logs | None,
    common: NDArray[np.int64] | None,
    holders: Holders,
    combinations: int,
    permit: Callable[[], None],
) -> tuple[dict[str, int], Chosen]:
    """Return the users of each group that is large enough, and what is opened; every party checks both."""
    sizes = np.zeros(len(MEASURED.groups), np.int64)
    if isinstance(own, Logs) and common is not None:
        sizes[:] = [own.members[group][common].sum() for group in MEASURED.groups]
    sizes = meeting.announce(sizes)[holders.logs]
    if common is not None and not 0 <= sizes.min() <= sizes.sum() <= len(common):
        raise Disagreement(
            "The party with the logs counts more users than both have. Nothing was opened.", holders.logs
        )
    groups = {
        group: int(count)
        for group, count in zip(MEASURED.groups, sizes, strict=True)
        if count >= request.minimum_cohort
    }
    if not groups:
        counted = ", ".join(
            f"{count} {group}" for group, count in zip(MEASURED.groups, sizes.tolist(), strict=True)
        )
        raise CohortTooSmall(
            f"{request.parties[holders.profiles]} and {request.parties[holders.logs]} have too few users in "
            f"common ({counted}); at least {request.minimum_cohort} are needed (`minimum_cohort`). Nothing was opened"
        )
    permit()
    names = allowed(request.receiver == holders.logs, combinations)
    enough = _sufficient(meeting, request, own, common, list(groups), combinations <= MOST_RANKED)
    return groups, [
        (group, name)
        for group, row in zip(groups, enough, strict=True)
        for name, opens in zip(MEASURED.names, row, strict=True)
        if opens and name in names
    ]


def _sufficient(
    meeting: ColumnMeeting,
    request: Request,
    own: Profiles | Logs | None,
    common: NDArray[np.int64] | None,
    groups: Sequence[str],
    ranked: bool,
) -> NDArray[np.bool_]:
    """Return which measures stand on enough users, [groups, measures], and have no cell with few in a histogram.

    Who is in a cell depends on profiles, so the cells' users are looked up; they are never opened.
    """
    cells, barred = cells_of(MEASURED), barring(MEASURED)
    standing = np.zeros((len(groups), len(MEASURED.names) + len(cells)), np.int64)
    choice = table = None
    if isinstance(own, Profiles) and common is not None:
        choice = own.combination[common]
    if isinstance(own, Logs) and common is not None:
        for row, group in enumerate(groups):
            member = own.members[group][common]
            for column, name in enumerate(MEASURED.names):
                if name in own.fixed:
                    standing[row, column] = (_concerned(own, name)[common] & member).sum()
        table = _cells(own, common, groups, cells) if ranked else None
    if not ranked:  # there are no histograms
        return meeting.sufficient(standing, request.minimum_cohort, barred)
    return meeting.sufficient_columns(standing, request.minimum_cohort, barred, choice=choice, table=table)


def _cells(
    own: Logs, common: NDArray[np.int64], groups: Sequence[str], cells: Sequence[Cell]
) -> NDArray[np.int64]:
    """Return 1 where a common user of a group is in a cell, for every combination, [U, C, groups * cells]."""
    histograms = {name: own.varying[name][common] for name in MEASURED.counts if name != "confusion"}
    combinations = next(iter(histograms.values())).shape[1]
    found = np.zeros((len(common), combinations, len(groups), len(cells)), np.int64)
    for number in range(combinations):
        counts = {name: values[:, number] for name, values in histograms.items()}
        tally = Tally(np.arange(len(common)), {}, counts)
        inside = np.stack([cell.rows(tally) for cell in cells], axis=1)
        for row, group in enumerate(groups):
            found[:, number, row] = inside & own.members[group][common][:, None]
    return found.reshape(len(common), combinations, -1)


def _concerned(own: Logs, name: str) -> NDArray[np.bool_]:
    """Return for which users a measure is defined, [U]; it never depends on the profile."""
    return own.fixed[name][:, 1] > 0 if name in MEASURED.scores else np.ones(len(own.tokens), bool)


def _table(own: Logs, common: NDArray[np.int64], chosen: Chosen) -> Numbers:
    """Return the numbers of the common users for every combination, [U, C, V]; zeros outside a number's group."""
    parts = [
        np.where(own.members[group][common][:, None, None], own.varying[name][common], 0)
        for group, name in chosen
    ]
    return np.concatenate(parts, axis=2) if parts else np.zeros((len(common), 1, 0), np.int64)


def _fixed(own: Profiles | Logs | None, common: NDArray[np.int64] | None, chosen: Chosen) -> Numbers:
    """Return the sums that do not depend on profiles, as `packed` orders them; zeros of who has no logs."""
    parts = [np.zeros(0, np.int64)]
    for group, name in chosen:
        if isinstance(own, Logs) and common is not None:
            parts.append(own.fixed[name][common][own.members[group][common]].sum(axis=0))
        else:
            parts.append(np.zeros(MEASURED.size(name), np.int64))
    return np.concatenate(parts)


def _put(rest: Numbers, found: Numbers, chosen: Chosen) -> Numbers:
    """Put the sums that were looked up in their places among the others."""
    sums, start, taken = rest.copy(), 0, 0
    for _, name in chosen:
        places = varying_places(name)
        sums[[start + place for place in places]] = found[taken : taken + len(places)]
        start, taken = start + MEASURED.size(name), taken + len(places)
    assert taken == len(found), (taken, len(found))
    return sums


def metric_set_of(request: Request) -> str:
    """Return what is measured, in the words of a ledger; the same whoever receives."""
    return json.dumps(["columns", request.metric_set])


def holders_by_name(holders: Holders, parties: Sequence[str]) -> Mapping[str, str]:
    """Return who holds what, by name."""
    return {parties[holders.profiles]: "profiles", parties[holders.logs]: "logs"}
