"""Overviews, posters and vectors of items are prepared once, and leave no trace where they are switched off."""

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from components.config import MovieLensSettings, SyntheticSettings, TableSettings
from components.data import images, item_content, store
from components.data.column_folders import split_by_columns
from components.data.interactions import Interactions, open_interactions
from components.data.party_folders import split_by_users
from components.errors import DataError
from tests.components.data.samples import (
    ITEMS,
    LAYOUTS,
    write_movielens,
    write_overviews,
    write_posters,
    write_vectors,
    zip_folder,
)

EVERYTHING = {"overviews": True, "posters": True}


@pytest.fixture
def root(tmp_path) -> Path:
    """A MovieLens folder with all side files; movie 2 has no overview, movie 3 no poster, movie 5 no vector."""
    folder = write_movielens(tmp_path / "ml")
    write_overviews(folder, *(f'{n},"A story,  told {n} times."' for n in (1, 3, 4, 5)))
    write_posters(folder, 1, 2, 4, 5)
    write_vectors(
        folder / "vectors.arrow", ["4", "1", "3", "2", "99"], [[n, -n, 1] for n in (4, 1, 3, 2, 99)]
    )
    return folder


def movielens(root: Path, **changes: Any) -> MovieLensSettings:
    return MovieLensSettings.model_validate({"source": "movielens", "root": root, **changes})


def everything(root: Path) -> MovieLensSettings:
    return movielens(root, **EVERYTHING, item_vectors=root / "vectors.arrow")


def prepared(settings: Any, store_root: Path) -> Interactions:
    return open_interactions(store.prepare(settings, store_root))


def check(data: Interactions) -> None:
    """Compare with what `root` has written."""
    assert data.item_overviews == [f"A story, told {n} times." if n != 2 else "" for n in range(1, 6)]
    assert data.item_posters is not None and data.item_has_poster is not None
    assert data.item_posters.shape == (ITEMS, 3, 36, 24) and data.item_posters.dtype == np.uint8
    assert data.item_has_poster.tolist() == [True, True, False, True, True]
    middle = data.item_posters[:, :, 18, 12].astype(int)
    assert not data.item_posters[2].any() and not middle[2].any()
    for item in (0, 1, 3, 4):
        assert np.abs(middle[item] - [40 * (item + 1), 90, 200]).max() <= 8, "channel, then row, then column"
        assert (data.item_posters[item, :, 0, 0] > 240).all()
    assert data.item_vectors is not None and data.item_has_vector is not None
    assert data.item_vectors.dtype == np.float32
    assert data.item_vectors.tolist() == [[1, -1, 1], [2, -2, 1], [3, -3, 1], [4, -4, 1], [0, 0, 0]]
    assert data.item_has_vector.tolist() == [True, True, True, True, False]


def test_everything_comes_back_as_views_of_the_prepared_files(root, tmp_path):
    data = prepared(everything(root), tmp_path / "store")
    check(data)
    for name in ("item_posters", "item_has_poster", "item_vectors", "item_has_vector"):
        array = getattr(data, name)
        assert not array.flags.owndata and not array.flags.writeable, name
    sent = pickle.dumps(data)
    assert len(sent) < 1000
    check(pickle.loads(sent))


def test_the_preparation_says_what_is_missing_and_what_is_left_out(root, tmp_path):
    folder = store.prepare(everything(root), tmp_path / "store")
    assert store.left_out(folder) == {"vectors of unknown items": 1}
    assert store.notes(folder) == tuple(
        f"1 of 5 items are without {what}" for what in ("an overview", "a poster", "a vector")
    )
    notes = store.notes(
        store.prepare(movielens(root, posters=True, split="leave-one-out"), tmp_path / "store")
    )
    assert notes[0].startswith("leave-one-out") and notes[1:] == ("1 of 5 items are without a poster",)


def test_each_switch_alone_adds_its_own_fields_and_changes_nothing_else(root, tmp_path):
    plain = prepared(movielens(root), tmp_path / "store")
    fields = ("item_overviews", "item_posters", "item_has_poster", "item_vectors", "item_has_vector")
    assert [getattr(plain, name) for name in fields] == [None] * 5
    for switch, has in (
        ({"overviews": True}, {"item_overviews"}),
        ({"posters": True}, {"item_posters", "item_has_poster"}),
        ({"item_vectors": root / "vectors.arrow"}, {"item_vectors", "item_has_vector"}),
    ):
        data = prepared(movielens(root, **switch), tmp_path / "store")
        assert {name for name in fields if getattr(data, name) is not None} == has
        for name in ("events", "users"):
            there, here = (each.folder / f"{name}.arrow" for each in (plain, data))
            assert there.read_bytes() == here.read_bytes()


def test_switched_off_digests_and_files_are_what_they_were_before_the_switches_existed(root, tmp_path):
    assert store.data_digest(SyntheticSettings(source="synthetic")) == "d700d713b67fba97"
    assert store.data_digest(movielens(root)) == "68d6677f5e0f5380"
    folder = store.prepare(movielens(root), tmp_path / "store")
    names = pa.ipc.open_file(str(folder / "items.arrow")).schema.names
    assert names == ["id", "title", "genres", "year"]
    assert not {"notes", "left_out"} & store._said(folder).keys()


def test_the_digest_follows_what_is_switched_on_by_bytes_and_not_by_path(root, tmp_path):
    def digests(folder: Path) -> list[str]:
        vectors = {"item_vectors": folder / "vectors.arrow"}
        switches: tuple[dict[str, Any], ...] = ({}, {"overviews": True}, {"posters": True}, vectors)
        return [store.data_digest(movielens(folder, **switch)) for switch in switches]

    before = digests(root)
    assert len(set(before)) == 4
    assert digests(shutil.copytree(root, tmp_path / "elsewhere")) == before
    write_overviews(root, "1,Another story.")
    write_vectors(root / "vectors.arrow", ["1"], [[0.5]])
    write_posters(root, 3)
    assert digests(root)[0] == before[0]
    assert not set(digests(root)[1:]) & set(before)


def test_a_raised_version_is_another_digest_where_the_switch_is_on(root, monkeypatch):
    off, on = (store.data_digest(settings) for settings in (movielens(root), movielens(root, posters=True)))
    monkeypatch.setattr(images, "VERSION", 99)
    assert store.data_digest(movielens(root)) == off
    assert store.data_digest(movielens(root, posters=True)) != on


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("packed", ["folder", "archive", "folder with the archive"])
def test_side_files_lie_beside_the_ratings_of_every_layout_and_beside_an_archive(tmp_path, layout, packed):
    folder = LAYOUTS[layout](tmp_path / "ml")
    place = folder
    if packed != "folder":
        place = tmp_path / "packed"
        place.mkdir()
        zip_folder(folder, place / "ml.zip")
    write_overviews(place)
    write_posters(place)
    data = prepared(
        movielens(place / "ml.zip" if packed == "archive" else place, **EVERYTHING), tmp_path / "store"
    )
    assert data.item_overviews is not None and data.item_overviews[4] == "A story, told 5 times."
    assert data.item_has_poster is not None and data.item_has_poster.all()


def test_what_is_switched_on_must_be_there(tmp_path):
    root = write_movielens(tmp_path / "ml")
    for switch, expected in (
        (
            {"overviews": True},
            r"ml/overviews\.csv: no such file; `data\.overviews` reads overviews\.csv with the",
        ),
        (
            {"posters": True},
            r"ml/posters: no such folder; `data\.posters` reads pictures named by the item's id",
        ),
        (
            {"item_vectors": root / "v.arrow"},
            r"ml/v\.arrow: no such file; `data\.item_vectors` is an Arrow IPC file",
        ),
    ):
        for act in (store.data_digest, lambda settings: store.prepare(settings, tmp_path / "store")):
            with pytest.raises(DataError, match=expected):
                act(movielens(root, **switch))
    assert not (tmp_path / "store").exists()


def test_a_split_by_users_or_by_columns_keeps_the_content_of_the_items(tmp_path):
    generated = SyntheticSettings(source="synthetic", users=40, items=30, events=12, **EVERYTHING)
    ids = [f"item-{n}" for n in range(1, 30)]
    vectors = write_vectors(tmp_path / "v.arrow", ids, [[float(n)] for n in range(1, 30)])
    whole = prepared(generated.model_copy(update={"item_vectors": vectors}), tmp_path / "store")
    parts = split_by_users(whole.folder, 2, tmp_path / "users")
    for part in (*parts, split_by_columns(whole.folder, tmp_path / "columns")[1]):
        data = open_interactions(part)
        assert data.item_overviews == whole.item_overviews
        for name in ("item_posters", "item_has_poster", "item_vectors", "item_has_vector"):
            assert np.array_equal(getattr(data, name), getattr(whole, name)), name
        assert store.notes(part) == ("1 of 30 items are without a vector",)


def test_a_table_has_its_overviews_in_a_column_and_its_posters_beside_the_items(tmp_path):
    (tmp_path / "e.csv").write_text("user,item,timestamp,rating\nb,7,1,5\nb,9,2,1\n")
    (tmp_path / "i.csv").write_text('item,overview\n9,"Two\n  lines, one text."\n7,\n')
    write_posters(tmp_path, 7)
    write_vectors(tmp_path / "v.arrow", ["9"], [[0.25, 4]])
    named = {"events": tmp_path / "e.csv", "items": tmp_path / "i.csv", "item_vectors": tmp_path / "v.arrow"}
    settings = TableSettings.model_validate({"source": "table", **named, **EVERYTHING})
    data = prepared(settings, tmp_path / "store")
    assert data.item_ids == ["7", "9"] and data.item_overviews == ["", "Two lines, one text."]
    assert data.item_has_poster is not None and data.item_has_poster.tolist() == [True, False]
    assert data.item_vectors is not None and data.item_vectors.tolist() == [[0, 0], [0.25, 4]]


def test_a_table_without_a_column_of_overviews_is_refused(tmp_path):
    (tmp_path / "e.csv").write_text("user,item,timestamp,rating\nb,x,1,5\n")
    (tmp_path / "i.csv").write_text("item,overviews\nx,A text\n")
    named = {"source": "table", "events": tmp_path / "e.csv", "overviews": True}
    with pytest.raises(ValidationError, match=r"`overviews` reads a column of `items`: name that file, or"):
        TableSettings.model_validate(named)
    settings = TableSettings.model_validate({**named, "items": tmp_path / "i.csv"})
    with pytest.raises(
        DataError, match=r"i\.csv:1: no column 'overview' among .*; did you mean 'overviews'\?"
    ):
        store.prepare(settings, tmp_path / "store")
    (tmp_path / "i.csv").write_text("item,overview\nx,\n")
    with pytest.raises(DataError, match=r"i\.csv: column 'overview': every cell is empty"):
        store.prepare(settings, tmp_path / "store")


def test_nothing_of_the_content_is_asked_for_by_default():
    for settings in (SyntheticSettings(source="synthetic"), movielens(Path("x"))):
        assert item_content.versions(settings) == item_content.files(settings) == {}
