"""Word vectors from a file: what the data needs of them, and a located error for whatever is no such file."""

import numpy as np
import pytest

from components.data.word_vectors import read_vectors
from components.errors import DataError

LINES = "the 0.5 -1 2 0\nBridge 1 2 3 4\nbridge 9 9 9 9\nunwanted 1 1 1 1\n"


def test_wanted_words_are_found_whatever_their_case_and_the_first_line_counts(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text(LINES)
    found = read_vectors(path, {"the", "bridge", "absent"})
    assert found.words == ["bridge", "the"]
    assert found.vector_WE.tolist() == [[1, 2, 3, 4], [0.5, -1, 2, 0]] and found.vector_WE.dtype == np.float32


def test_the_first_line_of_word2vec_is_passed_over(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("4 4\n" + LINES)
    assert read_vectors(path, {"the"}).vector_WE.shape == (1, 4)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (LINES + "short 1 2\n", 5, "2 numbers after 'short', and 4"),
        ("the a b c d\n", 1, "not numbers"),
        ("the 1 nan 3 4\n", 1, "not finite"),
        ("the\nbridge\n", 1, "0 numbers"),
        (
            "4 3\nthe 1 2 3\n",
            2,
            "3 numbers after 'the', and `model.embedding`.* is greater than or equal to 4",
        ),
        ("the" + " 1" * 4097, 1, "4097 numbers.*less than or equal to 4096"),
        ("other 1 2 3 4\n", None, "none of the 2 words"),
        ("", 1, "empty"),
        ("PK\x03\x04", 1, "zip archive"),
    ],
)
def test_what_is_no_file_of_vectors_is_refused_where_it_is_wrong(tmp_path, text, line, said):
    path = tmp_path / "vectors.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=said) as error:
        read_vectors(path, {"the", "bridge"})
    assert error.value.line == line


def test_bytes_that_are_no_text_and_a_missing_file_are_refused(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_bytes(b"the 1 2 3 4\nb\xff 1 2 3 4\n")
    with pytest.raises(DataError, match="0xff"):
        read_vectors(path, {"the"})
    with pytest.raises(DataError, match="no such file"):
        read_vectors(tmp_path / "absent.txt", {"the"})
