from contextlib import nullcontext

import numpy as np
import pytest

from benchmarks import secure_exactness
from benchmarks.drawing import MARGIN
from benchmarks.seats import run_seats
from benchmarks.secure_cases import KINDS
from benchmarks.secure_exactness import Plan, compare, table
from orchestrator.running.cluster import ray_cluster

NAMES = [kind.name for kind in KINDS]


def equal_everywhere(result, cases):
    assert result["differing"] == []
    assert sum(result["cases"].values()) == cases and min(result["cases"].values()) >= cases // len(KINDS)
    for rates in result["near"].values():
        for margin, found in rates.items():
            assert found["examples"] > 0 and 0 <= found["differ"] <= found["examples"], margin


@pytest.mark.parametrize("parties", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_opened_counts_equal_the_plain_ones(parties):
    result = run_seats(compare, Plan(5 * len(KINDS), near=100, parties=parties), parties)
    equal_everywhere(result, 5 * len(KINDS))


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize("parties", [2, 3])
@pytest.mark.parametrize("on_ray", [False, True], ids=["local", "ray"])
def test_opened_counts_equal_the_plain_ones_over_200_models_and_divisions(parties, on_ray, tmp_path):
    with ray_cluster(None, tmp_path, False) if on_ray else nullcontext():
        result = run_seats(compare, Plan(200, near=4000, parties=parties, seed=1), parties, on_ray=on_ray)
    equal_everywhere(result, 200)
    for kind, rates in result["near"].items():
        assert rates[f"{MARGIN:g}"]["differ"] < 0.05 * rates[f"{MARGIN:g}"]["examples"], kind


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
@pytest.mark.parametrize("parties", [2, 3])
def test_drawn_cases_vary_and_keep_their_distance_from_a_tie(kind, parties):
    outcomes = {str(kind.plain(kind.make(np.random.default_rng(seed), parties))) for seed in range(20)}
    assert len(outcomes) > 10
    if kind.near is not None:
        near = kind.near(np.random.default_rng(1), parties, 50, MARGIN)
        count = kind.plain(near)[0]
        assert count > 0, "the first number counts all examples near a tie"


def test_a_difference_is_shown_and_ends_with_code_1(monkeypatch, capsys):
    case = {"kind": NAMES[0], "number": 4, "opened": [1], "plain": [2]}
    result = {"cases": {NAMES[0]: 5}, "differing": [case], "near": {}, "seconds": 1.0}
    assert f"{NAMES[0]}     4 of 5 equal" in table([{"parties": 2, "run": "local", **result}])
    monkeypatch.setattr(secure_exactness, "run_seats", lambda *arguments, **options: result)
    monkeypatch.setattr("sys.argv", ["secure_exactness", "--parties", "2"])
    with pytest.raises(SystemExit) as ended:
        secure_exactness.main()
    assert ended.value.code == 1
    assert "DIFFERS" in capsys.readouterr().out
