"""Small made-up evaluation rows with planted differences, for tests of comparison and report."""

import numpy as np
import pyarrow as pa

from components.metrics.rows import FULL_HISTORY, concat_rows, evaluation_rows
from orchestrator.judging.compare import Entry

METRICS = ("accuracy", "auc", "log_loss", "ndcg@10", "satisfaction")
LIKES = ("accuracy", "auc", "log_loss", "satisfaction")
CUTS = (FULL_HISTORY, 0, 1, 2, 5, 20)


def made_up_table(
    level: float,
    seed: int,
    users: int = 120,
    metrics: tuple[str, ...] = METRICS,
    cuts: tuple[int, ...] = CUTS,
) -> pa.Table:
    """Rows around accuracy `level`; users share their difficulty over all rows, history helps above .6."""
    difficulty = np.random.default_rng(0).normal(0, 0.08, users)
    generator = np.random.default_rng([seed, round(level * 1e6)])
    slices = []
    for cut in cuts:
        share = 1.0 if cut == FULL_HISTORY else cut / 20
        reached = min(level, 0.6) + max(0.0, level - 0.6) * share
        accuracy = np.clip(reached + difficulty + generator.normal(0, 0.03, users), 0, 1)
        values = {
            "accuracy": accuracy,
            "auc": np.where(np.arange(users) % 10 == 3, np.nan, np.clip(accuracy + 0.03, 0, 1)),
            "log_loss": 1.1 - accuracy,
            "ndcg@10": np.clip(accuracy - 0.5, 0, 1),
            "satisfaction": 1 + 4 * accuracy,
        }
        ids = np.array([f"u{index:03d}" for index in range(users)])
        unseen = np.arange(users) % 10 == 0
        for group, members in (("seen", ~unseen), ("unseen", unseen)):
            chosen = {name: values[name][members] for name in metrics}
            slices.append(evaluation_rows(list(ids[members]), group, cut, np.full(members.sum(), 8), chosen))
    return concat_rows(slices)


def made_up_entries(seeds: tuple[int, ...] = (0, 1), users: int = 120) -> list[Entry]:
    """A model at .70, a baseline at .65, and one or two rows of every other role."""

    def trained(name, role, level, parameters):
        return Entry(name, role, parameters, {seed: made_up_table(level, seed, users) for seed in seeds})

    def trivial(name, level, metrics):
        full = made_up_table(level, 9, users, metrics, cuts=(FULL_HISTORY,))
        return Entry(name, "trivial", 0, {0: full})

    return [
        trained("model", "model", 0.70, 412_345),
        trained("baseline", "baseline", 0.65, 180_001),
        trained("no-attention", "ablation", 0.6999, 350_000),
        trained("no-feedback", "ablation", 0.66, 412_000),
        trained("shuffled-users", "control", 0.655, 412_345),
        trivial("always-like", 0.54, LIKES),
        trivial("running-residual", 0.68, LIKES),
        trivial("popularity", 0.60, ("ndcg@10",)),
    ]
