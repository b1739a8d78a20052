"""What a piece of work took: time, processor time and memory."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Spent:
    """What a piece of work took; None where it was not measured, as by older code."""

    seconds: float
    """Wall time."""
    cpu_seconds: float | None = None
    """Processor time, over all threads."""
    peak_memory: int | None = None
    """Most bytes resident at once in the worker."""

    @classmethod
    def by_epochs(cls, points: Sequence[Mapping[str, Any]]) -> "Spent":
        """Add up the epochs of a training's curve."""
        measured = bool(points) and all("cpu_seconds" in point for point in points)
        return cls(
            sum(point["seconds"] for point in points),
            sum(point["cpu_seconds"] for point in points) if measured else None,
            max(point["peak_memory"] for point in points) if measured else None,
        )

    @classmethod
    def in_all(cls, pieces: Iterable["Spent"]) -> "Spent":
        """Add up pieces; what was not measured of one is unknown of all."""
        pieces = list(pieces)
        cpu = [one.cpu_seconds for one in pieces if one.cpu_seconds is not None]
        peaks = [one.peak_memory for one in pieces if one.peak_memory is not None]
        return cls(
            sum(one.seconds for one in pieces),
            sum(cpu) if len(cpu) == len(pieces) and pieces else None,
            max(peaks) if len(peaks) == len(pieces) and pieces else None,
        )
