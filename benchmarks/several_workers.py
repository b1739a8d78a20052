"""What `resources.workers: 2` brings on two cores, for recommendation on MovieLens 100K.

    ADAPTUNE_DATA=/path/to/data python -m benchmarks.several_workers [--batch-size 32] [--repeats 3]

Each way trains on one thread a process, without evaluation. Two times are taken: the median of the second epoch by
the clock, which wants a machine that does nothing else, and the processor time of an epoch in the busiest process,
below which the other cannot fall:

- `alone`: one training, the other core idle;
- `team`: one training by two workers;
- `side by side`: two trainings at once, one a core, as a sweep with `workers: 1` has them.

Prints a JSON document: both times of an epoch in each way, and how many epochs are trained in a given time by each of
them, relative to `alone`.
"""

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import torch

from benchmarks.epoch_speed import epoch_seconds
from components.config import TrialConfig
from components.tasks import TASKS
from components.tasks.recommendation.training import RecommendationTraining
from components.team import Team, joined

Times = tuple[float, float]
"""By the clock, and of the processor."""
PROCESSES = {"alone": 1, "team": 2, "side by side": 2}


def main() -> None:
    """Measure and print one JSON document, or be one process of a way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rank", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--meeting", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    root = os.environ.get("ADAPTUNE_DATA")
    if not root:
        sys.exit("export ADAPTUNE_DATA=/path/to/data first: a folder that holds ml-100k")
    config = TrialConfig.model_validate(
        {
            "task": "recommendation",
            "data": {"source": "movielens", "root": str(Path(root) / "ml-100k")},
            "model": {},
            "training": {"batch_size": options.batch_size},
        }
    )
    if options.rank is not None:
        print(json.dumps(_epoch(config, options.scratch, options.rank, options.meeting)))
        return
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        TASKS["recommendation"].load().prepare(config.data, scratch)
        times: dict[str, list[Times]] = {way: [] for way in PROCESSES}
        for number in range(options.repeats):
            for way, found in times.items():
                found.append(_seconds(way, options.batch_size, scratch, scratch / f"meeting-{number}"))
    document: dict[str, object] = {"batch_size": options.batch_size}
    for place, clock in enumerate(("by_the_clock", "processor")):
        seconds = {way: statistics.median(found[place] for found in times[way]) for way in PROCESSES}
        epochs = {way: (2 if way == "side by side" else 1) / seconds[way] for way in PROCESSES}
        document[clock] = {
            "seconds_an_epoch": {way: round(seconds[way], 2) for way in PROCESSES},
            "epochs_relative": {way: round(epochs[way] / epochs["alone"], 2) for way in PROCESSES},
        }
    print(json.dumps(document))


def _seconds(way: str, batch_size: int, scratch: Path, meeting: Path) -> Times:
    """Run the processes of a way, and return the longest times of theirs."""
    command = [sys.executable, "-m", "benchmarks.several_workers"]
    command += ["--batch-size", str(batch_size), "--scratch", str(scratch)]
    command += ["--meeting", str(meeting)] if way == "team" else []
    processes = [
        subprocess.Popen(
            [*command, "--rank", str(rank)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        for rank in range(PROCESSES[way])
    ]
    found = [json.loads(process.communicate()[0]) for process in processes]
    return max(wall for wall, _ in found), max(processor for _, processor in found)


def _epoch(config: TrialConfig, scratch: Path, rank: int, meeting: Path | None) -> Times:
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    task = TASKS["recommendation"].load()
    module = RecommendationTraining(config, task.open_data(task.prepare(config.data, scratch)))
    started = time.process_time()
    with nullcontext(Team()) if meeting is None else joined(rank, PROCESSES["team"], meeting) as module.team:
        wall = epoch_seconds(module, config.training.gradient_clip)
    return wall, (time.process_time() - started) / 2


if __name__ == "__main__":
    main()
