"""Every task trains in half precision on a GPU and is the same model on a processor; two trials share a GPU."""

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from components.config import TrialConfig
from components.metrics.rows import macro
from components.tasks import TASKS
from components.training import EpochReport, fit
from orchestrator.records.workspace import read_json
from tests.orchestrator.conftest import TINY
from tests.orchestrator.sweeping import end, start, write_sweep

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU, and PyTorch sees none"),
    pytest.mark.xdist_group("ray"),
]

CORE = {"layers": 2, "hidden": 32, "window": 8, "heads": 2}
SMALL: dict[str, dict[str, Any]] = {
    "recommendation": {
        "data": {"source": "synthetic", "users": 60, "items": 40, "events": 24},
        "model": {"embedding": 16, "personalization": CORE},
    },
    "question-answering": {
        "data": {"source": "synthetic", "users": 60, "articles": 8},
        "model": {"embedding": 32, "hidden": 32, "personalization": CORE},
    },
    "captioning": {
        "data": {"source": "synthetic", "users": 60, "images": 120},
        "model": {"hidden": 32, "layers": 1, "heads": 2, "personalization": CORE},
    },
}
ROUNDING = 0.05
"""Metrics count choices, such as the best of nearly equal captions, which other last digits may change."""


def train_and_move(task_name: str, folder: Path, accelerator: str) -> None:
    config = TrialConfig.model_validate(
        {
            "task": task_name,
            **SMALL[task_name],
            "training": {"batch_size": 16, "epochs": 1, "precision": "bf16-mixed"},
        }
    )
    task, group = TASKS[task_name].load(), TASKS[task_name].main_group
    data = task.open_data(task.prepare(config.data, folder / "data"))
    module = task.build(config, data)
    reports: list[EpochReport] = []
    fit(
        task,
        module,
        data,
        config.training,
        1,
        group=group,
        checkpoint_folder=folder / "run",
        on_epoch=lambda report, module: reports.append(report),
        accelerator=accelerator,
    )
    weights = {name: tensor.contiguous() for name, tensor in module.model.state_dict().items()}
    assert {tensor.dtype for tensor in weights.values() if tensor.is_floating_point()} == {torch.float32}
    safetensors.torch.save_file(weights, folder / "model.safetensors")

    moved = task.build(config, data)
    moved.model.load_state_dict(safetensors.torch.load_file(folder / "model.safetensors"))
    here = macro(task.evaluate(moved, data, "validation", slices=False), group)
    for name, value in reports[0].metrics.items():
        if name != "train_loss":
            assert here[name] == pytest.approx(value, rel=ROUNDING, abs=ROUNDING), name


@pytest.mark.parametrize("task", SMALL)
def test_a_model_trained_in_half_precision_is_the_same_on_a_processor(task, tmp_path):
    train_and_move(task, tmp_path, "gpu")


def test_two_trials_share_a_gpu(tmp_path):
    shared = {**TINY, "grid": {}, "seeds": [0], "ablations": {}, "resources": {"gpu": 0.5}}
    call = end(start("run", write_sweep(tmp_path, shared), "--home", tmp_path / "home", "--json"))
    assert call.code == 0, call.err
    assert (call.document["finished"], call.document["failed"]) == (2, 0)
    results = [read_json(path) for path in (tmp_path / "home" / "trials").glob("*/result.json")]
    devices = {result["environment"]["device"] for result in results if result["epochs"]}
    assert devices == {torch.cuda.get_device_name()}
