"""Where `search` and `stop` clash with the rest of a sweep file, and why."""

from collections.abc import Iterator, Mapping
from typing import Any

from components.config import TrainingSettings
from orchestrator.spec.problems import SpecError
from orchestrator.spec.rules import section
from orchestrator.spec.source import Node
from orchestrator.spec.sweep import BASELINE, is_within
from orchestrator.spec.variations import Variations

EPOCHS = "training.epochs"


def check_search(values: Mapping[str, Any], varied: Variations, node: Node) -> Iterator[SpecError]:
    """Check the sections `search` and `stop` of a file's `values` (plain, completed) against what else it varies."""
    yield from _twice(varied, node)
    if section(values, "search").get("method") == "optuna" and section(values, "grid"):
        yield node.find(("grid",), key=True).error(
            "`method: optuna` learns from one result a suggestion, and a grid would give it several: move these "
            "paths to `search.space`, each as a `choice`, or use `method: random`"
        )
    against = section(values, "compare").get("against", BASELINE)
    for name, changes in varied.ablations.items():
        for path, value in changes.items() if name != against else ():
            if any(_sets(path, value, searched) for searched in varied.space):
                yield node.find(("ablations", name, path), key=True).error(
                    f"{path!r} is searched, and an ablation is the model at the point that was found with one part "
                    "changed: remove it here, or from `search.space`"
                )
    if section(values, "stop"):
        yield from _stopping(values, varied, node)


def _twice(varied: Variations, node: Node) -> Iterator[SpecError]:
    for path in varied.space:
        for other in varied.grid:
            if is_within(path, other) or is_within(other, path):
                message = f"{other!r} is in `grid`, which tries every value: keep {path!r} in one of them"
                yield node.find(("search", "space", path), key=True).error(message)


def _sets(path: str, value: Any, searched: str) -> bool:
    """Whether an assignment decides a searched setting; one that takes its whole section away removes it instead."""
    return is_within(path, searched) or (is_within(searched, path) and value is not None)


def _stopping(values: Mapping[str, Any], varied: Variations, node: Node) -> Iterator[SpecError]:
    if not varied.grid and not varied.space:
        yield node.find(("stop",), key=True).error(
            "`stop` compares trainings of different points, and there is only one: add `search` or `grid`"
        )
    for place, given in ((("grid",), varied.grid), (("search", "space"), varied.space)):
        if EPOCHS in given:
            yield node.find((*place, EPOCHS), key=True).error(
                f"`stop` decides how long each training runs, so {EPOCHS!r} cannot be varied as well: give it as "
                "one number under `training`, or remove `stop`"
            )
            return
    epochs = section(values, "training").get("epochs", TrainingSettings().epochs)
    grace = section(values, "stop").get("grace_period", 1)
    if isinstance(epochs, int) and isinstance(grace, int) and 1 <= epochs <= grace:
        yield node.find(("stop", "grace_period"), key=True).error(
            f"`grace_period` {grace} leaves nothing to stop of `training.epochs` {epochs}: it must be smaller"
        )
