"""Following seats from outside: who fails first is named first, and nobody waits for ever."""

import pytest

from orchestrator.secure import following
from orchestrator.secure.following import EvaluationFailed, follow
from orchestrator.secure.seats import READY, Outcome

OUTCOME = Outcome("x", "party", {"rounds": 1, "bytes": 2, "seconds": 0.1}, 1.0).to_json()


class Silent:
    def __init__(self):
        self.met = []

    def meet(self, rendezvous):
        self.met.append(rendezvous)


def followed(events, names=("north", "south", "dealer"), timeout=0.0):
    seats = {name: Silent() for name in names}
    waiting = list(events)
    said = []
    outcomes = follow(
        seats, lambda seconds: waiting.pop(0) if waiting else None, lambda: "here:1", timeout, said.append
    )
    return seats, outcomes, said


def ready(name):
    return name, {"seat": name, "did": READY}


def done(name):
    return [(name, {"outcome": {**OUTCOME, "name": name}}), (name, {"ended": "ended with code 0"})]


@pytest.fixture(autouse=True)
def no_patience(monkeypatch):
    monkeypatch.setattr(following, "GRACE_SECONDS", 0.05)


def test_all_meet_when_all_are_ready_and_not_before():
    events = [
        ready("north"),
        ready("dealer"),
        ready("south"),
        *done("south"),
        *done("north"),
        *done("dealer"),
    ]
    seats, outcomes, said = followed(events)
    assert [seat.met for seat in seats.values()] == [["here:1"]] * 3
    assert [outcome.name for outcome in outcomes] == ["north", "south", "dealer"]
    assert len(said) == 3


def test_a_refusal_before_the_meeting_calls_it_off():
    events = [ready("north"), ("south", {"error": "evaluated already"}), ("south", {"ended": "code 2"})]
    with pytest.raises(EvaluationFailed) as failure:
        followed(events)
    lines = str(failure.value).splitlines()
    assert lines[1] == "  south: evaluated already"
    assert "  north: was called off" in lines and "  dealer: was called off" in lines


def test_the_first_cause_stands_first_and_survivors_say_what_they_saw():
    events = [ready("north"), ready("south"), ready("dealer"), ("south", {"ended": "ended by SIGKILL"})]
    events += [("north", {"error": "party 1 was lost"}), ("north", {"ended": "code 2"})]
    events += [("dealer", {"error": "party 1 was lost"}), ("dealer", {"ended": "code 2"})]
    with pytest.raises(EvaluationFailed) as failure:
        followed(events)
    assert str(failure.value).splitlines()[1:] == [
        "  south: ended by SIGKILL",
        "  north: party 1 was lost",
        "  dealer: party 1 was lost",
    ]


def test_a_seat_that_falls_silent_is_lost():
    with pytest.raises(EvaluationFailed, match="has been silent"):
        followed([ready("north"), ready("south"), ready("dealer")])


def test_survivors_that_do_not_notice_are_ended():
    events = [ready("north"), ready("south"), ready("dealer"), ("south", {"ended": "ended by SIGKILL"})]
    seats = {name: Silent() for name in ("north", "south", "dealer")}
    waiting = list(events)

    def next_event(seconds):
        return waiting.pop(0) if waiting else ("north", {"alive": True})

    with pytest.raises(EvaluationFailed) as failure:
        follow(seats, next_event, lambda: "here:1", 0.0, lambda event: None)
    assert "north: did not end by itself" in str(failure.value)
