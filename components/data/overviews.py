"""Texts about items from a CSV file beside a log: the id and the overview on each line."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from components.data.text import check_data_file, read_lines
from components.errors import DataError

FILE = "overviews.csv"
HEADER = ["movie_id", "overview"]
WHERE = f"`data.overviews` reads {FILE} with the columns {','.join(HEADER)}"


def check_file(path: Path) -> None:
    """Raise `DataError` where there is no such file, or it holds something else."""
    check_data_file(path, WHERE, line=1)


def read_overviews(path: Path, item_ids: Sequence[str], damaged: float) -> tuple[list[str], dict[str, int]]:
    """Return each item's overview, empty where it has none, and how many lines do not count, by reason.

    Empty overviews and those of unknown items are left out and counted. Raises `DataError` where they are more than
    the share `damaged` of the lines, or a line is not as expected or of an item that an earlier one is of.
    """
    place = {identity: index for index, identity in enumerate(item_ids)}
    texts = [""] * len(item_ids)
    first: dict[str, int] = {}
    problems: list[tuple[int, str]] = []
    unknown = 0
    for line, identity, text in _rows(path):
        if identity in first:
            message = (
                f"movie {identity[:40]!r} stands on line {first[identity]} already; expected every id once"
            )
            raise DataError(path, message, line)
        first[identity] = line
        if identity not in place:
            unknown += 1
            problems.append((line, f"no movie has the id {identity[:40]!r}"))
        elif not text:
            problems.append((line, f"the overview of movie {identity} is empty"))
        else:
            texts[place[identity]] = text
    if not first:
        raise DataError(path, f"no overview below the header; {WHERE}", 1)
    if len(problems) > damaged * len(first):
        line, problem = problems[0]
        message = f"{len(problems):,} of {len(first):,} overviews are empty or of unknown movies, more than"
        hint = f"the share {damaged:g} that data.damaged allows. Is the file of another set? If not, raise it"
        raise DataError(path, f"{problem}; {message} {hint}", line)
    if not any(texts):
        raise DataError(path, f"no overview of any of the {len(item_ids):,} movies; {WHERE}")
    counts = {"overviews of unknown items": unknown, "empty overviews": len(problems) - unknown}
    return texts, {reason: count for reason, count in counts.items() if count}


def _rows(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield line, id and overview, its white space folded; a quoted overview may go over several lines."""
    rows = csv.reader((f"{line}\n" for line in read_lines(path, "utf-8-sig")), strict=True)
    try:
        header = next(rows)
        if header != HEADER:
            raise DataError(path, f"expected the columns {','.join(HEADER)}, got {','.join(header)[:60]}", 1)
        for row in filter(None, rows):  # a blank line is no row
            if len(row) != len(HEADER):
                message = f"expected 2 values, got {len(row)}; a text that holds commas stands in quotes"
                raise DataError(path, message, rows.line_num)
            yield rows.line_num, row[0].strip(), " ".join(row[1].split())
    except csv.Error as error:
        raise DataError(path, f"not a table divided by commas, or cut off: {error}", rows.line_num) from error
