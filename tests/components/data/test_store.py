"""The store is content-addressed, safe under concurrent use, and maps what it wrote."""

import json
import multiprocessing
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.config import DataSettings, MovieLensSettings, SyntheticSettings, TableSettings
from components.data import store
from components.data.interactions import open_interactions
from components.errors import DataError
from tests.components.data.samples import write_movielens

SMALL = SyntheticSettings(source="synthetic", users=20, items=30, events=12, genres=3)


def movielens(root: Path, **changes: float) -> MovieLensSettings:
    return MovieLensSettings(source="movielens", root=root, **changes)


def test_the_digest_follows_bytes_and_settings_but_not_paths(tmp_path):
    here = write_movielens(tmp_path / "here")
    there = write_movielens(tmp_path / "there" / "ml-100k", info=False)
    digest = store.data_digest(movielens(here))
    assert len(digest) == 16 and int(digest, 16) >= 0
    assert store.data_digest(movielens(there)) == digest
    assert store.data_digest(movielens(here, like_threshold=3.0)) != digest
    assert store.data_digest(movielens(here, like_threshold=4.0)) == digest
    for name in ("u.data", "u.item", "u.user"):
        changed = shutil.copytree(here, tmp_path / f"changed-{name}")
        (changed / name).write_bytes((changed / name).read_bytes() + b"\n")
        assert store.data_digest(movielens(changed)) != digest


@given(st.sampled_from(["users", "seed", "taste", "drift"]), st.integers(20, 60))
@settings(max_examples=20)
def test_every_setting_of_the_generator_enters_the_digest(name, number):
    value = number / 100 if name == "drift" else number
    changed = SyntheticSettings.model_validate({"source": "synthetic", name: value})
    default = SyntheticSettings(source="synthetic")
    assert (store.data_digest(changed) == store.data_digest(default)) == (changed == default)


def test_a_raised_version_is_another_digest(monkeypatch):
    before = store.data_digest(SMALL)
    monkeypatch.setattr("components.data.synthetic.VERSION", 99)
    assert store.data_digest(SMALL) != before


def test_the_arrays_are_read_only_views_of_the_files(tmp_path):
    data = open_interactions(store.prepare(SMALL, tmp_path))
    for name in ("content", "value", "timestamp", "like", "part", "before", "oracle"):
        array = getattr(data, name)
        assert not array.flags.owndata and not array.flags.writeable, name
    types = {name: getattr(data, name).dtype.name for name in ("content", "value", "like", "before", "kind")}
    assert types == {
        "content": "int32",
        "value": "float32",
        "like": "bool",
        "before": "int32",
        "kind": "int8",
    }
    assert data.user_offsets[-1] == len(data.content)
    assert data.profile.shape == (20, len(data.profile_fields))
    assert data.digest == store.data_digest(SMALL) == data.folder.name


def test_an_event_keeps_what_the_source_said(tmp_path):
    root = write_movielens(tmp_path / "source")
    data = open_interactions(store.prepare(movielens(root), tmp_path))
    events = [event for user in range(len(data.user_ids)) for event in data.events_of(user)]
    written = {f"{e.user}\t{e.content}\t{round(e.value * 2 + 3)}\t{int(e.timestamp)}" for e in events}
    assert written == set((root / "u.data").read_text().split("\n")) - {""}
    assert len({event.id for event in events}) == len(events)


def test_preparing_again_reads_nothing(tmp_path, monkeypatch):
    folder = store.prepare(SMALL, tmp_path)
    monkeypatch.setattr("components.data.synthetic.read", lambda settings: pytest.fail("was read again"))
    assert store.prepare(SMALL, tmp_path) == folder


def test_concurrent_preparers_agree_and_leave_nothing_behind(tmp_path):
    context = multiprocessing.get_context("forkserver")
    start = context.Barrier(4)
    with context.Pool(4, initializer=_remember, initargs=(start,)) as pool:
        folders = pool.map(_prepare_together, [tmp_path] * 4, chunksize=1)
    assert len(set(folders)) == 1
    assert [path.name for path in tmp_path.iterdir()] == [store.data_digest(SMALL)]
    open_interactions(folders[0])


def _remember(start: object) -> None:
    globals()["_start"] = start


def _prepare_together(root: Path) -> Path:
    globals()["_start"].wait()
    return store.prepare(SMALL, root)


def test_a_failed_preparation_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(path: Path, table: pa.Table) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("components.data.interactions.write_table", fail)
    with pytest.raises(OSError, match="No space left"):
        store.prepare(SMALL, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["events.arrow", "users.arrow", "items.arrow", "manifest.json"])
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_damaged_folder_is_refused(tmp_path, name, damage):
    path = store.prepare(SMALL, tmp_path) / name
    content = path.read_bytes()
    path.unlink()
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"(D|d)elete .* and run again"):
        open_interactions(path.parent)


def test_a_folder_of_another_preparation_is_refused(tmp_path):
    path = store.prepare(SMALL, tmp_path) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"preparation": 0}))
    with pytest.raises(DataError, match="prepared by another version"):
        open_interactions(path.parent)


@pytest.mark.parametrize("split", ["temporal", "leave-one-out"])
@pytest.mark.parametrize("batch", [1, 7, 40])
def test_the_size_of_the_batches_that_are_sorted_changes_nothing(tmp_path, monkeypatch, split, batch):
    root = write_movielens(tmp_path / "source")
    source = MovieLensSettings(source="movielens", root=root, split=split)
    whole = store.prepare(source, tmp_path / "whole")
    monkeypatch.setattr("components.data.interactions.BATCH_EVENTS", batch)
    batched = store.prepare(source, tmp_path / "batched")
    for name in ("events", "users", "items"):
        assert (batched / f"{name}.arrow").read_bytes() == (whole / f"{name}.arrow").read_bytes(), name


def test_users_without_events_are_left_out(tmp_path):
    (tmp_path / "e.csv").write_text("user,item,timestamp,rating\nb,x,1,5\n")
    (tmp_path / "u.csv").write_text("user,team\na,red\nb,blue\n")
    source: DataSettings = TableSettings(source="table", events=tmp_path / "e.csv", users=tmp_path / "u.csv")
    data = open_interactions(store.prepare(source, tmp_path / "store"))
    assert data.user_ids == ["b"]
    assert data.profile_fields["team"][data.profile[0, 0]] == "blue"


def test_interactions_travel_between_processes_as_their_folder(tmp_path):
    data = open_interactions(store.prepare(SyntheticSettings(source="synthetic"), tmp_path))
    sent = pickle.dumps(data)
    assert len(sent) < 1000
    assert np.array_equal(pickle.loads(sent).content, data.content)


def test_the_split_is_part_of_the_digest_and_its_default_is_not(tmp_path):
    root = write_movielens(tmp_path)
    digests = {
        store.data_digest(MovieLensSettings(source="movielens", root=root, split=split, ties=ties))
        for split in ("temporal", "leave-one-out")
        for ties in ("hashed", "reversed")
    }
    assert len(digests) == 4
    assert store.data_digest(movielens(root)) in digests


def test_leave_one_out_says_how_many_users_hang_on_the_order_inside_ties(tmp_path):
    rows = [("a", "x", 1), ("a", "y", 2), ("a", "z", 2), ("b", "x", 1), ("b", "y", 2), ("c", "z", 3)]
    text = "".join(f"{user},{item},{time},5\n" for user, item, time in rows)
    (tmp_path / "e.csv").write_text(f"user,item,timestamp,rating\n{text}")
    last = {}
    for ties in ("hashed", "reversed"):
        source = TableSettings(source="table", events=tmp_path / "e.csv", split="leave-one-out", ties=ties)
        folder = store.prepare(source, tmp_path / "store")
        (note,) = store.notes(folder)
        assert note.startswith("leave-one-out: the last two events of 1 of 3 users (33.3%) share a timestamp")
        data = open_interactions(folder)
        assert data.part.tolist() == [0, 1, 2, 0, 2, 0] and not data.unseen.any()
        last[ties] = [data.item_ids[item] for item in data.content[data.part == 2]]
    assert {last["hashed"][0], last["reversed"][0]} == {"y", "z"} and last["hashed"][1] == last["reversed"][1]
    assert store.notes(store.prepare(SMALL, tmp_path / "store")) == ()


def test_digests_need_neither_torch_nor_pandas_nor_arrow():
    code = (
        "import sys; from components.config import SyntheticSettings;"
        "from components.data.store import data_digest;"
        "data_digest(SyntheticSettings(source='synthetic'));"
        "print([name for name in ('torch', 'pandas', 'pyarrow', 'scipy', 'ray') if name in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "[]"


def test_files_of_different_data_are_refused(tmp_path):
    one, other = (
        store.prepare(SyntheticSettings(source="synthetic", users=users, items=30, events=12), tmp_path)
        for users in (40, 50)
    )
    shutil.copyfile(other / "events.arrow", one / "events.arrow")
    with pytest.raises(DataError, match="the files are of different data"):
        open_interactions(one)
