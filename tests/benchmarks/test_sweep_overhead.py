from pathlib import Path

import pytest

from benchmarks import sweep_overhead
from benchmarks.sweep_overhead import Case, Timed, compare

CASE = Case("case", Path("case.yaml"), dict.fromkeys(("a", "b")), frozenset({"b"}))
METRICS = {"a": {"accuracy": 0.7}, "b": {"accuracy": 0.6}}


def test_an_even_drift_of_the_machine_cancels(monkeypatch):
    order: list[str] = []

    def drifting(way: str, case: Case, cores: int) -> Timed:
        order.append(way)
        return Timed(100.0 + 10 * len(order), METRICS)

    monkeypatch.setattr(sweep_overhead, "run", drifting)
    result = compare(CASE, ("adaptune", "tune-reused", "loop"), cores=2)

    assert order == ["adaptune", "tune-reused", "loop", "loop", "tune-reused", "adaptune"]
    assert result["seconds"] == {"adaptune": [110, 160], "tune-reused": [120, 150], "loop": [130, 140]}
    assert result["adaptune_share_of"] == {"tune-reused": 1, "loop": 1}


def test_ways_with_different_metrics_are_not_compared(monkeypatch):
    other = METRICS | {"b": {"accuracy": 0.61}}

    def run(way: str, case: Case, cores: int) -> Timed:
        return Timed(1.0, other if way == "loop" else METRICS)

    monkeypatch.setattr(sweep_overhead, "run", run)
    with pytest.raises(RuntimeError, match="loop has other metrics than adaptune in b"):
        compare(CASE, ("adaptune", "tune-reused", "loop"), cores=2)
