"""A data set of one's own: CSV or Parquet files and a mapping of their columns."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from components.config import TableSettings
from components.data.source import ItemContent, Recording, encode_profile
from components.data.text import describe_wrong_content
from components.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1


def files(settings: TableSettings) -> dict[str, Path]:
    """Name the files that decide the recording, having checked that they are there and not something else."""
    named = {"events": settings.events, "items": settings.items, "users": settings.users}
    found = {role: path for role, path in named.items() if path is not None}
    for role, path in found.items():
        if not path.is_file():
            state = "this is a folder" if path.is_dir() else "no such file"
            raise DataError(path, f"{state}; data.{role} must name a CSV or Parquet file")
        wrong = describe_wrong_content(path)
        if wrong:
            raise DataError(path, f"{wrong}; data.{role} must name a CSV or Parquet file")
    return found


def read(settings: TableSettings) -> Recording:
    """Parse the files; whatever is wrong with them is a `DataError` with file and line."""
    from components.data.columns import Columns

    files(settings)
    names, (low, high) = settings.columns, settings.rating_range
    events = Columns(settings.events, [names.user, names.item, names.timestamp, names.rating], "data.columns")
    rating = events.numbers(names.rating)
    outside = (rating < low) | (rating > high)
    events.refuse(outside, names.rating, f"expected {low:g} to {high:g} as data.rating_range says")
    item_ids, titles, item_genres, overviews = _read_items(settings, events.texts(names.item))
    user_ids, profile, profile_fields = _read_users(settings.users, events.texts(names.user))
    return Recording(
        user=events.indices(names.user, user_ids, f"expected a user of {settings.users}"),
        item=events.indices(names.item, item_ids, f"expected an item of {settings.items}"),
        value=(2 * (rating - low) / (high - low) - 1).astype(np.float32),
        like=rating >= settings.like_threshold,
        timestamp=events.times(names.timestamp),
        user_ids=user_ids,
        item_ids=item_ids,
        item_titles=titles,
        item_genres=item_genres,
        genres=sorted({genre for genres in item_genres for genre in genres}),
        item_years=np.zeros(len(item_ids), np.int32),
        profile=profile,
        profile_fields=profile_fields,
        content=ItemContent(overviews=overviews if settings.overviews else None),
    )


def _read_items(
    settings: TableSettings, in_events: "pa.Array"
) -> tuple[list[str], list[str], list[list[str]], list[str]]:
    """Read ids, titles, genres and overviews; without a file items are those of the events, titled by their id."""
    from components.data.columns import Columns

    if settings.items is None:
        ids = sorted(in_events.unique().to_pylist())
        return ids, ids, [[] for _ in ids], []
    items = Columns(settings.items, ["item", *(["overview"] if settings.overviews else [])], whole=True)
    ids = items.unique_texts("item")
    titles = items.texts("title", required=False).to_pylist() if "title" in items.names else ids
    cells = items.texts("genres", required=False).to_pylist() if "genres" in items.names else [""] * len(ids)
    genres = [[genre.strip() for genre in cell.split("|") if genre.strip()] for cell in cells]
    texts = items.texts("overview", required=False).to_pylist() if settings.overviews else [""] * len(ids)
    order = sorted(range(len(ids)), key=ids.__getitem__)
    overviews = [" ".join(texts[i].split()) for i in order]
    if settings.overviews and not any(overviews):
        raise DataError(
            settings.items, "column 'overview': every cell is empty; expected a text about each item"
        )
    titles = [titles[i] or ids[i] for i in order]
    return [ids[i] for i in order], titles, [genres[i] for i in order], overviews


def _read_users(
    path: Path | None, in_events: "pa.Array"
) -> tuple[list[str], NDArray[np.int32], dict[str, list[str]]]:
    """Read ids and profiles; without a file the users are those of the events and have no profile."""
    from components.data.columns import Columns

    if path is None:
        ids = sorted(in_events.unique().to_pylist())
        return ids, np.zeros((len(ids), 0), np.int32), {}
    users = Columns(path, ["user"], whole=True)
    ids = users.unique_texts("user")
    order = sorted(range(len(ids)), key=ids.__getitem__)
    fields = [name for name in users.names if name != "user"]
    cells = {name: users.texts(name, required=False).to_pylist() for name in fields}
    profile, profile_fields = encode_profile(
        {name: [column[i].strip() for i in order] for name, column in cells.items()}
    )
    return [ids[i] for i in order], profile.reshape(len(ids), len(fields)), profile_fields
