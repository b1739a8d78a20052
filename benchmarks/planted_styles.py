"""Does a model give users the style that they want, where everything is generated and the truth is known?

Trains the models of `sweeps/synthetic-question-answering.yaml` and `sweeps/synthetic-captioning.yaml`: the full one,
without attention, without personalisation (generic), and told of the truth (oracle). Prints, for users unseen in
training, the share of outputs in their style by what was read of their history, what content that is not theirs
leaves of it, and how fast the model follows users who change.

    python benchmarks/planted_styles.py                         # both tasks
    python benchmarks/planted_styles.py question-answering
"""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from components.metrics.rows import macro, metric_values, select_slice
from components.metrics.statistics import compare_paired
from components.tasks import TASKS
from orchestrator.spec.load import load_sweep

CUTS = (0, 1, 2, 5, 20)
AFTER = (0, 1, 2, 5)
"""Events after a change of preference."""


@dataclass(frozen=True)
class Planted:
    """How a task is measured."""

    metric: str
    """What the user's style decides."""
    content: str
    """What the content decides."""
    control: str
    """The control that shows the model another content."""


PLANTED = {
    "question-answering": Planted("em", "em", "shuffled-passages"),
    "captioning": Planted("style_match", "cider_factual", "shuffled-images"),
}
VARIANTS: dict[str, dict[str, Any]] = {
    "full": {},
    "no-attention": {"model.personalization.attention": False},
    "generic": {"model.personalization": None},
    "oracle": {"model.told": True},
}


@dataclass
class Measured:
    """The evaluation rows of one task: of each variant, and of the full model's controls."""

    planted: Planted
    rows: dict[str, Any] = field(default_factory=dict)
    controls: dict[str, Any] = field(default_factory=dict)

    def mean(self, variant: str, group: str = "unseen", history: int = -1) -> float:
        """Mean of the metric over the units of a slice."""
        return macro(self.rows[variant], group, history)[self.planted.metric]

    @property
    def gap(self) -> float:
        """How much an oracle is better than a generic model, for unseen users."""
        return self.mean("oracle") - self.mean("generic")

    @property
    def closed(self) -> float:
        """Share of the gap that the full model closes."""
        return (self.mean("full") - self.mean("generic")) / self.gap

    @property
    def curve(self) -> list[float]:
        """The full model's mean by events of history."""
        return [self.mean("full", history=cut) for cut in CUTS]

    def attention(self) -> tuple[float, float]:
        """What attention is worth for users whose preference depends on the content, and its p-value."""
        left, right = (self._values(variant, "conditional") for variant in ("full", "no-attention"))
        paired = compare_paired(left[:, None], right[:, None], seed=0)
        return float(paired.difference[0]), float(paired.p_value[0])

    def content(self) -> tuple[float, float]:
        """What content decides, with the right content and with another one."""
        name = self.planted.content
        shuffled = self.controls[self.planted.control]
        return macro(self.rows["full"], "unseen")[name], macro(shuffled, "unseen")[name]

    def adapted(self) -> list[float]:
        """Share of outputs nearer to the new preference, by events after the change."""
        return [macro(self.rows["full"], "drifting", after)["adapted"] for after in AFTER]

    def _values(self, variant: str, group: str) -> np.ndarray:
        table = select_slice(self.rows[variant], group)
        return metric_values(table, self.planted.metric)[np.argsort(table["user"].to_pylist())]


def measure(
    name: str, variants: Sequence[str] = tuple(VARIANTS), overrides: Sequence[str] = (), part: str = "test"
) -> Measured:
    """Train variants of a task's sweep, with `overrides` (`key=value`) written over it, and evaluate them."""
    from components.training import fit

    sweep = load_sweep(Path(f"sweeps/synthetic-{name}.yaml"), overrides)
    task = TASKS[name].load()
    found = Measured(PLANTED[name])
    with tempfile.TemporaryDirectory() as scratch:
        for variant in variants:
            config = sweep.resolve(VARIANTS[variant], seed=0)
            data = task.open_data(task.prepare(config.data, Path(scratch)))
            module = task.build(config, data)
            fit(
                task,
                module,
                data,
                config.training,
                config.training.epochs,
                group="unseen",
                checkpoint_folder=Path(scratch) / variant,
                on_epoch=lambda report, module: None,
            )
            found.rows[variant] = task.evaluate(module, data, part, slices=True)
            if variant == "full":
                for control in ("shuffled-users", found.planted.control):
                    found.controls[control] = task.evaluate(module, data, part, control, slices=False)
    return found


def show(name: str, found: Measured) -> None:
    """Print the table of a task."""
    metric = found.planted.metric
    print(f"\n{name}: {metric} of unseen users, test part, in points")
    print(f"{'':16}{'all':>8}{'plain':>8}{'conditional':>13}")
    for variant in VARIANTS:
        values = (100 * found.mean(variant, group) for group in ("unseen", "plain", "conditional"))
        print("{:16}{:8.1f}{:8.1f}{:13.1f}".format(variant, *values))
    others = macro(found.controls["shuffled-users"], "unseen")[metric]
    print(f"{'shuffled-users':16}{100 * others:8.1f}")
    print(
        f"between generic and oracle: {100 * found.gap:.1f}, of which {100 * found.closed:.0f} % are closed"
    )
    curve = ", ".join(f"{cut}: {100 * value:.1f}" for cut, value in zip(CUTS, found.curve, strict=True))
    print(f"by events of history: {curve}")
    worth, p_value = found.attention()
    print(f"worth of attention for conditional users: {100 * worth:+.1f} (p {p_value:.4f})")
    right, other = found.content()
    print(f"{found.planted.content}: {right:.3f}; {found.planted.control}: {other:.3f}")
    adapted = ", ".join(f"{after}: {value:.2f}" for after, value in zip(AFTER, found.adapted(), strict=True))
    print(f"share in the new preference by events after the change: {adapted}")


def main() -> None:
    """Train everything and print the tables."""
    for name in sys.argv[1:] or PLANTED:
        show(name, measure(name))


if __name__ == "__main__":
    main()
