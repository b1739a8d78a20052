"""The store of prepared data sets: content-addressed folders of memory-mapped Arrow files.

A data set is parsed once. Its folder is named by a digest of the source's bytes and of the settings, written
under a temporary name and renamed into place, so that several processes may prepare the same data at once.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from components.config import DataSettings
from components.data import SOURCES, splits
from components.data.interactions import Interactions
from components.data.source import Recording
from components.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

PREPARATION_VERSION = 1
"""Raised whenever the same recording is prepared differently."""

KINDS = ("rated",)


def data_digest(settings: DataSettings) -> str:
    """Hash what decides the prepared data: source bytes, settings that differ from their defaults, versions.

    Paths do not enter, so the same files elsewhere are the same data. A changed default must come with a
    raised `VERSION` of its source. Nothing is parsed. Raises `DataError` where a file is missing.
    """
    source = SOURCES[settings.source]
    files = source.files(settings)
    paths = {name for name in type(settings).model_fields if isinstance(getattr(settings, name), Path)}
    identity = {
        "preparation": PREPARATION_VERSION,
        "split": splits.SPLIT_VERSION,
        "source": [settings.source, source.VERSION],
        "settings": settings.model_dump(mode="json", exclude=paths, exclude_defaults=True),
        "files": {role: _hash_file(path) for role, path in files.items()},
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def prepare(settings: DataSettings, root: Path) -> Path:
    """Parse the source into `root/<digest>`, unless that folder exists, and return the folder."""
    digest = data_digest(settings)
    folder = root / digest
    if folder.exists():
        return folder
    recording = SOURCES[settings.source].read(settings)
    root.mkdir(parents=True, exist_ok=True)
    # A folder inside a private temporary one: rename keeps the permissions that this process's umask gives.
    with tempfile.TemporaryDirectory(prefix=f".{digest}-", dir=root, ignore_cleanup_errors=True) as temporary:
        built = Path(temporary) / digest
        built.mkdir()
        _write(recording, settings.source, digest, built)
        try:
            built.rename(folder)
        except OSError:
            if not folder.exists():
                raise
            shutil.rmtree(built)  # another process was first; what it wrote is the same
    return folder


def open_interactions(folder: Path) -> Interactions:
    """Map a prepared folder into memory; the big arrays are views of the files, not copies."""
    manifest = _read_manifest(folder)
    events, users, items = (_open_table(folder / f"{name}.arrow") for name in ("events", "users", "items"))
    fields: dict[str, list[str]] = manifest["profile_fields"]
    columns = [_view(users, f"profile.{name}") for name in fields]
    return Interactions(
        folder=folder,
        digest=manifest["digest"],
        name=manifest["source"],
        user_offsets=np.concatenate([np.zeros(1, np.int64), np.cumsum(_view(users, "events"))]),
        content=_view(events, "content"),
        value=_view(events, "value"),
        timestamp=_view(events, "timestamp"),
        kind=_view(events, "kind"),
        like=_view(events, "like").view(np.bool_),
        part=_view(events, "part"),
        before=_view(events, "before"),
        oracle=_view(events, "oracle") if "oracle" in events.schema.names else None,
        kinds=tuple(manifest["kinds"]),
        user_ids=users.column("id").to_pylist(),
        unseen=_view(users, "unseen").view(np.bool_),
        profile=np.stack(columns, axis=1) if columns else np.zeros((users.num_rows, 0), np.int32),
        profile_fields=fields,
        item_ids=items.column("id").to_pylist(),
        item_titles=items.column("title").to_pylist(),
        item_genres=items.column("genres").to_pylist(),
        genres=manifest["genres"],
        item_years=_view(items, "year"),
    )


def _write(recording: Recording, source: str, digest: str, folder: Path) -> None:
    """Arrange the recording and write it as `events`, `users` and `items`, with the truth if there is one."""
    import pyarrow as pa

    # Users without events have nothing to train, test or ask about.
    present, user = np.unique(recording.user, return_inverse=True)
    user_ids = [recording.user_ids[index] for index in present]
    order = splits.order_events(
        user, recording.item, recording.value, recording.timestamp, user_ids, recording.item_ids
    )
    counts = np.bincount(user, minlength=len(user_ids)).astype(np.int64)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    timestamp = recording.timestamp[order]
    events = {
        "content": recording.item[order].astype(np.int32),
        "value": recording.value[order].astype(np.float32),
        "timestamp": timestamp.astype(np.int64),
        "kind": np.zeros(len(order), np.int8),
        "like": recording.like[order].view(np.int8),
        "part": splits.temporal(offsets, timestamp),
        "before": splits.count_before(offsets, timestamp),
    }
    if recording.oracle is not None:
        events["oracle"] = recording.oracle[order].astype(np.float32)
    users: dict[str, Any] = {
        "id": pa.array(user_ids, pa.string()),
        "events": counts,
        "unseen": splits.unseen_users(user_ids).view(np.int8),
    }
    for column, name in enumerate(recording.profile_fields):
        users[f"profile.{name}"] = np.ascontiguousarray(recording.profile[present, column], np.int32)
    items = {
        "id": pa.array(recording.item_ids, pa.string()),
        "title": pa.array(recording.item_titles, pa.string()),
        "genres": pa.array(recording.item_genres, pa.list_(pa.string())),
        "year": recording.item_years.astype(np.int32),
    }
    tables = {"events": pa.table(events), "users": pa.table(users), "items": pa.table(items)}
    for name, table in (tables | dict(recording.truth)).items():
        _write_table(folder / f"{name}.arrow", table)
    manifest = {
        "digest": digest,
        "source": source,
        "preparation": PREPARATION_VERSION,
        "split": splits.SPLIT_VERSION,
        "kinds": KINDS,
        "profile_fields": recording.profile_fields,
        "genres": recording.genres,
        "rows": {name: table.num_rows for name, table in tables.items()},
    }
    (folder / "manifest.json").write_text(
        json.dumps(manifest, indent=1, ensure_ascii=False), encoding="utf-8"
    )


def _write_table(path: Path, table: "pa.Table") -> None:
    """Write a table as one record batch, so that every column is one contiguous buffer."""
    import pyarrow as pa

    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks(), max_chunksize=max(1, table.num_rows))


def _open_table(path: Path) -> "pa.RecordBatch":
    import pyarrow as pa

    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(
            path, f"this prepared file is unusable ({error}). Delete its folder and run again"
        ) from error


def _read_manifest(folder: Path) -> Mapping[str, Any]:
    path = folder / "manifest.json"
    try:
        manifest: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            path, f"not a prepared data set ({error}). Delete the folder and run again"
        ) from error
    if manifest["preparation"] != PREPARATION_VERSION:
        raise DataError(path, "prepared by another version. Delete the folder and run again")
    return manifest


def _view(batch: "pa.RecordBatch", name: str) -> NDArray[Any]:
    return batch.column(name).to_numpy(zero_copy_only=True)


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
