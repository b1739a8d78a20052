"""What is promised of a result, and what is not: the statement that goes with every one."""

from collections.abc import Mapping, Sequence
from typing import Any

from components.privacy.totals import MEASURES
from components.tasks import TASKS
from orchestrator.spec.parties import PartyFile

Statement = Sequence[tuple[str, str]]
"""Headings and what is said below each."""

_TRANSPORT = {
    "local": "loopback on one machine",
    "ray": "gloo over the cluster's network",
    "remote": "gloo between the hosts",
}
_DOMAIN = {
    "local": "All processes ran under one account of one machine: whoever has it sees everything. This is a "
    "rehearsal of the protocol, and no protection of one party from another.",
    "ray": "One Ray cluster is one domain of trust: whoever can reach it can run code on each of its nodes. The "
    "protocol keeps the parties' numbers from each other, not from whoever runs the cluster. The result passed "
    "through the driver, the process that was given the command.",
    "remote": "Each party ran its own process on its own host, and trusts nobody else's host with its data.",
}


def statement(parties: PartyFile, task: str, groups: Mapping[str, Any]) -> Statement:
    """Return the statement of an evaluation with these parties and results."""
    measures, info = MEASURES[task], TASKS[task]
    receiver = parties.receiver
    withheld = [f"all of {group} users" for group in measures.groups if group not in groups]
    withheld += [f"{name} of {group} users" for group, found in groups.items() for name in found["withheld"]]
    with_two = (
        f" With two parties, {receiver} can subtract its own numbers: it learns the other's sums."
        if len([party for party in parties.parties.values() if party.data]) == 2
        and parties.parties[receiver].data
        else ""
    )
    said = [
        (
            "Attack model",
            "Semi-honest: every party follows the protocol, and may try to learn from what it sees. A party that "
            "lies about its own numbers changes the result, undetected unless they become impossible. The dealer "
            "colludes with nobody: together with any one party it could unmask the others' numbers.",
        ),
        (
            "Public to all parties",
            f"The model, the task ({task}), the part ({parties.part}), the list of measures, the names of the "
            f"parties, how many users each party has in each group ({', '.join(measures.groups)}), and which "
            "measures stand on enough users. The dealer learns the shapes of what is computed, and nothing else.",
        ),
        (
            f"Opened to {receiver}, and to nobody else",
            "For each group and measure: how many users it stands on, the sum of scores in millionths with their "
            "number, and the counts, each over all parties together. All of them are whole numbers and stand in the "
            f"result under `opened`; metrics are divided from them in the clear.{with_two}",
        ),
        (
            "Minimum cohort",
            f"{parties.minimum_cohort} users of the parties other than {receiver}, for each group, checked by every "
            "party, and for each measure, checked by the receiver before the sums are opened. "
            + (f"Withheld: {', '.join(withheld)}." if withheld else "Nothing had to be withheld."),
        ),
        (
            "Once",
            "Each party's ledger allows one evaluation for a version, a data snapshot and a metric set, and then "
            "only its exact repetition: the same parties, receiver and cohort, and unchanged data at all of them, "
            "which opens the same sums again. To that end each party showed the others a keyed digest of its data, "
            "which tells whether they have changed. Evaluations on snapshots that differ by a few users can still be "
            "subtracted: parties that change their data between evaluations should wait until many users have "
            "changed. No noise is added; sums are exact.",
        ),
        (
            "Never leaves a party",
            f"Events, profiles, ids, and the scores of any one {info.unit}. Each party evaluates its own users with "
            "the open model, in the clear, in its own process; only whole numbers enter the protocol, as random "
            "shares.",
        ),
        ("Transport", _transport(parties)),
        ("Domain of trust", _DOMAIN[parties.run]),
        (
            "Software",
            "CrypTen 0.4.1, which is research code and says so, with these local changes: AES-256-CTR under keys "
            "of the operating system and of key exchanges in place of its random generators; a dealer of our own in "
            "place of its providers; shares of zero by pairs of parties; whole numbers without fixed-point rounding; "
            "openings to one receiver only.",
        ),
    ]
    if parties.insecure_simulation:
        warning = (
            "`insecure_simulation` is on: nothing in this evaluation was protected. Use made-up data only."
        )
        said[-1] = (
            "Software",
            "CrypTen 0.4.1 as it comes, with generators that can be guessed and no dealer.",
        )
        said.insert(0, ("NOT SECURE", warning))
    return said


def _transport(parties: PartyFile) -> str:
    how = f"{_TRANSPORT[parties.run]}, TCP. Gloo has no encryption of its own"
    if parties.run == "local":
        return f"{how}; nothing leaves the machine."
    tunnel = "Tunnel all connections (WireGuard): docs/secure-evaluation.md shows how."
    masked = (
        f"{how}. Each pair of seats agrees on fresh keys (X25519), so whoever only reads the lines sees masked "
        "numbers, and what is public to all parties"
    )
    if parties.public_keys:
        return (
            f"{masked}. Each seat signed that exchange with the key that the party file lists for it (Ed25519), and "
            "all others checked it: nobody took a seat or the keys of one. Single messages are not signed: whoever "
            "can alter the traffic cannot unmask numbers, but can change them, and those announced in the clear, "
            f"which decide whether a cohort is large enough. {tunnel}"
        )
    return (
        f"{masked}; but nobody proves who they are (the party file lists no public keys), and whoever can alter the "
        f"traffic can sit in between and unmask. {tunnel}"
    )


def roles(parties: PartyFile) -> list[dict[str, str]]:
    """Say who holds what, computes what and learns what: a row a role."""
    sizes = "how many users the others have in each group"
    rows = []
    for name, party in parties.parties.items():
        receives = name == parties.receiver
        rows.append(
            {
                "who": name,
                "role": ("party, receiver" if receives else "party") if party.data else "receiver",
                "holds": "its users' events, the open model" if party.data else "the open model",
                "computes": "its users' scores; its share of the sums",
                "learns": f"{sizes}; the opened sums" if receives else sizes,
            }
        )
    dealer = {
        "who": "dealer",
        "role": "dealer",
        "holds": "nothing",
        "computes": "correlated randomness",
        "learns": "shapes of what is computed; must collude with nobody",
    }
    return [*rows, dealer]
