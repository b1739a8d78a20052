"""How the points of a sweep are searched, and when a training is stopped early: the sections `search` and `stop`."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from components.config import Settings

KINDS = ("uniform", "log_uniform", "int", "log_int", "choice")
"""The distributions that a searched setting can have."""

Bounds = tuple[float, float] | None
WholeBounds = tuple[int, int] | None


class Distribution(Settings):
    """What a searched setting is drawn from: exactly one of these. Both bounds are included."""

    uniform: Bounds = None
    """A number between two bounds."""
    log_uniform: Bounds = None
    """A number between two bounds above 0, its logarithm being uniform: 0.001 to 0.01 as often as 0.01 to 0.1."""
    int: WholeBounds = None
    """A whole number between two bounds."""
    log_int: WholeBounds = None
    """A whole number between two bounds above 0, small ones being drawn more often."""
    choice: tuple[Any, ...] | None = Field(default=None, min_length=1)
    """One of a list of values."""

    @property
    def kind(self) -> str:
        """Which of the distributions it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def values(self) -> Sequence[Any]:
        """The two bounds, or the list to choose from."""
        found: Sequence[Any] = getattr(self, self.kind)
        return found

    @model_validator(mode="after")
    def _is_one(self) -> "Distribution":
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            named = ", ".join(f"`{kind}`" for kind in given or KINDS)
            raise ValueError(
                f"expected one distribution, got {named}: keep one of them"
                if given
                else f"no distribution: give one of {named}"
            )
        [kind] = given
        if kind != "choice":
            low, high = self.values
            if low >= high:
                raise ValueError(f"`{kind}` [{low:g}, {high:g}] is no range: write the lower bound first")
            if kind.startswith("log_") and low <= 0:
                raise ValueError(
                    f"`{kind}` [{low:g}, {high:g}] needs bounds above 0: a logarithm has no others"
                )
        return self


Space = dict[str, Distribution]
"""Dotted paths under `model` or `training`, each with what its values are drawn from."""


class RandomSearch(Settings):
    """Points drawn at random, each from the seed and its number alone: more `trials` add points and change none."""

    method: Literal["random"]
    """How points are suggested."""
    trials: int = Field(ge=1, le=100_000)
    """How many points are tried."""
    seed: int = Field(default=0, ge=0)
    """Decides what is drawn; the seeds of the trainings have no part in it."""
    space: Space = Field(min_length=1)
    """Dotted paths under `model` or `training`, each with a distribution such as `{log_uniform: [1e-4, 1e-2]}`."""


class OptunaSearch(Settings):
    """Points suggested by Optuna's tree-structured Parzen estimator from the results of the points before."""

    method: Literal["optuna"]
    """How points are suggested."""
    trials: int = Field(ge=1, le=100_000)
    """How many points are tried."""
    batch: int = Field(default=4, ge=1)
    """Points that are suggested at once, and trained side by side, from the results of all batches before."""
    seed: int = Field(default=0, ge=0)
    """Decides what is drawn; the seeds of the trainings have no part in it."""
    space: Space = Field(min_length=1)
    """Dotted paths under `model` or `training`, each with a distribution such as `{log_uniform: [1e-4, 1e-2]}`."""


class AshaStopping(Settings):
    """Asynchronous successive halving: at few epochs, each so many times the last, only the best part goes on."""

    method: Literal["asha"]
    """When a training is stopped."""
    grace_period: int = Field(default=1, ge=1)
    """Epochs after which a training can be stopped for the first time."""
    reduction_factor: int = Field(default=3, ge=2)
    """One in so many goes on, and the next look is after so many times the epochs."""


class MedianStopping(Settings):
    """A training is stopped once its best value is worse than the median of the others' means up to that epoch."""

    method: Literal["median"]
    """When a training is stopped."""
    grace_period: int = Field(default=1, ge=1)
    """Epochs after which a training can be stopped for the first time."""
    min_samples_required: int = Field(default=3, ge=1)
    """Other trainings that must have come as far."""


SearchSettings = RandomSearch | OptunaSearch
StopSettings = AshaStopping | MedianStopping
