"""Reads a `.wandb` file back: what an offline run holds, without W&B's service."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

BLOCK = 32768
HEADER = struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class MirroredRun:
    id: str = ""
    name: str = ""
    project: str = ""
    group: str = ""
    job_type: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: dict[int, dict[str, float]] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    step_metrics: dict[str, str] = field(default_factory=dict)
    """The axis of each metric, by its name or pattern."""
    artifacts: dict[str, str] = field(default_factory=dict)
    """Type of each artefact, by its name."""
    exit_code: int | None = None


def read_runs(folder: Path) -> dict[str, list[MirroredRun]]:
    """Every run below a `wandb` folder, by name; the same name twice is two attempts."""
    runs: dict[str, list[MirroredRun]] = {}
    for path in sorted(folder.glob("*run-*/*.wandb")):
        run = read_run(path)
        runs.setdefault(run.name, []).append(run)
    return runs


def read_run(path: Path) -> MirroredRun:
    run = MirroredRun()
    for record in records(path.read_bytes()):
        match record.WhichOneof("record_type"):
            case "run":
                about = record.run
                run.id, run.name = about.run_id, about.display_name
                run.project, run.group = about.project, about.run_group
                run.job_type, run.tags = about.job_type, list(about.tags)
                run.config |= values(about.config.update)
            case "config":
                run.config |= values(record.config.update)
            case "history":
                row = values(record.history.item)
                run.history[row["_step"]] = {
                    name: value for name, value in row.items() if not name.startswith("_")
                }
            case "summary":
                run.summary |= values(record.summary.update)
            case "metric":
                if record.metric.step_metric:
                    run.step_metrics[record.metric.glob_name or record.metric.name] = (
                        record.metric.step_metric
                    )
            case "artifact":
                run.artifacts[record.artifact.name] = record.artifact.type
            case "exit":
                run.exit_code = record.exit.exit_code
    return run


def records(data: bytes) -> Iterator[Record]:
    """The file is a LevelDB log: blocks of 32 KiB, a record cut into pieces where it meets a block's end."""
    assert data[:4] == b":W&B"
    place, pieces = 7, b""
    while place + HEADER.size <= len(data):
        if BLOCK - place % BLOCK < HEADER.size:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = HEADER.unpack_from(data, place)
        place += HEADER.size
        pieces = (
            data[place : place + length] if kind in (FULL, FIRST) else pieces + data[place : place + length]
        )
        place += length
        if kind in (FULL, LAST):
            yield Record.FromString(pieces)


def values(items: Any) -> dict[str, Any]:
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}
