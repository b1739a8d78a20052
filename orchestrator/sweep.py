"""Sweeps from Python, as in a notebook: `Sweep.load("sweeps/quickstart.yaml").run()`."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.planning.plan import Plan, make_plan
from orchestrator.records.ledger import Ledger
from orchestrator.records.results import Part, compare_sweep
from orchestrator.records.workspace import Workspace
from orchestrator.release.registry import Registry
from orchestrator.spec.load import load_sweep
from orchestrator.spec.sweep import SweepSpec

if TYPE_CHECKING:
    import pandas as pd

    from orchestrator.judging.comparison import Comparison
    from orchestrator.release.promote import Promotion
    from orchestrator.running.driver import Outcome


class Sweep:
    """A sweep file and the home folder that its results are in."""

    def __init__(self, spec: SweepSpec, home: str | Path | None = None) -> None:
        """Use `home`, or what `ADAPTUNE_HOME` names, or `./runs`."""
        self.spec = spec
        self.workspace = Workspace(Path(home or os.environ.get("ADAPTUNE_HOME") or "runs"))

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = (), home: str | Path | None = None) -> "Sweep":
        """Read a sweep file; `overrides` are `key=value` as with `--set`. Raises SpecErrors for a bad one."""
        return cls(load_sweep(Path(path), overrides), home)

    @property
    def ledger(self) -> Ledger:
        """The home folder's ledger."""
        return Ledger(self.workspace.ledger_url)

    def plan(self) -> Plan:
        """Lay the sweep beside the ledger; starts nothing."""
        return make_plan(self.spec, self.ledger, self.workspace)

    def run(
        self, address: str | None = None, retry_failed: bool = False, accept_stale: bool = False
    ) -> "Outcome":
        """Run what is not done yet, and evaluate the winner over parties where the file asks for it."""
        from orchestrator.running.driver import run_sweep
        from orchestrator.secure.winner import conclude

        outcome = run_sweep(self.spec, self.workspace, address, retry_failed, accept_stale)
        return conclude(self.spec, outcome, self.workspace, address=address)

    def compare(self, part: Part = "test", group: str | None = None) -> "Comparison":
        """Compare the rows of the finished sweep; `.frame()` of it is a tidy pandas frame of all groups."""
        return compare_sweep(self.spec, self.ledger, self.workspace, part, group=group)

    def trials(self) -> "pd.DataFrame":
        """Return one line a trial: its phase, row, state, grid point and validation metrics."""
        import pandas as pd

        members = [member for member in self.ledger.members(self.spec.name) if member.phase != "final"]
        rows = self.ledger.trials([member.trial_id for member in members])
        lines: list[dict[str, Any]] = []
        for member in members:
            row = rows.get(member.trial_id)
            line = {"trial": member.trial_id, "phase": member.phase, "row": member.name, "seed": member.seed}
            known = (
                {}
                if row is None
                else {"state": row.state, "parameters": row.parameters, **(row.metrics or {})}
            )
            lines.append({**line, **member.point, **known})
        return pd.DataFrame(lines)

    def promote(self, alias: str = "champion") -> "Promotion":
        """Check the gates, evaluating over parties where one needs it, and make the winner a version."""
        from orchestrator.release.promote import promote_sweep

        registry = Registry(self.workspace.registry)
        return promote_sweep(self.spec, self.ledger, self.workspace, registry, alias)

    def report(self, path: str | Path | None = None) -> Path:
        """Write the HTML report, mirror it, and return where it is; warns where it is not mirrored."""
        from orchestrator.report.writing import write_report
        from orchestrator.running.mirror import mirror_report

        page = write_report(self.spec, self.ledger, self.workspace, Path(path) if path else None)
        spec = self.spec
        for problem in mirror_report(spec.name, spec.task, spec.tracking, self.workspace.mirror, page):
            warnings.warn(f"not mirrored to Weights & Biases: {problem}", stacklevel=2)
        return page
