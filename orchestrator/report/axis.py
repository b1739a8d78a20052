"""Scales and tick marks."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10

STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Axis:
    """A linear scale whose ends are ticks."""

    low: float
    high: float
    step: float

    @classmethod
    def around(cls, values: Iterable[float], ticks: int = 5) -> "Axis":
        """Span the finite `values` with about `ticks` round steps."""
        finite = [value for value in values if isfinite(value)] or [0.0, 1.0]
        low, high = min(finite), max(finite)
        if high - low < 1e-9:
            low, high = low - max(abs(low), 1) * 0.05, high + max(abs(high), 1) * 0.05
        rough = (high - low) / ticks
        magnitude = 10.0 ** floor(log10(rough))
        step = next(magnitude * factor for factor in STEPS if magnitude * factor >= rough * 0.999)
        return cls(floor(low / step + 1e-9) * step, ceil(high / step - 1e-9) * step, step)

    @property
    def ticks(self) -> list[float]:
        """The round values from end to end."""
        count = round((self.high - self.low) / self.step)
        return [round(self.low + index * self.step, 12) for index in range(count + 1)]

    def share(self, value: float) -> float:
        """Where a value lies between the ends: 0 to 1."""
        return (value - self.low) / (self.high - self.low)

    def percent(self, value: float) -> str:
        """Where a value lies, as a CSS length."""
        return f"{min(1.0, max(0.0, self.share(value))) * 100:.2f}%"
