"""The users of `simulation.py` in prepared form: what is the same whatever their events are about.

K kinds of content, U users, E events, N pairs of a user and a content, F profile fields.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from components.data.arrow import matrix, offsets, view
from components.data.events import Event
from components.randomness import derive_seed

if TYPE_CHECKING:
    import pyarrow as pa

    from components.data.population import EventColumns
    from components.data.simulation import Simulated


@dataclass(frozen=True)
class SimulatedUsers(ABC):
    """Users and what they are shown. The arrays are read-only views of files."""

    event_kind: ClassVar[str]

    folder: Path
    digest: str
    name: str
    """The source's name, such as `squad`."""

    user_ids: list[str]
    unseen: NDArray[np.bool_]
    """[U] whether nothing of the user may train anything."""
    conditional: NDArray[np.bool_]
    """[U] whether the user's preference depends on the kind of content."""
    preference: NDArray[np.int8]
    """[U, K] truth: index of the style that the user wants at last. No model may read it except as a target."""
    preference_before: NDArray[np.int8]
    """[U, K] truth: what the user wanted before the change; the same as `preference` where there is none."""
    drift_at: NDArray[np.int32]
    """[U] truth: number of the user's events before the preference changes; -1 where it never does."""
    profile: NDArray[np.int32]
    """[U, F] category of each field; 0 is unknown."""
    profile_fields: dict[str, list[str]]
    """Name of each field to its categories; the first is `unknown`."""

    event_offsets: NDArray[np.int64]
    """[U + 1]; the events of user u are `event_offsets[u]:event_offsets[u + 1]`, in order of time."""
    event_value: NDArray[np.float32]
    """[E] the user's feedback: 1 liked, -1 disliked."""
    event_timestamp: NDArray[np.int64]
    """[E] seconds since 1970, strictly increasing for each user."""

    pair_user: NDArray[np.int32]
    """[N] an unseen user; the content that is evaluated for this user stands beside it."""

    def shows_after_change(self, events: int) -> bool:
        """Whether every user whose preference changes has at least so many events after the change."""
        after = np.diff(self.event_offsets) - self.drift_at
        return bool((after[self.drift_at >= 0] >= events).all())

    @abstractmethod
    def event_content(self, row: int) -> str:
        """Return what event number `row` is about, as JSON."""

    def event_contents(self) -> "pa.Array":
        """Return what all events are about, dictionary-encoded or not."""
        import pyarrow as pa

        return pa.array([self.event_content(row) for row in range(len(self.event_value))], pa.string())

    def event_columns(self) -> "EventColumns":
        """Return all events as they travel with a promoted model."""
        from components.data.population import EventColumns, coded

        kind = coded(np.zeros(len(self.event_value), np.int32), [self.event_kind])
        contents = self.event_contents()
        return EventColumns(self.event_offsets, self.event_timestamp, contents, kind, self.event_value)

    def events_of(self, user: int) -> Iterator[Event]:
        """Replay the history of the user with this index."""
        for row in range(int(self.event_offsets[user]), int(self.event_offsets[user + 1])):
            yield Event(
                id=f"{self.digest}-{row}",
                user=self.user_ids[user],
                timestamp=float(self.event_timestamp[row]),
                content=self.event_content(row),
                kind=self.event_kind,
                value=float(self.event_value[row]),
            )

    def another_user(self) -> NDArray[np.int64]:
        """Assign every unseen user, [U], another one who wants something else, whose history and profile to take.

        A cycle through the users in an order that depends on the data alone, repaired by a walk to the next user
        with another table of preferences. Who has changed the preference is given somebody else who has.
        """
        reader = np.arange(len(self.user_ids))
        generator = np.random.default_rng(derive_seed("shuffled-users", self.digest))
        for drifting in (False, True):
            order = generator.permutation(np.flatnonzero(self.unseen & ((self.drift_at >= 0) == drifting)))
            table = self.preference[order]
            for place, user in enumerate(order):
                for further in range(1, len(order)):
                    other = (place + further) % len(order)
                    if (table[other] != table[place]).any():
                        reader[user] = order[other]
                        break
        return reader


def user_tables(
    users: "Simulated", event: Mapping[str, NDArray[Any]], content: str
) -> dict[str, dict[str, Any]]:
    """Arrange users, events, pairs and the truth as columns of tables.

    `event` holds columns of what the events are about, and `content` is the name of the column of the pairs.
    """
    import pyarrow as pa

    return {
        "users": {
            "id": pa.array(users.user_ids, pa.string()),
            "unseen": users.unseen.view(np.int8),
            "conditional": users.conditional.view(np.int8),
            "preference": matrix(users.preference),
            "preference_before": matrix(users.preference_before),
            "drift_at": users.drift_at,
            "profile": matrix(users.topic[:, None]),
            "events": np.bincount(users.event_user, minlength=len(users.user_ids)).astype(np.int64),
        },
        "events": {**event, "value": users.event_value, "timestamp": users.event_timestamp},
        "pairs": {"user": users.pair_user, content: users.pair_content},
        "truth": {"style": users.event_style, "wanted": users.event_wanted},
    }


def user_fields(folder: Path, manifest: Mapping[str, Any], tables: Mapping[str, Any]) -> dict[str, Any]:
    """Map what `user_tables` wrote: the fields of `SimulatedUsers`."""
    users, events = tables["users"], tables["events"]
    return {
        "folder": folder,
        "digest": manifest["digest"],
        "name": manifest["source"],
        "user_ids": users.column("id").to_pylist(),
        "unseen": view(users, "unseen").view(np.bool_),
        "conditional": view(users, "conditional").view(np.bool_),
        "preference": view(users, "preference"),
        "preference_before": view(users, "preference_before"),
        "drift_at": view(users, "drift_at"),
        "profile": view(users, "profile"),
        "profile_fields": manifest["profile_fields"],
        "event_offsets": offsets(view(users, "events")),
        "event_value": view(events, "value"),
        "event_timestamp": view(events, "timestamp"),
        "pair_user": view(tables["pairs"], "user"),
    }
