"""Whoever shows a running sweep to a person."""

from typing import Protocol

from orchestrator.running.jobs import Job, Progress


class Watcher(Protocol):
    """Is told what happens while a sweep runs."""

    def planned(self, epochs: int, seconds_per_epoch: float | None) -> None:
        """Training of this many epochs lies ahead, of the known grids and ablations."""

    def started(self, key: str, job: Job) -> None:
        """A worker took a job."""

    def progressed(self, key: str, progress: Progress) -> None:
        """A job came on."""

    def ended(self, key: str, failure: str) -> None:
        """A job ended, well if `failure` is empty."""

    def stopped(self, key: str, reason: str) -> None:
        """A training was ended early for being worse than others."""

    def tick(self) -> None:
        """Some time passed."""


class Nobody:
    """Watches silently."""

    def planned(self, epochs: int, seconds_per_epoch: float | None) -> None:
        """Do nothing."""

    def started(self, key: str, job: Job) -> None:
        """Do nothing."""

    def progressed(self, key: str, progress: Progress) -> None:
        """Do nothing."""

    def ended(self, key: str, failure: str) -> None:
        """Do nothing."""

    def stopped(self, key: str, reason: str) -> None:
        """Do nothing."""

    def tick(self) -> None:
        """Do nothing."""
