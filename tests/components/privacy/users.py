"""Invented users of any task's measures, for what must hold whatever the data."""

from collections.abc import Sequence

import numpy as np

from components.privacy.totals import Measures, Tally


def invent_user(measures: Measures, generator: np.random.Generator, user: int, wild: bool = False) -> Tally:
    """One user's rows, with the relations that `measures` declares; a `wild` one has scores and counts at their ends.

    Of each relation of parts, each row is in one part or in none of them.
    """
    rows = 1 if measures.unit == "user" else int(generator.integers(1, 12))
    scores = {}
    for name, (lowest, highest) in measures.scores.items():
        scores[name] = (
            generator.choice([lowest, highest], rows) if wild else generator.uniform(lowest, highest, rows)
        )
    for name in [name for name in measures.scores if name not in measures.alike]:
        undefined = generator.random(rows) < (0.2 if name not in ("accuracy", "em", "style_match") else 0)
        for like in (name, *(each for each, other in measures.alike.items() if other == name)):
            scores[like] = np.where(undefined, np.nan, scores[like])
    counts = {}
    for name, count in measures.counts.items():
        if count.histogram:
            counts[name] = np.eye(count.numbers, dtype=np.int64)[generator.integers(0, count.numbers, rows)]
        else:
            counts[name] = generator.integers(0, 2000 if wild else 12, (rows, count.numbers))
            if not wild and name == "confusion":
                counts[name][:] = _confusion(generator)
            elif not wild:
                counts[name][:, 2:6] = np.minimum(counts[name][:, 2:6], counts[name][:, 6:])
                counts[name][:, 0] = counts[name][:, 6]
    for whole, parts in measures.parts.items():
        belongs = generator.integers(0, len(parts) + 1, rows)
        for number, part in enumerate(parts):
            if part in scores:
                scores[part] = np.where(belongs == number, scores[whole], np.nan)
            else:
                counts[part] = np.where((belongs == number)[:, None], counts[whole], 0)
    return Tally(np.full(rows, user), scores, counts)


def _confusion(generator: np.random.Generator) -> tuple[int, int, int, int]:
    examples = int(generator.integers(1, 12))
    like, predicted = generator.random((2, examples)) < 0.5
    return int((like & predicted).sum()), int(predicted.sum()), int(like.sum()), examples


def together(users: Sequence[Tally]) -> Tally | None:
    """One tally of several users, their rows mixed; None of nobody."""
    if not users:
        return None
    first = users[0]
    return Tally(
        np.concatenate([each.user for each in users]),
        {name: np.concatenate([each.scores[name] for each in users]) for name in first.scores},
        {name: np.concatenate([each.counts[name] for each in users]) for name in first.counts},
    )


def mixed(tally: Tally, generator: np.random.Generator) -> Tally:
    """The same rows in another order, those of each user in theirs."""
    order = np.argsort(generator.permutation(int(tally.user.max()) + 1)[tally.user], kind="stable")
    return Tally(
        tally.user[order],
        {name: values[order] for name, values in tally.scores.items()},
        {name: values[order] for name, values in tally.counts.items()},
    )
