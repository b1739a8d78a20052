"""The tables of the ledger. A new table changes no old ledger; a new column needs a new schema version."""

import sqlalchemy as sa

metadata = sa.MetaData()
schema = sa.Table("schema", metadata, sa.Column("version", sa.Integer, nullable=False))
trials = sa.Table(
    "trials",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("run_id", sa.String(32), nullable=False, index=True),
    sa.Column("task", sa.String(64), nullable=False),
    sa.Column("config", sa.JSON, nullable=False),
    sa.Column("data_digest", sa.String(32), nullable=False, index=True),
    sa.Column("seed", sa.Integer, nullable=False),
    sa.Column("epochs", sa.Integer, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("cause", sa.Text),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("metrics", sa.JSON),
    sa.Column("parameters", sa.Integer),
    sa.Column("validity", sa.String(32)),
    sa.Column("seconds", sa.Float),
    sa.Column("mirror_problem", sa.Text),
    sa.Column("updated", sa.String(40), nullable=False),
)
members = sa.Table(
    "members",
    metadata,
    sa.Column("sweep", sa.String(128), primary_key=True),
    sa.Column("phase", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("trial_id", sa.String(32), primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("point", sa.JSON, nullable=False),
    sa.Column("seed", sa.Integer, nullable=False),
    sa.Column("superseded", sa.Boolean, nullable=False, default=False),
)
evaluations = sa.Table(
    "evaluations",
    metadata,
    sa.Column("trial_id", sa.String(32), primary_key=True),
    sa.Column("part", sa.String(16), primary_key=True),
    sa.Column("control", sa.String(64), primary_key=True),
    sa.Column("validity", sa.String(32), nullable=False),
    sa.Column("metrics", sa.JSON, nullable=False),
    sa.Column("updated", sa.String(40), nullable=False),
)
looks = sa.Table(
    "test_looks",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("data_digest", sa.String(32), nullable=False, index=True),
    sa.Column("trial_id", sa.String(32), nullable=False),
    sa.Column("control", sa.String(64), nullable=False),
    sa.Column("at", sa.String(40), nullable=False),
)
sweeps = sa.Table(
    "sweeps",
    metadata,
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("task", sa.String(64), nullable=False),
    sa.Column("data_digest", sa.String(32), nullable=False),
    sa.Column("spec", sa.JSON, nullable=False),
    sa.Column("updated", sa.String(40), nullable=False),
)
leases = sa.Table(
    "leases",
    metadata,
    sa.Column("sweep", sa.String(128), primary_key=True),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("host", sa.String(128), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("process_started", sa.Float, nullable=False),
    sa.Column("heartbeat", sa.Float, nullable=False),
    sa.Column("cancelled", sa.Boolean, nullable=False, default=False),
)
suggestions = sa.Table(
    "suggestions",
    metadata,
    sa.Column("search", sa.String(32), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("point", sa.JSON, nullable=False),
)
stops = sa.Table(
    "stops",
    metadata,
    sa.Column("trial_id", sa.String(32), primary_key=True),
    sa.Column("rule", sa.JSON, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("curve", sa.JSON, nullable=False),
)
