"""The pieces of work that travel to a worker: plain data, resolved, with every path in them."""

from dataclasses import dataclass
from typing import Any

from components.config import TrialConfig


@dataclass(frozen=True)
class Surroundings:
    """What every job of a sweep shares."""

    sweep: str
    task: str
    home: str
    validity: str
    threads: int
    accelerator: str
    project: str
    mirror: bool
    workers: int = 1
    """Processes that train one trial together, each with `threads` and `gpu`."""
    gpu: float = 0.0


@dataclass(frozen=True)
class Reading:
    """A trial that a training run yields: its state after `epochs`."""

    trial_id: str
    epochs: int
    config: TrialConfig


@dataclass(frozen=True)
class TrainJob:
    """Train once and read the result after the epochs of each reading (shortest first)."""

    run_id: str
    name: str
    role: str
    data_folder: str
    data_digest: str
    readings: tuple[Reading, ...]
    may_stop: bool = False
    """Whether it may be ended early, where it falls behind the others."""
    settings: str = ""
    """What tells it from other trainings of its row, written for people."""

    @property
    def epochs(self) -> int:
        """Epochs of training, in all."""
        return self.readings[-1].epochs

    @property
    def label(self) -> str:
        """What the live table calls the job."""
        seed = f"seed {self.readings[-1].config.training.seed}"
        return f"{self.name}  {', '.join(filter(None, (self.settings, seed)))}"


@dataclass(frozen=True)
class Look:
    """One evaluation of a finished trial: on which part, and under which control (none: empty)."""

    part: str
    control: str = ""

    @property
    def stem(self) -> str:
        """Name of the evaluation's files in the trial's folder, without suffix."""
        return f"{self.part}.{self.control}" if self.control else self.part


@dataclass(frozen=True)
class EvaluateJob:
    """Evaluate a finished trial."""

    trial_id: str
    name: str
    role: str
    data_folder: str
    config: TrialConfig
    looks: tuple[Look, ...]

    @property
    def label(self) -> str:
        """What the live table calls the job."""
        return f"{self.name}  evaluation, seed {self.config.training.seed}"


@dataclass(frozen=True)
class TrivialJob:
    """Evaluate baselines that are not trained as trials; `names` holds (trial id, name)."""

    names: tuple[tuple[str, str], ...]
    data_folder: str
    data_digest: str

    @property
    def label(self) -> str:
        """What the live table calls the job."""
        return "trivial baselines"


Job = TrainJob | EvaluateJob | TrivialJob


@dataclass(frozen=True)
class Progress:
    """What a worker reports back: how far it is, or how it ended."""

    epoch: int = 0
    metrics: dict[str, float] | None = None
    failure: str = ""

    def to_result(self) -> dict[str, Any]:
        """Return the report as Tune carries it."""
        return {"epoch": self.epoch, "epoch_metrics": self.metrics or {}, "failure": self.failure}
