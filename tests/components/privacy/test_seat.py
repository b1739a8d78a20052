"""Parties in processes of their own add up whole numbers; one of them alone learns the totals."""

import json
import multiprocessing
import socket
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from components.privacy.seat import (
    LARGEST,
    Disagreement,
    KeyStream,
    OutOfBounds,
    ProtocolError,
    Seat,
    Session,
    _stream,
    deal,
    join,
)

pytestmark = pytest.mark.xdist_group("secure")
TIMEOUT = 20.0


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def _sit(seat: Seat, step: Callable[[Session, int], Any], answers: Any) -> None:
    torch.set_num_threads(1)
    try:
        if seat.rank == seat.parties:
            answers.put((seat.rank, deal(seat).seconds))
            return
        with join(seat) as session:
            found = step(session, seat.rank)
        answers.put((seat.rank, found))
    except ProtocolError as error:
        answers.put((seat.rank, f"{type(error).__name__}: {error}"))


def together(parties: int, step: Callable[[Session, int], Any], receiver: int = 0, **keys: Any) -> list[Any]:
    """Run `step` at every party; return what each found, the dealer's last."""
    context = multiprocessing.get_context("spawn")
    answers, rendezvous = context.Queue(), free_address()
    seats = [Seat(rank, parties, rendezvous, receiver, TIMEOUT, **keys) for rank in range(parties + 1)]
    processes = [context.Process(target=_sit, args=(seat, step, answers), daemon=True) for seat in seats]
    for process in processes:
        process.start()
    found = dict(answers.get(timeout=120) for _ in processes)
    for process in processes:
        process.join(30)
    return [found[rank] for rank in range(parties + 1)]


def add_up_everything(session: Session, rank: int) -> Any:
    """Several totals in one meeting, what everybody announced, and the raw share of a total."""
    generator = np.random.default_rng(rank)
    torch.manual_seed(0)
    totals = []
    for size in (1, 7, 10_000):
        numbers = generator.integers(-LARGEST + 1, LARGEST, size)
        totals.append(session.total(numbers))
    totals.append(session.total(np.zeros(0, np.int64)))
    announced = session.announce(np.array([rank, 10 * rank]))
    share = session._crypten.mpc.primitives.ArithmeticSharedTensor.PRZS(torch.Size([4])).share.tolist()
    seen = [None if total is None else total.tolist() for total in totals]
    return {"totals": seen, "announced": announced.tolist(), "zero": share, "rounds": session.traffic.rounds}


@pytest.mark.parametrize(("parties", "receiver"), [(2, 1), (3, 0)])
def test_totals_are_exact_and_the_receivers_alone(parties, receiver):
    *found, _ = together(parties, add_up_everything, receiver)
    numbers = [np.random.default_rng(rank) for rank in range(parties)]
    for place, size in enumerate((1, 7, 10_000)):
        expected = sum(each.integers(-LARGEST + 1, LARGEST, size) for each in numbers)
        assert found[receiver]["totals"][place] == expected.tolist()
    assert found[receiver]["totals"][3] == []
    for rank, each in enumerate(found):
        assert each["announced"] == [[other, 10 * other] for other in range(parties)]
        assert rank == receiver or each["totals"] == [None] * 4
    zero = np.array([each["zero"] for each in found], np.int64)
    assert zero.sum(axis=0).tolist() == [0] * 4 and (zero != 0).all()


def share_of_zero(session: Session, rank: int) -> Any:
    torch.manual_seed(0)
    return session._crypten.mpc.primitives.ArithmeticSharedTensor.PRZS(torch.Size([4])).share.tolist()


def test_manual_seed_has_no_effect_on_shares_and_two_runs_never_share_a_stream():
    first, second = (together(2, share_of_zero)[0] for _ in range(2))
    assert not set(first) & set(second)


def test_only_the_flag_makes_runs_repeat_themselves():
    """That is: the test above can fail."""
    first, second = (together(2, share_of_zero, insecure_simulation=True)[0] for _ in range(2))
    assert first == second


def disagree(session: Session, rank: int) -> Any:
    session.agree(f"I am {rank}")


def bring_different_shapes(session: Session, rank: int) -> Any:
    return session.total(np.arange(rank + 1))


@pytest.mark.parametrize("step", [disagree, bring_different_shapes])
def test_parties_that_want_different_things_stop_with_that_cause_and_open_nothing(step):
    *found, dealer = together(2, step)
    assert all(each.startswith(Disagreement.__name__) for each in found)
    assert "Lost" in dealer or "Stalled" in dealer


def bring_too_much(session: Session, rank: int) -> Any:
    return session.total(np.array([LARGEST if rank else 1]))


def test_a_number_that_is_too_large_is_refused_and_the_other_party_is_told():
    first, second, _ = together(2, bring_too_much)
    assert second.startswith(OutOfBounds.__name__)
    assert "Lost" in first or "Stalled" in first


def test_a_key_stream_is_aes_256_in_counter_mode():
    """The first block of AES-256 of zeros under a key of zeros (NIST's known-answer test, VarTxt count 0's base)."""
    drawn = KeyStream(bytes(32)).ring((2,)).numpy().tobytes()
    assert drawn.hex() == "dc95c078a2408989ad48a21492842087"
    assert json.dumps(KeyStream(bytes(32)).ring(3).tolist()) == json.dumps(
        KeyStream(bytes(32)).ring((3,)).tolist()
    )


def test_cryptens_own_generators_are_refused():
    with pytest.raises(ProtocolError, match="its own generator"):
        _stream(None, torch.Generator())
