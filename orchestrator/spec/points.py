"""How the points of a grid or a search are written for people: short names of paths, plain values."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

UNSET: Final = "–"  # noqa: RUF001 (a dash for what a point of a table does not set)


def short_names(paths: Sequence[str]) -> list[str]:
    """Write paths by their last part, or in full where two end alike."""
    last = [path.rsplit(".", 1)[-1] for path in paths]
    return [
        (name if last.count(name) == 1 else path).replace("_", " ")
        for name, path in zip(last, paths, strict=True)
    ]


def setting(value: Any) -> str:
    """Write the value of a setting."""
    return UNSET if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def point_text(point: Mapping[str, Any]) -> str:
    """Write what a point sets: `learning rate 0.003, epochs 8, personalization none`."""
    texts = ["none" if value is None else setting(value) for value in point.values()]
    return ", ".join(f"{name} {text}" for name, text in zip(short_names(list(point)), texts, strict=True))


def training_text(point: Mapping[str, Any]) -> str:
    """Write what tells a training from others of its row: not its epochs, nor what all of the row leave out."""
    return point_text(
        {path: value for path, value in point.items() if path != "training.epochs" and value is not None}
    )
