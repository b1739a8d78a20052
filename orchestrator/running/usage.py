"""What this process takes of the machine: processor time, and memory at its peak."""

import resource
import sys
import time
from contextlib import suppress
from pathlib import Path

from orchestrator.records.spent import Spent

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Meter:
    """Measures a piece of work of this process, all of its threads together; one piece at a time."""

    def __init__(self) -> None:
        """Begin to measure; memory that is held already counts, older peaks do not (on Linux)."""
        with suppress(OSError):
            _CLEAR.write_text("5", encoding="ascii")
        self._wall, self._processor = time.perf_counter(), time.process_time()

    @property
    def spent(self) -> Spent:
        """What the piece has taken so far."""
        return Spent(time.perf_counter() - self._wall, self.cpu_seconds, self.peak_memory)

    @property
    def cpu_seconds(self) -> float:
        """Processor time since the beginning; of two busy threads it is twice the time gone."""
        return time.process_time() - self._processor

    @property
    def peak_memory(self) -> int:
        """Most bytes resident at once since the beginning, mapped files that were touched included."""
        with suppress(OSError, StopIteration):
            lines = _STATUS.read_text(encoding="ascii").splitlines()
            return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
