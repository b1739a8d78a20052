"""A team of two real processes: what it trains, and what happens when one of them is killed."""

import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from components import training
from components.config import TrialConfig
from components.tasks.recommendation import task as recommendation
from components.team import Team, joined
from tests.components.tasks.recommendation.fixtures import tiny_config, tiny_data

SIZE = 2
Found = tuple[dict[str, torch.Tensor], list[dict[str, float]]]
"""Weights, and the metrics that were reported."""

WITHOUT_EFFECT = "items.attention.bias"
"""It moves all logits of a softmax alike: its gradient is nothing but rounding, which AdamW blows up to steps."""


def without_dropout() -> TrialConfig:
    """Two epochs of batches of 13 users, which leave a smaller one."""
    config = tiny_config(epochs=2, batch_size=13)
    return config.model_copy(update={"model": config.model.model_copy(update={"dropout": 0.0})})


def fit(config: TrialConfig, folder: Path, team: Team | None = None) -> Found:
    data = tiny_data(folder.parent / "prepared")
    module = recommendation.build(config, data)
    reports: list[training.EpochReport] = []
    training.fit(
        recommendation,
        module,
        data,
        config.training,
        config.training.epochs,
        group="seen",
        checkpoint_folder=folder,
        on_epoch=lambda report, module: reports.append(report),
        team=team,
    )
    return module.state_dict(), [report.metrics for report in reports]


def member(rank: int, folder: Path) -> None:
    """Train what the tests compare; then the second member waits for the first one, which never comes."""
    with joined(rank, SIZE, folder / "meeting") as team:
        found = {
            "exact": fit(without_dropout(), folder / "exact", team),
            "whole": fit(tiny_config(epochs=2), folder / "whole", team),
            "begun": fit(tiny_config(epochs=1), folder / "parts", team),
            "resumed": fit(tiny_config(epochs=2), folder / "parts", team),
        }
        partial = folder / f"{rank}.partial"
        partial.write_bytes(pickle.dumps(found))
        partial.rename(folder / f"{rank}.pickle")
        if rank == 0:
            time.sleep(60)
        team.total(torch.ones(()))


class Members:
    """Two processes, which still run, and what each of them found."""

    def __init__(self, folder: Path) -> None:
        tiny_data(folder / "prepared")
        command = [sys.executable, "-m", "tests.components.test_team", str(folder)]
        self.processes = [
            subprocess.Popen([*command, str(rank)], stderr=subprocess.PIPE, text=True) for rank in range(SIZE)
        ]
        files = [folder / f"{rank}.pickle" for rank in range(SIZE)]
        deadline = time.monotonic() + 120
        while not all(file.exists() for file in files):
            for process in self.processes:
                assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        self.found: list[dict[str, Found]] = [pickle.loads(file.read_bytes()) for file in files]


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Members]:
    team = Members(tmp_path_factory.mktemp("team"))
    try:
        yield team
    finally:
        for process in team.processes:
            process.kill()
            process.communicate()


def test_two_workers_train_what_one_does(members: Members, tmp_path: Path) -> None:
    weights, metrics = fit(without_dropout(), tmp_path / "alone")
    shared, its_metrics = members.found[0]["exact"]
    assert weights.keys() == shared.keys()
    compared = [name for name in weights if not name.endswith(WITHOUT_EFFECT)]
    apart = torch.cat([(shared[name] - weights[name]).abs().flatten() for name in compared])
    # Single weights hardly matter either, on one processor and not on another.
    assert apart.max() < 1e-3 and (apart > 1e-4).sum() <= len(apart) / 10_000
    assert [epoch["train_loss"] for epoch in its_metrics] == pytest.approx(
        [epoch["train_loss"] for epoch in metrics], abs=1e-4
    )


def test_the_first_worker_alone_reports_and_both_end_in_the_same_weights(members: Members) -> None:
    first, second = members.found
    for name in first:
        (weights, metrics), (its_weights, its_metrics) = first[name], second[name]
        assert metrics and not its_metrics
        assert all(torch.equal(value, its_weights[key]) for key, value in weights.items()), name


def test_a_resumed_training_of_two_equals_an_undisturbed_one(members: Members) -> None:
    weights, metrics = members.found[0]["whole"]
    resumed, later = members.found[0]["resumed"]
    assert all(torch.equal(value, resumed[key]) for key, value in weights.items())
    assert later == metrics[1:]


def test_who_waits_for_a_killed_worker_ends_at_once(members: Members) -> None:
    first, second = members.processes
    first.send_signal(signal.SIGKILL)
    errors: Any = second.communicate(timeout=10)[1]
    assert second.returncode == 1
    assert "ConnectionError: the connection to another worker of the trial broke" in errors


if __name__ == "__main__":
    member(int(sys.argv[2]), Path(sys.argv[1]))
