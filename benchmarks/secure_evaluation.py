"""What a private model over private examples costs: 10,000 examples of 128 dimensions, on this machine.

    python -m benchmarks.secure_evaluation [--parties 2 3] [--examples 10000]

Every seat is a process. Times are of the protocol at party 0, without start-up; bytes are the payload that it sent.
"""

import argparse
import json
import socket
import subprocess
import sys
import time

import numpy as np

from components.privacy.scoring import DotHead, Head, MlpHead
from components.privacy.seat import Seat, deal, join

DIMENSIONS = HIDDEN = 128


def heads() -> dict[str, Head]:
    """Return the two models."""
    generator = np.random.default_rng(1)
    wide = generator.normal(size=(DIMENSIONS, HIDDEN)) / DIMENSIONS**0.5
    last = generator.normal(size=HIDDEN) / HIDDEN**0.5
    return {"dot product": DotHead(last), "MLP 128-128-1": MlpHead(wide, np.zeros(HIDDEN), last)}


def plain(head: Head, vectors: np.ndarray) -> np.ndarray:
    """Return the scores, computed in the clear."""
    if isinstance(head, DotHead):
        return vectors @ head.weights + head.bias
    return np.maximum(vectors @ head.hidden + head.hidden_bias, 0) @ head.weights + head.bias


def take_seat(rank: int, parties: int, rendezvous: str, examples: int) -> None:
    """Run one seat; party 0 prints a line of figures for each model."""
    seat = Seat(rank, parties, rendezvous, receiver=0, timeout=120)
    if rank == parties:
        deal(seat)
        return
    generator = np.random.default_rng(0)
    vectors, labels = generator.normal(size=(examples, DIMENSIONS)), generator.integers(0, 2, examples)
    mine = np.array_split(np.arange(examples), parties)[rank]
    with join(seat) as session:
        session.score(
            vectors[mine[:2]], labels[mine[:2]], DotHead(np.ones(DIMENSIONS)) if rank == 0 else None, 0
        )
        for name, head in heads().items():
            before, bytes_before, rounds = time.perf_counter(), session.traffic.bytes, session.traffic.rounds
            counts = session.score(vectors[mine], labels[mine], head if rank == 0 else None, owner=0)
            took, traffic = time.perf_counter() - before, session.traffic
            if counts is None:
                continue
            start = time.perf_counter()
            scores = plain(head, vectors)
            plainly = time.perf_counter() - start
            wanted = [int(((scores > 0) & (labels == 1)).sum()), int((scores > 0).sum())]
            figures = {
                "model": name,
                "parties": parties,
                "seconds": round(took, 2),
                "plain seconds": round(plainly, 4),
                "megabytes sent": round((traffic.bytes - bytes_before) / 1e6, 1),
                "rounds": traffic.rounds - rounds,
                "equal to plain": wanted == [counts.true_positive, counts.predicted_positive],
            }
            print(json.dumps(figures), flush=True)


def main() -> None:
    """Start the seats and wait for them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parties", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--seat", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.seat:
        rank, parties, rendezvous = options.seat
        take_seat(int(rank), int(parties), rendezvous, options.examples)
        return
    for parties in options.parties:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            rendezvous = f"127.0.0.1:{probe.getsockname()[1]}"
        command = [
            sys.executable,
            "-m",
            "benchmarks.secure_evaluation",
            "--examples",
            str(options.examples),
            "--seat",
        ]
        seats = [
            subprocess.Popen([*command, str(rank), str(parties), rendezvous]) for rank in range(parties + 1)
        ]
        if any([seat.wait() for seat in seats]):
            sys.exit("a seat has failed; see above")


if __name__ == "__main__":
    main()
