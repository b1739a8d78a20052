"""How a point's settings are written: short names of paths, plain values."""

from collections.abc import Sequence
from typing import Any

from orchestrator.judging import formatting as write


def short_names(paths: Sequence[str]) -> list[str]:
    """Write paths by their last part, or in full where two end alike."""
    last = [path.rsplit(".", 1)[-1] for path in paths]
    return [
        (name if last.count(name) == 1 else path).replace("_", " ")
        for name, path in zip(last, paths, strict=True)
    ]


def setting(value: Any) -> str:
    """Write the value of a setting."""
    return write.MISSING if value is None else f"{value:g}" if isinstance(value, float) else str(value)
