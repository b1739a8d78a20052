"""MovieLens as published is read whole; anything else is refused with file, line and expectation."""

import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.config import MovieLensSettings
from components.data import movielens, store
from components.data.interactions import open_interactions
from components.data.movielens_100k import age_band
from components.errors import DataError
from tests.components.data.samples import ITEMS, USERS, edit, flags, write_movielens

ROOT = Path(os.environ.get("ADAPTUNE_DATA", "")) / "ml-100k"
needs_data = pytest.mark.skipif("ADAPTUNE_DATA" not in os.environ, reason="ADAPTUNE_DATA is not set")


def settings(root: Path) -> MovieLensSettings:
    return MovieLensSettings(source="movielens", root=root)


def append(path: Path, text: str) -> None:
    path.write_bytes(path.read_bytes() + text.encode("latin-1"))


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:-size])


def test_reads_events_items_and_users(tmp_path):
    recording = movielens.read(settings(write_movielens(tmp_path)))
    assert len(recording.user) == USERS * ITEMS
    assert recording.item_titles[0] == "Café 1 (1991)"
    assert recording.item_years.tolist() == [1991, 1992, 1993, 1994, 1995]
    assert recording.item_genres[1] == ["Adventure"]
    assert recording.profile_fields["age"][recording.profile[0, 0]] == "under 18"
    assert recording.profile_fields["gender"] == ["unknown", "female", "male"]
    rating = recording.value * 2 + 3
    assert set(rating) == {1, 2, 3, 4, 5}
    assert np.array_equal(recording.like, rating >= 4)


@pytest.mark.parametrize(
    ("age", "band"), [(7, "under 18"), (18, "18-24"), (49, "45-49"), (55, "50-55"), (56, "56 and over")]
)
def test_age_bands(age, band):
    assert age_band(age) == band


def test_the_order_of_lines_does_not_matter(tmp_path):
    one = open_interactions(store.prepare(settings(write_movielens(tmp_path / "a")), tmp_path))
    root = write_movielens(tmp_path / "b")
    for name in ("u.data", "u.item", "u.user"):
        lines = (root / name).read_text(encoding="latin-1").splitlines()
        (root / name).write_text("\n".join(reversed(lines)) + "\n", encoding="latin-1")
    other = open_interactions(store.prepare(settings(root), tmp_path))
    assert one.digest != other.digest
    for name in ("content", "value", "timestamp", "part", "before", "unseen", "profile"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert (one.user_ids, one.item_titles) == (other.user_ids, other.item_titles)


def zip_instead_of_data(root: Path) -> None:
    with zipfile.ZipFile(root / "u.data", "w") as archive:
        archive.writestr("ml-100k/u.data", "1\t1\t1\t1\n")


Damage = Callable[[Path], object]
DAMAGES: dict[str, tuple[Damage, str, int | None, str]] = {
    "missing events": (lambda r: (r / "u.data").unlink(), "u.data", None, "grouplens.org/datasets/movielens"),
    "missing users": (lambda r: (r / "u.user").unlink(), "u.user", None, "no such file"),
    "empty": (lambda r: (r / "u.item").write_bytes(b""), "u.item", 1, "empty"),
    "web page": (lambda r: (r / "u.data").write_text("<!DOCTYPE html><p>"), "u.data", 1, "web page"),
    "zip": (zip_instead_of_data, "u.data", 1, "zip archive"),
    "zero bytes": (lambda r: (r / "u.data").write_bytes(bytes(600)), "u.data", 1, "interrupted"),
    "too few columns": (lambda r: edit(r / "u.data", 7, "1\t2\t3"), "u.data", 7, "expected 4 columns"),
    "too many columns": (lambda r: edit(r / "u.data", 2, "1\t2\t3\t4\t5"), "u.data", 2, "got 5"),
    "commas": (lambda r: edit(r / "u.data", 1, "1,2,3,881250000"), "u.data", 1, "divided by tabs"),
    "word for a number": (
        lambda r: edit(r / "u.data", 3, "1\tx\t3\t4"),
        "u.data",
        3,
        "whole number, got 'x'",
    ),
    "nothing for a number": (lambda r: edit(r / "u.data", 3, "1\t\t3\t4"), "u.data", 3, "item id"),
    "half a rating": (
        lambda r: edit(r / "u.data", 4, "1\t2\t3.5\t4"),
        "u.data",
        4,
        "whole number, got '3.5'",
    ),
    "huge number": (lambda r: edit(r / "u.data", 4, f"1\t2\t3\t{10**30}"), "u.data", 4, "timestamp"),
    "rating of 6": (lambda r: edit(r / "u.data", 5, "1\t2\t6\t881250000"), "u.data", 5, "from 1 to 5, got 6"),
    "rating of 0": (lambda r: edit(r / "u.data", 5, "1\t2\t0\t881250000"), "u.data", 5, "from 1 to 5, got 0"),
    "before 1970": (lambda r: edit(r / "u.data", 6, "1\t2\t3\t-1"), "u.data", 6, "since 1970"),
    "unknown user": (lambda r: edit(r / "u.data", 8, "99\t2\t3\t881250000"), "u.data", 8, "user id 99"),
    "unknown item": (lambda r: edit(r / "u.data", 9, "1\t99\t3\t881250000"), "u.data", 9, "item id 99"),
    "rated twice": (lambda r: edit(r / "u.data", 2, "1\t1\t3\t881250000"), "u.data", 2, "earlier line"),
    "cut line": (lambda r: cut(r / "u.data", 14), "u.data", 30, "cut off"),
    "cut timestamp": (lambda r: cut(r / "u.data", 4), "u.data", 30, "cut off"),
    "cut items": (lambda r: cut(r / "u.item", 9), "u.item", 5, "cut off: expected 24 columns"),
    "cut users": (lambda r: cut(r / "u.user", 9), "u.user", 6, "cut off: expected 5 columns"),
    "item twice": (
        lambda r: append(r / "u.item", f"2|B||||{flags(2)}\n"),
        "u.item",
        6,
        "id 2 stands on line 2",
    ),
    "user twice": (lambda r: append(r / "u.user", "1|3|M|x|1\n"), "u.user", 7, "id 1 stands on line 1"),
    "genre flag": (lambda r: edit(r / "u.item", 2, f"2|B||||{flags(2)[:-1]}7"), "u.item", 2, "0 or 1"),
    "age": (lambda r: edit(r / "u.user", 2, "2|old|M|writer|1"), "u.user", 2, "age: expected a whole number"),
    "genres": (lambda r: (r / "u.genre").write_text("unknown|0\nAction|2\n"), "u.genre", 2, "genre|1"),
    "fewer events than promised": (lambda r: cut(r / "u.data", 16), "u.data", 29, "expected 30 ratings"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_located(damage, tmp_path):
    inflict, name, line, expectation = DAMAGES[damage]
    root = write_movielens(tmp_path / "ml-100k")
    inflict(root)
    with pytest.raises(DataError) as caught:
        store.prepare(settings(root), tmp_path / "store")
    message = str(caught.value)
    place = root / name if line is None else f"{root / name}:{line}"
    assert message.startswith(f"{place}: ")
    assert expectation in message
    assert not (tmp_path / "store").exists()


def test_a_blank_line_shifts_no_line_number(tmp_path):
    root = write_movielens(tmp_path)
    edit(root / "u.data", 1, "\n1\t77\t3\t881250000")
    with pytest.raises(DataError, match=r"u\.data:2: item id 77"):
        movielens.read(settings(root))


def test_a_missing_last_line_end_alone_is_no_damage(tmp_path):
    root = write_movielens(tmp_path)
    whole = movielens.read(settings(root))
    for name in ("u.data", "u.item", "u.user"):
        cut(root / name, 1)
    assert np.array_equal(movielens.read(settings(root)).timestamp, whole.timestamp)


def test_windows_line_ends_are_read(tmp_path):
    root = write_movielens(tmp_path)
    whole = movielens.read(settings(root))
    for name in ("u.data", "u.item", "u.user"):
        (root / name).write_bytes((root / name).read_bytes().replace(b"\n", b"\r\n"))
    assert movielens.read(settings(root)).item_genres == whole.item_genres


def test_a_title_may_hold_any_latin_1_character(tmp_path):
    root = write_movielens(tmp_path)
    edit(root / "u.item", 1, f"1|Next\x85line \x1cend (1990)|01-Jan-1990||x|{flags(1)}")
    assert movielens.read(settings(root)).item_titles[0] == "Next\x85line \x1cend (1990)"


def test_the_wrong_folder_says_what_it_is(tmp_path):
    write_movielens(tmp_path / "download" / "ml-100k")
    with pytest.raises(DataError, match=r"one folder further down: set data.root to .*ml-100k"):
        store.data_digest(settings(tmp_path / "download"))
    with pytest.raises(DataError, match=r"no such file or folder.*grouplens"):
        store.data_digest(settings(tmp_path / "nowhere"))


@needs_data
def test_the_real_set_has_its_published_size_and_prepares_fast(tmp_path):
    begin = time.perf_counter()
    data = open_interactions(store.prepare(settings(ROOT), tmp_path))
    seconds = time.perf_counter() - begin
    assert (len(data.user_ids), len(data.item_ids), len(data.content)) == (943, 1682, 100_000)
    assert len(data.genres) == 19
    assert data.like.mean() == pytest.approx(0.55375)
    assert [len(categories) for categories in data.profile_fields.values()] == [8, 3, 22]
    assert (data.item_years > 0).sum() == 1681
    owner = np.repeat(np.arange(943), np.diff(data.user_offsets))
    seen_with_test = np.unique(owner[(data.part == 2) & ~data.unseen[owner]])
    assert len(seen_with_test) == (~data.unseen).sum()
    assert 70 < data.unseen.sum() < 120
    assert np.bincount(data.part) / 100_000 == pytest.approx([0.8, 0.1, 0.1], abs=0.01)
    assert seconds < 10  # measured: 0.5 s


@needs_data
def test_a_half_downloaded_copy_of_the_real_set_is_refused(tmp_path):
    for name in ("u.item", "u.user", "u.info", "u.genre"):
        (tmp_path / name).symlink_to(ROOT / name)
    content = (ROOT / "u.data").read_bytes()
    (tmp_path / "u.data").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"u\.data:\d+: .*(cut off|half-downloaded)"):
        movielens.read(settings(tmp_path))


@needs_data
def test_the_last_two_events_are_tied_for_44_percent_of_the_real_users(tmp_path):
    """The documentation says so."""
    source = MovieLensSettings(source="movielens", root=ROOT, split="leave-one-out")
    (note,) = store.notes(store.prepare(source, tmp_path))
    assert "the last two events of 415 of 943 users (44.0%) share a timestamp" in note
