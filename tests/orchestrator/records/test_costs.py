"""What trainings took, from the ledger and the trials' folders."""

import mmap
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.records.costs import evaluations, trainings
from orchestrator.records.ledger import Member, Stop, TrialRow
from orchestrator.records.spent import Spent
from orchestrator.records.workspace import Workspace, write_json
from orchestrator.running.usage import Meter


def trial(name: str, run: str, epochs: int, **more: object) -> TrialRow:
    row = TrialRow(
        name, run, "recommendation", {}, "d", 0, epochs, "finished", None, 0, {}, 1, "v", epochs * 2.0, None, ""
    )  # fmt: skip
    return replace(row, **more)  # type: ignore[arg-type]


def member(name: str, phase: str = "grid") -> Member:
    return Member(phase, "model", name, {"training.epochs": 1}, 0)


def curve(epochs: int, measured: bool = True) -> list[dict[str, float]]:
    further = {"cpu_seconds": 1.5, "peak_memory": 100}
    return [{"epoch": epoch + 1, "seconds": 2.0, **(further if measured else {})} for epoch in range(epochs)]


def test_a_training_counts_once_as_far_as_it_came(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    write_json(workspace.trial("long") / "curve.json", curve(4))
    write_json(workspace.run("other", "v") / "curve.json", curve(3))
    rows = {
        "short": trial("short", "run", 2),
        "long": trial("long", "run", 4),
        "cut": trial("cut", "other", 8, state="stopped", seconds=4.0),
        "failed": trial("failed", "third", 8, state="failed"),
        "trivial": trial("trivial", "trivial", 0),
    }
    stops = {"cut": Stop({}, 2, [0.1, 0.2])}
    found = list(trainings([member(name) for name in rows], rows, stops, workspace))
    assert [(one.epochs, one.stopped) for one in found] == [(4, False), (2, True)]
    assert [one.spent for one in found] == [Spent(8.0, 6.0, 100), Spent(4.0, 3.0, 100)]


def test_what_was_not_measured_is_not_made_up(tmp_path: Path) -> None:
    assert Spent.by_epochs(curve(2, measured=False)) == Spent(4.0)
    assert Spent.by_epochs([*curve(1), *curve(1, measured=False)]) == Spent(4.0)
    assert Spent.in_all([Spent(1.0, 1.0, 5), Spent(2.0)]) == Spent(3.0)
    assert Spent.in_all([Spent(1.0, 1.0, 5), Spent(2.0, 1.0, 9)]) == Spent(3.0, 2.0, 9)
    rows = {"gone": trial("gone", "run", 2)}
    [one] = trainings([member("gone")], rows, {}, Workspace(tmp_path))
    assert one.spent == Spent(4.0)


def test_evaluations_are_found_beside_the_result(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    folder = workspace.trial("a")
    write_json(folder / "test.json", {"control": "", "seconds": 1.0, "cpu_seconds": 0.5, "peak_memory": 7})
    write_json(folder / "test.shuffled-users.json", {"control": "shuffled-users"})  # of an older version
    write_json(folder / "result.json", {"seconds": 9.0})
    assert list(evaluations(["a", "nowhere"], workspace)) == [Spent(1.0, 0.5, 7)]


def test_a_meter_sees_work_and_memory() -> None:
    meter = Meter()
    before = meter.peak_memory
    block = mmap.mmap(
        -1, 64_000_000
    )  # new pages, where a heap might hand out freed ones that are still resident
    block[::4096] = b"1" * len(block[::4096])
    sum(range(300_000))
    spent = meter.spent
    assert spent.cpu_seconds is not None and 0 < spent.cpu_seconds < 60
    assert spent.peak_memory is not None and spent.peak_memory >= before + 50_000_000
    block.close()
    if Path("/proc/self/clear_refs").exists():
        assert Meter().peak_memory == pytest.approx(before, abs=30_000_000), "an older peak does not count"
