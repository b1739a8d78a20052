"""The statement speaks of the parties at hand: who can tell whose sums."""

import pytest

from orchestrator.secure.statement import statement
from orchestrator.spec.parties import PartyFile

GROUP = {"withheld": ["auc"], "holders": ["north", "south", "west"]}


def parties(*holders: str, receiver: str = "north", **keys: object) -> PartyFile:
    named = {name: {"data": name} if name in holders else {} for name in ("north", "south", "west")}
    present = {name: given for name, given in named.items() if given or name == receiver}
    return PartyFile.model_validate({"parties": present, "receiver": receiver, **keys}, strict=False)


def said(file: PartyFile, **groups: object) -> dict[str, str]:
    return dict(statement(file, "recommendation", groups or {"seen": GROUP}))


@pytest.mark.parametrize(
    ("holders", "groups", "sentence"),
    [
        (("north", "south"), {}, "north can compute south's sums exactly: it subtracts its own numbers"),
        (("south",), {}, "north can compute south's sums exactly: nobody else adds anything"),
        (("north", "south", "west"), {}, "north can compute the sums of south and west exactly, but not each one's"),
        (
            ("north", "south", "west"),
            {"seen": {**GROUP, "holders": ["north", "west"]}},
            "Only west has seen users besides north's own, if any: north can compute west's sums",
        ),
    ],
)  # fmt: skip
def test_it_says_whose_sums_follow_from_what_is_opened(holders, groups, sentence):
    assert sentence in said(parties(*holders), **groups)["Opened to north, and to nobody else"]


def test_with_noise_it_says_how_much_and_what_is_not_covered():
    texts = said(parties("north", "south", noise={"epsilon": 0.5, "contributions": 7}))
    assert "epsilon 0.5" in texts["Noise"] and "at most 7 examples" in texts["Noise"]
    assert "Not covered" in texts["Noise"] and "Once" not in texts and "0.5" in texts["Budget"]
    opened = texts["Opened to north, and to nobody else"]
    assert "exactly" not in opened and "all of the noise that south has added" in opened
    assert "with noise" in texts["Public to all parties"]


def test_without_noise_it_says_that_sums_are_exact_and_what_was_withheld():
    texts = said(parties("north", "south", "west"))
    assert "Noise" not in texts and "sums are exact" in texts["Once"]
    assert "Withheld: all of unseen users, auc of seen users." in texts["Minimum cohort"]
