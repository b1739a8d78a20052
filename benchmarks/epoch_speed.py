"""How fast an epoch of recommendation is beside a straightforward version of the same model.

    ADAPTUNE_DATA=/path/to/data python -m benchmarks.epoch_speed [--batch-size 16] [--repeats 3]

The straightforward version trains the same model by Lightning from a `Dataset` of users and a shuffling `DataLoader`
that pads each batch to its longest user. Adaptune's batches hold users of similar length and are cut from the log at
once. Both run on one thread, in turn; what counts is the median of training events a second over an epoch of
MovieLens 100K, evaluation and the first epoch left out.

Before that, both are asked for the loss of the same users, nothing left out of their histories, with all items as
negatives and without dropout: the losses must be equal to 1e-5. The exit code is 1 where they differ, or where
Adaptune has less than 1.5 times the events a second.
"""

import argparse
import json
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as lightning
import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

from components.config import TrialConfig
from components.data.interactions import Interactions
from components.personalization.events import scaled_gap
from components.tasks import TASKS
from components.tasks.recommendation import batches as ours
from components.tasks.recommendation.batches import Batch, History, TrainingBatches
from components.tasks.recommendation.training import RecommendationTraining
from components.training import subnormals_as_zero

LEAST_RATIO = 1.5


class Example(NamedTuple):
    """One user: the events that are shown, and all events as questions."""

    item_T: torch.Tensor
    value_T: torch.Tensor
    kind_T: torch.Tensor
    gap_T: torch.Tensor
    profile_F: torch.Tensor
    before_Q: torch.Tensor
    asked_Q: torch.Tensor
    like_Q: torch.Tensor
    earlier_Q: torch.Tensor


class Users(Dataset[Example]):
    """The training part of each seen user, some of the events left out of the history at each presentation."""

    def __init__(self, data: Interactions, users: Sequence[int], forgotten: float) -> None:
        self.data = data
        self.users = users
        self.forgotten = forgotten

    def __len__(self) -> int:
        return len(self.users)

    def __getitem__(self, place: int) -> Example:
        data, user = self.data, self.users[place]
        rows = np.arange(data.user_offsets[user], data.user_offsets[user + 1])
        rows = rows[data.part[rows] == 0]
        kept = np.random.random(len(rows)) >= np.random.uniform(0, self.forgotten)
        shown = rows[kept] if kept.any() else rows[:1]
        earlier = data.before[rows].astype(np.int64)
        seconds = np.diff(data.timestamp[shown], prepend=data.timestamp[shown[0]])
        return Example(
            torch.from_numpy(data.content[shown].astype(np.int64)),
            torch.from_numpy(data.value[shown]),
            torch.from_numpy(data.kind[shown].astype(np.int64)),
            scaled_gap(torch.from_numpy(seconds.astype(np.float32))),
            torch.from_numpy(data.profile[user].astype(np.int64)),
            torch.from_numpy((np.cumsum(kept) - kept)[earlier]),
            torch.from_numpy(data.content[rows].astype(np.int64)),
            torch.from_numpy(data.like[rows]),
            torch.from_numpy(earlier),
        )


class Collate:
    """Pads examples to the longest, and draws negatives for the batch."""

    def __init__(self, items: int, negatives: int) -> None:
        self.items = items
        self.negatives = min(items, negatives)

    def __call__(self, examples: list[Example]) -> Batch:
        """Return a batch as the model's loss takes it."""
        item, value, kind, gap, profile, before, asked, like, earlier = zip(*examples, strict=True)
        length = torch.tensor([len(one) for one in asked])
        pad = {"batch_first": True}
        asked_BQ = pad_sequence(list(asked), **pad)
        return Batch(
            History(*(pad_sequence(list(field), **pad) for field in (item, value, kind, gap))),
            torch.stack(profile),
            pad_sequence(list(before), **pad),
            asked_BQ,
            pad_sequence(list(like), **pad),
            torch.arange(asked_BQ.shape[1]) < length[:, None],
            pad_sequence(list(earlier), **pad),
            torch.from_numpy(np.random.choice(self.items, self.negatives, replace=False)),
        )


class Straightforward(RecommendationTraining):
    """The same model and loss, fed by a `DataLoader`."""

    def __init__(self, config: TrialConfig, data: Interactions) -> None:
        super().__init__(config, data)
        assert isinstance(self.batches, TrainingBatches)
        users = Users(data, self.batches.users.tolist(), ours.FORGOTTEN)
        collate = Collate(len(data.item_ids), self.settings.negatives)
        self.loader = DataLoader(
            users, batch_size=config.training.batch_size, shuffle=True, collate_fn=collate
        )

    def train_dataloader(self) -> Any:
        """Return the shuffling loader."""
        return self.loader


class Clock(lightning.Callback):
    """Times each epoch's batches."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._started = 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        """Stop it."""
        self.seconds.append(time.perf_counter() - self._started)


def epoch_seconds(module: lightning.LightningModule, clip: float | None) -> float:
    """Train two epochs and time the second one."""
    clock = Clock()
    trainer = lightning.Trainer(
        accelerator="cpu", devices=1, max_epochs=2, gradient_clip_val=clip, callbacks=[clock], logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    with subnormals_as_zero():
        trainer.fit(module)
    return clock.seconds[-1]


def largest_difference_of_losses(config: TrialConfig, data: Interactions, batches: int = 6) -> float:
    """Compare the losses of the same users, nothing left out, all items as negatives and without dropout."""
    model = config.model.model_copy(update={"negatives": len(data.item_ids), "dropout": 0.0})
    config = config.model_copy(update={"model": model})
    module = RecommendationTraining(config, data)
    loader = module.batches
    assert isinstance(loader, TrainingBatches)
    collate = Collate(len(data.item_ids), len(data.item_ids))
    module.log = lambda *arguments, **named: None  # type: ignore[method-assign]
    module.trained.eval()
    worst = 0.0
    generator = np.random.default_rng(0)
    for _ in range(batches):
        place = generator.choice(len(loader.users), config.training.batch_size, replace=False)
        users = Users(data, loader.users[place].tolist(), forgotten=0.0)
        theirs = collate([users[number] for number in range(len(users))])
        mine = loader._batch(loader.users[place], loader.length[place], NothingForgotten())
        losses = []
        for batch in (mine, theirs):
            torch.manual_seed(0)  # which half of the events is ranked
            with torch.no_grad():
                losses.append(float(module.training_step(batch, 0)))
        worst = max(worst, abs(losses[0] - losses[1]))
    return worst


class NothingForgotten(np.random.Generator):
    """Draws numbers as always, but no share of events to forget."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        """Return zeros."""
        return np.zeros(size if size is not None else ())


def main() -> None:
    """Measure and print one JSON document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    root = os.environ.get("ADAPTUNE_DATA")
    if not root:
        sys.exit("export ADAPTUNE_DATA=/path/to/data first: a folder that holds ml-100k")
    task = TASKS["recommendation"].load()
    config = TrialConfig.model_validate(
        {
            "task": "recommendation",
            "data": {"source": "movielens", "root": str(Path(root) / "ml-100k")},
            "model": {},
            "training": {"batch_size": options.batch_size},
        }
    )
    with tempfile.TemporaryDirectory() as scratch:
        data = task.open_data(task.prepare(config.data, Path(scratch)))
        difference = largest_difference_of_losses(config, data)
        owner = np.repeat(np.arange(len(data.user_ids)), np.diff(data.user_offsets))
        events = int(((data.part == 0) & ~data.unseen[owner]).sum())
        clip = config.training.gradient_clip
        rates: dict[str, list[float]] = {"adaptune": [], "straightforward": []}
        for _ in range(options.repeats):
            rates["adaptune"].append(events / epoch_seconds(RecommendationTraining(config, data), clip))
            rates["straightforward"].append(events / epoch_seconds(Straightforward(config, data), clip))
    rate = {name: statistics.median(values) for name, values in rates.items()}
    ratio = rate["adaptune"] / rate["straightforward"]
    found = {
        "batch_size": options.batch_size,
        "events": events,
        "events_a_second": {name: round(value) for name, value in rate.items()},
        "ratio": round(ratio, 2),
        "largest_difference_of_losses": difference,
    }
    print(json.dumps(found))
    sys.exit(ratio < LEAST_RATIO or difference > 1e-5)


if __name__ == "__main__":
    main()
