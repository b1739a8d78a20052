"""All tasks behind one address: sends each question and each event to the engine of the task that it belongs to.

A question belongs to the task whose models answer it (`TaskInfo.servable`), an event to the task whose model knows
its kind: `rated` to recommendation, `answered` to question answering. Where several know a kind (a table of one's own
may name its kinds at will), the first of them whose model can read the event's content takes it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.data.events import Event
from components.errors import AdaptuneError
from components.tasks import TASKS
from components.tasks.servable import UnusableContent
from orchestrator.release.registry import Registry
from serve.engine import Engine, Known, Model, NotPromoted

VERBS = ("recommend", "answer", "caption")
"""What can be asked of models, each a method of the dispatcher and of the models' servables."""
CLOCK_SKEW_SECONDS = 86_400.0
"""How far in the future an event's timestamp may lie."""


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field of one event."""

    index: int
    field: str
    message: str


class InvalidEvents(AdaptuneError):
    """Events that contradict the models' vocabularies or the calendar; none of them was taken."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"events[{e.index}].{e.field}: {e.message}" for e in errors))
        self.errors = tuple(errors)


@dataclass(frozen=True)
class Reply:
    """What a model answered, and what it rests on."""

    model: str
    known: bool
    """Whether the user has events of this task or stands in the model's data set."""
    answer: Any


@dataclass(frozen=True)
class Ingested:
    """What became of posted events."""

    models: tuple[str, ...]
    """The versions that took events, in the order of the events."""
    accepted: int
    duplicates: int
    """Events that the log had already."""


class Dispatcher:
    """Serves the tasks of `engines`, by name of the task; safe to call from several threads."""

    def __init__(
        self, registry: Registry, engines: Mapping[str, Engine], clock: Callable[[], float] = time.time
    ) -> None:
        assert engines
        self.registry, self.engines = registry, engines
        self._clock = clock

    def models(self) -> dict[str, Model]:
        """Return the models in service by task."""
        current = {task: engine.current() for task, engine in self.engines.items()}
        return {task: model for task, model in current.items() if model is not None}

    def recommend(self, user: str, k: int) -> Reply:
        """Return the k items that suit the user best among those the user has no event about."""
        engine = self._engine("recommend")
        known = engine.user(user)
        exclude = engine.contents(known.model, user)
        return _reply(known, known.model.servable.recommend(known.state, known.profile, k, exclude))

    def answer(self, user: str, question: str, passage: str) -> Reply:
        """Answer a question from a passage in the extent that the user wants. Raises `UnusableContent`."""
        known = self._engine("answer").user(user)
        return _reply(known, known.model.servable.answer(known.state, known.profile, question, passage))

    def caption(self, user: str, image: bytes) -> Reply:
        """Caption a JPEG or PNG file in the style that the user wants. Raises `UnusableContent`."""
        known = self._engine("caption").user(user)
        return _reply(known, known.model.servable.caption(known.state, known.profile, image))

    def _engine(self, verb: str) -> Engine:
        """Return the engine of the task whose models answer by this verb. Raises `NotPromoted`."""
        able = [task for task, info in TASKS.items() if info.servable == verb]
        here = [self.engines[task] for task in able if task in self.engines]
        if not here:
            asked = " or ".join(able) or f"a task that can {verb}"
            raise NotPromoted(f"this endpoint serves {', '.join(self.engines)}, not {asked}")
        return next((engine for engine in here if engine.current()), here[0])

    def ingest(self, user: str, events: Sequence[Event]) -> Ingested:
        """Log a user's events, of any tasks, and take each into the user's state under its task's model.

        Raises `InvalidEvents` naming every wrong field; then nothing was logged.
        """
        models = self.models()
        if not models:
            raise NotPromoted("; ".join(engine.missing() for engine in self.engines.values()))
        taken: dict[str, list[Event]] = {}
        errors: list[FieldError] = []
        for index, event in enumerate(events):
            errors += self._implausible(index, event)
            task = _reader(models, index, event)
            if isinstance(task, FieldError):
                errors.append(task)
            else:
                taken.setdefault(task, []).append(event)
        if errors:
            raise InvalidEvents(errors)
        accepted = sum(self.engines[task].take(models[task], user, some) for task, some in taken.items())
        names = tuple(models[task].version.name for task in taken)
        return Ingested(names, accepted, len(events) - accepted)

    def _implausible(self, index: int, event: Event) -> list[FieldError]:
        errors = []
        if not -1 <= event.value <= 1:
            errors.append(FieldError(index, "value", "expected feedback from -1 to 1"))
        if event.timestamp < 0:
            errors.append(FieldError(index, "timestamp", "negative; expected seconds since 1970"))
        elif not event.timestamp <= self._clock() + CLOCK_SKEW_SECONDS:
            message = "expected seconds since 1970, at most a day ahead (are these milliseconds?)"
            errors.append(FieldError(index, "timestamp", message))
        return errors


def _reply(known: Known, answer: Any) -> Reply:
    return Reply(known.model.version.name, known.known, answer)


def _reader(models: Mapping[str, Model], index: int, event: Event) -> str | FieldError:
    """Return the task that the event belongs to, or why there is none."""
    refusal = None
    for task, model in models.items():
        if event.kind not in model.servable.kinds:
            continue
        try:
            model.servable.check(event)
        except UnusableContent as error:
            refusal = refusal or FieldError(index, "content", f"unusable by {model.version.name}: {error}")
        else:
            return task
    if refusal is not None:
        return refusal
    known = [f"{kind} ({task})" for task, model in models.items() for kind in model.servable.kinds]
    return FieldError(index, "kind", f"unknown kind; expected one of {', '.join(known)}")
