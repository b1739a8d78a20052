"""Making the winner of a sweep a version in the registry, if its gates let it pass."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.data.store import prepare
from components.errors import AdaptuneError
from components.tasks import TASKS
from orchestrator.planning.stages import FINAL, MODEL
from orchestrator.records.adopt import is_whole
from orchestrator.records.ledger import Ledger
from orchestrator.records.results import compare_sweep
from orchestrator.records.workspace import Workspace, read_json
from orchestrator.release.registry import Registry, Version, load_model
from orchestrator.spec.sweep import Gate, SweepSpec

if TYPE_CHECKING:
    from orchestrator.judging.comparison import Comparison


@dataclass(frozen=True)
class Verdict:
    """What one bound of a gate asked for and what the validation results were."""

    gate: str
    value: float | None
    passed: bool


@dataclass(frozen=True)
class Promotion:
    """How a promotion ended; `version` is None if a gate refused."""

    version: Version | None
    alias: str
    verdicts: tuple[Verdict, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the promotion as a JSON document."""
        return {
            "version": self.version.name if self.version else None,
            "alias": self.alias if self.version else None,
            "gates": [vars(verdict) for verdict in self.verdicts],
        }


def promote_sweep(
    spec: SweepSpec, ledger: Ledger, workspace: Workspace, registry: Registry, alias: str = "champion"
) -> Promotion:
    """Check the gates on validation results, then copy the best seed's model and move the alias to it.

    Raises AdaptuneError if the sweep is not finished or the model's files are gone.
    """
    comparison = compare_sweep(spec, ledger, workspace, "validation", all_slices=False)
    verdicts = tuple(verdict for gate in spec.promote.gates for verdict in judge(gate, comparison))
    if not all(verdict.passed for verdict in verdicts):
        return Promotion(None, alias, verdicts)
    members = [member for member in ledger.members(spec.name, FINAL) if member.name == MODEL]
    rows = ledger.trials([member.trial_id for member in members])
    sign = 1 if spec.objective.mode == "max" else -1
    best = max(rows.values(), key=lambda row: sign * (row.metrics or {})[spec.objective.metric])
    trial = workspace.trial(best.id)
    if not is_whole(workspace, best.id, "model/model.safetensors"):
        raise AdaptuneError(
            f"the files of trial {best.id} are gone or damaged: `adaptune run` the sweep again, which trains it anew"
        )
    provenance = {
        "sweep": spec.name,
        "trial": best.id,
        "seed": best.seed,
        "data_digest": best.data_digest,
        "validity": best.validity,
        "parameters": best.parameters,
        "gates": [vars(verdict) for verdict in verdicts],
        "environment": read_json(trial / "result.json")["environment"],
    }
    with tempfile.TemporaryDirectory(prefix=".promote-", dir=workspace.home) as temporary:
        source = Path(temporary) / "version"
        shutil.copytree(trial / "model", source)
        info = TASKS[spec.task]
        task = info.load()
        load_model(spec.task, source, f"trial {best.id} in {trial}")
        task.export_users(task.open_data(prepare(spec.data, workspace.data, info.form)), source)
        version = registry.create(spec.task, source, {"validation": best.metrics}, provenance)
    registry.set_alias(spec.task, alias, version)
    return Promotion(version, alias, verdicts)


def judge(gate: Gate, comparison: "Comparison") -> list[Verdict]:
    """Hold a gate's bounds against the model's validation results, means over the task's main group."""
    metric = gate.metric
    interval = comparison.model.metrics.get(metric)
    value = interval.mean if interval else None
    against = comparison.model.against_baseline.get(metric)
    sign = 1 if comparison.task.metrics[metric].mode == "max" else -1
    gain = sign * against.difference if against else None
    p_value = against.p_adjusted if against else None
    bounds = (
        (gate.min, f"{metric} at least {gate.min}", value, lambda found, bound: found >= bound),
        (gate.max, f"{metric} at most {gate.max}", value, lambda found, bound: found <= bound),
        (
            gate.min_difference,
            f"{metric} better than {comparison.baseline} by at least {gate.min_difference}",
            gain,
            lambda found, bound: found >= bound,
        ),
        (
            gate.max_p_value,
            f"{metric} better than {comparison.baseline} with an adjusted p of at most {gate.max_p_value}",
            p_value,
            lambda found, bound: found <= bound and gain is not None and gain > 0,
        ),
    )
    return [
        Verdict(text, found, found is not None and holds(found, bound))
        for bound, text, found, holds in bounds
        if bound is not None
    ]
