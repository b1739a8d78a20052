"""Making the winner of a sweep a version in the registry, if its gates let it pass."""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.data.store import prepare
from components.errors import AdaptuneError
from components.tasks import TASKS
from orchestrator.records.ledger import Ledger
from orchestrator.records.results import best_seed, compare_sweep
from orchestrator.records.workspace import Workspace, read_json
from orchestrator.release.registry import Registry, Version, load_model
from orchestrator.secure.kept import kept_result
from orchestrator.secure.model_files import model_digest
from orchestrator.secure.winner import Seats, evaluate_winner, nobody_watches, winner
from orchestrator.spec.gates import PARTIES, party_file_of
from orchestrator.spec.parties import PartyFile
from orchestrator.spec.sweep import Gate, SweepSpec

if TYPE_CHECKING:
    from orchestrator.judging.comparison import Comparison


@dataclass(frozen=True)
class Verdict:
    """What one bound of a gate asked for and what was found on validation data."""

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
    spec: SweepSpec,
    ledger: Ledger,
    workspace: Workspace,
    registry: Registry,
    alias: str = "champion",
    seats: Seats = nobody_watches,
    address: str | None = None,
) -> Promotion:
    """Check the gates on validation results, then copy the best seed's model and move the alias to it.

    Where a gate looks over parties and nothing is known of the winner there, it is evaluated: last, because each
    evaluation gives something away, and only if the other gates hold. `seats` shows it, `address` is its cluster.
    Raises AdaptuneError if the sweep is not finished, the model's files are gone, or that evaluation fails.
    """
    over_parties = any(gate.over == PARTIES for gate in spec.promote.gates)
    parties = party_file_of(spec) if over_parties else None
    comparison = compare_sweep(spec, ledger, workspace, "validation", all_slices=False)
    verdicts = {gate: judge(gate, comparison) for gate in spec.promote.gates if gate.over != PARTIES}
    evaluation = None
    if parties is not None:
        held = all(verdict.passed for of_gate in verdicts.values() for verdict in of_gate)
        evaluation = _evaluation(spec, parties, ledger, workspace, held, seats, address)
    told = tuple(
        verdict
        for gate in spec.promote.gates
        for verdict in (
            judge_over_parties(gate, evaluation, comparison.main[0])
            if gate.over == PARTIES
            else verdicts[gate]
        )
    )
    if not all(verdict.passed for verdict in told):
        return Promotion(None, alias, told)
    model, best = winner(spec, ledger, workspace), best_seed(spec, ledger)
    trial = workspace.trial(best.id)
    provenance = {
        "sweep": spec.name,
        "trial": best.id,
        "seed": best.seed,
        "data_digest": best.data_digest,
        "validity": best.validity,
        "parameters": best.parameters,
        "gates": [vars(verdict) for verdict in told],
        **({} if evaluation is None else {"secure_evaluation": Path(evaluation["kept"]).name}),
        "environment": read_json(trial / "result.json")["environment"],
    }
    with tempfile.TemporaryDirectory(prefix=".promote-", dir=workspace.home) as temporary:
        source = Path(temporary) / "version"
        shutil.copytree(model.folder, source)
        info = TASKS[spec.task]
        task = info.load()
        load_model(spec.task, source, f"trial {best.id} in {trial}")
        task.export_users(task.open_data(_data_of(spec, workspace, best.data_digest, info.form)), source)
        version = registry.create(spec.task, source, {"validation": best.metrics}, provenance)
    registry.set_alias(spec.task, alias, version)
    return Promotion(version, alias, told)


def _data_of(spec: SweepSpec, workspace: Workspace, digest: str, form: str) -> Path:
    """Return the prepared data that the winner was trained on.

    Raises AdaptuneError if it is gone and the source has changed since.
    """
    folder = workspace.data / digest
    if folder.is_dir():
        return folder
    prepared = prepare(spec.data, workspace.data, form)
    if prepared.name != digest:
        raise AdaptuneError(
            f"nothing was promoted: the winner was trained on the data {digest}, which is no longer in "
            f"{workspace.data}, and the source gives {prepared.name} now. Restore either, or run the sweep again."
        )
    return prepared


def _evaluation(
    spec: SweepSpec,
    parties: PartyFile,
    ledger: Ledger,
    workspace: Workspace,
    wanted: bool,
    seats: Seats,
    address: str | None,
) -> dict[str, Any] | None:
    """Return what came out of the winner over the parties; None where it is not known, and not `wanted` either."""
    if not wanted:
        return kept_result(model_digest(winner(spec, ledger, workspace).folder), parties, workspace)
    judged = evaluate_winner(spec, parties, ledger, workspace, seats, address)
    if judged.result is None:
        again = "\nThe next `promote` tries again." if judged.state == "failed" else ""
        raise AdaptuneError(
            f"nothing was promoted: a gate needs the evaluation over parties. {judged.cause}{again}"
        )
    return judged.result


def judge_over_parties(gate: Gate, evaluation: Mapping[str, Any] | None, group: str) -> list[Verdict]:
    """Hold a gate's bounds against an evaluation over parties: the metric over their users of `group`."""
    found = {} if evaluation is None else evaluation["groups"].get(group, {})
    value, margins = found.get("metrics", {}).get(gate.metric), found.get("margins")
    all_noise = margins is not None and gate.metric not in margins
    why = ""
    if evaluation is None:
        why = " (not evaluated, because another gate refused)"
    elif value is None:
        why = f" (withheld, or nobody has it: see {evaluation['kept']})"
    elif evaluation["insecure_simulation"]:
        why = " (NOT SECURE: `insecure_simulation`)"
    elif all_noise:
        why = " (may be all noise)"
    elif margins is not None:
        why = f" (19 times of 20, noise moves it by {margins[gate.metric]:.4f} at most)"
    bounds = (
        (gate.min, f"at least {gate.min}", lambda found, bound: found >= bound),
        (gate.max, f"at most {gate.max}", lambda found, bound: found <= bound),
    )
    known = value is not None and not all_noise
    return [
        Verdict(f"{gate.metric} over the parties {text}{why}", value, known and holds(value, bound))
        for bound, text, holds in bounds
        if bound is not None
    ]


def judge(gate: Gate, comparison: "Comparison") -> list[Verdict]:
    """Hold a gate's bounds against the model's validation results, means over the task's main group."""
    metric = gate.metric
    interval = comparison.model.metrics.get(metric)
    value = interval.mean if interval else None
    against = comparison.model.against_baseline.get(metric)
    sign = 1 if comparison.task.metrics[metric].mode == "max" else -1
    gain = sign * against.difference if against else None
    p_value = against.p_adjusted if against else None
    worse = "" if gain is None or gain > 0 else f" (it is not better: {gain:+.4f})"
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
            f"{metric} better than {comparison.baseline} with an adjusted p of at most {gate.max_p_value}{worse}",
            p_value,
            lambda found, bound: found <= bound and gain is not None and gain > 0,
        ),
    )
    return [
        Verdict(text, found, found is not None and holds(found, bound))
        for bound, text, found, holds in bounds
        if bound is not None
    ]
