"""What is promised of a result, and what is not: the statement that goes with every one."""

from collections.abc import Mapping, Sequence
from typing import Any

from components.privacy.totals import MEASURES, PRIVATE_MEASURES
from components.tasks import TASKS
from orchestrator.secure import disclosure
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
    measures, info = (MEASURES if parties.owner is None else PRIVATE_MEASURES)[task], TASKS[task]
    receiver = parties.receiver
    withheld = [f"all of {group} users" for group in measures.groups if group not in groups]
    withheld += [f"{name} of {group} users" for group, found in groups.items() for name in found["withheld"]]
    noisy = ", with noise" if parties.noise else ""
    told = "" if parties.noise else ", and which measures may be opened"
    said = [
        (
            "Attack model",
            "Semi-honest: every party follows the protocol, and may try to learn from what it sees. A party that "
            "lies about its own numbers changes the result, undetected unless they become impossible. The dealer "
            "colludes with nobody: together with any one party it could unmask the others' numbers.",
        ),
        (
            "Public to all parties",
            f"{_OPEN_PART if parties.owner else 'The model'}, the task ({task}), the part ({parties.part}), the list "
            "of measures, the names of the parties, and how many users "
            f"each party has in each group ({', '.join(measures.groups)}){noisy}"
            f"{', how many examples each has in all' if parties.owner else ''}{told}. The dealer learns the shapes "
            "of what is computed, and nothing else, as long as it does not read the lines between parties, whose "
            "masks it knows.",
        ),
        (
            f"Opened to {receiver}, and to nobody else",
            disclosure.opened(parties, groups),
        ),
        ("Minimum cohort", disclosure.cohort(parties, withheld)),
        disclosure.repetition(parties),
        *_kept_by(parties.owner),
        (
            "Never leaves a party",
            "Events, profiles, ids, which items are asked about, and what is predicted of any one user. Each party "
            "reads its own users with the open encoder, in the clear, in its own process; their vectors enter the "
            "protocol as random shares, and all scores and comparisons are computed on shares."
            if parties.owner
            else f"Events, profiles, ids, and the scores of any one {info.unit}. Each party evaluates its own users "
            "with the open model, in the clear, in its own process; only whole numbers enter the protocol, as random "
            "shares.",
        ),
        ("Transport", _transport(parties)),
        ("Domain of trust", _DOMAIN[parties.run]),
        (
            "Software",
            "CrypTen 0.4.1, which is research code and says so, with these local changes: AES-256-CTR under keys "
            "of the operating system and of key exchanges in place of its random generators; a dealer of our own in "
            "place of its providers; shares of zero by pairs of parties; whole numbers without fixed-point rounding; "
            "products and signs computed by code of our own from its triples; sums opened to one receiver only.",
        ),
    ]
    if parties.noise is not None:
        said.insert(3, ("Noise", disclosure.hidden_by_noise(parties)))
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


_OPEN_PART = (
    "The encoder of the model, that is all that turns a user's events and profile into vectors and queries, the "
    "catalogue with how often each item was met and liked in training and how it was rated, vectors of which items "
    "users went from one to another, the vector by which an event carries an item (a mix of the vectors of its "
    "modalities) and the attention on each modality"
)


def _kept_by(owner: str | None) -> Statement:
    """Say what stays with the owner of a private model; nothing of a public one."""
    if owner is None:
        return ()
    return (
        (
            f"Kept by {owner}",
            "The vectors of the items' modalities, which users' queries are multiplied with, and the head. They "
            "enter the protocol as random shares, and a hash of them is part of what all have agreed on. The vectors "
            "can be estimated from the open encoder, well enough to rank nearly as the model does: what stays hidden "
            "is the head, the probability of a like. Nobody can inspect what is kept: a model that was crafted to "
            "ask about few users would not be noticed.",
        ),
    )


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


_COMPUTES = "its users' scores; its share of the sums"


def _model_of(party: str, parties: PartyFile) -> str:
    """Name what a party has of the model."""
    if parties.owner is None:
        return "the open model"
    return "the whole model" if party == parties.owner else "the open encoder"


def roles(parties: PartyFile) -> list[dict[str, str]]:
    """Say who holds what, computes what and learns what: a row a role."""
    sizes = "how many users the others have in each group" + (", with noise" if parties.noise else "")
    sizes += ", and how many examples" if parties.owner else ""
    rows = []
    for name, party in parties.parties.items():
        receives = name == parties.receiver
        places = (("party", party.data), ("model owner", name == parties.owner), ("receiver", receives))
        rows.append(
            {
                "who": name,
                "role": ", ".join(place for place, taken in places if taken) or "party without users",
                "holds": ", ".join(["its users' events"] * bool(party.data) + [_model_of(name, parties)]),
                "computes": "its share of scores and sums" if parties.owner else _COMPUTES,
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
