"""For whom personalisation pays: the model minus the baseline over users who share a trait."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components.data.traits import Trait
from components.metrics.statistics import (
    MINIMUM_USERS,
    compare_paired,
    detectable_difference,
    estimate,
    holm,
)
from orchestrator.judging.comparison import ALPHA, Difference, GroupBenefit, Interval

Floats = NDArray[np.float64]


def benefit_by_trait(
    users: Sequence[str],
    model_U: Floats,
    baseline_U: Floats,
    traits: Sequence[Trait],
    random_seed: int,
    level: float,
) -> tuple[GroupBenefit, ...]:
    """Compare model and baseline, one value a user, over each value of each trait.

    Groups of fewer than `MINIMUM_USERS` are not judged: they keep their interval but have no p-value. All others,
    of all traits together, are one family of Holm's correction.
    """
    groups = [(trait, value) for trait in traits for value in trait.values]
    of_U = {trait.name: np.array([trait.of.get(user, "") for user in users]) for trait in traits}
    member_UG = np.stack([of_U[trait.name] == value for trait, value in groups], axis=1)
    defined_U = ~np.isnan(model_U - baseline_U)
    some = np.flatnonzero((member_UG & defined_U[:, None]).sum(axis=0))
    if not some.size:
        return ()
    member_UG = member_UG[:, some]
    model_UG, baseline_UG = (
        np.where(member_UG & defined_U[:, None], value_U[:, None], np.nan)
        for value_U in (model_U, baseline_U)
    )
    paired = compare_paired(model_UG, baseline_UG, random_seed, level=level)
    judged_G = paired.users >= MINIMUM_USERS
    p_value_G = np.where(judged_G, paired.p_value, np.nan)
    adjusted_G = holm(p_value_G)
    detectable_G = detectable_difference(
        paired.standard_error, paired.users, ALPHA / max(1, int(judged_G.sum()))
    )
    means = [estimate(value_UG, random_seed, level=level) for value_UG in (model_UG, baseline_UG)]
    found = []
    for place, index in enumerate(some):
        trait, value = groups[index]
        count = int(paired.users[place])
        model, baseline = (
            Interval(float(one.mean[place]), float(one.low[place]), float(one.high[place])) for one in means
        )
        difference = Difference(
            float(paired.difference[place]),
            float(paired.low[place]),
            float(paired.high[place]),
            float(p_value_G[place]),
            float(adjusted_G[place]),
            float(paired.effect_size[place]),
            float(np.where(judged_G, detectable_G, np.nan)[place]),
        )
        refused = "" if judged_G[place] else _refusal(count)
        found.append(GroupBenefit(trait.name, value, count, model, baseline, difference, refused))
    return tuple(found)


def _refusal(users: int) -> str:
    return (
        f"too few users: {users}, at least {MINIMUM_USERS} are needed for an interval that can be relied on"
    )
