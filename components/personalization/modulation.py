"""The two places where a user steers a task model: its attention and its fusion of modalities."""

import torch
from torch import Tensor, nn


class NeutralLinear(nn.Linear):
    """A linear map that starts at zero, so that an untrained user vector changes nothing.

    `gain` multiplies what comes out: under Adam, whose steps do not depend on the gradient's size, it is how much
    faster the map leaves zero.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, gain: float = 1.0) -> None:
        super().__init__(in_features, out_features, bias)
        self.gain = gain

    def forward(self, input: Tensor) -> Tensor:
        """Return (..., out_features)."""
        return self.gain * super().forward(input)

    def reset_parameters(self) -> None:
        """Start at zero."""
        nn.init.zeros_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class AttentionBias(nn.Module):
    """Additive attention logits: how much this user cares for each slot (image region, passage token, modality).

    `gain` is that of `NeutralLinear`.
    """

    def __init__(self, user_size: int, slot_size: int, gain: float = 1.0) -> None:
        super().__init__()
        self.interest = NeutralLinear(user_size, slot_size, gain=gain)

    def forward(self, user: Tensor, slots: Tensor) -> Tensor:
        """Score slots (..., S, slot_size) for users (..., user_size): (..., S)."""
        return torch.einsum("...d,...sd->...s", self.interest(user), slots)


class FusionGate(nn.Module):
    """A gate in (0, 2) for each modality, 1 before training; `gain` is that of `NeutralLinear`."""

    def __init__(self, user_size: int, modalities: int, gain: float = 1.0) -> None:
        super().__init__()
        self.gate = NeutralLinear(user_size, modalities, gain=gain)

    def forward(self, user: Tensor) -> Tensor:
        """Gate users (..., user_size): (..., modalities)."""
        return 2 * torch.sigmoid(self.gate(user))
