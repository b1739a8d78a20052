"""Which job comes next: lines of stages side by side, where a stage waits only for the one before it in its line.

Evaluations come first, and then the earliest stage of any line: what waits for it makes up the end of the sweep.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from orchestrator.running.jobs import EvaluateJob, Job

Line = Iterator[list[Job]]
"""Stages of jobs; one is asked for when all jobs of the stage before it have ended."""


@dataclass
class _Queue:
    line: Line
    waiting: deque[Job] = field(default_factory=deque)
    open: set[str] = field(default_factory=set)
    stage: int = 0
    over: bool = False

    @property
    def rank(self) -> tuple[bool, int]:
        """When its next job's turn is, among those of other lines."""
        return not isinstance(self.waiting[0], EvaluateJob), self.stage

    def fill(self) -> None:
        """Go on to the next stage that has a job, where nothing of this one waits or runs."""
        while not self.waiting and not self.open and not self.over:
            stage = next(self.line, None)
            self.stage += 1
            self.over = stage is None
            self.waiting.extend(stage or ())


class JobQueue:
    """Hands out the jobs of rounds of lines; a round begins when all lines of the one before it are over."""

    def __init__(self, rounds: Iterable[Sequence[Line]]) -> None:
        """Hand out what the lines of `rounds` yield; nothing is asked of them yet."""
        self.over = False
        """Whether the last job has ended, as far as has been asked."""
        self._rounds = iter(rounds)
        self._queues: list[_Queue] = []

    def fill(self) -> bool:
        """Let all lines go on as far as they can, and say whether a job waits to be taken."""
        while not self.over:
            for queue in self._queues:
                queue.fill()
            if not all(queue.over for queue in self._queues):
                break
            lines = next(self._rounds, None)
            self.over = lines is None
            self._queues = [_Queue(line) for line in lines or ()]
        return any(queue.waiting for queue in self._queues)

    def take(self, key: str) -> Job | None:
        """Return the next job, to be known as `key`; None if others have to end first, or if all is over."""
        if not self.fill():
            return None
        queue = min((queue for queue in self._queues if queue.waiting), key=lambda queue: queue.rank)
        queue.open.add(key)
        return queue.waiting.popleft()

    def ended(self, key: str) -> None:
        """Note that a job has ended, in whatever way."""
        for queue in self._queues:
            queue.open.discard(key)
