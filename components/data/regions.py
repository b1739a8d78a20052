"""What a pretrained image encoder sees in pictures, computed once and stored.

The encoder is a file that `torch.export.save` wrote (`.pt2`): a graph with its weights, and no code of anybody's that
would have to be there. It maps one picture, float (1, 3, S, S) from 0 to 1, to regions (1, R, D), to a grid
(1, D, height, width), or to one vector (1, D).
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from components.errors import DataError

if TYPE_CHECKING:
    import torch

HOW = "docs/add-an-encoder.md shows how to write one with torch.export.save"


class PretrainedEncoder:
    """An exported encoder, ready to run. Raises `DataError` where the file holds none."""

    size: int
    """Height and width of the pictures that it takes, in pixels."""

    def __init__(self, path: Path) -> None:
        import torch

        self.path = path
        try:
            with _quiet("torch.export"):  # it writes a traceback before it raises
                program = torch.export.load(path)
        except Exception as error:
            said = _first_line(error).removesuffix(" Please check the warnings above for possible errors.")
            raise DataError(path, f"no exported program ({said}); {HOW}") from error
        self.size = _picture_size(program, path)
        self._run = program.module()

    def __call__(self, pixels: "NDArray[np.uint8]") -> "torch.Tensor":
        """Describe the regions of a picture, [S, S, 3], as they are stored: half precision (R, D)."""
        import torch

        picture = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            try:
                found = self._run(picture)
            except Exception as error:
                message = f"the encoder fails on a picture ({_first_line(error)}); {HOW}"
                raise DataError(self.path, message) from error
        regions = _as_regions(found)
        if regions is None:
            what = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
            message = f"the encoder gives {what}; expected (1, R, D), (1, D, height, width) or (1, D). {HOW}"
            raise DataError(self.path, message)
        if not bool(torch.isfinite(regions).all()):
            raise DataError(self.path, "the encoder gives numbers that are not finite for some picture")
        limit = torch.finfo(torch.float16).max
        return regions.clamp(-limit, limit).half()


def stored(encoder: PretrainedEncoder, pictures: Iterable[NDArray[np.uint8]]) -> NDArray[np.float16]:
    """Describe pictures, each [S, S, 3]: [I, R, D]."""
    return np.stack([encoder(pixels).numpy() for pixels in pictures])


def _picture_size(program: Any, path: Path) -> int:
    """Read off the graph what pictures the encoder takes."""
    inputs = set(program.graph_signature.user_inputs)
    shapes = [
        tuple(node.meta["val"].shape)
        for node in program.graph.nodes
        if node.op == "placeholder" and node.name in inputs and hasattr(node.meta.get("val"), "shape")
    ]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][1] != 3 or shapes[0][2] != shapes[0][3]:
        found = " and ".join(map(str, shapes)) or "nothing"
        raise DataError(path, f"the encoder takes {found}; expected one picture, (1, 3, S, S). {HOW}")
    return int(shapes[0][2])


def _as_regions(found: Any) -> "torch.Tensor | None":
    """Arrange what an encoder gives as (R, D); none where it cannot be."""
    import torch

    if not isinstance(found, torch.Tensor) or found.ndim not in (2, 3, 4) or found.shape[0] != 1:
        return None
    if found.ndim == 4:
        return found[0].flatten(1).T.contiguous()
    return found[0] if found.ndim == 3 else found


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep a logger and those below it from writing."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200] or type(error).__name__
