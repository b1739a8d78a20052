"""Arrow files of prepared data sets: written as one batch, mapped into memory, read as arrays without a copy."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from components.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa


def write_table(path: Path, table: "pa.Table") -> None:
    """Write a table as one record batch, so that every column is one contiguous buffer."""
    import pyarrow as pa

    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks(), max_chunksize=max(1, table.num_rows))


def open_table(path: Path) -> "pa.RecordBatch":
    """Map what `write_table` wrote; a `DataError` where it is damaged."""
    import pyarrow as pa

    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(
            path,
            f"this prepared file is unusable ({error}). If a run has prepared its folder, delete that and run again; "
            "a party's folder is restored from a copy: it holds the ledger, too",
        ) from error


def view(batch: "pa.RecordBatch", name: str) -> NDArray[Any]:
    """Return a column of numbers as a read-only array; one of lists of equal length as [rows, length]."""
    import pyarrow as pa

    column = batch.column(name)
    if isinstance(column.type, pa.FixedSizeListType):
        return column.values.to_numpy(zero_copy_only=True).reshape(len(column), column.type.list_size)
    return column.to_numpy(zero_copy_only=True)


def matrix(values: NDArray[Any]) -> "pa.FixedSizeListArray":
    """Return a two-dimensional array as a column that `view` gives back in its shape."""
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write what a prepared folder says of itself; `preparation` is the version that `read_manifest` asks for."""
    text = json.dumps(manifest, indent=1, ensure_ascii=False)
    (folder / "manifest.json").write_text(text, encoding="utf-8")


def read_manifest(folder: Path, version: int) -> Mapping[str, Any]:
    """Read a prepared folder's manifest; a `DataError` where it is damaged or of another version."""
    path = folder / "manifest.json"
    try:
        manifest: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            path, f"not a prepared data set ({error}). Delete the folder and run again"
        ) from error
    if manifest["preparation"] != version:
        raise DataError(path, "prepared by another version. Delete the folder and run again")
    return manifest


def offsets(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Turn counts into where each one's rows begin, and the end."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
