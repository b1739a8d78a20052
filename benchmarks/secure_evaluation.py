"""What private models over private users cost: 10,000 examples of 128 dimensions, and 1,000 users' rankings.

    python -m benchmarks.secure_evaluation [--parties 2 3] [--runs 3] [--json] [--spu PYTHON]

Each seat is a process of this machine. Seconds are of the protocol at party 0, without start-up, the best of several
runs; bytes are the payload that the party sent which sent most; rounds are its waits for others. Ends with code 1
where a target is missed, or an outcome is not the plain one.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.seats import run_seats
from benchmarks.secure_cases import (
    MARGIN,
    Ranked,
    Scored,
    plain_ranked,
    plain_scored,
    secure_ranked,
    secure_scored,
)
from components.privacy.scoring import DotHead, Head, MlpHead
from components.privacy.seat import Session

DIMENSIONS = HIDDEN = 128
USERS, CUTOFF = 1000, 10
TARGETS = {"dot product": (2.0, 40.0), "MLP 128-128-1": (8.0, None)}
"""Seconds, and megabytes a party, that two parties may take for 10,000 examples on two cores."""
COLUMNS = ("model", "parties", "by", "seconds", "cpu", "plain", "MB sent", "rounds", "equal", "target")


@dataclass(frozen=True)
class Plan:
    """What the parties do; equal at all of them."""

    examples: int
    parties: int
    runs: int


@dataclass(frozen=True)
class Workload:
    """One row of the table: inputs of all parties, one party's part, and the outcome in the clear."""

    name: str
    inputs: Any
    secure: Callable[[Session, int, Any], list[int] | None]
    plain: Callable[[Any], list[int]]


def workloads(plan: Plan) -> list[Workload]:
    """Draw the inputs; party 0 owns the models, examples and users are divided evenly."""
    generator, weights = np.random.default_rng(0), np.random.default_rng(1)
    vectors = generator.normal(size=(plan.examples, DIMENSIONS))
    labels = generator.integers(0, 2, plan.examples)
    wide = weights.normal(size=(DIMENSIONS, HIDDEN)) / DIMENSIONS**0.5
    last = weights.normal(size=HIDDEN) / HIDDEN**0.5
    heads: dict[str, Head] = {
        "dot product": DotHead(last),
        "MLP 128-128-1": MlpHead(wide, np.zeros(HIDDEN), last),
    }
    holder = _evenly(plan.examples, plan.parties)
    scored = [
        Workload(name, Scored(vectors, labels, holder, head, 0), secure_scored, plain_scored)
        for name, head in heads.items()
    ]
    return scored + [
        Workload(
            f"ranks of {USERS} among {items}", _ranked(generator, items, plan), secure_ranked, plain_ranked
        )
        for items in (100, 1682)
    ]


def _ranked(generator: np.random.Generator, count: int, plan: Plan) -> Ranked:
    """Draw users whose target is among the 20 best of `count` items and not tied; a tenth do not compete."""
    users, items = generator.normal(size=(2 * USERS, 64)), generator.normal(size=(count, 64))
    scores = users @ items.T
    row = np.arange(len(users))
    targets = np.argsort(-scores, axis=1)[row, generator.integers(0, 20, len(users))]
    gaps = np.abs(scores - scores[row, targets][:, None])
    gaps[row, targets] = np.inf
    kept = np.flatnonzero(gaps.min(axis=1) >= MARGIN)[:USERS]
    assert len(kept) == USERS
    excluded = generator.random((USERS, count)) < 0.1
    return Ranked(users[kept], targets[kept], excluded, items, _evenly(USERS, plan.parties), 0, CUTOFF)


def _evenly(rows: int, parties: int) -> NDArray[np.int64]:
    return np.arange(rows) * parties // max(1, rows)


def measure(session: Session, rank: int, plan: Plan) -> list[dict[str, Any]]:
    """Take one party's part; a row a workload, complete at party 0."""
    small = workloads(Plan(2 * plan.parties, plan.parties, 1))[0]
    small.secure(session, rank, small.inputs)  # whatever is loaded or allocated once
    rows = []
    for work in workloads(plan):
        seconds, cpu, outcomes = [], [], []
        for _ in range(plan.runs):
            session.announce(np.zeros(1, np.int64))  # all begin together
            before, rounds = session.traffic.bytes, session.traffic.rounds
            cpu_start, start = time.process_time(), time.perf_counter()
            outcomes.append(work.secure(session, rank, work.inputs))
            seconds.append(time.perf_counter() - start)
            cpu.append(time.process_time() - cpu_start)
            rounds = session.traffic.rounds - rounds
            sent = session.announce(np.array([session.traffic.bytes - before]))
        row: dict[str, Any] = {"model": work.name, "parties": plan.parties, "by": "Adaptune"}
        if rank == 0:
            start = time.perf_counter()
            wanted = work.plain(work.inputs)
            plain = time.perf_counter() - start
            row |= {"seconds": seconds, "cpu": min(cpu), "plain": plain, "bytes": int(sent.max())}
            row |= {"rounds": rounds, "counts": outcomes[-1], "plain counts": wanted}
            row["equal"] = all(outcome == wanted for outcome in outcomes)
        rows.append(row)
    return rows


def judged(row: dict[str, Any], examples: int) -> str:
    """Return "met" or "MISSED" where a row has a target, "" elsewhere."""
    if row["by"] != "Adaptune" or row["parties"] != 2 or examples != 10_000 or row["model"] not in TARGETS:
        return ""
    seconds, megabytes = TARGETS[row["model"]]
    met = min(row["seconds"]) <= seconds and (megabytes is None or row["bytes"] / 1e6 <= megabytes)
    wanted = f"{seconds:g} s" + (f", {megabytes:g} MB" if megabytes else "")
    return f"{'met' if met else 'MISSED'} ({wanted})"


def cells(row: dict[str, Any]) -> list[str]:
    """Write one row of the table."""
    if "failed" in row:
        return [row["model"], "2", row["by"], f"failed: {row['failed']}"]
    timed = [f"{row[name]:.{digits}f}" if name in row else "" for name, digits in (("cpu", 2), ("plain", 3))]
    equal = {True: "yes", False: "NO"}[row["equal"]]
    return [
        row["model"], str(row["parties"]), row["by"], f"{min(row['seconds']):.2f}", *timed,
        f"{row['bytes'] / 1e6:.1f}", str(row["rounds"]), equal, row["target"],
    ]  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """Write all rows for people."""
    lines = [list(COLUMNS), *map(cells, rows)]
    widths = [max(len(line[at]) for line in lines if at < len(line)) for at in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if at in (0, 2) else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=False))
        ).rstrip()
        for line in lines
    )


SPU_REMARK = """
SPU computes with 18 bits after the point and truncates after products, where Adaptune computes exactly from inputs of
16 bits. In its setting "party 0 deals", that party makes the randomness of products and could undo the others' masks;
Adaptune leaves this to a dealer that has no data. CHEETAH needs no dealer: encryption takes its place.
SPU's inputs, shared beforehand, are neither in its seconds nor in its bytes; its rounds are messages sent."""


def spu_rows(python: str, examples: int, runs: int) -> list[dict[str, Any]]:
    """Run SPU's script by an interpreter that has SPU; raise where it ends with an error."""
    script = Path(__file__).with_name("secure_evaluation_spu.py")
    command = [python, str(script), "--examples", str(examples), "--runs", str(runs)]
    out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    rows = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    for row in rows:
        row["equal"] = row.get("counts") == row.get("plain counts")
    return rows


def main() -> None:
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parties", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--spu", metavar="PYTHON", help="also measure SPU, by an interpreter that has it")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    run = partial(run_seats, measure, timeout=600)
    rows = []
    for parties in options.parties:
        rows += run(Plan(options.examples, parties, options.runs), parties)
    rows += spu_rows(options.spu, options.examples, options.runs) if options.spu else []
    for row in rows:
        row["target"] = judged(row, options.examples)
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        print(table(rows) + (SPU_REMARK if options.spu else ""))
    ours = [row for row in rows if row["by"] == "Adaptune"]
    sys.exit(any(not row["equal"] or row["target"].startswith("MISSED") for row in ours))


if __name__ == "__main__":
    main()
