"""What a source of data provides: the files it depends on, and a recording read from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from components.data.text import DataFile

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class ItemContent:
    """What is known of the I items beside titles and genres; None is what was not asked for."""

    overviews: list[str] | None = None
    """[I] a text about each; empty where an item has none."""
    posters: NDArray[np.uint8] | None = None
    """[I, 3, 36, 24] red, green and blue; zeros where an item has none."""
    has_poster: NDArray[np.bool_] | None = None
    """[I]"""
    vectors: NDArray[np.float32] | None = None
    """[I, D] what a pretrained encoder says of each; zeros where it says nothing."""
    has_vector: NDArray[np.bool_] | None = None
    """[I]"""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """How much of the source is not used, by reason."""


@dataclass(frozen=True)
class Recording:
    """A parsed log in any order. Users and items are given by their index in `user_ids` and `item_ids`."""

    user: NDArray[np.int32]
    item: NDArray[np.int32]
    value: NDArray[np.float32]
    """Feedback in [-1, 1]."""
    like: NDArray[np.bool_]
    timestamp: NDArray[np.int64]
    """Seconds since 1970."""
    user_ids: list[str]
    item_ids: list[str]
    item_titles: list[str]
    item_genres: list[list[str]]
    genres: list[str]
    item_years: NDArray[np.int32]
    """Year of publication, 0 where unknown."""
    profile: NDArray[np.int32]
    """[users, fields]; 0 is unknown."""
    profile_fields: dict[str, list[str]]
    """Name of each field to its categories; the first is `unknown`."""
    oracle: NDArray[np.float32] | None = None
    """P(like) of each event under the generator's truth."""
    truth: Mapping[str, "pa.Table"] = field(default_factory=dict)
    """Tables of the generator's truth, by name; stored beside the data."""
    content: ItemContent = ItemContent()
    """What else is known of the items."""


class Source(Protocol):
    """A module that reads one kind of data set."""

    VERSION: int
    """Raised whenever the same bytes and settings are read differently."""

    def files(self, settings: Any) -> Mapping[str, DataFile]:
        """Name the files whose bytes decide the recording, by their role; a missing one is a `DataError`."""

    def read(self, settings: Any) -> Recording:
        """Parse the files; whatever is wrong with them is a `DataError`."""


def encode_profile(columns: Mapping[str, list[str]]) -> tuple[NDArray[np.int32], dict[str, list[str]]]:
    """Number the categories of each profile column by rank; an empty text is unknown (0)."""
    fields: dict[str, list[str]] = {}
    codes: list[NDArray[np.int32]] = []
    for name, values in columns.items():
        categories = sorted(set(values) - {"", "unknown"})
        fields[name] = ["unknown", *categories]
        index = {category: number for number, category in enumerate(fields[name])} | {"": 0}
        codes.append(np.array([index[value] for value in values], dtype=np.int32))
    users = len(next(iter(columns.values()))) if columns else 0
    return np.stack(codes, axis=1) if codes else np.zeros((users, 0), np.int32), fields
