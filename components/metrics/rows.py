"""Evaluation rows: what a model scored for each user or passage, the raw material of every comparison.

One row a unit and slice. The unit is what a task's comparisons pair: a user, or content that several users are
asked about; its id stands in the column `user`. `group` is one of the task's groups, such as `unseen` (in training),
`history` the number of most recent earlier events that the model was shown (-1: all), or in the group `drifting` of
those after the change of a preference, `examples` how many predictions the row's metrics stand on. A metric is null
where it is undefined for that unit.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from components.errors import DataError

KEYS = pa.schema([
    pa.field("user", pa.string(), nullable=False),
    pa.field("group", pa.string(), nullable=False),
    pa.field("history", pa.int32(), nullable=False),
    pa.field("examples", pa.int32(), nullable=False),
])  # fmt: skip
"""The columns before the metrics."""

FULL_HISTORY = -1


def evaluation_rows(
    user_ids: Sequence[str],
    group: Sequence[str] | str,
    history: int,
    examples: ArrayLike,
    metrics: Mapping[str, ArrayLike],
) -> pa.Table:
    """Build the rows of one slice; `examples` and each metric are [users], NaN becomes null."""
    count = len(user_ids)
    groups = [group] * count if isinstance(group, str) else list(group)
    columns = [
        pa.array(list(user_ids), pa.string()),
        pa.array(groups, pa.string()),
        pa.array(np.full(count, history), pa.int32()),
        pa.array(np.asarray(examples), pa.int32()),
        *(pa.array(np.asarray(value, np.float64), from_pandas=True) for value in metrics.values()),
    ]
    assert all(len(column) == count for column in columns), [len(column) for column in columns]
    return pa.table(columns, schema=row_schema(metrics))


def row_schema(metrics: Mapping[str, object] | Sequence[str]) -> pa.Schema:
    """Return the schema of evaluation rows with these metrics."""
    return pa.schema([*KEYS, *(pa.field(name, pa.float64()) for name in metrics)])


def metric_names(rows: pa.Table) -> list[str]:
    """Name the metrics that `rows` has columns for."""
    return rows.column_names[len(KEYS) :]


def concat_rows(tables: Sequence[pa.Table]) -> pa.Table:
    """Put slices under one another; a metric that a slice lacks is null there."""
    return pa.concat_tables(tables, promote_options="default").combine_chunks()


def mean_rows(tables: Sequence[pa.Table]) -> pa.Table:
    """Average each metric of rows of the same units and slices, in the same order; null where one of them is."""
    first = tables[0]
    assert all(table.select(KEYS.names).equals(first.select(KEYS.names)) for table in tables)
    means = {
        name: np.mean([metric_values(table, name) for table in tables], axis=0)
        for name in metric_names(first)
    }
    keys = [first[name] for name in KEYS.names]
    columns = [pa.array(value, from_pandas=True) for value in means.values()]
    return pa.table([*keys, *columns], schema=row_schema(means)).combine_chunks()


def select_slice(rows: pa.Table, group: str, history: int = FULL_HISTORY) -> pa.Table:
    """Keep the rows of one group and history length."""
    chosen = (np.asarray(rows["group"]) == group) & (np.asarray(rows["history"]) == history)
    return rows.filter(pa.array(chosen))


def metric_values(rows: pa.Table, metric: str) -> NDArray[np.float64]:
    """Return one metric a row as an array, null as NaN."""
    return rows[metric].to_numpy(zero_copy_only=False).astype(np.float64)


def macro(rows: pa.Table, group: str, history: int = FULL_HISTORY) -> dict[str, float]:
    """Mean of each metric over the units of a slice that have it, every unit counting the same."""
    rows = select_slice(rows, group, history)
    return {name: _mean(metric_values(rows, name), np.ones(len(rows))) for name in metric_names(rows)}


def micro(rows: pa.Table, group: str, history: int = FULL_HISTORY) -> dict[str, float]:
    """Mean of each metric over a slice, every example counting the same (pooled, where it is a mean)."""
    rows = select_slice(rows, group, history)
    weight = np.asarray(rows["examples"], dtype=np.float64)
    return {name: _mean(metric_values(rows, name), weight) for name in metric_names(rows)}


def slice_means(rows: pa.Table) -> pa.Table:
    """Average each metric over the units of each slice: one row a slice, in order of appearance, null without units.

    The columns are `group`, `history` (-1: all events), `units` and the metrics.
    """
    keys = dict.fromkeys(zip(rows["group"].to_pylist(), rows["history"].to_pylist(), strict=True))
    found = [
        {"group": group, "history": history, "units": len(select_slice(rows, group, history))}
        | {name: value if value == value else None for name, value in macro(rows, group, history).items()}
        for group, history in keys
    ]
    schema = pa.schema([
        pa.field("group", pa.string()),
        pa.field("history", pa.int32()),
        pa.field("units", pa.int32()),
        *(pa.field(name, pa.float64()) for name in metric_names(rows)),
    ])  # fmt: skip
    return pa.Table.from_pylist(found, schema=schema)


def _mean(value: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    defined = ~np.isnan(value)
    total = weight[defined].sum()
    return float(value[defined] @ weight[defined] / total) if total > 0 else float("nan")


def write_rows(rows: pa.Table, path: Path) -> None:
    """Write an Arrow IPC file; it appears whole or not at all."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows)
    partial.replace(path)


def read_rows(path: Path) -> pa.Table:
    """Read what `write_rows` wrote, memory-mapped; raise `DataError` for a damaged file."""
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            path,
            f"damaged ({error}); run the sweep again, which makes it anew",
        ) from error
