import numpy as np
import pyarrow as pa
import pytest

from components.errors import DataError
from components.metrics.rows import (
    concat_rows,
    evaluation_rows,
    macro,
    mean_rows,
    metric_names,
    metric_values,
    micro,
    read_rows,
    row_schema,
    slice_means,
    write_rows,
)


def example_rows():
    full = evaluation_rows(
        ["a", "b", "c"],
        ["seen", "seen", "unseen"],
        -1,
        [1, 3, 2],
        {"accuracy": [1.0, 0.0, 0.5], "auc": [np.nan, 0.2, 1]},
    )
    cut = evaluation_rows(["a", "b"], "seen", 5, np.array([1, 3]), {"accuracy": np.array([0.25, 0.75])})
    return concat_rows([full, cut])


def test_schema_and_nulls():
    rows = example_rows()
    assert rows.schema == row_schema(["accuracy", "auc"])
    assert metric_names(rows) == ["accuracy", "auc"]
    assert rows["auc"].to_pylist() == [None, 0.2, 1.0, None, None]
    assert np.isnan(metric_values(rows, "auc")[0])


def test_macro_and_micro_of_a_slice():
    rows = example_rows()
    assert macro(rows, "seen") == pytest.approx({"accuracy": 0.5, "auc": 0.2})
    assert micro(rows, "seen") == pytest.approx({"accuracy": 0.25, "auc": 0.2})
    assert macro(rows, "unseen")["accuracy"] == 0.5
    assert macro(rows, "seen", 5)["accuracy"] == 0.5
    assert np.isnan(macro(rows, "seen", 5)["auc"])
    assert np.isnan(macro(rows, "unseen", 20)["accuracy"])


def test_means_of_every_slice():
    assert slice_means(example_rows()).to_pylist() == [
        {"group": "seen", "history": -1, "units": 2, "accuracy": 0.5, "auc": 0.2},
        {"group": "unseen", "history": -1, "units": 1, "accuracy": 0.5, "auc": 1.0},
        {"group": "seen", "history": 5, "units": 2, "accuracy": 0.5, "auc": None},
    ]


def test_repeated_rows_are_averaged_metric_by_metric():
    one = evaluation_rows(["a", "b"], "seen", -1, [2, 3], {"accuracy": [0.5, 1.0], "auc": [0.2, np.nan]})
    two = evaluation_rows(["a", "b"], "seen", -1, [2, 3], {"accuracy": [0.0, 1.0], "auc": [0.4, 0.9]})
    mean = evaluation_rows(["a", "b"], "seen", -1, [2, 3], {"accuracy": [0.25, 1.0], "auc": [0.3, np.nan]})
    assert mean_rows([one]).equals(one)
    found = mean_rows([one, two])
    assert found.schema == mean.schema and found["auc"].null_count == 1
    assert found.to_pylist() == [pytest.approx(row) for row in mean.to_pylist()]


def test_round_trip_through_a_file(tmp_path):
    rows = example_rows()
    write_rows(rows, tmp_path / "test.arrow")
    assert read_rows(tmp_path / "test.arrow").equals(rows)
    assert [path.name for path in tmp_path.iterdir()] == ["test.arrow"]
    with pytest.raises(pa.ArrowInvalid):
        evaluation_rows(["a"], "seen", -1, [0.5], {})


def test_a_damaged_file_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "test.arrow"
    path.write_bytes(b"garbage")
    with pytest.raises(DataError, match=r"test\.arrow: damaged .* run the sweep again"):
        read_rows(path)
