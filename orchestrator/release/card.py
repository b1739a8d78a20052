"""What is known of a promoted version: the facts that its model card in the report is written from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.errors import DataError
from components.metrics.rows import metric_names, metric_values, read_rows, select_slice
from components.metrics.statistics import estimate
from components.tasks import TASKS
from orchestrator.judging.comparison import Interval
from orchestrator.records.ledger import Ledger
from orchestrator.records.results import best_seed
from orchestrator.records.workspace import Workspace
from orchestrator.release.registry import Listing, Registry
from orchestrator.spec.sweep import SweepSpec


@dataclass(frozen=True)
class Card:
    """One version, as the registry and its trial's folder have it."""

    version: str
    aliases: Sequence[str]
    digest: str
    created: str
    seed: int
    trial: str
    of_winner: bool
    """Whether it is the sweep's present winner, so that what the report shows is about it."""
    data_digest: str
    parameters: int | None
    gates: Sequence[Mapping[str, Any]]
    """Each with `gate`, the `value` that was found on validation, and whether it `passed`."""
    validation: Mapping[str, float]
    """Metrics of this very model, means over the task's main group."""
    test: Mapping[str, Interval]
    """The same on the test part, with intervals; empty where the trial's rows are gone."""
    environment: Mapping[str, Any]


def cards(spec: SweepSpec, ledger: Ledger, workspace: Workspace) -> tuple[Card, ...]:
    """Return the cards of the usable versions that were promoted from a sweep, the newest first."""
    winner = best_seed(spec, ledger).id
    listings = [
        listing
        for listing in Registry(workspace.registry).versions()
        if listing.problem is None
        and listing.name.startswith(f"{spec.task}/")
        and listing.provenance.get("sweep") == spec.name
    ]
    return tuple(_card(listing, spec, workspace, winner) for listing in reversed(listings))


def _card(listing: Listing, spec: SweepSpec, workspace: Workspace, winner: str) -> Card:
    origin = listing.provenance
    trial = str(origin.get("trial", ""))
    return Card(
        version=listing.name,
        aliases=listing.aliases,
        digest=listing.digest or "",
        created=listing.created or "",
        seed=int(origin.get("seed", 0)),
        trial=trial,
        of_winner=trial == winner,
        data_digest=str(origin.get("data_digest", "")),
        parameters=origin.get("parameters"),
        gates=origin.get("gates", ()),
        validation=listing.metrics.get("validation") or {},
        test=_measured(spec, workspace, trial) if trial else {},
        environment=origin.get("environment", {}),
    )


def _measured(spec: SweepSpec, workspace: Workspace, trial: str) -> dict[str, Interval]:
    """Return a trial's test metrics over the task's main group, each with its interval over units."""
    try:
        rows = read_rows(workspace.trial(trial) / "test.arrow")
    except DataError:
        return {}
    rows = select_slice(rows, TASKS[spec.task].main_group)
    found = {}
    for name in metric_names(rows):
        one = estimate(metric_values(rows, name)[:, None], 0, level=spec.compare.confidence)
        found[name] = Interval(float(one.mean[0]), float(one.low[0]), float(one.high[0]))
    return found
