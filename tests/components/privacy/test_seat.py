"""Seats add up and score; whatever goes wrong has a name at every other seat, and nothing is opened."""

import itertools
import signal
import time

import numpy as np
import pytest

from components.privacy.seat import ProtocolError, Seat
from tests.components.privacy.seats import DEALER, ended, free_address, run, start

TOTAL = """
session.agree("model and metrics")
opened = session.total(np.array({counts}))
say(opened=None if opened is None else opened.tolist(), rounds=session.traffic.rounds, bytes=session.traffic.bytes)
"""


@pytest.mark.parametrize(("parties", "receiver"), [pytest.param(2, 0, marks=pytest.mark.slow), (3, 2)])
def test_totals_are_exact_and_opened_to_the_receiver_alone(parties, receiver):
    counts = np.random.default_rng(parties).integers(-(2**56), 2**56, (parties, 5))
    said = run([TOTAL.format(counts=row.tolist()) for row in counts] + [DEALER], receiver=receiver)
    for rank in range(parties):
        assert "failure" not in said[rank], said
        assert said[rank]["opened"] == (counts.sum(0).tolist() if rank == receiver else None)
    asking = 8 * 11 if receiver == 0 else 0  # party 0 asks the dealer whether it is there
    assert said[receiver]["bytes"] - asking < said[1 - min(receiver, 1)]["bytes"]


CASES = """
generator = np.random.default_rng(7)
for case in range({cases}):
    sizes = generator.integers(0, 40, {parties})
    D, H = int(generator.integers(2, 20)), int(generator.integers(1, 12))
    weights, hidden = generator.normal(size=H), generator.normal(size=(D, H))
    hidden_bias, bias, dot = generator.normal(size=H), float(generator.normal()), generator.normal(size=D)
    vectors = [generator.normal(size=(n, D)) for n in sizes]
    labels = [generator.integers(0, 2, n) for n in sizes]
    owner = int(generator.integers({parties}))
    for name, head in (("dot", DotHead(dot, bias)), ("mlp", MlpHead(hidden, hidden_bias, weights, bias))):
        x, y = np.concatenate(vectors), np.concatenate(labels)
        scores = x @ dot + bias if name == "dot" else np.maximum(x @ hidden + hidden_bias, 0) @ weights + bias
        near = np.abs(scores) < 1e-3
        keep = np.split(~near, np.cumsum(sizes)[:-1])
        mine = keep[rank]
        given = head if rank == owner else None
        got = session.score(vectors[rank][mine], labels[rank][mine], given, owner)
        yes, y = scores[~near] > 0, y[~near] == 1
        if got is not None:
            wanted = (int((yes & y).sum()), int(yes.sum()), int(y.sum()), int(len(y)))
            opened = (got.true_positive, got.predicted_positive, got.actual_positive, got.examples)
            assert opened == wanted, (case, name)
    K = int(generator.integers(2, 30))
    items = generator.normal(size=(K, D))
    targets = [generator.integers(0, K, n) for n in sizes]
    barred = [generator.random((n, K)) < 0.3 for n in sizes]
    got = session.rank(vectors[rank], targets[rank], barred[rank], items if rank == owner else None, owner, cutoff=4)
    if got is not None:
        x, t, b = np.concatenate(vectors), np.concatenate(targets), np.concatenate(barred)
        s = np.rint(x * 2**16) @ np.rint(items * 2**16).T
        above = ((s > s[np.arange(len(t)), t][:, None]) & ~b).sum(1)
        assert got.tolist() == np.bincount(np.minimum(above, 4), minlength=5).tolist(), (case, "rank")
say(done=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("parties", [2, 3])
def test_private_scores_equal_the_plain_ones_over_random_models_and_splits(parties):
    said = run([CASES.format(cases=8, parties=parties)] * parties + [DEALER])
    assert all(seat.get("done") for seat in said[:parties]), said


NEAR = """
generator = np.random.default_rng(3)
x, w = generator.normal(size=(4000, 32)), generator.normal(size=32)
x -= np.outer(x @ w - generator.uniform(-1e-3, 1e-3, 4000), w) / (w @ w)  # margins below 1e-3
yes = (x @ w > 0).astype(int)
half = np.split(np.arange(4000), 2)[rank]
got = session.score(x[half], yes[half], DotHead(w) if rank == 0 else None, 0)
if got is not None:
    say(differ=got.predicted_positive + got.actual_positive - 2 * got.true_positive)
"""


@pytest.mark.slow
def test_nearer_to_a_tie_only_few_disagree():
    said = run([NEAR, NEAR, DEALER])
    print(f"{said[0]['differ']} of 4000 examples with margins below 1e-3 are classified differently")
    assert said[0]["differ"] < 400


def expect(said, kind, blamed=None):
    for seat in said:
        assert seat.get("failure") == kind, said
        assert seat["message"]
        assert "opened" not in seat and "hung" not in seat
        if blamed is not None:
            assert seat["rank"] == blamed, said


def test_parties_that_differ_open_nothing():
    first, second = (
        'session.agree("a")\n' + TOTAL.format(counts=[1]),
        'session.agree("b")\n' + TOTAL.format(counts=[1]),
    )
    expect(run([first, second, DEALER]), "Disagreement")


@pytest.mark.slow
def test_a_wrong_shape_opens_nothing():
    expect(run([TOTAL.format(counts=[1, 2]), TOTAL.format(counts=[1]), DEALER]), "Disagreement")


def test_a_count_out_of_bounds_stays_at_its_party():
    secret = 2**60 + 12345
    said = run([TOTAL.format(counts=[1]), TOTAL.format(counts=[secret]), DEALER])
    expect(said, "OutOfBounds", blamed=1)
    assert str(secret) not in str(said)


VERSION_99 = """
import components.privacy.wire as wire
wire.PROTOCOL = 99
with join(seat) as session:
    pass
"""


@pytest.mark.slow
def test_another_protocol_version_is_refused():
    expect(run([TOTAL.format(counts=[1]), VERSION_99, DEALER]), "Disagreement")


@pytest.mark.slow
def test_a_seat_taken_twice_ends_the_evaluation():
    waiting = "say(ready=1)\nfor turn in range(400):\n    session._check()\n    time.sleep(0.2)\n"
    program = waiting + TOTAL.format(counts=[1])
    rendezvous = free_address()
    seats = start([program, program, DEALER], timeout=30, rendezvous=rendezvous)
    seats[0].until("ready")
    thief = start(
        [TOTAL.format(counts=[1])] * 2 + [DEALER], timeout=30, rendezvous=rendezvous, ranks=[1, 1, 2]
    )
    expect(ended([*seats, *thief], 90)[:3], "SeatTaken")


@pytest.mark.slow
def test_a_party_that_never_comes_is_named():
    expect(run([TOTAL.format(counts=[1]), "", DEALER], timeout=8), "PartyLost", blamed=1)


BUSY = """
for turn in range(100000):
    session.score(np.zeros((2000, 32)), np.zeros(2000, dtype=int), DotHead(np.ones(32)) if rank == 0 else None, 0)
    if turn == 1:
        say(going=True)
opened = session.total(np.array([1]))
say(opened=True)
"""


def every(case: tuple[signal.Signals, int]) -> object:
    """All kinds of victims and blows, of which one is enough for every run."""
    often = case == (signal.SIGKILL, 3)
    return pytest.param(*case, marks=() if often else pytest.mark.slow)


@pytest.mark.parametrize(
    ("blow", "victim"), [*map(every, itertools.product((signal.SIGKILL, signal.SIGSTOP), range(4)))]
)
def test_whoever_dies_or_stalls_is_named_within_the_timeout(blow, victim):
    seats = start([BUSY, BUSY, BUSY, DEALER], timeout=8)
    seats[0].until("going")
    seats[victim].process.send_signal(blow)
    struck = time.monotonic()
    survivors = [seat for rank, seat in enumerate(seats) if rank != victim]
    said = ended(survivors, timeout=20)
    took = time.monotonic() - struck
    seats[victim].process.kill()
    seats[victim].process.communicate()
    assert took < 8 + 5, took
    assert not any(seat.process.returncode for seat in survivors), "an end that is no ordinary one"
    for seat in said:
        assert seat.get("failure") in ("PartyLost", "Stalled"), said
        assert seat["rank"] == victim, said
        assert "opened" not in seat


LAST_STEP = """
import components.privacy.seat as seats
if rank == 1:
    def last(wire):
        os.kill(os.getpid(), 9)
    seats.Session._finish = last
with join(seat) as session:
    session.total(np.array([1]))
"""


@pytest.mark.slow
def test_a_seat_that_loses_another_in_the_very_last_step_names_it():
    said = run([LAST_STEP, LAST_STEP, LAST_STEP, DEALER], timeout=8)
    expect([said[0], *said[2:]], "PartyLost", blamed=1)


ASLEEP = """
session.total(np.array([1]))
if rank == 1:
    time.sleep(12)
session.total(np.array([1]))
"""


@pytest.mark.slow
def test_a_party_that_is_alive_and_does_not_take_part_is_named():
    """Not the dealer, who has done less than anybody, but waits."""
    said = run([ASLEEP, ASLEEP, ASLEEP, DEALER], timeout=4)
    expect([said[0], *said[2:]], "Stalled", blamed=1)


@pytest.mark.parametrize(
    "wrong",
    [{"parties": 1}, {"rank": 4}, {"receiver": 3}, {"timeout": 0.0}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_seats_that_cannot_exist_are_refused(wrong):
    right = {"rank": 0, "parties": 3, "rendezvous": "127.0.0.1:1", "receiver": 0, "timeout": 1.0}
    with pytest.raises(ProtocolError):
        Seat(**{**right, **wrong})
