"""Initial values that follow from (seed, name of the sub-module) alone."""

import torch
from torch import nn

from components.randomness import derive_seed


def initialize(module: nn.Module, seed: int) -> None:
    """Reset every sub-module that owns parameters, each under a generator of its own.

    Switching one part of a model off therefore changes no initial value of another. Torch's global generator is
    left as it was. Raises `TypeError` where a sub-module owns parameters and has no `reset_parameters`.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for name, part in module.named_modules():
            if not any(True for _ in part.parameters(recurse=False)):
                continue
            if not hasattr(part, "reset_parameters"):
                raise TypeError(
                    f"{type(part).__name__} at {name!r} owns parameters but has no reset_parameters()"
                )
            torch.manual_seed(derive_seed(seed, name))
            part.reset_parameters()
