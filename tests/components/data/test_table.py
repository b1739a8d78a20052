"""A table of one's own is read from CSV or Parquet; whatever is wrong is located."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components.config import TableColumns, TableSettings
from components.data import store, table
from components.data.interactions import open_interactions
from components.data.source import Recording
from components.errors import DataError

EVENTS = "user,item,timestamp,rating\nbob,x,100,5\nann,y,200,1\nbob,y,300,3\n"


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def read(events: Path, **settings: object) -> Recording:
    return table.read(TableSettings.model_validate({"source": "table", "events": events, **settings}))


def failure(events: Path, **settings: object) -> str:
    with pytest.raises(DataError) as caught:
        read(events, **settings)
    return str(caught.value)


def test_reads_a_csv(tmp_path):
    recording = read(write(tmp_path / "e.csv", EVENTS))
    assert (recording.user_ids, recording.item_ids) == (["ann", "bob"], ["x", "y"])
    assert recording.user.tolist() == [1, 0, 1] and recording.item.tolist() == [0, 1, 1]
    assert recording.value.tolist() == [1, -1, 0] and recording.like.tolist() == [True, False, False]
    assert recording.timestamp.tolist() == [100, 200, 300]
    assert recording.item_titles == ["x", "y"] and recording.profile.shape == (2, 0)


@pytest.mark.parametrize("divider", ["\t", ";"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_other_dividers_a_byte_order_mark_and_windows_line_ends(tmp_path, divider, start):
    text = start + EVENTS.replace(",", divider).replace("\n", "\r\n")
    assert read(write(tmp_path / "e.csv", text)).timestamp.tolist() == [100, 200, 300]


def test_parquet_holds_the_same(tmp_path):
    frame = pd.read_csv(write(tmp_path / "e.csv", EVENTS))
    frame["timestamp"] = pd.to_datetime(frame["timestamp"], unit="s")
    frame["user"] = frame["user"].astype("category")
    frame.to_parquet(tmp_path / "e.parquet")
    one, other = read(tmp_path / "e.csv"), read(tmp_path / "e.parquet")
    for name in ("user", "item", "value", "like", "timestamp"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


def test_whole_numbers_are_ids_too(tmp_path):
    pd.DataFrame({"user": [7], "item": [8], "timestamp": [1.5], "rating": [2]}).to_parquet(
        tmp_path / "e.parquet"
    )
    recording = read(tmp_path / "e.parquet")
    assert (recording.user_ids, recording.item_ids, recording.timestamp.tolist()) == (["7"], ["8"], [1])


def test_columns_and_scale_are_mapped(tmp_path):
    path = write(tmp_path / "e.csv", "when,who,what,stars,more\n1,a,x,10,?\n2,a,y,0,?\n3,a,z,7,?\n")
    columns = TableColumns(user="who", item="what", timestamp="when", rating="stars")
    recording = read(path, columns=columns, rating_range=(0, 10), like_threshold=7)
    assert recording.value.tolist() == pytest.approx([1, -1, 0.4])
    assert recording.like.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2001-09-09T01:46:40Z", 1_000_000_000),
        ("2001-09-09 01:46:40", 1_000_000_000),
        ("2001-09-09T03:46:40+02:00", 1_000_000_000),
        ("2001-09-09T01:46:40.999Z", 1_000_000_000),
        ("2001-09-09", 999_993_600),
        ("1e9", 1_000_000_000),
        ("1000000000.7", 1_000_000_000),
    ],
)
def test_times(tmp_path, text, seconds):
    path = write(tmp_path / "e.csv", f"user,item,timestamp,rating\na,x,{text},5\n")
    assert read(path).timestamp.tolist() == [seconds]


def test_items_and_users_files(tmp_path):
    events = write(tmp_path / "e.csv", EVENTS)
    items = write(tmp_path / "i.csv", 'item,title,genres\ny,"Why, oh why",Drama|War\nx,,\nz,Zed, War \n')
    users = write(tmp_path / "u.csv", "user,team,town\nbob,red,\nann,blue,Ulm\n")
    recording = read(events, items=items, users=users)
    assert recording.item_ids == ["x", "y", "z"]
    assert recording.item_titles == ["x", "Why, oh why", "Zed"]
    assert recording.item_genres == [[], ["Drama", "War"], ["War"]] and recording.genres == ["Drama", "War"]
    assert recording.profile_fields == {"team": ["unknown", "blue", "red"], "town": ["unknown", "Ulm"]}
    assert recording.profile.tolist() == [[1, 1], [2, 0]]


def test_the_order_of_rows_does_not_matter(tmp_path):
    lines = [f"u{n % 7},i{n % 5},{n // 6},{1 + n % 5}" for n in range(120)]
    folders = []
    for name, rows in (("a", lines), ("b", lines[::-1])):
        path = write(tmp_path / f"{name}.csv", "\n".join(["user,item,timestamp,rating", *rows]))
        folders.append(store.prepare(TableSettings(source="table", events=path), tmp_path / "store"))
    one, other = map(open_interactions, folders)
    for name in ("content", "value", "timestamp", "part", "before", "user_offsets"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


HEADER = "user,item,timestamp,rating\n"
WRONG = {
    "no such column": ("user,item,time,rating\na,x,1,5\n", ":1: no column 'timestamp'"),
    "a near name": ("user,item,timestamps,rating\na,x,1,5\n", "did you mean 'timestamps'?"),
    "column twice": ("user,item,item,rating\na,x,1,5\n", ":1: a column name stands twice"),
    "header only": (HEADER, "no row in it"),
    "empty": ("", "the file is empty"),
    "web page": ("<html><body>404</body></html>", "web page"),
    "missing cell": (
        HEADER + "a,x,1,5\na,x,2\n",
        ":3: the line is damaged or cut off: expected 4 columns, got 3",
    ),
    "empty user": (HEADER + "a,x,1,5\n\n,x,2,5\n", ":4: column 'user': expected an id, got ''"),
    "word for a rating": (HEADER + "a,x,1,good\n", ":2: column 'rating': expected a number, got 'good'"),
    "no rating": (HEADER + "a,x,1,5\nb,x,1,\n", ":3: column 'rating': expected a number, got ''"),
    "nan": (HEADER + "a,x,1,nan\n", ":2: column 'rating': expected a number, got 'nan'"),
    "outside": (
        HEADER + "a,x,1,5\na,y,1,5.5\n",
        ":3: column 'rating': expected 1 to 5 as data.rating_range says",
    ),
    "milliseconds": (
        HEADER + "a,x,1700000000000,5\n",
        ":2: column 'timestamp': expected seconds since 1970; this",
    ),
    "negative time": (HEADER + "a,x,1,5\na,x,-1,5\n", ":3: column 'timestamp': expected seconds since 1970"),
    "mixed times": (
        HEADER + "a,x,2020-01-01,5\na,x,soon,5\n",
        ":3: column 'timestamp': expected a time such as",
    ),
    "word for a time": (HEADER + "a,x,soon,5\n", ":2: column 'timestamp': expected a time such as"),
    "empty time": (HEADER + "a,x,,5\n", ":2: column 'timestamp': expected a time such as"),
    "quoted line ends": (HEADER + '"a\nb",x,1,5\na,x,1,9\n', ":4: column 'rating'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_located(tmp_path, name):
    text, expected = WRONG[name]
    path = write(tmp_path / "e.csv", text)
    message = failure(path)
    assert message.startswith(str(path)) and expected in message


def test_another_encoding_is_located(tmp_path):
    path = write(tmp_path / "e.csv", HEADER + "a,x,1,5\nJosé,x,2,5\n", "latin-1")
    assert failure(path) == f"{path}:3: expected utf-8 text, got the byte 0xe9"
    path = write(tmp_path / "e.csv", "usér,item,timestamp,rating\n", "latin-1")
    assert failure(path) == f"{path}:1: expected utf-8 text, got the byte 0xe9"


def test_unknown_and_repeated_ids_are_located(tmp_path):
    events = write(tmp_path / "e.csv", EVENTS)
    items = write(tmp_path / "i.csv", "item\nx\n")
    assert failure(events, items=items) == f"{events}:3: column 'item': expected an item of {items}, got 'y'"
    users = write(tmp_path / "u.csv", "user,team\nbob,red\nbob,blue\n")
    assert failure(events, users=users).startswith(
        f"{users}:3: column 'user': stands on an earlier line already"
    )
    users = write(tmp_path / "u.csv", "user,team\nbob,red\n")
    assert failure(events, users=users) == f"{events}:3: column 'user': expected a user of {users}, got 'ann'"


def test_a_damaged_parquet_file_is_refused(tmp_path):
    frame = pd.DataFrame({"user": ["a"], "item": ["x"], "timestamp": [1], "rating": [9]})
    frame.to_parquet(tmp_path / "e.parquet")
    assert "row 1: column 'rating'" in failure(tmp_path / "e.parquet")
    content = (tmp_path / "e.parquet").read_bytes()
    (tmp_path / "e.parquet").write_bytes(content[: len(content) // 2])
    assert "damaged or cut off Parquet" in failure(tmp_path / "e.parquet")
    frame.assign(user=[1.5], rating=[5]).to_parquet(tmp_path / "e.parquet")
    assert "column 'user': expected text or whole numbers, got double" in failure(tmp_path / "e.parquet")


def test_a_missing_file_or_a_folder_is_refused(tmp_path):
    assert failure(tmp_path / "none.csv").endswith(
        "no such file; data.events must name a CSV or Parquet file"
    )
    assert "this is a folder" in failure(tmp_path)
    events = write(tmp_path / "e.csv", EVENTS)
    assert "data.users must name" in failure(events, users=tmp_path / "none.csv")


def test_the_digest_follows_the_bytes_of_every_file(tmp_path):
    events = write(tmp_path / "e.csv", EVENTS)
    users = write(tmp_path / "u.csv", "user,team\nbob,red\nann,red\n")
    digests = {store.data_digest(TableSettings(source="table", events=events))}
    digests.add(store.data_digest(TableSettings(source="table", events=events, users=users)))
    write(users, "user,team\nbob,red\nann,blue\n")
    digests.add(store.data_digest(TableSettings(source="table", events=events, users=users)))
    assert len(digests) == 3
    moved = events.rename(tmp_path / "moved.csv")
    assert store.data_digest(TableSettings(source="table", events=moved)) in digests
