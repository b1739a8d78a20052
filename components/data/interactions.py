"""The prepared form of an interaction log: flat arrays over all events, users one after the other."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.data.events import Event


@dataclass(frozen=True)
class Interactions:
    """A log sorted by user, time and, inside a tie, keyed hash. The arrays are read-only views of files.

    E events, U users, I items, F profile fields.
    """

    folder: Path
    digest: str
    name: str
    """The source's name, such as `movielens`."""
    user_offsets: NDArray[np.int64]
    """[U + 1]; the events of user u are `user_offsets[u]:user_offsets[u + 1]`, at least one."""
    content: NDArray[np.int32]
    """[E] item index."""
    value: NDArray[np.float32]
    """[E] feedback in [-1, 1]."""
    timestamp: NDArray[np.int64]
    """[E] seconds since 1970."""
    kind: NDArray[np.int8]
    """[E] index into `kinds`."""
    like: NDArray[np.bool_]
    """[E] whether the rating reached the threshold."""
    part: NDArray[np.int8]
    """[E] 0 training, 1 validation, 2 test; an unseen user's training part is history only."""
    before: NDArray[np.int32]
    """[E] number of this user's events with a strictly smaller timestamp: all that an example may see."""
    oracle: NDArray[np.float32] | None
    """[E] P(like) by the generator's truth; generated data only."""
    kinds: tuple[str, ...]
    user_ids: list[str]
    unseen: NDArray[np.bool_]
    """[U] whether none of the user's events may train anything."""
    profile: NDArray[np.int32]
    """[U, F] category of each field; 0 is unknown."""
    profile_fields: dict[str, list[str]]
    """Name of each field to its categories; the first is `unknown`."""
    item_ids: list[str]
    item_titles: list[str]
    item_genres: list[list[str]]
    genres: list[str]
    item_years: NDArray[np.int32]
    """[I] year of publication, 0 where unknown."""

    def __reduce__(self) -> tuple[Callable[[Path], "Interactions"], tuple[Path]]:
        """Travel to another process as the folder, which is mapped there again."""
        from components.data.store import open_interactions

        return open_interactions, (self.folder,)

    def events_of(self, user: int) -> Iterator[Event]:
        """Replay the log of the user with this index, in order, as events with stable ids."""
        for row in range(int(self.user_offsets[user]), int(self.user_offsets[user + 1])):
            yield Event(
                id=f"{self.digest}-{row}",
                user=self.user_ids[user],
                timestamp=float(self.timestamp[row]),
                content=self.item_ids[self.content[row]],
                kind=self.kinds[self.kind[row]],
                value=float(self.value[row]),
            )
