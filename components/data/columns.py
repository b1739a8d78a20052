"""Columns of a CSV or Parquet file, converted at once; only an error is looked for row by row."""

import csv
import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from components.data.text import is_number, read_lines
from components.errors import DataError

LATEST = 10**11
"""Seconds; a larger time (after the year 5138) must have been meant in milliseconds."""

_NUMBER = re.compile(r"\s*[+-]?[0-9.]+(e[+-]?[0-9]+)?\s*", re.IGNORECASE)


class Columns:
    """The columns of one file. Every conversion raises a `DataError` that names the first bad line."""

    def __init__(
        self, path: Path, required: Sequence[str] = (), setting: str = "", whole: bool = False
    ) -> None:
        """Read the `required` columns, or with `whole` all; `setting` is where the names can be changed."""
        self.path = path
        with path.open("rb") as file:
            self.is_parquet = file.read(4) == b"PAR1"
        self.delimiter = ","
        names = self._read_parquet_names() if self.is_parquet else self._read_header()
        for name in required:
            if name not in names:
                self._refuse_missing(name, names, setting)
        wanted = list(names) if whole else list(dict.fromkeys(required))
        self.table = self._read_parquet(wanted) if self.is_parquet else self._read_csv(wanted)
        if self.table.num_rows == 0:
            raise DataError(path, "no row in it; expected at least one")

    @property
    def names(self) -> list[str]:
        """The columns that were read."""
        return self.table.column_names

    def texts(self, name: str, required: bool = True) -> pa.Array:
        """Return a column as text; where it is `required`, an empty cell is an error."""
        column = self._column(name)
        if pa.types.is_floating(column.type) or pa.types.is_nested(column.type):
            raise DataError(self.path, f"column {name!r}: expected text or whole numbers, got {column.type}")
        texts = pc.fill_null(column.cast(pa.string()), "")
        if required:
            self.refuse(pc.equal(pc.utf8_trim_whitespace(texts), ""), name, "expected an id")
        return texts

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return a column as finite numbers."""
        column = self._column(name)
        if pa.types.is_string(column.type):
            column = self._cast(name, column, "expected a number")
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            raise DataError(self.path, f"column {name!r}: expected numbers, got {column.type}")
        values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        self.refuse(~np.isfinite(values), name, "expected a number")
        return values

    def times(self, name: str) -> NDArray[np.int64]:
        """Return a column of epoch seconds, ISO 8601 texts or Parquet timestamps as whole epoch seconds.

        A text without a time zone is in UTC. Fractions of a second are cut.
        """
        column = self._column(name)
        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            self.refuse(pc.is_null(column), name, "expected a time")
            return column.cast(pa.timestamp("s"), safe=False).cast(pa.int64()).to_numpy().astype(np.int64)
        if pa.types.is_string(column.type) and not _NUMBER.fullmatch(column[0].as_py()):
            return self._parse_iso(name, column)
        seconds = self.numbers(name)
        self.refuse(seconds < 0, name, "expected seconds since 1970")
        self.refuse(seconds > LATEST, name, "expected seconds since 1970; this looks like milliseconds")
        return np.floor(seconds).astype(np.int64)

    def indices(self, name: str, ids: Sequence[str], expected: str) -> NDArray[np.int32]:
        """Turn a column of ids into indices into `ids`."""
        found = pc.index_in(self.texts(name), value_set=pa.array(ids, pa.string()))
        self.refuse(pc.is_null(found), name, expected)
        return found.to_numpy().astype(np.int32)

    def unique_texts(self, name: str) -> list[str]:
        """Return a column of ids that must all be different."""
        texts = self.texts(name).to_pylist()
        repeated = np.ones(len(texts), bool)
        repeated[np.unique(np.array(texts), return_index=True)[1]] = False
        self.refuse(repeated, name, "stands on an earlier line already; expected every id once")
        return texts

    def refuse(self, wrong: NDArray[np.bool_] | pa.Array, name: str, expected: str) -> None:
        """Raise for the first row marked in `wrong`."""
        rows = np.flatnonzero(np.asarray(wrong))
        if rows.size:
            row = int(rows[0])
            cell = self.table.column(name)[row].as_py()
            self._raise(row, f"column {name!r}: {expected}, got {str(cell)[:60]!r}")

    def _column(self, name: str) -> pa.Array:
        column = self.table.column(name).combine_chunks()
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        return column.cast(pa.string()) if pa.types.is_large_string(column.type) else column

    def _cast(self, name: str, texts: pa.Array, expected: str) -> pa.Array:
        try:
            return pc.utf8_trim_whitespace(texts).cast(pa.float64())
        except pa.ArrowInvalid as error:
            self.refuse([not is_number(text) for text in texts.to_pylist()], name, expected)
            raise DataError(self.path, f"column {name!r}: {expected} ({error})") from error

    def _parse_iso(self, name: str, texts: pa.Array) -> NDArray[np.int64]:
        import pandas as pd

        times = pd.to_datetime(pd.Series(texts.to_pylist()), format="ISO8601", utc=True, errors="coerce")
        self.refuse(
            times.isna().to_numpy(), name, "expected a time such as 2026-01-31T12:00:00Z or epoch seconds"
        )
        return times.dt.tz_localize(None).to_numpy().astype("datetime64[s]").astype(np.int64)

    def _raise(self, row: int, message: str) -> NoReturn:
        if self.is_parquet:
            raise DataError(self.path, f"row {row + 1}: {message}")
        raise DataError(self.path, message, self._line_of(row))

    def _line_of(self, row: int) -> int:
        """Find the 1-based line that a row ends on; blank lines are no rows, quotes may hold line ends."""
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=self.delimiter)
            lines = (reader.line_num for cells in reader if cells)
            return next(line for number, line in enumerate(lines) if number == row + 1)

    def _refuse_missing(self, name: str, names: Sequence[str], setting: str) -> NoReturn:
        near = difflib.get_close_matches(name, names, 1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        rename = f" Name the column in {setting}." if setting else ""
        line = None if self.is_parquet else 1
        raise DataError(
            self.path, f"no column {name!r} among {', '.join(map(repr, names))}{meant}{rename}", line
        )

    def _read_header(self) -> list[str]:
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                line = file.readline()
        except UnicodeDecodeError:
            read_lines(self.path, "utf-8")
            raise
        self.delimiter = max(",", "\t", ";", key=line.count)
        header = next(csv.reader([line], delimiter=self.delimiter), [])
        if len(set(header)) < len(header):
            raise DataError(self.path, f"a column name stands twice in the header: {', '.join(header)}", 1)
        return header

    def _read_csv(self, names: Sequence[str]) -> pa.Table:
        try:
            return pyarrow.csv.read_csv(
                self.path,
                parse_options=pyarrow.csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
                convert_options=pyarrow.csv.ConvertOptions(
                    include_columns=list(names),
                    column_types={name: pa.string() for name in names},
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowInvalid as error:
            read_lines(self.path, "utf-8")
            self._refuse_ragged()
            raise DataError(self.path, f"not a table ({error})") from error

    def _refuse_ragged(self) -> None:
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=self.delimiter)
            width = len(next(reader, []))
            for cells in reader:
                if cells and len(cells) != width:
                    message = f"the line is damaged or cut off: expected {width} columns, got {len(cells)}"
                    raise DataError(self.path, message, reader.line_num)

    def _read_parquet_names(self) -> list[str]:
        return self._try_parquet(lambda: pyarrow.parquet.read_schema(self.path)).names

    def _read_parquet(self, names: Sequence[str]) -> pa.Table:
        return self._try_parquet(lambda: pyarrow.parquet.read_table(self.path, columns=list(names)))

    def _try_parquet(self, read: Any) -> Any:
        try:
            return read()
        except (pa.ArrowException, OSError) as error:
            raise DataError(self.path, f"a damaged or cut off Parquet file ({error})") from error
