"""Random scores and counts of several parties' users under an open model: what is opened, and what must be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.drawing import Generator, holders
from components.privacy.cohorts import barring, standing
from components.privacy.evaluation import CohortTooSmall, Request, evaluate
from components.privacy.seat import Session
from components.privacy.totals import BANDS, CONFUSION, FIRST_HIT, MEASURES, Tally

COHORT = 3


@dataclass(frozen=True)
class Tallied:
    """What parties have evaluated with an open model."""

    request: Request
    tallies: tuple[Mapping[str, Tally], ...]
    """By rank, by group."""


def make_tallied(generator: Generator, parties: int) -> Tallied:
    """Draw possible scores and counts of one of the tasks."""
    task = str(generator.choice(list(MEASURES)))
    request = Request(
        task, f"{generator.integers(2**62)}", "test", tuple(f"party {n}" for n in range(parties)), 0, COHORT
    )
    has = np.isin(np.arange(parties), holders(generator, parties, parties))
    return Tallied(
        request,
        tuple(
            {
                group: _tally(generator, task, int(generator.integers(1, 60)))
                for group in MEASURES[task].groups
                if has[rank] and generator.random() < 0.8
            }
            for rank in range(parties)
        ),
    )


def _tally(generator: Generator, task: str, users: int) -> Tally:
    measures = MEASURES[task]
    per_user = 1 if measures.unit == "user" else int(generator.integers(1, 4))
    user = np.repeat(np.arange(users), per_user)
    scores = {}
    for name, (lowest, highest) in measures.scores.items():
        drawn = generator.uniform(lowest, highest, len(user))
        drawn[generator.random(len(user)) < generator.choice([0.0, 0.3, 0.95])] = np.nan
        scores[name] = drawn
    counts = {name: _count(generator, name, len(user)) for name in measures.counts}
    if "first_hit" in counts:
        counts["first_hit"][np.isnan(scores["hr@10"])] = 0
        counts["first_hit_bands"] = np.add.reduceat(counts["first_hit"], BANDS, axis=1)
    return Tally(user, scores, counts)


def _count(generator: Generator, name: str, rows: int) -> NDArray[np.int64]:
    if name.startswith("first_hit"):
        return np.eye(FIRST_HIT, dtype=np.int64)[generator.integers(0, FIRST_HIT, rows)]
    if name == "confusion":
        both = generator.integers(0, 9, (rows, len(CONFUSION)))  # hits, false alarms, misses, the rest
        return np.stack([both[:, 0], both[:, :2].sum(1), both[:, [0, 2]].sum(1), both.sum(1)], axis=1)
    lengths, possible = generator.integers(5, 20, (rows, 2)), generator.integers(0, 20, (rows, 4))
    counted = np.concatenate([lengths, generator.integers(0, possible, endpoint=True), possible], axis=1)
    return np.where(generator.random((rows, 1)) < 0.3, 0, counted)


def secure_tallied(session: Session, rank: int, inputs: Tallied) -> Any:
    """Take all steps of an evaluation."""
    try:
        found = evaluate(session, rank, inputs.request, inputs.tallies[rank])
    except CohortTooSmall:
        return "refused"
    return found and {group: result.to_json()["opened"] for group, result in found.items()}


def plain_tallied(inputs: Tallied) -> Any:
    """Add up what the parties have, except what stands on too few users of the others, or would tell of them."""
    measures = MEASURES[inputs.request.task]
    opened: dict[str, dict[str, list[int]]] = {}
    for group in measures.groups:
        held = [tallies.get(group) for tallies in inputs.tallies]
        if sum(len(set(tally.user)) for tally in held[1:] if tally) < COHORT:
            continue
        users = np.sum([standing(measures, tally) for tally in held[1:]], axis=0)
        few = (users > 0) & (users < COHORT)
        opened[group] = {}
        for place, (name, bars) in enumerate(zip(measures.names, barring(measures), strict=True)):
            if users[place] >= COHORT and not few[len(measures.names) :][bars == 1].any():
                rows = np.concatenate([_rows(tally, name) for tally in held if tally])
                opened[group][name] = rows.sum(axis=0).tolist()
    return opened or "refused"


def _rows(tally: Tally, name: str) -> NDArray[np.int64]:
    if name in tally.counts:
        return tally.counts[name]
    score = tally.scores[name]
    known = ~np.isnan(score)
    return np.stack(
        [np.rint(np.where(known, score, 0) * 1e6).astype(np.int64), known.astype(np.int64)], axis=1
    )
