"""The benchmark of a large preparation runs, and its generated log is as MovieLens publishes one."""

import json
import subprocess
import sys

import numpy as np

from benchmarks.large_movielens import LEAST, USERS, write_log
from components.config import MovieLensSettings
from components.data import movielens

SHARE = 0.0005


def test_the_generated_log_has_the_size_and_shape(tmp_path):
    write_log(tmp_path, SHARE)
    recording = movielens.read(MovieLensSettings(source="movielens", root=tmp_path))
    counts = np.bincount(recording.user)
    assert len(counts) == round(USERS * SHARE) and counts.min() >= LEAST
    assert counts.max() > 4 * np.median(counts)
    popular = np.sort(np.bincount(recording.item))[::-1]
    assert popular[:100].sum() > 0.1 * popular.sum()


def test_it_measures_a_process_of_its_own(tmp_path):
    command = [sys.executable, "-m", "benchmarks.large_movielens", "--share", f"{SHARE}", "--json", "--zip"]
    done = subprocess.run([*command, "--folder", tmp_path], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["rows"]["users"] == round(USERS * SHARE)
    assert 50e6 < found["peak_bytes"] < 1e9
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ml-generated", "ml-generated.zip"]
