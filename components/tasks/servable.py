"""What the servables of all tasks share: why they refuse something, and how their states travel."""

import safetensors
import safetensors.torch

from components.personalization.events import State


class UnusableContent(ValueError):
    """An event's content, or what is asked about, is not something that this model can read."""


class UnknownKind(ValueError):
    """An event is of a kind that the model has never heard of."""


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
