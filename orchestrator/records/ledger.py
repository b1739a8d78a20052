"""The ledger: what was run, with what result. The source of truth; only the driver of a sweep writes it.

SQLite in the home folder by default, any SQLAlchemy URL for a team.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

from components.errors import AdaptuneError
from orchestrator.records import tables

SCHEMA_VERSION = 1

State = Literal["running", "finished", "stopped", "failed", "interrupted"]
"""`stopped` by a scheduler, `failed` by the trial itself, `interrupted` by its surroundings."""


@dataclass(frozen=True)
class TrialRow:
    """One trial as the ledger knows it; `metrics` are its validation metrics, means over the task's main group."""

    id: str
    run_id: str
    task: str
    config: dict[str, Any]
    data_digest: str
    seed: int
    epochs: int
    state: State
    cause: str | None
    attempts: int
    metrics: dict[str, float] | None
    parameters: int | None
    validity: str | None
    seconds: float | None
    mirror_problem: str | None
    updated: str

    def has_failed(self, max_failures: int) -> bool:
        """Whether it failed by itself, or was ended by its surroundings more than `max_failures` times."""
        return self.state == "failed" or (self.state == "interrupted" and self.attempts > max_failures)


@dataclass(frozen=True)
class Member:
    """A trial's place in a sweep: its phase, the row it belongs to, and the point that it stands for."""

    phase: str
    name: str
    trial_id: str
    point: dict[str, Any]
    seed: int
    superseded: bool = False


@dataclass(frozen=True)
class Stop:
    """Where a trial was stopped for being worse than others, by which rule, and its objective after each epoch."""

    rule: dict[str, Any]
    epoch: int
    curve: list[float]


@dataclass(frozen=True)
class Lease:
    """Who drives a sweep right now."""

    sweep: str
    owner: str
    host: str
    pid: int
    process_started: float
    heartbeat: float
    cancelled: bool


class LedgerError(AdaptuneError):
    """The ledger cannot be written."""


def _reason(error: Exception) -> object:
    """Return what the database said, without what SQLAlchemy adds."""
    return getattr(error, "orig", None) or error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class Ledger:
    """Reads and writes the ledger at an SQLAlchemy URL, creating it when `create` says so."""

    def __init__(self, url: str, create: bool = True) -> None:
        """Connect.

        Raises AdaptuneError if the address cannot be used, or holds a ledger of a newer version.
        """
        self.url = url
        try:
            parsed = sa.make_url(url)
            if parsed.get_backend_name() == "sqlite" and parsed.database:
                if not create and not Path(parsed.database).exists():
                    raise AdaptuneError(
                        f"there is no ledger at {parsed.database}: run a sweep first, or name its folder with --home"
                    )
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            self._engine = sa.create_engine(parsed)
            if parsed.get_backend_name() == "sqlite":
                sa.event.listen(self._engine, "connect", _prepare_sqlite)
            found = self._create()
        except (sa.exc.SQLAlchemyError, OSError, ImportError) as error:
            raise AdaptuneError(f"the ledger at {url} cannot be opened: {_reason(error)}") from error
        if found != SCHEMA_VERSION:
            raise AdaptuneError(
                f"the ledger at {url} has schema version {found}, this Adaptune reads version {SCHEMA_VERSION}: "
                "use the Adaptune that wrote it, or another --home"
            )

    def _create(self) -> int:
        """Create what is not there and return the schema's version; another process may do the same just now."""
        patience = iter((0.05, 0.2, 0.8, 3.2))
        while True:
            try:
                tables.metadata.create_all(self._engine)
                with self._engine.begin() as connection:
                    found = connection.execute(sa.select(tables.schema.c.version)).scalar()
                    if found is None:
                        connection.execute(tables.schema.insert().values(version=SCHEMA_VERSION))
                return SCHEMA_VERSION if found is None else int(found)
            except (sa.exc.OperationalError, sa.exc.ProgrammingError, sa.exc.IntegrityError):
                wait = next(patience, None)
                if wait is None:
                    raise
                time.sleep(wait)

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except sa.exc.OperationalError as error:
            raise LedgerError(
                f"the ledger at {self.url} cannot be written ({_reason(error)}): see whether its disk is full, or "
                "may not be written; a run goes on where it was"
            ) from error

    def _upsert(self, table: sa.Table, keys: dict[str, Any], values: dict[str, Any]) -> None:
        where = sa.and_(*(table.c[key] == value for key, value in keys.items()))
        with self._writing() as connection:
            if connection.execute(table.update().where(where).values(**values)).rowcount == 0:
                connection.execute(table.insert().values(**keys, **values))

    # Trials

    def trials(self, ids: Sequence[str] | None = None) -> dict[str, TrialRow]:
        """Return the trials with these ids, or all of them, by id."""
        rows: list[Any] = []
        with self._engine.connect() as connection:
            if ids is None:
                rows += connection.execute(sa.select(tables.trials))
            else:
                for start in range(0, len(ids), 500):
                    chosen = sa.select(tables.trials).where(tables.trials.c.id.in_(ids[start : start + 500]))
                    rows += connection.execute(chosen)
        return {row.id: TrialRow(**row._mapping) for row in rows}

    def find_trial(self, prefix: str) -> TrialRow:
        """Return the one trial whose id begins with `prefix`; raises AdaptuneError for none or several."""
        with self._engine.connect() as connection:
            chosen = (
                sa.select(tables.trials)
                .where(tables.trials.c.id.startswith(prefix, autoescape=True))
                .limit(6)
            )
            found = [TrialRow(**row._mapping) for row in connection.execute(chosen)]
        if not found:
            raise AdaptuneError(
                f"no trial's id begins with {prefix!r}: `adaptune status SWEEP` lists a sweep's trials"
            )
        if len(found) > 1:
            some = ", ".join(row.id for row in found)
            raise AdaptuneError(f"several trials' ids begin with {prefix!r} ({some}): give more of it")
        return found[0]

    def record_trial(self, trial_id: str, **values: Any) -> None:
        """Insert or update a trial's columns."""
        self._upsert(tables.trials, {"id": trial_id}, {**values, "updated": _now()})

    def count_attempt(self, trial_id: str) -> None:
        """Add one to the number of times that the surroundings ended a trial."""
        with self._writing() as connection:
            chosen = tables.trials.update().where(tables.trials.c.id == trial_id)
            connection.execute(chosen.values(attempts=tables.trials.c.attempts + 1))

    def seconds_per_epoch(self, task: str, data_digest: str) -> float | None:
        """Return the mean cost of an epoch in finished trials of this task and data; None without any."""
        with self._engine.connect() as connection:
            chosen = sa.select(
                sa.func.sum(tables.trials.c.seconds), sa.func.sum(tables.trials.c.epochs)
            ).where(
                tables.trials.c.task == task,
                tables.trials.c.data_digest == data_digest,
                tables.trials.c.state == "finished",
                tables.trials.c.epochs > 0,
            )
            seconds, epochs = connection.execute(chosen).one()
        return float(seconds) / float(epochs) if epochs and seconds is not None else None

    # Sweeps and their members

    def record_sweep(self, name: str, task: str, data_digest: str, spec: dict[str, Any]) -> None:
        """Remember a sweep's file as it was last run."""
        values = {"task": task, "data_digest": data_digest, "spec": spec, "updated": _now()}
        self._upsert(tables.sweeps, {"name": name}, values)

    def sweep_names(self) -> list[str]:
        """Return the names of all sweeps, the latest first."""
        with self._engine.connect() as connection:
            return list(
                connection.execute(
                    sa.select(tables.sweeps.c.name).order_by(tables.sweeps.c.updated.desc())
                ).scalars()
            )

    def sweep_data(self, name: str) -> str:
        """Return the digest of the data that a sweep was last run on."""
        with self._engine.connect() as connection:
            chosen = sa.select(tables.sweeps.c.data_digest).where(tables.sweeps.c.name == name)
            return str(connection.execute(chosen).scalar_one())

    def sweep_specs(self) -> dict[str, dict[str, Any]]:
        """Return every sweep's last file, by name."""
        with self._engine.connect() as connection:
            return {
                row.name: row.spec
                for row in connection.execute(sa.select(tables.sweeps.c.name, tables.sweeps.c.spec))
            }

    def set_members(self, sweep: str, phase: str, members: Iterable[Member]) -> None:
        """Make `members` the current ones of a phase; those that are no longer in it stay, marked superseded."""
        rows = [
            {
                "sweep": sweep,
                "phase": phase,
                "name": member.name,
                "trial_id": member.trial_id,
                "position": position,
                "point": member.point,
                "seed": member.seed,
                "superseded": False,
            }
            for position, member in enumerate(members)
        ]
        mine = sa.and_(tables.members.c.sweep == sweep, tables.members.c.phase == phase)
        with self._writing() as connection:
            current = {(row["name"], row["trial_id"]) for row in rows}
            for row in connection.execute(
                sa.select(tables.members.c.name, tables.members.c.trial_id).where(mine)
            ).all():
                same = sa.and_(
                    mine, tables.members.c.name == row.name, tables.members.c.trial_id == row.trial_id
                )
                if (row.name, row.trial_id) in current:
                    connection.execute(tables.members.delete().where(same))
                else:
                    connection.execute(tables.members.update().where(same).values(superseded=True))
            if rows:
                connection.execute(tables.members.insert(), rows)

    def members(self, sweep: str, phase: str | None = None, superseded: bool = False) -> list[Member]:
        """Return a sweep's members in the order they were planned, by default only the current ones."""
        chosen = sa.select(tables.members).where(tables.members.c.sweep == sweep)
        if phase is not None:
            chosen = chosen.where(tables.members.c.phase == phase)
        if not superseded:
            chosen = chosen.where(tables.members.c.superseded.is_(False))
        chosen = chosen.order_by(tables.members.c.phase, tables.members.c.position)
        with self._engine.connect() as connection:
            return [
                Member(row.phase, row.name, row.trial_id, row.point, row.seed, row.superseded)
                for row in connection.execute(chosen)
            ]

    # Searches: what was suggested, and what was stopped

    def suggestions(self, search: str) -> list[dict[str, Any]]:
        """Return the points that a search has suggested so far, in their order."""
        with self._engine.connect() as connection:
            chosen = sa.select(tables.suggestions.c.point).where(tables.suggestions.c.search == search)
            return list(connection.execute(chosen.order_by(tables.suggestions.c.number)).scalars())

    def record_suggestions(self, search: str, known: int, points: Sequence[dict[str, Any]]) -> None:
        """Add what a search suggests after the `known` ones; where another sweep with the same search was faster,
        its suggestions stand.
        """
        rows = [
            {"search": search, "number": known + index, "point": point} for index, point in enumerate(points)
        ]
        with suppress(sa.exc.IntegrityError), self._writing() as connection:
            connection.execute(tables.suggestions.insert(), rows)

    def stops(self, ids: Sequence[str]) -> dict[str, Stop]:
        """Return where those of these trials were stopped that ever were, by id."""
        found: dict[str, Stop] = {}
        with self._engine.connect() as connection:
            for start in range(0, len(ids), 500):
                chosen = sa.select(tables.stops).where(tables.stops.c.trial_id.in_(ids[start : start + 500]))
                for row in connection.execute(chosen):
                    found[row.trial_id] = Stop(row.rule, row.epoch, row.curve)
        return found

    def record_stop(self, trial_id: str, stop: Stop) -> None:
        """Record where a trial was stopped."""
        self._upsert(tables.stops, {"trial_id": trial_id}, asdict(stop))

    # Evaluations and looks at test data

    def record_evaluation(
        self,
        trial_id: str,
        part: str,
        control: str,
        validity: str,
        metrics: dict[str, float],
        data_digest: str,
    ) -> None:
        """Record that a trial was evaluated; an evaluation on the test part counts as one look at it."""
        keys = {"trial_id": trial_id, "part": part, "control": control}
        self._upsert(tables.evaluations, keys, {"validity": validity, "metrics": metrics, "updated": _now()})
        if part == "test":
            with self._writing() as connection:
                look = {"data_digest": data_digest, "trial_id": trial_id, "control": control, "at": _now()}
                connection.execute(tables.looks.insert().values(**look))

    def evaluations(self, part: str) -> dict[tuple[str, str], str]:
        """Return the validity of every evaluation on a part, by (trial id, control)."""
        with self._engine.connect() as connection:
            chosen = sa.select(tables.evaluations).where(tables.evaluations.c.part == part)
            return {(row.trial_id, row.control): row.validity for row in connection.execute(chosen)}

    def test_looks(self, data_digest: str) -> int:
        """Return how often anything was evaluated on the test part of a data set."""
        with self._engine.connect() as connection:
            chosen = (
                sa.select(sa.func.count())
                .select_from(tables.looks)
                .where(tables.looks.c.data_digest == data_digest)
            )
            return int(connection.execute(chosen).scalar_one())

    # Leases

    def lease(self, sweep: str) -> Lease | None:
        """Return who holds a sweep's lease, if anybody does."""
        with self._engine.connect() as connection:
            row = connection.execute(
                sa.select(tables.leases).where(tables.leases.c.sweep == sweep)
            ).one_or_none()
        return Lease(**row._mapping) if row is not None else None

    def take_lease(self, lease: Lease, replacing: Lease | None) -> bool:
        """Take a sweep's lease if its present holder still is `replacing`; False if somebody was faster."""
        values = {name: getattr(lease, name) for name in Lease.__dataclass_fields__}
        try:
            with self._writing() as connection:
                if replacing is None:
                    connection.execute(tables.leases.insert().values(**values))
                    return True
                same = sa.and_(tables.leases.c.sweep == lease.sweep, tables.leases.c.owner == replacing.owner)
                return connection.execute(tables.leases.update().where(same).values(**values)).rowcount == 1
        except sa.exc.IntegrityError:
            return False

    def renew_lease(self, sweep: str, owner: str, heartbeat: float) -> bool:
        """Show that the owner lives; return whether the sweep has been cancelled or the lease lost."""
        mine = sa.and_(tables.leases.c.sweep == sweep, tables.leases.c.owner == owner)
        with self._writing() as connection:
            connection.execute(tables.leases.update().where(mine).values(heartbeat=heartbeat))
            cancelled = connection.execute(
                sa.select(tables.leases.c.cancelled).where(mine)
            ).scalar_one_or_none()
        return cancelled is None or bool(cancelled)

    def cancel(self, sweep: str) -> bool:
        """Ask the driver of a sweep to stop; False if nobody drives it."""
        with self._writing() as connection:
            chosen = tables.leases.update().where(tables.leases.c.sweep == sweep).values(cancelled=True)
            return connection.execute(chosen).rowcount == 1

    def release_lease(self, sweep: str, owner: str) -> None:
        """Give a lease back."""
        mine = sa.and_(tables.leases.c.sweep == sweep, tables.leases.c.owner == owner)
        with self._writing() as connection:
            connection.execute(tables.leases.delete().where(mine))


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=30000")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()
