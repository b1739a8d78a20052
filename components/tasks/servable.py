"""What the servables of all tasks share: how they follow users, what they refuse, how their states travel."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from components.data.events import Event
from components.personalization.core import PersonalizationCore
from components.personalization.events import Events, State, scaled_gap

LAST_TIME = "last_time"
"""Key of a state's newest timestamp, beside what the core keeps."""

Content = TypeVar("Content")


class UnusableContent(ValueError):
    """An event's content, or what is asked about, is not something that this model can read."""


class UnknownKind(ValueError):
    """An event is of a kind that the model has never heard of."""


class Follower(ABC, Generic[Content]):
    """Follows users by their events, one at a time, through the personalisation core. States are never changed."""

    def __init__(
        self,
        core: PersonalizationCore | None,
        kinds: Sequence[str],
        profile_fields: Mapping[str, Sequence[str]],
    ) -> None:
        self.kinds = kinds
        self.profile_fields = profile_fields
        self._core = core
        self._category = {
            field: {name: index for index, name in enumerate(categories)}
            for field, categories in profile_fields.items()
        }

    @abstractmethod
    def _read(self, content: str) -> Content:
        """Parse what an event is about. Raises `UnusableContent`."""

    @abstractmethod
    def _encode(self, content: Content, event: Event, gap_BT: Tensor) -> Events:
        """Return the event as the core reads it: one user, one event."""

    def initial_state(self) -> State:
        """Return the state of a user of whom nothing is known."""
        state = {} if self._core is None else self._core.initial_state()
        return state | {LAST_TIME: torch.full((1,), float("nan"), dtype=torch.float64)}

    def check(self, event: Event) -> None:
        """Raise `UnknownKind` or `UnusableContent` unless the model can read the event."""
        self._checked(event)

    def step(self, state: State, event: Event) -> State:
        """Return the state after one more event. Raises what `check` does."""
        content = self._checked(event)
        time = torch.tensor([event.timestamp], dtype=torch.float64)
        if self._core is None or not self._core.history:
            return {LAST_TIME: time}
        seconds = torch.nan_to_num(time - state[LAST_TIME], nan=0.0).float()
        with torch.inference_mode():
            events = self._encode(content, event, scaled_gap(seconds)[:, None])
            after = self._core.step(state, Events(*(field[:, 0] for field in events)))
        return after | {LAST_TIME: time}

    def dump_state(self, state: State) -> bytes:
        """Write a state as bytes that hold no code."""
        return dump_state(state)

    def load_state(self, data: bytes) -> State:
        """Read what `dump_state` wrote. Raises `ValueError` where it does not fit this model."""
        return load_state(data, like=self.initial_state())

    def _checked(self, event: Event) -> Content:
        if event.kind not in self.kinds:
            raise UnknownKind(f"kind {event.kind!r} is not one of {', '.join(self.kinds)}")
        return self._read(event.content)

    def _profile(self, profile: Mapping[str, str]) -> Tensor:
        """Encode a profile, (1, F); fields and categories that the model does not know count as unknown."""
        codes = [categories.get(profile.get(field, ""), 0) for field, categories in self._category.items()]
        return torch.tensor([codes], dtype=torch.long)


def dump_state(state: State) -> bytes:
    """Write a state in the safetensors format."""
    return safetensors.torch.save({name: tensor.contiguous() for name, tensor in state.items()})


def load_state(data: bytes, like: State) -> State:
    """Read what `dump_state` wrote. Raises `ValueError` unless its tensors have the shapes and types of `like`."""
    try:
        state = safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise ValueError(f"not a state: {error}") from error
    expected = {name: (tensor.shape, tensor.dtype) for name, tensor in like.items()}
    found = {name: (tensor.shape, tensor.dtype) for name, tensor in state.items()}
    if found != expected:
        raise ValueError(f"a state of another model: expected {expected}, got {found}")
    return state
