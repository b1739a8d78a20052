"""The trivial rows on real data, against figures measured independently of this code."""

import os
from pathlib import Path

import pytest

from components.baselines.trivial import trivial_rows
from components.config import MovieLensSettings
from components.data.interactions import open_interactions
from components.data.store import prepare
from components.metrics.rows import macro, micro

FLOORS = {
    "always-like": {"accuracy": 0.538},
    "item-bias": {"accuracy": 0.662},
    "user-item-bias": {"accuracy": 0.688},
    "running-residual": {"accuracy": 0.691},
    "popularity": {"ndcg@10": 0.092, "recall@10": 0.096, "hr@10": 0.457},
    "ease": {"ndcg@10": 0.156, "recall@10": 0.158, "hr@10": 0.603},
    "ease-recency": {"ndcg@10": 0.180, "recall@10": 0.186, "hr@10": 0.666},
    "markov": {"ndcg@10": 0.157, "recall@10": 0.166, "hr@10": 0.655},
    "co-occurrence": {"ndcg@10": 0.170, "recall@10": 0.174, "hr@10": 0.666},
}
"""Macro over seen users, test part. Another hash of users and cuts that move to the earlier end of a tie."""

TOLERANCE = {"accuracy": 0.015, "ndcg@10": 0.015, "recall@10": 0.015, "hr@10": 0.065}


@pytest.fixture(scope="module")
def movielens(tmp_path_factory):
    root = Path(os.environ.get("ADAPTUNE_DATA", "")) / "ml-100k"
    if not (root / "u.data").is_file():
        pytest.skip("needs MovieLens 100K: set ADAPTUNE_DATA to the folder that holds ml-100k")
    settings = MovieLensSettings(source="movielens", root=root)
    return open_interactions(prepare(settings, tmp_path_factory.mktemp("data")))


@pytest.mark.parametrize("name", FLOORS)
def test_trivial_rows_reach_the_known_floors(movielens, name):
    rows = trivial_rows(name, movielens, "test")
    means = macro(rows, "seen")
    for metric, floor in FLOORS[name].items():
        assert means[metric] == pytest.approx(floor, abs=TOLERANCE[metric])


def test_running_residual_pooled(movielens):
    assert micro(trivial_rows("running-residual", movielens, "test"), "seen")["accuracy"] == pytest.approx(
        0.714, abs=0.01
    )
