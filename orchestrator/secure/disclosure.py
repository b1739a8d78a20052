"""What the opened numbers of an evaluation disclose, said of the parties at hand."""

from collections.abc import Mapping
from typing import Any

from components.privacy.noise import Noise, as_json
from components.privacy.totals import MEASURES
from orchestrator.spec.parties import PartyFile


def noise_of(parties: PartyFile, task: str) -> dict[str, Any] | None:
    """Return how much noise the numbers of an evaluation have; None where they are exact."""
    if parties.noise is None:
        return None
    noise = as_json(MEASURES[task], Noise(**parties.noise.model_dump()))
    return {**noise, "added_by": [name for name, party in parties.parties.items() if party.data]}


def opened(parties: PartyFile, groups: Mapping[str, Any]) -> str:
    """Say what the receiver gets to see, and whose it is."""
    what = (
        "For each group and each measure that is not withheld: the sum of scores in millionths with their number, "
        "and the counts, each over all parties together"
    )
    if parties.noise is not None:
        what += " and with the noise of every party that has data"
    return (
        f"{what}. All of them are whole numbers and stand in the result under `opened`; metrics are divided from "
        f"them in the clear. {_attributable(parties, groups)}"
    )


def _attributable(parties: PartyFile, groups: Mapping[str, Any]) -> str:
    """Say which party's own sums follow from the opened ones."""
    receiver = parties.receiver
    receives_only = parties.parties[receiver].data is None
    others = [name for name, party in parties.parties.items() if party.data and name != receiver]
    how = "nobody else adds anything" if receives_only else "it subtracts its own numbers"
    if parties.noise is not None:
        found = (
            f"With these parties, {receiver} can compute {others[0]}'s sums, but only with all of the noise that "
            f"{others[0]} has added: {how}."
            if len(others) == 1
            else f"{receiver} together with all of {_listed(others)} but one can compute that one's sums, but only "
            "with all of the noise that it has added."
        )
        return found
    if len(others) == 1:
        return f"With these parties, {receiver} can compute {others[0]}'s sums exactly: {how}."
    said = [
        f"With these parties, {receiver} can compute the sums of {_listed(others)} exactly, but not each one's; "
        f"together with all of them but one it can compute that one's."
    ]
    for group, found in groups.items():
        alone = [name for name in found["holders"] if name != receiver]
        if len(alone) == 1:
            said.append(
                f"Only {alone[0]} has {group} users besides {receiver}'s own, if any: {receiver} can compute "
                f"{alone[0]}'s sums of {group} users exactly."
            )
    return " ".join(said)


def cohort(parties: PartyFile, withheld: list[str]) -> str:
    """Say on how many users what was opened stands."""
    receiver, least = parties.receiver, parties.minimum_cohort
    none = f"Withheld: {', '.join(withheld)}." if withheld else "Nothing had to be withheld."
    if parties.noise is not None:
        return (
            f"Groups in which the parties other than {receiver} announced fewer than {least} users, noise included, "
            f"were left out. Single measures were not: noise hides who stands behind them. {none}"
        )
    cells = (
        "How many users' next items have a certain rank is not: a rank may hold one user."
        if parties.owner
        else "Measures by style, and histograms, are withheld as well where they would tell the sums of fewer users, "
        "through a difference or in a cell."
    )
    return (
        f"{least} users of the parties other than {receiver}, for each group, checked by every party, and for each "
        f"measure, compared on shares, so that nobody learns how many stand behind one that is withheld. {cells} "
        "What is not kept back: a mean of yes and no tells how many said yes, and these may "
        f"be few; numbers of scores tell how many users a score is not defined for. {none}"
    )


def repetition(parties: PartyFile) -> tuple[str, str]:
    """Return heading and text on further evaluations of the same data."""
    if parties.noise is not None:
        return (
            "Budget",
            f"Every party has entered an epsilon of {parties.noise.epsilon:g} into its ledger before anything left "
            "it. Epsilons of all evaluations with noise on one snapshot of a party's data add up, whatever the model "
            "and metrics, and may not exceed the party's own `privacy_budget`. A user who is in several snapshots "
            "has spent the budgets of all of them.",
        )
    return (
        "Once",
        "Each party's ledger allows one exact evaluation for a version, a data snapshot and a metric set, and then "
        "only its exact repetition: the same parties, receiver and cohort, and unchanged data at all of them, which "
        "opens the same sums again. To that end each party showed the others a keyed digest of its data, which tells "
        "whether they have changed. Evaluations on snapshots that differ by a few users, and of other versions over "
        "other parties, can still be subtracted: a party that changes its data between evaluations should wait until "
        "many users have changed. No noise was added; sums are exact.",
    )


def hidden_by_noise(parties: PartyFile) -> str:
    """Say what the noise of an evaluation promises."""
    assert parties.noise is not None
    return (
        f"User-level differential privacy, epsilon {parties.noise.epsilon:g}, delta 0, for each party: all that left "
        f"it in this evaluation is at most e^{parties.noise.epsilon:g} times as likely as if any one of its users "
        "had other events and another profile, or were not there at all. Each user counts for at most "
        f"{parties.noise.contributions} examples; scores and counts are bounded; "
        "discrete Laplace noise (OpenDP) of the whole scale is added by each party to its own numbers, the announced "
        "ones included, before they leave it: no others, colluding, can take it away. Epsilon is divided among the "
        "kinds of numbers alike; the scales stand in the result under `noise`. Not covered: whether the model was "
        "trained on a user; which items, passages or pictures a party has; a person whom two parties hold counts as "
        "two users; exact evaluations of the same data, before or after; that other users' scores can change in "
        "their last digit with who else is in a batch; and how long a party takes."
    )


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
