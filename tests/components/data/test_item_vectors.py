"""Vectors of a pretrained encoder come from an Arrow file; whatever is wrong with it is said with the row."""

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pytest

from components.data.item_vectors import read_item_vectors
from components.errors import DataError
from tests.components.data.samples import write_vectors

IDS = ["a", "b", "c"]
KINDS = [pa.list_(pa.float32()), pa.list_(pa.float32(), 2), pa.large_list(pa.float32())]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", [pa.string(), pa.large_string()])
def test_vectors_stand_with_their_items_whatever_the_order(tmp_path, kind, text):
    path = write_vectors(
        tmp_path / "v.arrow", pa.array(["c", "x", "a"], text), [[1, 2], [3, 4], [5, 6]], kind
    )
    vectors, present, counts = read_item_vectors(path, IDS)
    assert vectors.dtype == np.float32 and vectors.tolist() == [[5, 6], [0, 0], [1, 2]]
    assert present.tolist() == [True, False, True] and counts == {"vectors of unknown items": 1}


def test_several_batches_further_columns_and_compression_will_do(tmp_path):
    table = pa.table(
        {"vector": pa.array([[n / 4] for n in range(3)], KINDS[0]), "item_id": IDS, "title": ["", "", ""]}
    )
    pyarrow.feather.write_feather(table, str(tmp_path / "v.feather"), compression="zstd", chunksize=2)
    vectors, present, counts = read_item_vectors(tmp_path / "v.feather", IDS)
    assert vectors.tolist() == [[0], [0.25], [0.5]] and present.all() and counts == {}


@pytest.mark.parametrize("kind", KINDS[::2])
@pytest.mark.parametrize(
    ("ids", "vectors", "expected"),
    [
        (["a", "b"], [[1, 2], [3]], "row 2: the vector is not as long as that of row 1 (2 numbers)"),
        (["a", "b"], [[1, 2], None], "row 2: column 'vector' is null; leave an item without a vector out"),
        (["a", None], [[1, 2], [3, 4]], "row 2: column 'item_id' is null"),
        (["a", "b"], [[1, 2], [3, float("nan")]], "row 2: the vector holds a number that is not finite"),
        (["a", "b"], [[1, 2], [float("-inf"), 3]], "row 2: the vector holds a number that is not finite"),
        (["a", "b"], [[1, None], [3, 4]], "row 1: the vector holds a number that is not finite"),
        (["a", "b", "a"], [[1], [2], [3]], "row 3: an earlier row has this id, too; expected every id once"),
        (["a"], [[]], "row 1: the vector is empty"),
        (
            ["A", "B"],
            [[1], [2]],
            "no vector of any of the 3 items. Ids must be written alike: the first one here",
        ),
    ],
)
def test_a_bad_row_is_located(tmp_path, kind, ids, vectors, expected):
    path = write_vectors(tmp_path / "v.arrow", ids, vectors, kind)
    with pytest.raises(DataError) as caught:
        read_item_vectors(path, IDS)
    assert str(caught.value).startswith(f"{path}: {expected}")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"id": IDS, "vector": [[1.0]] * 3}, r"no column 'item_id' among 'id', 'vector'"),
        ({"item_id": IDS, "vectors": [[1.0]] * 3}, r"no column 'vector' among 'item_id', 'vectors'"),
        ({"item_id": [1, 2, 3], "vector": [[1.0]] * 3}, r"column 'item_id': expected text, got int64"),
        ({"item_id": IDS, "vector": [1.0] * 3}, r"column 'vector': expected lists of float32, got double"),
        (
            {"item_id": IDS, "vector": [[1.0]] * 3},
            r"column 'vector': expected lists of float32, got list<.*double>",
        ),
        ({"item_id": IDS, "vector": ["1 2"] * 3}, r"column 'vector': expected lists of float32, got string"),
    ],
)
def test_missing_columns_and_wrong_types_are_refused(tmp_path, columns, expected):
    pyarrow.feather.write_feather(pa.table(columns), str(tmp_path / "v.arrow"))
    with pytest.raises(DataError, match=rf"v\.arrow: {expected}"):
        read_item_vectors(tmp_path / "v.arrow", IDS)


def test_a_file_of_something_else_is_refused(tmp_path):
    path = write_vectors(tmp_path / "v.arrow", IDS, [[1.0]] * 3)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        DataError, match=r"v\.arrow: not an Arrow IPC file, or cut off \(.*`data\.item_vectors` is"
    ):
        read_item_vectors(path, IDS)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"v\.arrow: the file is empty"):
        read_item_vectors(path, IDS)
    write_vectors(path, pa.array([], pa.string()), [])
    with pytest.raises(DataError, match="no row in it"):
        read_item_vectors(path, IDS)
    with pytest.raises(DataError, match="this is a folder"):
        read_item_vectors(tmp_path, IDS)
