"""What the statement of a result says differently where columns of the same users were divided."""

from collections.abc import Mapping, Sequence
from typing import Any

from components.privacy.column_tallies import MEASURED, MOST_RANKED, RANKED
from orchestrator.secure.statement import Statement
from orchestrator.spec.parties import PartyFile

_DATA = {"profiles": "profiles", "logs": "events"}


def column_statement(
    said: Statement, parties: PartyFile, holds: Mapping[str, str], groups: Mapping[str, Any]
) -> Statement:
    """Return `said` with what is different; `holds` names who holds `profiles` and who `logs`."""
    profiles, logs = _holder(holds, "profiles"), _holder(holds, "logs")
    receiver = parties.receiver
    closed = _closed(groups, logs == receiver)
    scores = "" if logs == receiver else "the sum of scores in millionths with their number, and "
    texts = {
        "Divided by columns": (
            f"{profiles} holds the profiles and {logs} the logs of the same users. {logs} computed with the "
            "open model, in the clear, what each of its users would add to the sums with every possible "
            "profile; the secret profile selected among these numbers under MPC (triples from the dealer). "
            "Terms were not added instead, because the profile enters this model inside a tanh, which no "
            "protocol here computes exactly. A party that enters something else than one profile a user, or "
            "false numbers, changes the result; one that does so to single out a user is not stopped."
        ),
        "Join": (
            f"{profiles} and {logs} showed each other a keyed hash of every user's id (HMAC-SHA256 under a key "
            "that only they have), over lines masked under their own fresh key. Each learns which of its users "
            "the other has, and how many the other has in all; with the key it can also test whether an id "
            "that it guesses is among the other's users. All others learn only how many users both have."
        ),
        "Public to all parties": (
            f"The model, the task (recommendation), the part ({parties.part}), the list of measures, the names "
            "of the parties and who holds what, how many users both have, how many of them are in each group "
            f"({', '.join(MEASURED.groups)}), and which measures may be opened. The dealer learns the "
            "shapes of what is computed: the number of common users, and of combinations of profile categories."
        ),
        f"Opened to {receiver}, and to nobody else": (
            f"For each group and measure: {scores}the counts, each over all common users. All of them are "
            "whole numbers and stand in the result under `opened`; metrics are divided from them in the clear. "
            f"{_receiving(receiver, profiles, logs)}"
        ),
        "Minimum cohort": (
            f"{parties.minimum_cohort} common users, for each group, checked by every party, and for each "
            "measure and each number of a histogram that is not 0, compared on shares; of the users whom "
            f"{logs} counts. {closed}"
        ),
        "Never leaves a party": (
            f"Events, profiles, ids but for their hashes in the join, and any one user's scores. What {logs} "
            f"computed for every profile and which profile {profiles} has chosen enter the protocol as random shares."
        ),
    }
    new = [(about, text) for about, text in texts.items() if about not in dict(said)]
    kept = [(about, texts.get(about, text)) for about, text in said]
    return [*kept[:1], *new, *kept[1:]]


def column_roles(rows: Sequence[Mapping[str, str]], holds: Mapping[str, str]) -> list[dict[str, str]]:
    """Say of each party which columns it holds, what it computes and what it learns."""
    other = {name: next(each for each in holds if each != name) for name in holds}
    changed = []
    for row in rows:
        name, sums = row["who"], "; the opened sums" if "receiver" in row["role"] else ""
        side = holds.get(name)
        if side is not None:
            row = {
                **row,
                "holds": f"its users' {_DATA[side]}, the key of the join, the open model",
                "computes": "scores for every profile; its share of the look-up"
                if side == "logs"
                else "its share of the look-up",
                "learns": f"which of its users {other[name]} has, how many users that one has; sizes of groups{sums}",
            }
        elif row["role"] != "dealer":
            row = {**row, "computes": "its share of the look-up", "learns": f"sizes of groups{sums}"}
        changed.append(dict(row))
    return changed


def _holder(holds: Mapping[str, str], side: str) -> str:
    return next(name for name, held in holds.items() if held == side)


def _receiving(receiver: str, profiles: str, logs: str) -> str:
    if receiver == logs:
        return (
            f"{receiver} knows what each profile of each user would have added: sums of few users can be "
            "solved for profiles. Therefore only counts were opened to it, and no scores; for small groups let "
            "another receive."
        )
    if receiver == profiles:
        return f"They are exact sums over the logs of {logs} alone."
    return (
        "The receiver holds no columns; together with one of the other two it would know what that one would."
    )


def _closed(groups: Mapping[str, Any], logs_receive: bool) -> str:
    """Say what was not opened, and why."""
    ranked = any(name in found["opened"] for name in RANKED for found in groups.values())
    told = [f"all of {group} users" for group in MEASURED.groups if group not in groups]
    skipped = {*(MEASURED.scores if logs_receive else ())} | {*(() if ranked else RANKED)}
    told += [
        f"{name} of {group} users"
        for group, found in groups.items()
        for name in found["withheld"]
        if name not in skipped
    ]
    text = f"Withheld: {', '.join(told)}." if told else "Nothing had to be withheld for it."
    if logs_receive:
        text += " Scores are not opened to who holds the logs."
    if not ranked:
        text += f" Rankings ({', '.join(RANKED)}) are left out where profiles have over {MOST_RANKED} combinations."
    return text
