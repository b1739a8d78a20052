"""Answers for one task: loads the promoted model, follows its alias, and keeps each user's state up to date.

A user's state always equals a replay of the user's log in order. Where new events simply follow the old ones,
the state takes one step an event; where one arrives late, or the model is new, the log is replayed.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from components.data.events import Event
from components.data.population import Population
from components.errors import AdaptuneError
from orchestrator.registry import Registry, Version, load_servable
from serve.events import EventLog, LoggedEvent, StoredState

FOLLOW_SECONDS = 0.5
"""How often, at most, the alias is looked at."""
CLOCK_SKEW_SECONDS = 86_400.0
"""How far in the future an event's timestamp may lie."""

logger = logging.getLogger(__name__)


class Servable(Protocol):
    """What the engine needs of a model; see `components.tasks.recommendation_serving`."""

    kinds: Sequence[str]
    item_ids: Sequence[str]

    def initial_state(self) -> Any:
        """Return the state of a user who has done nothing."""

    def step(self, state: Any, event: Event) -> Any:
        """Return the state after one more event, in time that does not depend on the history's length."""

    def recommend(
        self, state: Any, profile: Mapping[str, str], k: int, exclude: Collection[str]
    ) -> Sequence[Any]:
        """Return the best k items that are not excluded."""

    def dump_state(self, state: Any) -> bytes:
        """Serialise a state, without pickle."""

    def load_state(self, data: bytes) -> Any:
        """Read a state back; raise `ValueError` if it is no state of this model."""


class NotPromoted(AdaptuneError):
    """The alias points at nothing yet."""


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field of one event."""

    index: int
    field: str
    message: str
    value: object


class InvalidEvents(AdaptuneError):
    """Events that contradict the model's vocabulary or the calendar; none of them was taken."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"events[{e.index}].{e.field}: {e.message}" for e in errors))
        self.errors = tuple(errors)


@dataclass(frozen=True)
class Model:
    """A loaded version. Requests hold on to one, so an alias that moves disturbs none of them."""

    version: Version
    servable: Servable
    contents: frozenset[str]
    source: str
    """Digest of the prepared data set whose users it knows."""


@dataclass(frozen=True)
class Recommendations:
    """An answer, and what it rests on."""

    model: str
    known: bool
    """Whether the user has events or stands in the model's data set."""
    items: Sequence[Any]


@dataclass(frozen=True)
class Ingested:
    """What became of posted events."""

    model: str
    accepted: int
    duplicates: int
    """Events that the log had already."""


class Engine:
    """Serves one task by an alias; safe to call from several threads."""

    def __init__(
        self,
        registry: Registry,
        task: str,
        alias: str,
        events: EventLog,
        load: Callable[[Version], Servable] = load_servable,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Load the model that the alias points at, if any; `load` turns a version into a model."""
        self.registry, self.task, self.alias = registry, task, alias
        self._events, self._load, self._clock = events, load, clock
        self._model: Model | None = None
        self._refreshing = threading.Lock()
        self._seen: tuple[int, int] | None = None
        self._looked = -math.inf
        self.problem: str | None = None
        """Why the version that the alias points at now could not be loaded, if so."""
        self.refresh()

    @property
    def model(self) -> Model:
        """The model in service. Raises `NotPromoted` if there is none."""
        self._follow()
        if self._model is None:
            advice = self.problem or f"promote one with `adaptune promote SWEEP --alias {self.alias}`"
            raise NotPromoted(f"{self.task}/{self.alias}: no model in service; {advice}")
        return self._model

    @property
    def serving(self) -> str | None:
        """Name of the version in service, or None."""
        self._follow()
        return None if self._model is None else self._model.version.name

    def refresh(self) -> None:
        """Load the version that the alias points at, unless it is the one in service.

        A version that cannot be loaded leaves the old one in service, and `problem` says why.
        """
        with self._refreshing:
            self._seen = self._stat()
            try:
                version = self.registry.alias(self.task, self.alias)
                served = self._model.version.digest if self._model else None
                if version is not None and version.digest != served:
                    self._model = self._open(version)
                self.problem = None
            except Exception as error:  # noqa: BLE001 - a version broken in whatever way must not end the service
                self.problem = str(error)
                logger.error("%s/%s: kept the model in service: %s", self.task, self.alias, error)

    def _follow(self) -> None:
        """Look at the alias now and then; load what it points at in the background."""
        now = time.monotonic()
        if now - self._looked < FOLLOW_SECONDS:
            return
        self._looked = now
        if self._stat() == self._seen or self._refreshing.locked():
            return
        if self._model is None:
            self.refresh()
        else:
            threading.Thread(target=self.refresh, name="follow-alias", daemon=True).start()

    def _stat(self) -> tuple[int, int] | None:
        try:
            status = self.registry.alias_path(self.task, self.alias).stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns

    def _open(self, version: Version) -> Model:
        servable = self._load(version)
        population = Population(version.folder)
        self._events.import_population(population)
        return Model(version, servable, frozenset(servable.item_ids), population.digest)

    def recommend(self, user: str, k: int) -> Recommendations:
        """Return the k items that suit the user best among those the user has no event about."""
        model = self.model
        state = self._state(model, user)
        profile = self._events.profile(user, model.source)
        seen = self._events.contents(user, model.source)
        items = model.servable.recommend(state, profile or {}, k, seen & model.contents)
        return Recommendations(model.version.name, profile is not None or bool(seen), items)

    def ingest(self, user: str, events: Sequence[Event]) -> Ingested:
        """Log events of one user and take them into the user's state.

        Raises `InvalidEvents` naming every wrong field; then nothing was logged.
        """
        model = self.model
        errors = [error for index, event in enumerate(events) for error in self._check(model, index, event)]
        if errors:
            raise InvalidEvents(errors)
        assert all(event.user == user for event in events)
        accepted = self._events.append(events)
        self._state(model, user)
        return Ingested(model.version.name, accepted, len(events) - accepted)

    def _check(self, model: Model, index: int, event: Event) -> list[FieldError]:
        errors = []
        if event.content not in model.contents:
            message = f"unknown content; {model.version.name} knows {len(model.contents)} items"
            errors.append(FieldError(index, "content", message, event.content))
        if event.kind not in model.servable.kinds:
            message = f"unknown kind; expected one of {', '.join(model.servable.kinds)}"
            errors.append(FieldError(index, "kind", message, event.kind))
        if not -1 <= event.value <= 1:
            errors.append(FieldError(index, "value", "expected feedback from -1 to 1", event.value))
        if not 0 <= event.timestamp <= self._clock() + CLOCK_SKEW_SECONDS:
            message = "expected seconds since 1970, not in the future (are these milliseconds?)"
            errors.append(FieldError(index, "timestamp", message, event.timestamp))
        return errors

    def _state(self, model: Model, user: str) -> Any:
        """Return the user's state after everything in the log, and store it if it has moved.

        What is stored is always a replay of all that had arrived by some time, so threads and processes
        that do this for the same user at once may overwrite each other: the next call catches up.
        """
        stored = self._events.state(user, model.version.digest)
        if stored is not None:
            new = self._events.history(user, model.source, after=stored.seq)
            if not new or new[0].event.timestamp >= stored.timestamp:
                try:
                    state = model.servable.load_state(stored.state)
                except ValueError as error:  # written by other code: the log has everything that it had
                    logger.warning("state of %r is replayed: %s", user, error)
                else:
                    return self._advance(model, user, state, new, stored.seq)
        history = self._events.history(user, model.source)
        return self._advance(model, user, model.servable.initial_state(), history, 0)

    def _advance(self, model: Model, user: str, state: Any, logged: Sequence[LoggedEvent], seq: int) -> Any:
        """Take logged events into a state that has read the log up to `seq`, and store the result."""
        if not logged:
            return state
        for entry in logged:
            # The log may speak of items that only an older or newer model knows.
            if entry.event.content in model.contents and entry.event.kind in model.servable.kinds:
                state = model.servable.step(state, entry.event)
        stored = StoredState(
            state=model.servable.dump_state(state),
            seq=max(seq, *(entry.seq for entry in logged)),
            timestamp=logged[-1].event.timestamp,
        )
        self._events.put_state(user, model.version.digest, stored)
        return state
