"""Does the model find what was planted, and nothing where nothing was planted?

Trains the recommendation model and its ablations on generated populations whose truth is known: the default
one, one without taste (histories say nothing) and one whose profiles say nothing. Prints accuracy on the test
part, and what every part is worth, paired by user.

    python benchmarks/planted_preferences.py            # about 3 minutes on one core
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from components.config import RecommendationSettings, SyntheticSettings, TrainingSettings, TrialConfig
from components.metrics.rows import macro, metric_values, select_slice
from components.metrics.statistics import compare_paired

POPULATIONS: dict[str, dict[str, float]] = {
    "everything planted": {},
    "no taste planted": {"taste": 0.0, "choice": 0.0, "drift": 0.0},
    "no profile planted": {"profile": 0.0},
}
PARTS: dict[str, dict[str, Any] | None] = {
    "full": {},
    "no-profile": {"profile": False},
    "no-feedback": {"feedback": False},
    "no-history": {"history": False},
    "generic": None,
}
CORE = {"layers": 1, "hidden": 64, "window": 20}
TRAINING = TrainingSettings(learning_rate=3e-3, batch_size=32, epochs=6)


def configuration(population: Mapping[str, Any], part: str, seed: int = 0, **model: Any) -> TrialConfig:
    """Describe one training on one population; `model` holds further settings of the model."""
    changes = PARTS[part]
    personalization = None if changes is None else {**CORE, **changes}
    return TrialConfig(
        task="recommendation",
        data=SyntheticSettings.model_validate({"source": "synthetic", **population}),
        model=RecommendationSettings.model_validate(
            {"embedding": 32, "personalization": personalization, **model}
        ),
        training=TRAINING.model_copy(update={"seed": seed}),
    )


def trained(config: TrialConfig, data: Any, scratch: Path) -> Any:
    """Train one model and return its module."""
    from components.tasks.recommendation import task
    from components.training import fit

    module = task.build(config, data)
    fit(
        task,
        module,
        data,
        config.training,
        config.training.epochs,
        group="seen",
        checkpoint_folder=scratch / "run",
        on_epoch=lambda report, module: None,
    )
    return module


def evaluation_rows(population: Mapping[str, Any], part: str, seed: int = 0) -> Any:
    """Train one model on one population and return its evaluation rows on the test part, full histories."""
    from components.tasks.recommendation import task

    config = configuration(population, part, seed)
    with tempfile.TemporaryDirectory() as scratch:
        data = task.open_data(task.prepare(config.data, Path(scratch)))
        return task.evaluate(trained(config, data, Path(scratch)), data, "test", slices=False)


def oracle_rows(population: Mapping[str, Any]) -> Any:
    """Return the evaluation rows of the generator's own truth."""
    from components.tasks.recommendation import task

    with tempfile.TemporaryDirectory() as scratch:
        settings = SyntheticSettings.model_validate({"source": "synthetic", **population})
        return task.trivial("oracle", task.open_data(task.prepare(settings, Path(scratch))), "test")


def gain(rows: Any, other: Any) -> tuple[float, float, float]:
    """Mean difference in accuracy over all users, seen and unseen, and its interval, paired by user."""
    left, right = (
        np.concatenate([_accuracy(each, group) for group in ("seen", "unseen")]) for each in (rows, other)
    )
    paired = compare_paired(left[:, None], right[:, None], seed=0)
    return float(paired.difference[0]), float(paired.low[0]), float(paired.high[0])


def _accuracy(rows: Any, group: str) -> np.ndarray:
    table = select_slice(rows, group)
    return metric_values(table, "accuracy")[np.argsort(table["user"].to_pylist())]


def main() -> None:
    """Train everything and print the tables."""
    for name, population in POPULATIONS.items():
        rows = {part: evaluation_rows(population, part) for part in PARTS}
        oracle = oracle_rows(population)
        print(
            f"\n{name}: accuracy, test part\n{'':14}{'seen':>8}{'unseen':>8}   worth to the full model (points)"
        )
        for part, table in {**rows, "oracle": oracle}.items():
            seen, unseen = (macro(table, group)["accuracy"] for group in ("seen", "unseen"))
            difference, low, high = (100 * value for value in gain(rows["full"], table))
            print(f"{part:14}{seen:8.3f}{unseen:8.3f}   {difference:+6.1f} [{low:+.1f}, {high:+.1f}]")
        generic, full, best = (
            macro(each, "unseen")["accuracy"] for each in (rows["generic"], rows["full"], oracle)
        )
        print(f"unseen users: {100 * (best - generic):.1f} points between generic and oracle, ", end="")
        print(f"{100 * (full - generic) / (best - generic):.0f} % of them closed")


if __name__ == "__main__":
    main()
