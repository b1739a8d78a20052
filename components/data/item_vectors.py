"""Vectors of items by a pretrained encoder, from an Arrow IPC file (Feather version 2): `item_id` and `vector`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from components.data.text import check_data_file
from components.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

ID, VECTOR = "item_id", "vector"
WHERE = f"`data.item_vectors` is an Arrow IPC file with columns {ID} (text) and {VECTOR} (lists of float32)"


def check_file(path: Path) -> None:
    """Raise `DataError` where there is no such file, or it holds something else."""
    check_data_file(path, WHERE)


def read_item_vectors(
    path: Path, item_ids: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.bool_], dict[str, int]]:
    """Return the items' vectors [I, D], which items have one [I], and how many rows do not count.

    Rows of unknown items are left out and counted. Raises `DataError`, with the first bad row, where a column is
    missing or of another type, vectors differ in length or are not finite, an id is repeated, or none is known.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    table = _open(path)
    for name in (ID, VECTOR):
        if name not in table.column_names:
            columns = ", ".join(map(repr, table.column_names))
            raise DataError(path, f"no column {name!r} among {columns}; {WHERE}")
    ids, column = (table.column(name).combine_chunks() for name in (ID, VECTOR))
    if not (pa.types.is_string(ids.type) or pa.types.is_large_string(ids.type)):
        raise DataError(path, f"column {ID!r}: expected text, got {ids.type}; write each id as the log does")
    listed = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
    if not (listed or pa.types.is_fixed_size_list(column.type)) or column.type.value_type != pa.float32():
        raise DataError(path, f"column {VECTOR!r}: expected lists of float32, got {column.type}")
    if len(table) == 0:
        raise DataError(path, f"no row in it; {WHERE}")
    for name, values in ((ID, ids), (VECTOR, column)):
        _refuse(path, values.is_null(), f"column {name!r} is null; leave an item without a vector out")
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    size = int(lengths[0])
    _refuse(path, lengths != size, f"the vector is not as long as that of row 1 ({size} numbers)")
    if size == 0:
        raise DataError(path, f"row 1: the vector is empty; {WHERE}")
    # A null inside a vector becomes NaN.
    numbers = pc.list_flatten(column).to_numpy(zero_copy_only=False).reshape(len(table), size)
    _refuse(path, ~np.isfinite(numbers).all(axis=1), "the vector holds a number that is not finite")
    names = ids.to_pylist()
    first = {name: row for row, name in reversed(list(enumerate(names)))}
    repeated = np.array([first[name] != row for row, name in enumerate(names)])
    _refuse(path, repeated, "an earlier row has this id, too; expected every id once")

    place = np.array([first.get(identity, -1) for identity in item_ids], np.int64)
    present = place >= 0
    if not present.any():
        message = f"no vector of any of the {len(item_ids):,} items. Ids must be written alike"
        raise DataError(
            path, f"{message}: the first one here is {names[0][:40]!r}, the log's {item_ids[0]!r}"
        )
    vectors = np.zeros((len(item_ids), size), np.float32)
    vectors[present] = numbers[place[present]]
    unknown = len(names) - int(np.count_nonzero(present))
    return vectors, present, {"vectors of unknown items": unknown} if unknown else {}


def _open(path: Path) -> "pa.Table":
    import pyarrow as pa

    check_file(path)
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        table.validate(full=True)
        return table
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(path, f"not an Arrow IPC file, or cut off ({error}); {WHERE}") from error


def _refuse(path: Path, wrong: "NDArray[np.bool_] | pa.Array", message: str) -> None:
    """Raise for the first row, from 1, that is marked in `wrong`."""
    rows = np.flatnonzero(np.asarray(wrong))
    if rows.size:
        raise DataError(path, f"row {int(rows[0]) + 1}: {message}")
