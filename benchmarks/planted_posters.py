"""Does the model find in pictures what is planted in pictures alone, and use it for items that nobody has met yet?

Trains the recommendation model on a generated population whose taste is in the colours of posters
(`taste_in: poster`) and half of whose items appear in the test part only (`cold`): personalised with posters, with
and without `cold_start`, and without posters, not personalised (generic), and personalised with the colour as a genre
in place of the posters (told: what this model makes of it with perfect eyes). Beside them stands an oracle that is
told the truth. Prints accuracy on the test part, on warm and on cold items apart, the AUC of cold items, and what
share of the gap from generic to oracle is closed.

    python -m benchmarks.planted_posters
    python -m benchmarks.planted_posters 320 6      # items, half of whose pictures can be learned from, and epochs
"""

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.planted_preferences import configuration, trained
from components.data.arrow import open_table, view
from components.data.interactions import Interactions
from components.data.synthetic_pictures import COLOURS
from components.metrics.classification import per_user_auc, per_user_classification
from components.metrics.rows import FULL_HISTORY

POPULATION: dict[str, Any] = {
    **{"posters": True, "taste_in": "poster", "cold": 0.5},
    **{"choice": 0.5, "profile": 0.0, "drift": 0.0},
}
ITEMS = 960
EPOCHS = 12
"""Twice those of other planted preferences: colours are learned from pixels first."""
VARIANTS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "full": ("full", {"modalities": {"poster": True}, "cold_start": True}),
    "no-cold-start": ("full", {"modalities": {"poster": True}}),
    "no-poster": ("full", {}),
    "generic": ("generic", {}),
    "told": ("full", {}),
}
"""The part of `planted_preferences.PARTS`, and further settings of the model."""

MEASURES = ("accuracy", "accuracy, warm items", "accuracy, cold items", "AUC of cold items")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Planted:
    """A generated population and its truth. U users, I items."""

    data: Interactions
    cold_I: NDArray[np.bool_]
    wish_UI: Floats
    """How much each user would like to pick each item in the test part: logits of a choice."""

    def told(self) -> Interactions:
        """Return the data with the colours of the posters as genres."""
        names, items = list(COLOURS), open_table(self.data.folder / "truth_items.arrow")
        genres = [[names[colour]] for colour in view(items, "colour")]
        return replace(self.data, genres=names, item_genres=genres)


def plant(folder: Path, items: int = ITEMS) -> Planted:
    """Generate the population with this many items."""
    from components.tasks.recommendation import task

    settings = configuration({**POPULATION, "items": items}, "full").data
    data = task.open_data(task.prepare(settings, folder))
    of_users, of_items = (open_table(data.folder / f"{name}.arrow") for name in ("truth", "truth_items"))
    taste_UL = np.array(of_users.column("taste").to_pylist())
    wish_UI = POPULATION["choice"] * taste_UL[:, view(of_items, "colour")] + view(of_items, "popularity")
    return Planted(data, of_items.column("cold").to_numpy(zero_copy_only=False), wish_UI)


def measure(
    planted: Planted, variant: str, scratch: Path, seed: int = 0, epochs: int = EPOCHS
) -> dict[str, Floats]:
    """Train a variant and return its measures for each user, [U]; NaN where there is nothing to measure."""
    import torch

    from components.tasks.recommendation.evaluation import Examples, cold_items, predict

    part, settings = VARIANTS[variant]
    data = planted.told() if variant == "told" else planted.data
    config = configuration(POPULATION, part, seed, **settings)
    config = config.model_copy(update={"training": config.training.model_copy(update={"epochs": epochs})})
    model = trained(config, data, scratch / variant).model.eval()
    examples, everyone = Examples.of(data, "test"), np.arange(len(data.user_ids))
    with torch.inference_mode():
        logits, _ = predict(model, data, examples, everyone, FULL_HISTORY)
        auc = cold_items(model, data, examples, everyone, FULL_HISTORY)["auc_cold"]
    return _measures(planted, 1 / (1 + np.exp(-logits)), auc)


def oracle(planted: Planted) -> dict[str, Floats]:
    """Return the measures of the generator's own truth, [U] each."""
    data = planted.data
    assert data.oracle is not None
    asked = data.part == 2
    owner = np.repeat(np.arange(len(data.user_ids)), np.diff(data.user_offsets))
    unmet_UI = np.tile(planted.cold_I, (len(data.user_ids), 1))
    met = (data.part < 2) & planted.cold_I[data.content]
    unmet_UI[owner[met], data.content[met]] = False
    picked_UI = np.zeros_like(unmet_UI)
    picked_UI[owner[asked], data.content[asked]] = True
    user, item = np.nonzero(unmet_UI)
    auc = per_user_auc(user, planted.wish_UI[user, item], picked_UI[user, item], len(data.user_ids))
    return _measures(planted, data.oracle[asked].astype(np.float64), auc)


def _measures(planted: Planted, probability: Floats, auc: Floats) -> dict[str, Floats]:
    data = planted.data
    asked = np.flatnonzero(data.part == 2)
    user = np.searchsorted(data.user_offsets, asked, side="right") - 1
    cold = planted.cold_I[data.content[asked]]
    found = [
        per_user_classification(user[rows], probability[rows], data.like[asked[rows]], len(data.user_ids))
        for rows in (cold | ~cold, ~cold, cold)
    ]
    return dict(zip(MEASURES, [*(each["accuracy"] for each in found), auc], strict=True))


def closed(rows: Mapping[str, Mapping[str, Floats]], variant: str, name: str) -> float:
    """Share of the gap between the generic model and the oracle that a variant closes in a measure."""
    generic, reached, best = (np.nanmean(rows[each][name]) for each in ("generic", variant, "oracle"))
    return float((reached - generic) / (best - generic))


def main() -> None:
    """Train everything and print the table."""
    with tempfile.TemporaryDirectory() as folder:
        items, epochs, *_ = [*map(int, sys.argv[1:]), *(ITEMS, EPOCHS)[len(sys.argv) - 1 :]]
        planted = plant(Path(folder), items)
        rows = {variant: measure(planted, variant, Path(folder), epochs=epochs) for variant in VARIANTS}
        rows["oracle"] = oracle(planted)
    print("test part, mean over users, seen and unseen; in brackets the share of the gap to the oracle")
    print(f"{'':12}" + "".join(f"{name:>24}" for name in MEASURES))
    for variant, measured in rows.items():
        cells = (
            f"{np.nanmean(measured[name]):.3f} ({closed(rows, variant, name):4.0%})" for name in MEASURES
        )
        print(f"{variant:12}" + "".join(f"{cell:>24}" for cell in cells))


if __name__ == "__main__":
    main()
