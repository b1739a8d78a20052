"""`make demo-all` runs and promotes a sweep of every task, evaluates over two parties, then shows what is served."""

import subprocess
from pathlib import Path

import pytest

from components.tasks import TASKS
from orchestrator.spec.load import load_sweep

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def commands() -> list[str]:
    make = ["make", "--dry-run", "--no-print-directory", "demo-all"]
    lines = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    adaptune = ".venv/bin/adaptune "
    return [line.removeprefix(adaptune) for line in lines if line.startswith(adaptune)]


def test_every_task_is_run_and_promoted_from_the_embedded_data(commands):
    *steps, split, evaluate, last = commands
    runs, promotions = steps[::2], steps[1::2]
    assert split.startswith("split sweeps/quickstart.yaml --parties 2 ")
    assert evaluate == "evaluate recommendation/champion --parties runs/parties/parties.yaml"
    assert last == "serve --demo"
    sweeps = [line.removeprefix("run ") for line in runs]
    assert [f"promote {sweep}" for sweep in sweeps] == promotions
    specs = [load_sweep(ROOT / sweep) for sweep in sweeps]
    assert {spec.task for spec in specs} == set(TASKS)
    assert {spec.data.source for spec in specs} == {"synthetic"}
