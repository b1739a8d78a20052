"""Whether opened counts equal the plain ones, over random models and divisions of users.

    python -m benchmarks.secure_exactness [--parties 2 3] [--cases 200] [--ray] [--json]

Scores of these cases are at least 1e-3 away from a tie. Nearer to one, where the rounding of inputs to 16 bits after
the point decides, it counts how many are decided otherwise. Ends with code 1 where a case differs.
"""

import argparse
import json
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.drawing import MARGIN
from benchmarks.seats import run_seats
from benchmarks.secure_cases import KINDS
from components.privacy.seat import Session

NEAR = (MARGIN, 1e-4, 1e-5)


@dataclass(frozen=True)
class Plan:
    """What the parties of one session do; equal at all of them."""

    cases: int
    """Random cases, the kinds in turn."""
    near: int
    """Examples a kind and margin; 0 for none."""
    parties: int
    seed: int = 0


def compare(session: Session, rank: int, plan: Plan) -> dict[str, Any]:
    """Take one party's part in all cases; party 0 compares."""
    cases = dict.fromkeys((kind.name for kind in KINDS), 0)
    differing = []
    for number in range(plan.cases):
        kind = KINDS[number % len(KINDS)]
        inputs = kind.make(np.random.default_rng([plan.seed, plan.parties, number]), plan.parties)
        found = kind.secure(session, rank, inputs)
        cases[kind.name] += 1
        if rank == 0 and found != (wanted := kind.plain(inputs)):
            differing.append({"kind": kind.name, "number": number, "opened": found, "plain": wanted})
    near: dict[str, dict[str, dict[str, int]]] = {}
    for position, kind in enumerate(KINDS):
        for margin in NEAR if kind.near and plan.near else ():
            generator = np.random.default_rng([plan.seed, plan.parties, position, round(1 / margin)])
            inputs = kind.near(generator, plan.parties, plan.near, margin)
            found = kind.secure(session, rank, inputs)
            if rank == 0:
                wanted = kind.plain(inputs)
                rates = near.setdefault(kind.name, {})
                rates[f"{margin:g}"] = {"differ": wanted[0] - found[0], "examples": wanted[0]}
    return {"cases": cases, "differing": differing, "near": near, "seconds": session.traffic.seconds}


def table(results: list[dict[str, Any]]) -> str:
    """Write the results for people."""
    lines = []
    for result in results:
        where = f"{result['parties']} parties, {result['run']}"
        differing = [case["kind"] for case in result["differing"]]
        for kind, count in result["cases"].items():
            equal = count - differing.count(kind)
            lines.append(f"{where:22} {kind:20} {equal} of {count} equal the plain outcome")
        for kind, rates in result["near"].items():
            for margin, found in rates.items():
                rate = f"{found['differ']} of {found['examples']} ({found['differ'] / found['examples']:.2%})"
                lines.append(f"{where:22} {kind:20} nearer to a tie than {margin}: {rate} decided otherwise")
        lines += [f"DIFFERS: {json.dumps(case)}" for case in result["differing"]]
    return "\n".join(lines)


def main() -> None:
    """Run all sessions and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parties", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--cases", type=int, default=200, help="for each number of parties and way to run")
    parser.add_argument("--near", type=int, default=4000, help="examples near a tie, a kind and margin")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ray", action="store_true", help="also with the seats as Ray actors")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = []
    for run in ("local", "ray") if options.ray else ("local",):
        for parties, outcome in run_all(options, run).items():
            results.append({"parties": parties, "run": run, **outcome})
    print(json.dumps(results, indent=2) if options.json else table(results))
    sys.exit(any(result["differing"] for result in results))


def run_all(options: argparse.Namespace, run: str) -> dict[int, dict[str, Any]]:
    """Run a session for each number of parties, as processes or as actors."""
    from orchestrator.running.cluster import ray_cluster

    on_ray = run == "ray"
    with ray_cluster(None, Path(), False) if on_ray else nullcontext():
        return {
            parties: run_seats(
                compare, Plan(options.cases, options.near, parties, options.seed), parties, on_ray=on_ray
            )
            for parties in options.parties
        }


if __name__ == "__main__":
    main()
