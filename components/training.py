"""Training with Lightning: epoch by epoch, resumable after each, and the same whatever interrupts it.

Everything random in an epoch is seeded by (seed, epoch), so a resumed training ends in the same weights as an
undisturbed one, bit for bit on a CPU. The learning rate may not depend on the total number of epochs, so
trainings of different length share their beginning.
"""

import logging
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import lightning.pytorch as lightning
import pyarrow as pa
import torch

from components.config import TrainingSettings
from components.metrics.rows import macro
from components.randomness import derive_seed
from components.team import Team

CHECKPOINT = "last.ckpt"


class DivergedError(ArithmeticError):
    """Training has left the finite numbers, so no later epoch can mean anything."""


@dataclass(frozen=True)
class EpochReport:
    """What one epoch achieved."""

    epoch: int
    """How many epochs are finished, this one included."""
    metrics: dict[str, float]
    """`train_loss`, and each validation metric as the mean over the rows of the group, if any of them has it."""
    seconds: float
    """Time that training and validation of this epoch took."""
    rows: pa.Table
    """What validation found with full histories."""


@contextmanager
def subnormals_as_zero() -> Iterator[None]:
    """Count numbers below 1e-38 as zero in this thread, as long as the context lasts.

    Processors compute many times slower with such subnormal numbers, and the gradients of a confident model are full
    of them.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


OnEpoch = Callable[[EpochReport, lightning.LightningModule], None]


def fit(
    task: ModuleType,
    module: lightning.LightningModule,
    data: Any,
    training: TrainingSettings,
    epochs: int,
    *,
    group: str,
    checkpoint_folder: Path,
    on_epoch: OnEpoch,
    threads: int = 1,
    accelerator: str = "cpu",
    team: Team | None = None,
) -> None:
    """Train `module` to the end of epoch number `epochs` and report after each epoch, on `group` of the rows.

    A checkpoint in `checkpoint_folder` is taken up where it ended; its epochs are not reported again. An
    unreadable one is warned about and ignored. The module ends up in the state after exactly `epochs` epochs, and
    so does the checkpoint, unless it was further already, in which case `ValueError` is raised. Raises
    `DivergedError` at the end of an epoch whose loss, weights or metrics are not finite.

    With a `team`, every member calls this with the same arguments, and `module` is an `AveragedTraining` whose
    batches are `Divisible`. The first member alone evaluates, reports and saves. Raises `ConnectionError` if another
    member is gone.
    """
    team = team or Team()
    torch.set_num_threads(threads)
    checkpoint_folder.mkdir(parents=True, exist_ok=True)
    path = checkpoint_folder / CHECKPOINT
    done = _finished_epochs(path)
    if int(team.total(torch.tensor(done))) != done * team.size:
        raise ConnectionError(f"the workers of the trial do not read the same checkpoint at {path}")
    if done > epochs:
        raise ValueError(
            f"{path} is after epoch {done}, but {epochs} were asked for; start in another folder"
        )
    if done == epochs:
        module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["state_dict"])
        return
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.pytorch.accelerators.cuda"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if team.size > 1:
        cast("Any", module).team = team
    trainer = lightning.Trainer(
        accelerator=accelerator,
        devices=1,
        precision=training.precision,
        max_epochs=epochs,
        gradient_clip_val=training.gradient_clip,
        callbacks=[_EpochEnd(task, data, group, training.seed, path, on_epoch, team)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    with subnormals_as_zero():
        trainer.fit(module, ckpt_path=path if done else None, weights_only=True if done else None)
    team.total(torch.zeros(()))  # nobody goes on before the first member has saved


class _EpochEnd(lightning.Callback):
    """Seeds each epoch, and at its end validates, reports and then saves.

    The checkpoint comes last: if the process dies before it, the epoch is repeated and reported again, so no
    report is ever lost. Of a team, the first member does so; all of them are seeded alike.
    """

    def __init__(
        self,
        task: ModuleType,
        data: Any,
        group: str,
        seed: int,
        path: Path,
        on_epoch: OnEpoch,
        team: Team,
    ) -> None:
        self.task = task
        self.data = data
        self.group = group
        self.seed = seed
        self.path = path
        self.on_epoch = on_epoch
        self.team = team
        self.started = 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.started = time.perf_counter()
        torch.manual_seed(derive_seed(self.seed, "epoch", trainer.current_epoch))

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        loss = float(self.team.total(trainer.callback_metrics["train_loss"]))
        if self.team.rank > 0:
            return
        _check_finite("loss", loss, epoch)
        for name, weight in module.named_parameters():
            _check_finite(f"largest weight of {name}", float(weight.detach().abs().max()), epoch)
        metrics = {"train_loss": loss}
        rows = self.task.evaluate(module, self.data, "validation", slices=False)
        for name, value in macro(rows, self.group).items():
            if not math.isnan(value):  # which stands for a metric that no row has
                _check_finite(name, value, epoch)
                metrics[name] = value
        seconds = time.perf_counter() - self.started
        self.on_epoch(EpochReport(epoch, metrics, seconds, rows), module)
        partial = self.path.with_suffix(f".{os.getpid()}.partial")
        trainer.save_checkpoint(partial, weights_only=False)
        partial.replace(self.path)


def _check_finite(name: str, value: float, epoch: int) -> None:
    if not math.isfinite(value):
        raise DivergedError(
            f"training diverged: its {name} in epoch {epoch} is {value}; lower `training.learning_rate`, "
            "`training.weight_decay` or `training.gradient_clip`"
        )


def _finished_epochs(path: Path) -> int:
    """How many epochs a checkpoint has behind it; 0 if there is none or it cannot be read."""
    if not path.exists():
        return 0
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        return int(checkpoint["epoch"]) + 1
    except Exception as error:  # noqa: BLE001 - whatever a damaged file makes the reader raise, training starts over
        warnings.warn(f"{path} cannot be read ({error}); training starts over", stacklevel=3)
        return 0
