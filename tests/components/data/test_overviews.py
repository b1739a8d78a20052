"""Overviews are read as published; whatever is wrong is said with file and line."""

import pytest

from components.data.overviews import check_file, read_overviews
from components.errors import DataError
from tests.components.data.samples import write_overviews

IDS = ["1", "2", "3", "4"]
GOOD = ("1,One.", '2,"Two, or ""three""."', "3,Three.")


def test_texts_stand_with_their_items_and_others_have_none(tmp_path):
    path = write_overviews(tmp_path, *GOOD)
    check_file(path)
    assert read_overviews(path, IDS, damaged=0) == (["One.", 'Two, or "three".', "Three.", ""], {})


def test_a_byte_order_mark_windows_line_ends_blank_lines_and_quoted_line_ends_are_read(tmp_path):
    path = tmp_path / "overviews.csv"
    path.write_bytes('\ufeffmovie_id,overview\r\n1,"Café\r\nline  two"\r\n\r\n2,Two\r\n'.encode())
    assert read_overviews(path, IDS, damaged=0)[0] == ["Café line two", "Two", "", ""]


@pytest.mark.parametrize(
    ("rows", "line", "expected"),
    [
        (("1,One.", "1,Again."), 3, "movie '1' stands on line 2 already; expected every id once"),
        (
            ("1,One.", "2,Two, or three."),
            3,
            "expected 2 values, got 3; a text that holds commas stands in quotes",
        ),
        (("1,One.", "2"), 3, "expected 2 values, got 1"),
        (('1,"One', "2,Two."), 3, "not a table divided by commas, or cut off: unexpected end of data"),
        (('1,"One" and more', "2,Two."), 2, "not a table divided by commas, or cut off"),
        (
            ("1,One.", "77,Lost.", "78,Lost."),
            3,
            "no movie has the id '77'; 2 of 3 overviews are empty or of unknown",
        ),
        (
            ("1,One.", "", "2,", "3,Three."),
            4,
            "the overview of movie 2 is empty; 1 of 3 overviews are empty or of",
        ),
        (("1,One.", "2,   "), 3, "the overview of movie 2 is empty"),
    ],
)
def test_a_bad_row_is_located(tmp_path, rows, line, expected):
    path = write_overviews(tmp_path, *rows)
    with pytest.raises(DataError) as caught:
        read_overviews(path, IDS, damaged=0.01)
    assert str(caught.value).startswith(f"{path}:{line}: {expected}")


def test_unknown_and_empty_ones_are_counted_up_to_the_share_that_may_be_damaged(tmp_path):
    path = write_overviews(tmp_path, *GOOD, "4,", "77,Lost.", "x,Lost.")
    texts, counts = read_overviews(path, IDS, damaged=0.5)
    assert texts == ["One.", 'Two, or "three".', "Three.", ""]
    assert counts == {"overviews of unknown items": 2, "empty overviews": 1}
    with pytest.raises(DataError, match=r"more than the share 0\.49 that data\.damaged allows"):
        read_overviews(path, IDS, damaged=0.49)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("movieId,overview", "expected the columns movie_id,overview, got movieId,overview"),
        ("1,One.", "expected the columns movie_id,overview, got 1,One."),
        ("movie_id;overview", "expected the columns movie_id,overview, got movie_id;overview"),
    ],
)
def test_another_header_is_refused(tmp_path, header, expected):
    path = write_overviews(tmp_path, *GOOD, header=header)
    with pytest.raises(DataError) as caught:
        read_overviews(path, IDS, damaged=1)
    assert str(caught.value) == f"{path}:1: {expected}"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", r":1: the file is empty"),
        (b"<!DOCTYPE html><html>", r":1: this is a web page, not data"),
        (b"movie_id,overview\n", r":1: no overview below the header"),
        (b"movie_id,overview\n1,caf\xe9\n", r":2: expected utf-8 text, got the byte 0xe9"),
        (b"movie_id,overview\n77,Lost.\n", r": no overview of any of the 4 movies"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, content, expected):
    path = tmp_path / "overviews.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"overviews\.csv" + expected):
        check_file(path)
        read_overviews(path, IDS, damaged=1)
