"""Look-ups and additive scores over columns that different parties hold: exact, and to the receiver alone."""

import pytest

from tests.components.privacy.seats import DEALER, run

LOOK_UPS = """
generator = np.random.default_rng(11)
for users, combinations, numbers in ((0, 3, 2), (1, 1, 1), (40, 25, 18), (7, 400, 900)):
    choice = generator.integers(0, combinations, users)
    table = generator.integers(-(10**9), 10**9, (users, combinations, numbers))
    brought = {{0: {{"choice": choice}}, 1: {{"table": table}}}}.get(rank, {{}})
    got = session.look_up(**brought)
    if got is not None:
        assert got.tolist() == table[np.arange(users), choice].sum(0).tolist(), (users, combinations, numbers)
        say(done=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("parties", "receiver"), [(2, 0), (3, 2)])
def test_a_look_up_sums_what_secret_choices_select(parties, receiver):
    said = run([LOOK_UPS.format()] * parties + [DEALER], receiver=receiver)
    assert said[receiver].get("done"), said
    assert not any("failure" in seat for seat in said), said
    assert not any(seat.get("done") for rank, seat in enumerate(said) if rank != receiver), said


ADDITIVE = """
generator = np.random.default_rng(5)
for case in range({cases}):
    n = int(generator.integers(1, 60))
    widths = generator.integers(1, 9, 2)
    columns = [generator.normal(size=(n, width)) for width in widths]
    weights = [generator.normal(size=width) for width in widths]
    bias, labels = float(generator.normal()), generator.integers(0, 2, n)
    score = columns[0] @ weights[0] + columns[1] @ weights[1] + bias
    keep = np.abs(score) >= 1e-3
    yes, true = score[keep] >= 0, labels[keep] == 1
    brought = {{}}
    if rank < 2:
        brought = {{"columns": columns[rank][keep], "weights": weights[rank]}}
    if rank == 1:
        brought |= {{"labels": labels[keep], "bias": bias}}
    got = session.score_columns(**brought)
    if got is not None:
        opened = (got.true_positive, got.predicted_positive, got.actual_positive, got.examples)
        assert opened == (int((yes & true).sum()), int(yes.sum()), int(true.sum()), int(keep.sum())), case
        say(done=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("parties", "receiver"), [(2, 1), (3, 2)])
def test_of_additive_terms_only_the_sum_is_compared(parties, receiver):
    said = run([ADDITIVE.format(cases=6)] * parties + [DEALER], receiver=receiver)
    assert said[receiver].get("done"), said
    assert not any("failure" in seat for seat in said), said


SWAP = """
own = np.arange(6).reshape(3, 2) + 100 if rank == 0 else -np.arange(2).reshape(1, 2)
if rank < 2:
    say(found=session.exchange(own, 1 - rank).tolist())
opened = session.total(np.array([rank]))
say(opened=None if opened is None else opened.tolist())
"""


@pytest.mark.slow
def test_two_parties_swap_lists_and_all_go_on_with_masks_in_step():
    said = run([SWAP] * 3 + [DEALER])
    assert said[1]["found"] == [[100, 101], [102, 103], [104, 105]] and said[0]["found"] == [[0, -1]]
    assert said[0]["opened"] == [3] and said[2]["opened"] is None


CHOICE = "session.look_up(choice=np.array({choice}))"
TABLE = "session.look_up(table=np.ones((2, 3, 1), dtype=np.int64) * {size})"


@pytest.mark.parametrize(
    ("programs", "kind"),
    [
        ([CHOICE.format(choice=[0, 1, 2]), TABLE.format(size=1)], "Disagreement"),
        pytest.param(
            [CHOICE.format(choice=[0, 3]), TABLE.format(size=1)], "OutOfBounds", marks=pytest.mark.slow
        ),
        pytest.param([CHOICE.format(choice=[0, 1])] * 2, "Disagreement", marks=pytest.mark.slow),
        pytest.param(
            [CHOICE.format(choice=[0, 1]), TABLE.format(size=2**61)], "OutOfBounds", marks=pytest.mark.slow
        ),
    ],
)
def test_columns_that_do_not_belong_together_open_nothing(programs, kind):
    said = run([program + "\nsay(opened=True)" for program in programs] + [DEALER])
    assert [seat.get("failure") for seat in said[:2]] == [kind] * 2, said
    assert not any("opened" in seat for seat in said)
