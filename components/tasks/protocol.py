"""What a task's module offers to whatever trains, records, compares and serves it."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import lightning.pytorch as lightning
import pyarrow as pa

from components.config import DataSettings, TrialConfig
from components.data.events import Event

Part = Literal["validation", "test"]


class Task(Protocol):
    """A task's module, such as `components.tasks.recommendation`. `data` is whatever `open_data` returned."""

    def prepare(self, settings: DataSettings, root: Path) -> Path:
        """Parse the data set into `root/<digest>` unless it is there; return that folder. Raises `DataError`."""

    def open_data(self, folder: Path) -> Any:
        """Map a prepared data set into memory."""

    def build(self, config: TrialConfig, data: Any) -> lightning.LightningModule:
        """Build the untrained module; its `.model` holds the weights that are saved, initialised from the seed."""

    def evaluate(
        self,
        module: lightning.LightningModule,
        data: Any,
        part: Part,
        control: str | None = None,
        slices: bool = True,
    ) -> pa.Table:
        """Return evaluation rows (`components.metrics.rows`), also under one of `TaskInfo.controls`.

        With `slices`, histories cut to the most recent 0, 1, 2, 5 and 20 events are measured too.
        """

    def trivial(self, name: str, data: Any, part: Part) -> pa.Table:
        """Return the evaluation rows of a trivial baseline, one of `TaskInfo.trivial`."""

    def export(self, module: lightning.LightningModule, data: Any, folder: Path) -> None:
        """Write what serving needs beside weights and config; each trial keeps it."""

    def export_users(self, data: Any, folder: Path) -> None:
        """Write the users of the data and all their events (`components.data.population`), once a promotion."""

    def load_servable(self, folder: Path) -> "Servable":
        """Load a model for serving from `config.json`, `model.safetensors` and what `export` wrote."""


class Servable(Protocol):
    """A model that follows users event by event, of whatever task. A state is never changed in place."""

    kinds: Sequence[str]
    """Kinds of events that it reads; an event belongs to the tasks whose models know its kind."""
    profile_fields: Mapping[str, Sequence[str]]
    """Name of each profile field to its categories; the first stands for unknown."""

    def initial_state(self) -> Any:
        """Return the state of a user of whom nothing is known."""

    def check(self, event: Event) -> None:
        """Raise `UnknownKind` or `UnusableContent` (`components.tasks.servable`) unless `step` can read the event.

        Events are checked when they are posted, so this is cheaper than a step.
        """

    def step(self, state: Any, event: Event) -> Any:
        """Return the state after one more event, at a cost that does not depend on the history's length.

        Raises what `check` does: a log may hold what only another model can read.
        """

    def dump_state(self, state: Any) -> bytes:
        """Write a state as bytes that hold no code."""

    def load_state(self, data: bytes) -> Any:
        """Read what `dump_state` wrote. Raises `ValueError` where it does not fit this model."""


class Recommended(Protocol):
    """One item that a model recommends."""

    @property
    def id(self) -> str:
        """Id of the content."""

    @property
    def score(self) -> float:
        """What the answers are ordered by; comparable within one answer only."""


class Recommender(Servable, Protocol):
    """Models of tasks whose `TaskInfo.servable` is `recommend`."""

    def recommend(
        self, state: Any, profile: Mapping[str, str], k: int, exclude: Collection[str]
    ) -> Sequence[Recommended]:
        """Return the best `k` contents for a user, best first, none of them in `exclude`.

        Fields and categories of the profile that the model does not know count as unknown, here and below;
        ids in `exclude` that it does not know are ignored.
        """


class Answered(Protocol):
    """The answer to a question: characters `start:end` of the passage."""

    @property
    def text(self) -> str:
        """The answer."""

    @property
    def start(self) -> int:
        """Its first character in the passage."""

    @property
    def end(self) -> int:
        """The character after its last."""

    @property
    def score(self) -> float:
        """Log-probability."""


class Answerer(Servable, Protocol):
    """Models of tasks whose `TaskInfo.servable` is `answer`."""

    def answer(self, state: Any, profile: Mapping[str, str], question: str, passage: str) -> Answered:
        """Answer a question from a passage. Raises `UnusableContent` where either cannot be read."""


class Captioned(Protocol):
    """A caption of an image."""

    @property
    def text(self) -> str:
        """The caption."""

    @property
    def score(self) -> float:
        """What the search ranked it by."""


class Captioner(Servable, Protocol):
    """Models of tasks whose `TaskInfo.servable` is `caption`."""

    def caption(self, state: Any, profile: Mapping[str, str], image: bytes) -> Captioned:
        """Caption a JPEG or PNG file. Raises `UnusableContent` for a broken one, or one of too many pixels."""
