"""What a sweep file says, typed: the settings of a base trial and what is varied around them.

`orchestrator.spec.load` makes these from a file. Everything here stays free of torch and Ray.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from itertools import product
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, ValidationError, create_model, model_validator

from components.config import DataSettings, Settings, TrainingSettings, TrialConfig
from components.errors import AdaptuneError
from components.tasks import TASKS
from orchestrator.spec.search import SearchSettings, Space, StopSettings

BASELINE = "baseline"
"""The ablation that exists without being written: the model without its personalisation."""
BASELINE_PATH = "model.personalization"

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=80)]
Assignments = Mapping[str, Any]
"""Dotted paths into the settings of a trial, and the values they take; later ones win."""


class Objective(Settings):
    """What the best grid point is chosen by: the mean over seeds of a validation metric."""

    metric: str
    """One of the task's metrics, as the mean over the task's main group."""
    mode: Literal["min", "max"]
    """Which direction is better; by default the metric's own."""


class CompareSettings(Settings):
    """How differences are tested."""

    against: str = BASELINE
    """The ablation that every row is compared with."""
    unit: str
    """What is paired: the same unit under both models, over the same seeds. The task says which it is."""
    correction: Literal["holm"] = "holm"
    """How p-values are corrected over the family of comparisons."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Level of the bootstrap intervals."""


class Resources(Settings):
    """What one trial gets."""

    cpu: int = Field(default=1, ge=1)
    """Processor cores, and threads, of each worker."""
    gpu: float = Field(default=0.0, ge=0)
    """GPUs of each worker: a whole number, or a fraction below 1 to share one."""
    workers: int = Field(default=1, ge=1)
    """Processes, on one machine, that train a trial together: each computes a share of every batch of
    `training.batch_size`. Trials with more than one have ids of their own. Not for captioning."""

    @model_validator(mode="after")
    def _can_be_had(self) -> "Resources":
        if self.gpu > 1 and self.gpu != int(self.gpu):
            raise ValueError(
                f"`gpu` {self.gpu:g} is neither whole nor below 1: use {int(self.gpu)} or a fraction below 1"
            )
        return self


class Budget(Settings):
    """Limits that a sweep may not pass."""

    max_trials: int = Field(default=200, ge=1)
    """Trials of all phases together; a bigger plan is refused before anything starts."""
    max_failures: int = Field(default=3, ge=0)
    """How often a trial is tried again after its surroundings failed (node lost, out of memory, killed)."""


class Tracking(Settings):
    """The mirror in Weights & Biases."""

    project: str = Field(default="adaptune", min_length=1, max_length=128)
    """Project that the runs appear in."""
    enabled: bool = True
    """Whether runs are mirrored at all; without a key they are written for a later `wandb sync`."""


class SecureEvaluationSettings(Settings):
    """The winner is evaluated once over users whom several parties hold, by secure multi-party computation."""

    parties: Path
    """The party file; a relative path counts from the sweep file, in a `--set` from the current folder."""


class Gate(Settings):
    """A condition on validation results that must hold before the winner is promoted; at least one bound."""

    metric: str
    """A metric over the task's main group: one of the task's, or with `over: parties` one that the parties add up."""
    over: Literal["data", "parties"] = "data"
    """`data`: the sweep's own validation part. `parties`: what `secure_evaluation` found of the winner."""
    min: float | None = None
    """The value must be at least this."""
    max: float | None = None
    """The value must be at most this."""
    min_difference: float | None = None
    """The value must be better than the baseline's by at least this, in the direction that is better."""
    max_p_value: float | None = Field(default=None, gt=0, le=1)
    """The corrected p-value of the difference from the baseline must be at most this."""

    @model_validator(mode="after")
    def _has_a_bound(self) -> "Gate":
        for key in ("min_difference", "max_p_value") if self.over == "parties" else ():
            if getattr(self, key) is not None:
                raise ValueError(
                    f"`{key}` compares with the baseline, which the parties never see: with `over: parties` give "
                    "`min` or `max`, or remove `over`"
                )
        if self.min is None and self.max is None and self.min_difference is None and self.max_p_value is None:
            raise ValueError("the gate has no bound: give `min`, `max`, `min_difference` or `max_p_value`")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"`min` {self.min:g} is above `max` {self.max:g}: no value can pass; swap them")
        return self


class PromoteSettings(Settings):
    """What must hold before the winner becomes a version in the registry."""

    gates: tuple[Gate, ...] = ()
    """Conditions on validation results; all must hold."""


class SweepSpec(Settings):
    """A sweep: a base trial, what is varied around it, and how the results are judged.

    `complete` fills in what a file may leave out; `spec_class` narrows `model` to a task's own settings.
    """

    name: Slug
    """Name of the sweep in reports and in Weights & Biases: lower-case letters, digits, `-`, `_` and `.`."""
    task: str
    """What is learned."""
    data: DataSettings
    """The data set."""
    model: SerializeAsAny[Settings]
    """The task's model; what is left out keeps its default."""
    training: TrainingSettings = TrainingSettings()
    """How the model is trained."""
    grid: dict[str, tuple[Any, ...]] = Field(default_factory=dict)
    """Dotted paths under `model` or `training`, each with the values to try; the grid is their product."""
    search: SearchSettings | None = Field(default=None, discriminator="method")
    """Points that are drawn or suggested, where a grid would be too big."""
    stop: StopSettings | None = Field(default=None, discriminator="method")
    """Ends trainings early that fall behind the others; by default every training runs to its end."""
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    """Every trial runs once for each seed; by default only `training.seed`. With `search` or `stop`, the first seed
    chooses the point, and only there the others run."""
    ablations: dict[Slug, dict[str, Any]]
    """Variants of the model by name: dotted paths and the values that they take.
    The one that `compare.against` names is tuned over the same grid; `baseline`, if not given, is the model
    without personalisation."""
    controls: tuple[str, ...] = ()
    """The task's controls to evaluate the model under, such as `shuffled-users`."""
    objective: Objective
    """What the best grid point is chosen by; by default the task's first metric."""
    compare: CompareSettings
    """How differences are tested."""
    resources: Resources = Resources()
    """What one trial gets."""
    budget: Budget = Budget()
    """Limits that the sweep may not pass."""
    tracking: Tracking = Tracking()
    """The mirror in Weights & Biases."""
    secure_evaluation: SecureEvaluationSettings | None = None
    """Evaluates the winner over several parties' users when the sweep is done; no part of any trial."""
    promote: PromoteSettings = PromoteSettings()
    """What must hold before the winner is promoted."""

    @property
    def baseline(self) -> dict[str, Any]:
        """The assignments that make the model the one that everything is compared with."""
        return self.ablations[self.compare.against]

    @property
    def grid_size(self) -> int:
        """Number of grid points, without making them."""
        return prod(len(values) for values in self.grid.values())

    def grid_points(self) -> Iterator[dict[str, Any]]:
        """Every combination of the grid's values as assignments, the last path varying fastest."""
        return _points(self.grid)

    def baseline_grid(self) -> dict[str, tuple[Any, ...]]:
        """The grid without the paths that the baseline itself decides: those it sets, and all below them."""
        return {path: values for path, values in self.grid.items() if not self._is_decided(path)}

    def baseline_space(self) -> Space:
        """What is searched, without the paths that the baseline itself decides."""
        return {path: values for path, values in self.space.items() if not self._is_decided(path)}

    def _is_decided(self, path: str) -> bool:
        return any(is_within(path, decided) for decided in self.baseline)

    @property
    def space(self) -> Space:
        """What is searched; empty without `search`."""
        return self.search.space if self.search is not None else {}

    @property
    def choosing_seeds(self) -> tuple[int, ...]:
        """The seeds that every point is tried with; the others run at the chosen point alone."""
        return self.seeds if self.search is None and self.stop is None else self.seeds[:1]

    def baseline_points(self) -> Iterator[dict[str, Any]]:
        """The baseline's own grid points, each with the baseline's assignments in it."""
        return ({**point, **self.baseline} for point in _points(self.baseline_grid()))

    def resolve(self, assignments: Assignments, seed: int) -> TrialConfig:
        """The trial at `assignments`, applied in order, and `seed`.

        An assignment to a section (`model.personalization`) replaces all of it, and with it what earlier
        assignments set inside. Raises `AdaptuneError` if a path does not exist or values do not go together.
        """
        values = self._base
        for path, value in assignments.items():
            values = _assign(values, path.split("."), value, path)
        values = _assign(values, ["training", "seed"], seed, "training.seed")
        config = {"task": self.task, "data": self.data, **values}
        try:
            return TrialConfig.model_validate(config)
        except ValidationError as error:
            reasons = "; ".join(detail["msg"].removeprefix("Value error, ") for detail in error.errors())
            raise AdaptuneError(f"{reasons} (at {_written(assignments)})") from error

    @cached_property
    def _base(self) -> dict[str, Any]:
        return {"model": self.model.model_dump(), "training": self.training.model_dump()}


@cache
def spec_class(task: str) -> type[SweepSpec]:
    """`SweepSpec` with `model` narrowed to the settings of `task`."""
    settings = TASKS[task].settings
    description = SweepSpec.model_fields["model"].description
    return create_model(
        "SweepSpec",
        __base__=SweepSpec,
        __doc__=SweepSpec.__doc__,
        model=(settings, Field(default_factory=settings, description=description)),
    )


def complete(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in what a file may leave out because it follows from the rest; what is malformed is left alone.

    That is `seeds`, the objective and its direction, the unit of comparison, and the ablation named `baseline`.
    """
    filled = dict(values)
    info = TASKS.get(filled["task"]) if isinstance(filled.get("task"), str) else None
    training = filled.get("training", {})
    if "seeds" not in filled:
        seed = training.get("seed", 0) if isinstance(training, Mapping) else 0
        filled["seeds"] = [seed if isinstance(seed, int) and seed >= 0 else 0]
    objective = filled.get("objective", {"metric": next(iter(info.metrics))} if info else {"metric": ""})
    if isinstance(objective, Mapping) and "mode" not in objective:
        metric = info.metrics.get(str(objective.get("metric"))) if info else None
        objective = {**objective, "mode": metric.mode if metric else "max"}
    filled["objective"] = objective
    compare = filled.get("compare", {})
    filled["compare"] = (
        {"unit": info.unit if info else "", **compare} if isinstance(compare, Mapping) else compare
    )
    ablations = filled.get("ablations", {})
    if (
        isinstance(ablations, Mapping)
        and BASELINE not in ablations
        and _needs_baseline(filled.get("compare"))
    ):
        personalised = info is not None and "personalization" in info.settings.model_fields
        filled["ablations"] = {BASELINE: {BASELINE_PATH: None}, **ablations} if personalised else ablations
    return filled | {"ablations": filled.get("ablations", {})}


def is_within(path: str, section: str) -> bool:
    """Whether dotted `path` is `section` or lies below it."""
    return path == section or path.startswith(f"{section}.")


def _needs_baseline(compare: object) -> bool:
    return not isinstance(compare, Mapping) or compare.get("against", BASELINE) == BASELINE


def _written(assignments: Assignments) -> str:
    return ", ".join(f"{path}: {value}" for path, value in assignments.items()) or "the file's own values"


def _points(grid: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    return (dict(zip(grid, values, strict=True)) for values in product(*grid.values()))


def _assign(values: Mapping[str, Any], keys: Sequence[str], value: Any, path: str) -> dict[str, Any]:
    head, *rest = keys
    if not isinstance(values, Mapping) or head not in values:
        raise AdaptuneError(
            f"there is no setting {path!r} in this trial: {head!r} is missing, or its section is null"
        )
    return {**values, head: _assign(values[head], rest, value, path) if rest else value}
