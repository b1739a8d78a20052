"""The live table of a running sweep."""

import time
from collections import deque
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from orchestrator.planning.plan import MODEL
from orchestrator.running.display import Display, bar, clock, memory
from orchestrator.running.jobs import Job, Progress, TrainJob
from orchestrator.spec.problems import counted, last_line
from orchestrator.spec.sweep import Objective

RECENT = 4
REFRESH_SECONDS = 0.5
PLAIN_SECONDS = 10.0
"""How often a line is printed where the output is no terminal."""


@dataclass
class _Line:
    job: Job
    started: float
    epoch: int = 0
    best: float | None = None
    failure: str | None = None
    stopped: bool = False
    seconds: float = field(default=0.0)


class LiveTable(Display):
    """Shows running and recent jobs, the best value so far and the time left; plain lines without a terminal."""

    def __init__(self, console: Console, objective: Objective, sweep: str) -> None:
        """Show on `console`, which should be standard error."""
        super().__init__(console)
        self._objective = objective
        self._sweep = sweep
        self._started = time.perf_counter()
        self._first_job: float | None = None
        self._shown = 0.0
        self._epochs = 0
        self._epochs_done = 0
        self._seconds_per_epoch: float | None = None
        self._running: dict[str, _Line] = {}
        self._recent: deque[_Line] = deque(maxlen=RECENT)
        self._ended = 0
        self._failed = 0
        self._stopped = 0
        self._best: tuple[float, str] | None = None

    def planned(self, epochs: int, seconds_per_epoch: float | None) -> None:
        """Note how much training lies ahead."""
        self._epochs = epochs
        self._seconds_per_epoch = seconds_per_epoch
        if epochs:
            self.console.print(f"{self._sweep}: {counted(epochs, 'epoch')} of training ahead; starting Ray …")

    def started(self, key: str, job: Job) -> None:
        """Add a job."""
        self._running[key] = _Line(job, time.perf_counter())
        self._first_job = self._first_job or time.perf_counter()

    def progressed(self, key: str, progress: Progress) -> None:
        """Note a finished epoch."""
        line = self._running.get(key)
        value = (progress.metrics or {}).get(self._objective.metric)
        if line is None or not progress.epoch:
            return
        if progress.epoch > line.epoch:
            self._epochs_done += progress.epoch - line.epoch if line.epoch else 1
        line.epoch = progress.epoch
        if value is None:
            return
        sign = 1 if self._objective.mode == "max" else -1
        if line.best is None or sign * value > sign * line.best:
            line.best = value
        if not isinstance(line.job, TrainJob) or line.job.role != MODEL:
            return  # an ablation that is told the truth would be the best
        if self._best is None or sign * value > sign * self._best[0]:
            self._best = (value, line.job.label)

    def ended(self, key: str, failure: str) -> None:
        """Move a job to those that have ended."""
        line = self._running.pop(key, None)
        if line is None:
            return
        line.failure = failure
        line.seconds = time.perf_counter() - line.started
        self._recent.append(line)
        self._ended += 1
        if failure:
            self._failed += 1
            self.console.print(
                Text.assemble(("failed ", "bold red"), f"{line.job.label}: {last_line(failure)}")
            )

    def stopped(self, key: str, reason: str) -> None:
        """Move a training that was ended early to the jobs that have ended; the rest of its epochs falls away."""
        line = self._running.get(key)
        if line is None:
            return
        line.stopped = True
        self._stopped += 1
        if isinstance(line.job, TrainJob):
            self._epochs -= line.job.epochs - line.epoch
        self.ended(key, "")

    def tick(self) -> None:
        """Redraw, now and then."""
        now = time.perf_counter()
        if now - self._shown < (REFRESH_SECONDS if self.redraws else PLAIN_SECONDS):
            return
        self._shown = now
        if self.redraws:
            self.show(self._render(now))
        else:
            self.console.print(self._summary(now))

    def _summary(self, now: float) -> Text:
        parts = [f"{self._sweep}: {counted(self._ended, 'job')} done, {len(self._running)} running"]
        if self._epochs:
            parts.append(f"epoch {self._epochs_done} of {self._epochs}")
        if self._best is not None:
            parts.append(f"best {self._objective.metric} {self._best[0]:.4f}")
        if self._stopped:
            parts.append(f"{self._stopped} stopped early")
        if self._failed:
            parts.append(f"{self._failed} failed")
        parts.append(f"memory {memory()}")
        left = self._time_left(now)
        parts.append(f"{clock(now - self._started)} gone" + (f", about {clock(left)} left" if left else ""))
        return Text("  ·  ".join(parts))

    def _time_left(self, now: float) -> float | None:
        waiting = max(self._epochs - self._epochs_done, 0)
        if not waiting or not self._epochs_done:
            return None
        return (now - (self._first_job or self._started)) / self._epochs_done * waiting

    def _render(self, now: float) -> Group:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("job", "", "epoch", f"best {self._objective.metric}", "time", "state"):
            table.add_column(name, justify="left" if name in ("job", "", "state") else "right")
        for line in [*self._recent, *self._running.values()]:
            total = line.job.epochs if isinstance(line.job, TrainJob) else 0
            mark = Text("running", "yellow")
            if line.failure is not None:
                mark = Text("failed", "red") if line.failure else Text("done", "green")
            if line.stopped:
                mark = Text("stopped early", "dim")
            table.add_row(
                Text(line.job.label, overflow="ellipsis", no_wrap=True),
                bar(line.epoch, total) if total else "",
                f"{line.epoch}/{total}" if total else "",
                f"{line.best:.4f}" if line.best is not None else "",
                clock(line.seconds or now - line.started),
                mark,
            )
        return Group(table, self._summary(now))
