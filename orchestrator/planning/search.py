"""The points of a search: drawn at random from (seed, number, path), or suggested by Optuna from results.

Both are pure functions. A random point depends on nothing else, so all of them are known when a sweep is planned.
A suggestion of Optuna depends on the results of the batches before it, neither on the order in which these came nor
on how often the sweep was interrupted; the ledger records it, and it is never made twice.
"""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from components.errors import AdaptuneError
from components.randomness import derive_seed
from orchestrator.spec.search import Distribution, OptunaSearch, Space

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

DIGITS = 4
"""Significant digits of a number that is drawn: enough to tune by, few enough to be read and written."""


def random_points(space: Space, trials: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield the points of a random search over `space`, one a number; without a space the one point there is."""
    for number in range(trials if space else 1):
        yield {
            path: _draw(values, random.Random(derive_seed("search", seed, number, path)).random())
            for path, values in space.items()
        }


def _draw(values: Distribution, share: float) -> Any:
    """Return what lies at `share` (0 to 1, without 1) of a distribution."""
    kind = values.kind
    if kind == "choice":
        return values.values[int(share * len(values.values))]
    low, high = values.values
    match kind:
        case "int":
            return low + int(share * (high - low + 1))
        case "log_int":
            # Each whole number stands for what rounds to it, so that both ends are as likely as they should be.
            return min(max(round(_between_logs(low - 0.5, high + 0.5, share)), low), high)
        case "log_uniform":
            return _rounded(_between_logs(low, high, share), values)
        case _:
            return _rounded(low + share * (high - low), values)


def _between_logs(low: float, high: float, share: float) -> float:
    return math.exp(math.log(low) + share * (math.log(high) - math.log(low)))


def _rounded(value: float, values: Distribution) -> float:
    """Round to what matters, inside the bounds; the last bits of a logarithm differ between machines."""
    low, high = values.values
    size = value if values.kind == "log_uniform" else high - low
    return min(max(round(value, DIGITS - 1 - math.floor(math.log10(size))), low), high)


def stand_in(space: Space) -> dict[str, Any]:
    """Return a point to reckon with while none is known: the first choices, and of ranges the upper ends."""
    return {path: values.values[0 if values.kind == "choice" else 1] for path, values in space.items()}


@dataclass(frozen=True)
class Tried:
    """A suggestion and what became of it."""

    point: Mapping[str, Any]
    outcome: Literal["waiting", "finished", "stopped", "diverged", "lost"]
    """`diverged`: it failed by itself, which counts as worse than any other; `lost`: its surroundings failed."""
    value: float | None = None
    """The objective at the end, if it is finished."""
    curve: Sequence[float] = ()
    """The objective after each epoch, if it was stopped."""


def check_optuna() -> None:
    """Raise AdaptuneError where Optuna is not installed."""
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise AdaptuneError(
            "`method: optuna` needs the package optuna: install it with `pip install 'adaptune[search]'`, or use "
            "`method: random`"
        ) from error


def suggest(search: OptunaSearch, space: Space, mode: str, tried: Sequence[Tried]) -> list[dict[str, Any]]:
    """Return the points that come after `tried`, to the end of the batch; every batch before must have its results.

    Within a batch, a suggestion knows those before it as waiting and keeps away from them. Raises AdaptuneError where
    Optuna is not installed.
    """
    check_optuna()
    begun, batch = len(tried), search.batch
    before = [*tried[: begun // batch * batch]]
    waiting = [Tried(each.point, "waiting") for each in tried[len(before) :]]
    while len(before) + len(waiting) < min(len(before) + batch, search.trials):
        waiting.append(Tried(_ask(search, space, mode, [*before, *waiting]), "waiting"))
    return [dict(each.point) for each in waiting[begun - len(before) :]]


def _ask(search: OptunaSearch, space: Space, mode: str, tried: Sequence[Tried]) -> dict[str, Any]:
    import optuna

    distributions = {path: _distribution(values) for path, values in space.items()}
    seed = derive_seed("optuna", search.seed, len(tried)) % 2**32
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="maximize" if mode == "max" else "minimize", sampler=sampler)
        study.add_trials([_trial(each, space, distributions) for each in tried])
        drawn = study.ask(distributions).params
    finally:
        optuna.logging.set_verbosity(verbosity)
    return {path: _to_point(values, drawn[path]) for path, values in space.items()}


def _distribution(values: Distribution) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if values.kind == "choice":
        # By place, because a choice may be a section, which Optuna does not take as a value.
        return CategoricalDistribution(range(len(values.values)))
    low, high = values.values
    log = values.kind.startswith("log_")
    return IntDistribution(low, high, log) if "int" in values.kind else FloatDistribution(low, high, log)


def _to_point(values: Distribution, drawn: Any) -> Any:
    if values.kind == "choice":
        return values.values[drawn]
    return drawn if "int" in values.kind else _rounded(drawn, values)


def _trial(tried: Tried, space: Space, distributions: "Mapping[str, BaseDistribution]") -> "FrozenTrial":
    from optuna.trial import TrialState, create_trial

    state = {
        "waiting": TrialState.RUNNING,
        "finished": TrialState.COMPLETE,
        "stopped": TrialState.PRUNED,
        "diverged": TrialState.PRUNED,  # without values, which the sampler ranks below every other
        "lost": TrialState.FAIL,
    }[tried.outcome]
    params = {
        path: list(values.values).index(tried.point[path]) if values.kind == "choice" else tried.point[path]
        for path, values in space.items()
    }
    return create_trial(
        state=state,
        value=tried.value,
        params=params,
        distributions=dict(distributions),
        intermediate_values=dict(enumerate(tried.curve, start=1)),
    )
