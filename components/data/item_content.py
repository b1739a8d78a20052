"""What is known of items beside titles and genres: overviews, posters, and vectors of a pretrained encoder.

Each is read where its switch is on, checked, and stored once as columns of the prepared items. What is switched off
leaves no trace in a digest.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from components.config import MovieLensSettings, SyntheticSettings, TableSettings
from components.data import images, item_vectors, overviews, posters, synthetic_items
from components.data.arrow import matrix, view
from components.data.source import ItemContent, Recording

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
"""Raised whenever the same files are read or stored differently."""


def versions(settings: Any) -> Mapping[str, Any]:
    """Name the versions of what reads or draws the content; none where nothing is asked for."""
    drawn = isinstance(settings, SyntheticSettings)
    pictured = synthetic_items.VERSION if drawn else images.VERSION
    asked = settings.overviews or settings.posters or settings.item_vectors is not None
    return {"item content": [VERSION, pictured]} if asked else {}


def files(settings: Any) -> dict[str, Path]:
    """Name the files beside those of the log, having checked that they are there and not something else."""
    found: dict[str, Path] = {}
    if settings.overviews and isinstance(settings, MovieLensSettings):
        found["overviews"] = _beside(settings) / overviews.FILE
        overviews.check_file(found["overviews"])
    if settings.posters and not isinstance(settings, SyntheticSettings):
        found["posters"] = _beside(settings) / posters.FOLDER
        posters.check_folder(found["posters"])
    if settings.item_vectors is not None:
        found["item_vectors"] = settings.item_vectors
        item_vectors.check_file(settings.item_vectors)
    return found


def read(settings: Any, recording: Recording) -> ItemContent:
    """Read what the files hold of the recording's items, beside what its source said already."""
    paths, ids, content = files(settings), recording.item_ids, recording.content
    left_out = dict(content.left_out)
    if "overviews" in paths:
        texts, counted = overviews.read_overviews(paths["overviews"], ids, settings.damaged)
        content, left_out = replace(content, overviews=texts), left_out | counted
    if "posters" in paths:
        pixels, found, counted = posters.read_posters(paths["posters"], ids, settings.damaged)
        content, left_out = replace(content, posters=pixels, has_poster=found), left_out | counted
    if "item_vectors" in paths:
        vectors, found, counted = item_vectors.read_item_vectors(paths["item_vectors"], ids)
        content, left_out = replace(content, vectors=vectors, has_vector=found), left_out | counted
    return replace(content, left_out=left_out)


def columns(content: ItemContent) -> dict[str, Any]:
    """Arrange the content as columns of the table of items."""
    import pyarrow as pa

    found: dict[str, Any] = {}
    if content.overviews is not None:
        found["overview"] = pa.array(content.overviews, pa.string())
    if content.posters is not None and content.has_poster is not None:
        found["poster"] = matrix(content.posters.reshape(len(content.posters), -1))
        found["has_poster"] = content.has_poster.view(np.int8)
    if content.vectors is not None and content.has_vector is not None:
        found["vector"] = matrix(content.vectors)
        found["has_vector"] = content.has_vector.view(np.int8)
    return found


def open_columns(items: "pa.RecordBatch") -> dict[str, Any]:
    """Return the fields of `Interactions` that `columns` has stored; numbers are views of the file."""
    names, found = items.schema.names, dict[str, Any]()
    if "overview" in names:
        found["item_overviews"] = items.column("overview").to_pylist()
    if "poster" in names:
        found["item_posters"] = view(items, "poster").reshape(-1, 3, posters.HEIGHT, posters.WIDTH)
        found["item_has_poster"] = view(items, "has_poster").view(np.bool_)
    if "vector" in names:
        found["item_vectors"] = view(items, "vector")
        found["item_has_vector"] = view(items, "has_vector").view(np.bool_)
    return found


def notes(content: ItemContent) -> list[str]:
    """Say of how many items nothing is known, a sentence for each kind of content."""
    texts = content.overviews
    has: dict[str, NDArray[np.bool_] | None] = {
        "an overview": None if texts is None else np.array([text != "" for text in texts]),
        "a poster": content.has_poster,
        "a vector": content.has_vector,
    }
    return [
        f"{np.count_nonzero(~present):,} of {len(present):,} items are without {what}"
        for what, present in has.items()
        if present is not None and not present.all()
    ]


def _beside(settings: MovieLensSettings | TableSettings) -> Path:
    """Return the folder that holds the log, or the archive that it is in, or a table's items."""
    if isinstance(settings, TableSettings):
        return (settings.items or settings.events).parent
    return settings.root if settings.root.is_dir() else settings.root.parent
