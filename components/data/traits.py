"""What is known of the users of a prepared interaction log before a part begins: profile and length of history."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from components.data.interactions import Interactions, open_interactions

PARTS = {"validation": 1, "test": 2}
BANDS = 4


@dataclass(frozen=True)
class Trait:
    """Something that users may have in common."""

    name: str
    """Such as `age`."""
    values: tuple[str, ...]
    """In the order in which they are shown."""
    of: Mapping[str, str]
    """The value of each user, by id."""


def read_traits(folder: Path, part: Literal["validation", "test"]) -> tuple[Trait, ...]:
    """Return the profile fields of a prepared log and how many events users had before the part began.

    Lengths of history are divided into four bands that hold about as many users each. Users without events in the
    part are left out, and so are traits of which all others have the same value.
    """
    data = open_interactions(folder)
    found = (*_profile(data), _history(data, PARTS[part]))
    present = set(found[-1].of)
    traits = (
        Trait(trait.name, trait.values, {user: value for user, value in trait.of.items() if user in present})
        for trait in found
    )
    return tuple(trait for trait in traits if len(set(trait.of.values())) > 1)


def _profile(data: Interactions) -> Iterator[Trait]:
    for column, (name, categories) in enumerate(data.profile_fields.items()):
        values = [categories[code] for code in data.profile[:, column]]
        known_first = (*categories[1:], categories[0])
        yield Trait(name, known_first, dict(zip(data.user_ids, values, strict=True)))


def _history(data: Interactions, part: int) -> Trait:
    """Divide the users with events in the part by how many they had before its first one."""
    row = np.flatnonzero(data.part == part)
    owner = np.searchsorted(data.user_offsets, row, side="right") - 1
    users, first = np.unique(owner, return_index=True)
    length = data.before[row[first]]
    labels, band = _bands(length)
    of = {data.user_ids[user]: labels[which] for user, which in zip(users, band, strict=True)}
    return Trait("history length", tuple(labels), of)


def _bands(length: NDArray[np.int32]) -> tuple[list[str], NDArray[np.int64]]:
    """Return the bands' names, such as `12-30 events`, and the band of each length."""
    inner = np.arange(1, BANDS) / BANDS
    edges = np.unique(np.quantile(length, inner, method="higher")) if len(length) else np.zeros(0)
    found, band = np.unique(np.searchsorted(edges, length, side="right"), return_inverse=True)
    ends = [(length[band == one].min(), length[band == one].max()) for one in range(len(found))]
    return [f"{low:,}-{high:,} events" if low < high else f"{low:,} events" for low, high in ends], band
