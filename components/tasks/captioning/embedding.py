"""Embeddings that learn quickly."""

from torch import Tensor, nn


class QuickEmbedding(nn.Embedding):
    """An embedding whose vectors are multiplied by a gain, and start smaller by it.

    Under Adam, whose steps do not depend on the gradient's size, the gain is how much faster it learns.
    """

    def __init__(
        self, count: int, size: int, gain: float, spread: float = 1.0, padding_idx: int | None = None
    ) -> None:
        self.gain = gain
        self.spread = spread
        super().__init__(count, size, padding_idx=padding_idx)

    def forward(self, input: Tensor) -> Tensor:
        """Look vectors up: (..., size)."""
        return self.gain * super().forward(input)

    def reset_parameters(self) -> None:
        """Start with vectors whose units, multiplied by the gain, deviate by `spread`; padding is zero."""
        nn.init.normal_(self.weight, std=self.spread / self.gain)
        self._fill_padding_idx_with_zero()
