"""The 1M and the CSV layouts of MovieLens: read whole, told apart, and refused with file, line and expectation."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.config import MovieLensSettings
from components.data import movielens, store
from components.data.interactions import open_interactions
from components.data.movielens_files import year_of
from components.errors import DataError
from tests.components.data.samples import (
    ITEMS,
    LAYOUTS,
    USERS,
    edit,
    write_movielens,
    write_movielens_1m,
    write_movielens_25m,
    write_movielens_latest,
)
from tests.components.data.test_movielens import ROOT, append, cut, needs_data, settings


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read_whole(layout, tmp_path):
    data = open_interactions(
        store.prepare(settings(LAYOUTS[layout](tmp_path / "source")), tmp_path / "store")
    )
    assert (len(data.content), len(data.user_ids), len(data.item_ids)) == (USERS * ITEMS, USERS, ITEMS)
    plain = open_interactions(
        store.prepare(settings(write_movielens(tmp_path / "plain")), tmp_path / "store")
    )
    for name in ("content", "timestamp", "part", "before", "user_ids", "item_ids"):
        assert np.array_equal(getattr(data, name), getattr(plain, name)), name


def test_1m_has_coded_profiles_and_latin_1_titles(tmp_path):
    recording = movielens.read(settings(write_movielens_1m(tmp_path)))
    assert recording.item_titles[0] == "Café: 1 (1991)"
    assert recording.item_years.tolist() == [1991, 1992, 1993, 1994, 1995]
    assert recording.item_genres[0] == ["Action", "Children's"] and len(recording.genres) == 18
    fields = recording.profile_fields
    people = [
        [fields[name][code] for name, code in zip(fields, codes, strict=True)] for codes in recording.profile
    ]
    assert people[0] == ["under 18", "female", "scientist"]
    assert people[5] == ["56 and over", "male", "writer"]
    assert set(recording.value) == {-1, -0.5, 0, 0.5, 1}
    assert np.array_equal(recording.like, recording.value >= 0.5)


def test_csv_sets_have_half_stars_quoted_titles_and_no_profile(tmp_path):
    recording = movielens.read(settings(write_movielens_latest(tmp_path)))
    assert recording.item_titles[:3] == ["Café, The 1 (1991)", "Café, The 2 (1992)", "Blade (1998\u2013)"]
    assert recording.item_years.tolist() == [1991, 1992, 1998, 1994, 1995]
    assert recording.item_genres[1:3] == [["Action", "IMAX"], []]
    assert recording.genres == ["Action", "IMAX"]
    assert recording.profile.shape == (USERS, 0) and recording.profile_fields == {}
    rating = recording.value.astype(np.float64) * 2.25 + 2.75
    assert np.allclose(np.unique(rating), [0.5, 1.5, 2.5, 3.5, 4.5])
    assert np.array_equal(recording.like, rating > 4)
    assert recording.value.dtype == np.float32 and recording.value.min() == -1


@pytest.mark.parametrize(
    ("title", "year"),
    [
        ("1984 (1956)", 1956),
        ("Death Note (2006\u20132007)", 2006),
        ("(500) Days", 0),
        ("A (1990) B (2001)", 2001),
    ],
)
def test_the_year_is_that_in_the_last_brackets(title, year):
    assert year_of(title) == year


@pytest.mark.parametrize("ignored", ["tags.csv", "links.csv", "genome-scores.csv", "genome-tags.csv"])
def test_what_is_not_used_may_be_anything(ignored, tmp_path):
    root = write_movielens_25m(tmp_path)
    digest = store.data_digest(settings(root))
    (root / ignored).write_bytes(b"\xff\x00")
    movielens.read(settings(root))
    assert store.data_digest(settings(root)) == digest


@pytest.mark.parametrize(("layout", "names"), [("1M", "*.dat"), ("latest", "*.csv")])
def test_line_ends_of_windows_and_blank_lines_are_read(layout, names, tmp_path):
    root = LAYOUTS[layout](tmp_path)
    whole = movielens.read(settings(root))
    for path in root.glob(names):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    again = movielens.read(settings(root))
    assert (again.item_titles, again.item_genres) == (whole.item_titles, whole.item_genres)
    assert np.array_equal(again.timestamp, whole.timestamp)


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path):
    root = write_movielens_latest(tmp_path)
    for name in ("ratings.csv", "movies.csv"):
        (root / name).write_bytes(b"\xef\xbb\xbf" + (root / name).read_bytes())
    assert len(movielens.read(settings(root)).user) == USERS * ITEMS


@pytest.mark.parametrize("layout", ["1M", "latest"])
def test_a_missing_last_line_end_alone_is_no_damage(layout, tmp_path):
    root = LAYOUTS[layout](tmp_path)
    for path in root.iterdir():
        cut(path, 1)
    assert len(movielens.read(settings(root)).user) == USERS * ITEMS


Damage = Callable[[Path], object]


def change(name: str, line: int, text: str, encoding: str = "utf-8") -> Damage:
    return lambda root: edit(root / name, line, text, encoding)


def replace(name: str, content: bytes) -> Damage:
    return lambda root: (root / name).write_bytes(content)


def add(name: str, text: str) -> Damage:
    return lambda root: append(root / name, text)


def shorten(name: str, size: int) -> Damage:
    return lambda root: cut(root / name, size)


Case = tuple[Damage, str, int | None, str]

ON_1M: dict[str, Case] = {
    "missing ratings": (lambda r: (r / "ratings.dat").unlink(), "ratings.dat", None, "grouplens.org/datasets"),
    "missing movies": (lambda r: (r / "movies.dat").unlink(), "movies.dat", None, "no such file"),
    "missing users": (lambda r: (r / "users.dat").unlink(), "users.dat", None, "of MovieLens 1M"),
    "10M": (
        lambda r: (r / "users.dat").rename(r / "tags.dat"),
        "users.dat",
        None,
        "This is MovieLens 10M, which is not read",
    ),
    "empty": (replace("movies.dat", b""), "movies.dat", 1, "empty"),
    "web page": (replace("ratings.dat", b"<html><p>"), "ratings.dat", 1, "web page"),
    "zip": (replace("ratings.dat", b"PK\x03\x04 and more"), "ratings.dat", 1, "zip archive"),
    "zero bytes": (replace("users.dat", bytes(600)), "users.dat", 1, "interrupted"),
    "blank": (replace("ratings.dat", b"\n\n.\n"), "ratings.dat", 3, "expected 4 columns"),
    "too few columns": (change("ratings.dat", 7, "1::2::3"), "ratings.dat", 7, "expected 4 columns divided by ::"),
    "too many columns": (change("ratings.dat", 2, "1::2::3::4::5"), "ratings.dat", 2, "got 5"),
    "single colons": (change("ratings.dat", 4, "1:2:3:881250000"), "ratings.dat", 4, "got 1"),
    "six colons unevenly": (change("ratings.dat", 4, "1:::2::3:881250000"), "ratings.dat", 4, "got 3"),
    "commas": (change("ratings.dat", 1, "1,2,3,881250000"), "ratings.dat", 1, "divided by ::"),
    "something between": (change("ratings.dat", 5, "1:x:2::3::881250000"), "ratings.dat", 5, "got 3"),
    "word for a number": (change("ratings.dat", 3, "1::x::3::4"), "ratings.dat", 3, "whole number, got 'x'"),
    "nothing for a number": (change("ratings.dat", 3, "1::::3::4"), "ratings.dat", 3, "item id"),
    "nothing at the end": (change("ratings.dat", 3, "1::2::3::"), "ratings.dat", 3, "timestamp"),
    "half a rating": (change("ratings.dat", 4, "1::2::3.5::4"), "ratings.dat", 4, "whole number, got '3.5'"),
    "rating of 6": (change("ratings.dat", 5, "1::2::6::881250000"), "ratings.dat", 5, "from 1 to 5, got 6"),
    "rating of 0": (change("ratings.dat", 5, "1::2::0::881250000"), "ratings.dat", 5, "from 1 to 5, got 0"),
    "huge id": (change("ratings.dat", 5, f"{10**10}::2::3::4"), "ratings.dat", 5, "user id: expected a whole"),
    "before 1970": (change("ratings.dat", 6, "1::2::3::-1"), "ratings.dat", 6, "since 1970"),
    "milliseconds": (change("ratings.dat", 6, "1::2::3::978300760000"), "ratings.dat", 6, "milliseconds"),
    "unknown user": (change("ratings.dat", 8, "99::2::3::881250000"), "ratings.dat", 8, "among the 6 of users.dat"),
    "unknown item": (change("ratings.dat", 9, "1::99::3::881250000"), "ratings.dat", 9, "5 of movies.dat"),
    "rated twice": (change("ratings.dat", 2, "1::1::3::881250000"), "ratings.dat", 2, "earlier line"),
    "cut line": (shorten("ratings.dat", 14), "ratings.dat", 30, "cut off"),
    "cut timestamp": (shorten("ratings.dat", 3), "ratings.dat", 30, "cut off"),
    "cut movies": (shorten("movies.dat", 26), "movies.dat", 5, "cut off: expected 3 columns"),
    "cut genre": (shorten("movies.dat", 4), "movies.dat", 5, "unknown genre 'Childre'; did you mean \"Children's\""),
    "cut users": (shorten("users.dat", 9), "users.dat", 6, "cut off: expected 5 columns"),
    "movie twice": (add("movies.dat", "2::B (1990)::Action\n"), "movies.dat", 6, "id 2 stands on line 2"),
    "user twice": (add("users.dat", "1::M::1::1::1\n"), "users.dat", 7, "id 1 stands on line 1"),
    "no title": (change("movies.dat", 2, "2:: ::Action"), "movies.dat", 2, "title: expected a text"),
    "no genre": (change("movies.dat", 2, "2::B (1990)::"), "movies.dat", 2, "the genres are Action"),
    "wrong genre": (change("movies.dat", 2, "2::B::Action|Comdy"), "movies.dat", 2, "did you mean 'Comedy'"),
    "movie id": (change("movies.dat", 2, "x::B::Action"), "movies.dat", 2, "id: expected a whole number"),
    "movie of id 0": (change("movies.dat", 2, "0::B::Action"), "movies.dat", 2, "from 1 to"),
    "gender": (change("users.dat", 2, "2::X::18::3::1"), "users.dat", 2, "expected M or F, got 'X'"),
    "age in years": (change("users.dat", 2, "2::F::20::3::1"), "users.dat", 2, "code of a band (1, 18, 25"),
    "age in words": (change("users.dat", 2, "2::F::old::3::1"), "users.dat", 2, "age: expected a whole number"),
    "occupation": (change("users.dat", 2, "2::F::18::21::1"), "users.dat", 2, "code from 0 to 20, got 21"),
    "occupation in words": (change("users.dat", 2, "2::F::18::writer::1"), "users.dat", 2, "whole number"),
}  # fmt: skip

ON_CSV: dict[str, Case] = {
    "missing ratings": (lambda r: (r / "ratings.csv").unlink(), "ratings.csv", None, "grouplens.org/datasets"),
    "missing movies": (lambda r: (r / "movies.csv").unlink(), "movies.csv", None, "of MovieLens latest"),
    "empty": (replace("movies.csv", b""), "movies.csv", 1, "empty"),
    "web page": (replace("ratings.csv", b"<!DOCTYPE html>"), "ratings.csv", 1, "web page"),
    "gzip": (replace("ratings.csv", b"\x1f\x8b\x08"), "ratings.csv", 1, "gzip archive"),
    "zero bytes": (replace("ratings.csv", bytes(600)), "ratings.csv", 1, "interrupted"),
    "no header": (change("ratings.csv", 1, "1,2,3.5,881250000"), "ratings.csv", 1, "the header `userId,movieId"),
    "other header": (change("ratings.csv", 1, "userId,movieId,tag,timestamp"), "ratings.csv", 1, "got 'userId"),
    "movies without header": (change("movies.csv", 1, "1,A,Action"), "movies.csv", 1, "`movieId,title,genres`"),
    "nothing but a header": (replace("ratings.csv", b"userId,movieId,rating,timestamp\n"), "ratings.csv", None,
                             "no rating in it"),
    "no movie": (replace("movies.csv", b"movieId,title,genres\n"), "movies.csv", None, "no movie in it"),
    "too few columns": (change("ratings.csv", 7, "1,2,3"), "ratings.csv", 7, "expected 4 columns divided by commas"),
    "too many columns": (change("ratings.csv", 2, "1,2,3,4,5"), "ratings.csv", 2, "got 5"),
    "semicolons": (change("ratings.csv", 3, "1;2;3;4"), "ratings.csv", 3, "divided by commas"),
    "quoted numbers": (change("ratings.csv", 3, '"1","2","3","4"'), "ratings.csv", 3, "whole number, got '\"1\"'"),
    "word for a number": (change("ratings.csv", 3, "1,x,3,4"), "ratings.csv", 3, "whole number, got 'x'"),
    "word for a rating": (change("ratings.csv", 3, "1,2,good,4"), "ratings.csv", 3, "rating: expected a number"),
    "no number": (change("ratings.csv", 3, "1,2,nan,4"), "ratings.csv", 3, "got 'nan'"),
    "nothing for a number": (change("ratings.csv", 3, "1,2,,4"), "ratings.csv", 3, "rating: expected a number"),
    "a third of a star": (change("ratings.csv", 4, "1,2,3.3,881250000"), "ratings.csv", 4, "steps of 0.5, got 3.3"),
    "rating of 0": (change("ratings.csv", 5, "1,2,0.0,881250000"), "ratings.csv", 5, "from 0.5 to 5, got 0"),
    "rating of 10": (change("ratings.csv", 5, "1,2,10,881250000"), "ratings.csv", 5, "from 0.5 to 5, got 10"),
    "user of id 0": (change("ratings.csv", 5, "0,2,3.5,881250000"), "ratings.csv", 5, "user id: expected a whole"),
    "huge number": (change("ratings.csv", 4, f"1,2,3,{10**30}"), "ratings.csv", 4, "timestamp"),
    "before 1970": (change("ratings.csv", 6, "1,2,3,-1"), "ratings.csv", 6, "since 1970"),
    "milliseconds": (change("ratings.csv", 6, "1,2,3,978300760000"), "ratings.csv", 6, "milliseconds"),
    "unknown movie": (change("ratings.csv", 9, "1,99,3,881250000"), "ratings.csv", 9, "among the 5 of movies.csv"),
    "rated twice": (change("ratings.csv", 3, "1,1,3,881250000"), "ratings.csv", 3, "earlier line"),
    "cut line": (shorten("ratings.csv", 11), "ratings.csv", 31, "cut off"),
    "cut at a comma": (shorten("ratings.csv", 10), "ratings.csv", 31, "timestamp: expected a whole number, got ''"),
    "cut timestamp": (shorten("ratings.csv", 2), "ratings.csv", 31, "cut off: no line end"),
    "cut movies": (shorten("movies.csv", 13), "movies.csv", 6, "cut off: expected 3 columns"),
    "cut title": (shorten("movies.csv", 20), "movies.csv", 6, "its quotes do not pair up"),
    "cut genre": (shorten("movies.csv", 3), "movies.csv", 6, "it ends inside a genre, 'IM'"),
    "bare comma in a title": (change("movies.csv", 3, "2,Café, The (1992),Action"), "movies.csv", 3, "got 4"),
    "open quote": (change("movies.csv", 3, '2,"Café (1992),Action'), "movies.csv", 3, "quotes do not pair up"),
    "movie twice": (add("movies.csv", "2,B (1990),Action\n"), "movies.csv", 7, "id 2 stands on line 3"),
    "no title": (change("movies.csv", 3, "2,,Action"), "movies.csv", 3, "title: expected a text"),
    "no genre": (change("movies.csv", 3, "2,B (1990),"), "movies.csv", 3, "`(no genres listed)`, got ''"),
    "empty genre": (change("movies.csv", 3, "2,B (1990),Action||War"), "movies.csv", 3, "names divided by |"),
    "movie id": (change("movies.csv", 3, "x,B,Action"), "movies.csv", 3, "id: expected a whole number, got 'x'"),
    "latin-1": (change("movies.csv", 3, "2,Café (1992),Action", "latin-1"), "movies.csv", 3, "expected utf-8 text"),
}  # fmt: skip

CASES = {
    **{f"1M {name}": (write_movielens_1m, case) for name, case in ON_1M.items()},
    **{f"latest {name}": (write_movielens_latest, case) for name, case in ON_CSV.items()},
    **{f"25M {name}": (write_movielens_25m, case) for name, case in ON_CSV.items()},
}


@pytest.mark.parametrize("case", CASES)
def test_damage_is_located(case, tmp_path):
    write, (inflict, name, line, expectation) = CASES[case]
    root = write(tmp_path / "data")
    inflict(root)
    with pytest.raises(DataError) as caught:
        store.prepare(settings(root), tmp_path / "store")
    message = str(caught.value)
    place = root / name if line is None else f"{root / name}:{line}"
    assert message.startswith(f"{place}: ")
    assert expectation in message
    assert not (tmp_path / "store").exists()


def test_a_folder_of_two_whole_layouts_is_ambiguous(tmp_path):
    write_movielens_latest(write_movielens_1m(tmp_path))
    with pytest.raises(DataError, match=r"several MovieLens layouts, 1M .*users\.dat\) and latest \(ratings"):
        store.data_digest(settings(tmp_path))


def test_one_whole_layout_wins_over_stray_files_of_another(tmp_path):
    root = write_movielens(tmp_path)
    (root / "ratings.csv").write_text("mine\n")
    assert "u.data" in movielens.files(settings(root))


def test_parts_of_two_layouts_are_no_layout(tmp_path):
    (tmp_path / "ratings.dat").write_text("1::1::5::1\n")
    (tmp_path / "ratings.csv").write_text("1,1,5,1\n")
    with pytest.raises(DataError, match=r"1M lacks movies\.dat, users\.dat; latest lacks movies\.csv"):
        store.data_digest(settings(tmp_path))


def test_a_folder_of_something_else_says_what_is_expected(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(
        DataError, match=r"expected u\.data, .* \(100K\), or .*, got holiday\.jpg\. Get it at"
    ):
        store.data_digest(settings(tmp_path))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_files_one_folder_further_down_are_pointed_to(layout, tmp_path):
    LAYOUTS[layout](tmp_path / "ml")
    with pytest.raises(DataError, match=r"one folder further down: set data\.root to .*/ml$"):
        store.data_digest(settings(tmp_path))


def test_the_line_of_an_error_far_down_is_found(tmp_path):
    root = write_movielens_latest(tmp_path)
    header = "userId,movieId,rating,timestamp\n"
    many = 20_000
    lines = [f"{1 + n},{1 + n % ITEMS},4.5,{10**9 + n}\n" for n in range(many)]
    (root / "ratings.csv").write_text(header + "".join(lines))
    assert len(movielens.read(settings(root)).user) == many
    edit(root / "ratings.csv", 15_001, "1,2,4.6,1000000000")
    with pytest.raises(DataError, match=r"ratings\.csv:15001: expected a rating"):
        movielens.read(settings(root))


@needs_data
def test_the_real_100k_written_as_the_other_layouts_is_the_same_data(tmp_path):
    """The real ratings and titles, in each layout's own form."""
    real = movielens.read(settings(ROOT))
    rating = (real.value * 2 + 3).astype(int)
    users, items = (np.array(ids, int) for ids in (real.user_ids, real.item_ids))
    rows = list(zip(users[real.user], items[real.item], rating, real.timestamp, strict=True))
    million, latest = tmp_path / "1m", tmp_path / "latest"
    for root in (million, latest):
        root.mkdir()
    (million / "ratings.dat").write_text("".join(f"{u}::{i}::{r}::{t}\n" for u, i, r, t in rows))
    (latest / "ratings.csv").write_text(
        "userId,movieId,rating,timestamp\n" + "".join(f"{u},{i},{r}.0,{t}\n" for u, i, r, t in rows)
    )
    titles = [title.strip() for title in real.item_titles]
    with (million / "movies.dat").open("w", encoding="latin-1") as file:
        file.writelines(f"{i}::{title}::Drama\n" for i, title in zip(items, titles, strict=True))
    with (latest / "movies.csv").open("w", encoding="utf-8") as file:
        quoted = [title.replace('"', '""') for title in titles]
        file.write("movieId,title,genres\n")
        file.writelines(f'{i},"{title}",Drama\n' for i, title in zip(items, quoted, strict=True))
    (million / "users.dat").write_text("".join(f"{u}::F::25::20::0\n" for u in users))
    for root in (million, latest):
        read = movielens.read(MovieLensSettings(source="movielens", root=root))
        assert read.item_titles == titles
        for name in ("item", "like", "timestamp"):
            assert np.array_equal(getattr(read, name), getattr(real, name)), name
        assert [read.user_ids[index] for index in read.user[:1000]] == [
            real.user_ids[i] for i in real.user[:1000]
        ]
