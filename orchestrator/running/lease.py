"""One driver a sweep: a lease in the ledger that its holder keeps renewing."""

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import sqlalchemy as sa

from components.errors import AdaptuneError
from orchestrator.records.ledger import Lease, Ledger, LedgerError

HEARTBEAT_SECONDS = 2.0
EXPIRY_SECONDS = 60.0


class Heart:
    """Renews a lease in the background; `stopped` turns true when the sweep is cancelled or the lease is lost."""

    def __init__(self, ledger: Ledger, lease: Lease) -> None:
        """Hold `lease`."""
        self._ledger = ledger
        self._lease = lease
        self._end = threading.Event()
        self.stopped = False
        self._thread = threading.Thread(target=self._beat, name="adaptune-lease", daemon=True)

    def _beat(self) -> None:
        reached = time.monotonic()
        while not self._end.wait(HEARTBEAT_SECONDS):
            try:
                self.check()
                reached = time.monotonic()
            except (sa.exc.SQLAlchemyError, LedgerError):
                # A busy or restarted database; others may take over after the expiry.
                self.stopped = self.stopped or time.monotonic() - reached > EXPIRY_SECONDS

    def check(self) -> bool:
        """Renew the lease now; return whether the driver should stop."""
        self.stopped = self.stopped or self._ledger.renew_lease(
            self._lease.sweep, self._lease.owner, time.time()
        )
        return self.stopped

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def end(self) -> None:
        """Stop beating."""
        self._end.set()
        self._thread.join()


@contextmanager
def hold_lease(ledger: Ledger, sweep: str) -> Iterator[Heart]:
    """Hold the lease of `sweep`; raises AdaptuneError while another living driver has it."""
    process = psutil.Process()
    lease = Lease(
        sweep=sweep,
        owner=uuid.uuid4().hex,
        host=socket.gethostname(),
        pid=process.pid,
        process_started=process.create_time(),
        heartbeat=time.time(),
        cancelled=False,
    )
    present = ledger.lease(sweep)
    if (present is not None and is_alive(present)) or not ledger.take_lease(lease, present):
        holder = ledger.lease(sweep)
        who = f"process {holder.pid} on {holder.host}" if holder else "another process"
        raise AdaptuneError(
            f"{sweep} is already being run by {who}: wait for it, watch it with `adaptune status`, or stop it "
            f"with `adaptune cancel {sweep}`"
        )
    heart = Heart(ledger, lease)
    heart.start()
    try:
        yield heart
    finally:
        heart.end()
        ledger.release_lease(sweep, lease.owner)


def is_alive(lease: Lease) -> bool:
    """Whether the holder of a lease still lives: its process on this host, its heartbeat on another."""
    if lease.host == socket.gethostname():
        try:
            process = psutil.Process(lease.pid)
            same = abs(process.create_time() - lease.process_started) < 1
            return same and process.status() != psutil.STATUS_ZOMBIE and lease.pid != os.getpid()
        except psutil.NoSuchProcess:
            return False
    return time.time() - lease.heartbeat < EXPIRY_SECONDS
