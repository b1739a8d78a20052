"""One task in service: loads the promoted model, follows its alias, and keeps each user's state up to date.

A user's history is what the user did in the model's data set, and everything in the log since. A state always
equals a replay of it in order. Where new events simply follow the old ones, the state takes one step an event;
where one arrives late, or the model is new, the history is replayed.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from typing import Any

from components.data.events import Event
from components.data.population import Population
from components.errors import AdaptuneError
from components.tasks.servable import UnknownKind, UnusableContent
from orchestrator.release.registry import Registry, RegistryError, Version, load_servable
from serve.events import EventLog, LoggedEvent, StoredState

UNKNOWN = (-1, -1)
LONGEST_PAUSE_SECONDS = 30.0
FOLLOW_SECONDS = 0.5
"""How often, at most, the alias is looked at."""

logger = logging.getLogger(__name__)


class NotPromoted(AdaptuneError):
    """The alias points at nothing yet."""


@dataclass(frozen=True)
class Model:
    """A loaded version. Requests hold on to one, so an alias that moves disturbs none of them."""

    version: Version
    servable: Any
    """A servable of the protocols in `components.tasks.protocol`."""
    population: Population
    """The users of the data set that it was trained on, and what they did there."""


@dataclass(frozen=True)
class Known:
    """What a model knows of a user."""

    model: Model
    state: Any
    """After everything that the user did."""
    profile: Mapping[str, str]
    known: bool
    """Whether the user has events or stands in the model's data set."""


class Engine:
    """Serves one task by an alias; safe to call from several threads."""

    def __init__(
        self,
        registry: Registry,
        task: str,
        alias: str,
        events: EventLog,
        load: Callable[[Version], Any] = load_servable,
    ) -> None:
        """Load the model that the alias points at, if any; `load` turns a version into a model."""
        self.registry, self.task, self.alias = registry, task, alias
        self._events, self._load = events, load
        self._model: Model | None = None
        self._refreshing = threading.Lock()
        self._seen: tuple[int, int] | None = None
        self._looked = -math.inf
        self._failures = 0
        self.problem: str | None = None
        """Why what the alias points at now is not in service, if so."""
        self.refresh()

    @property
    def model(self) -> Model:
        """The model in service. Raises `NotPromoted` if there is none."""
        model = self.current()
        if model is None:
            raise NotPromoted(self.missing())
        return model

    def missing(self) -> str:
        """Say that there is no model in service, and what to do."""
        advice = self.problem or f"promote one with `adaptune promote SWEEP --alias {self.alias}`"
        return f"{self.task}/{self.alias}: no model in service; {advice}"

    def current(self) -> Model | None:
        """Return the model in service, if there is one."""
        self._follow()
        return self._model

    def refresh(self) -> None:
        """Load the version that the alias points at, unless it is the one in service.

        A version that cannot be loaded, or an alias that is deleted, leaves the old one in service, and `problem`
        says why. A version that is damaged is not tried again before the alias moves; where something else failed, it
        is, ever less often.
        """
        with self._refreshing:
            self._seen = self._stat()
            try:
                version = self.registry.alias(self.task, self.alias)
                served = self._model.version.digest if self._model else None
                if version is None and self._model is not None:
                    raise RegistryError(
                        f"{self.registry.alias_path(self.task, self.alias)}: the alias was deleted, and "
                        f"{self._model.version.name} answers until the endpoint ends; promote to `{self.alias}` again"
                    )
                if version is not None and version.digest != served:
                    self._model = Model(version, self._load(version), Population(version.folder))
                self.problem = None
                self._failures = 0
            except Exception as error:  # noqa: BLE001 - a version broken in whatever way must not end the service
                self.problem = str(error)
                logger.error("%s/%s: kept the model in service: %s", self.task, self.alias, error)
                if not isinstance(error, RegistryError):  # storage that is gone for a moment, and the like
                    self._seen = UNKNOWN
                    self._failures += 1
                    pause = min(LONGEST_PAUSE_SECONDS, FOLLOW_SECONDS * 2**self._failures)
                    self._looked = time.monotonic() + pause - FOLLOW_SECONDS

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

    def user(self, user: str) -> Known:
        """Return what the model in service knows of a user. Raises `NotPromoted`."""
        model = self.model
        known = user in model.population or self._events.has(user)
        return Known(model, self.state(model, user), model.population.profile(user), known)

    def contents(self, model: Model, user: str) -> set[str]:
        """Return everything that the user has an event about."""
        return {event.content for event in model.population.history(user)} | self._events.contents(user)

    def take(self, model: Model, user: str, events: Sequence[Event]) -> int:
        """Log events of a user and take them into the user's state; return how many of them are new."""
        assert all(event.user == user for event in events)
        accepted = self._events.append(events)
        self.state(model, user)
        return accepted

    def history(self, model: Model, user: str) -> list[LoggedEvent]:
        """Return everything that a model knows the user to have done, by timestamp and then arrival."""
        before = [LoggedEvent(0, event) for event in model.population.history(user)]
        return list(merge(before, self._events.history(user), key=lambda entry: entry.event.timestamp))

    def state(self, model: Model, user: str) -> Any:
        """Return the user's state after the whole history, and store it if it has moved.

        What is stored is always a replay of all that had arrived by some time, so threads and processes
        that do this for the same user at once may overwrite each other: the next call catches up.
        """
        stored = self._events.state(user, model.version.digest)
        if stored is not None:
            new = self._events.history(user, after=stored.seq)
            if not new or new[0].event.timestamp >= stored.timestamp:
                try:
                    state = model.servable.load_state(stored.state)
                except ValueError as error:  # written by other code: the log has everything that it had
                    logger.warning("state of %r is replayed: %s", user, error)
                else:
                    return self._advance(model, user, state, new, stored.seq)
        return self._advance(model, user, model.servable.initial_state(), self.history(model, user), 0)

    def _advance(self, model: Model, user: str, state: Any, entries: Sequence[LoggedEvent], seq: int) -> Any:
        """Take events into a state that has read the log up to `seq`, and store the result."""
        if not entries:
            return state
        for entry in entries:
            try:
                state = model.servable.step(state, entry.event)
            except (UnusableContent, UnknownKind):
                continue  # The log may speak of what only an older or newer model knows.
        stored = StoredState(
            state=model.servable.dump_state(state),
            seq=max(seq, *(entry.seq for entry in entries)),
            timestamp=entries[-1].event.timestamp,
        )
        self._events.put_state(user, model.version.digest, stored)
        return state
