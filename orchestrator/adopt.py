"""Taking finished result folders into the ledger, also those that a driver that died never saw."""

from pathlib import Path
from typing import Any

from orchestrator.jobs import Look
from orchestrator.ledger import Ledger
from orchestrator.workspace import Workspace, read_json


def adopt_trial(ledger: Ledger, workspace: Workspace, trial_id: str) -> dict[str, Any] | None:
    """Record a trial's finished folder and the looks in it; return its result, None if there is none."""
    path = workspace.trial(trial_id) / "result.json"
    if not path.exists():
        return None
    result = read_json(path)
    ledger.record_trial(
        trial_id,
        run_id=result["run"],
        task=result["task"],
        config=read_json(path.with_name("config.json")),
        data_digest=result["data_digest"],
        seed=result["seed"],
        epochs=result["epochs"],
        state="finished",
        cause=None,
        metrics=result["metrics"],
        parameters=result["parameters"],
        validity=result["validity"],
        seconds=result["seconds"],
        mirror_problem=result["mirror_problem"] or None,
    )
    return result


def adopt_look(ledger: Ledger, workspace: Workspace, trial_id: str, look: Look, data_digest: str) -> bool:
    """Record one finished evaluation of a trial; False if its files are not there."""
    path = workspace.trial(trial_id) / f"{look.stem}.json"
    if not path.exists():
        return False
    summary = read_json(path)
    ledger.record_evaluation(
        trial_id, look.part, look.control, summary["validity"], summary["metrics"], data_digest
    )
    return True


def adopt_unknown(ledger: Ledger, workspace: Workspace) -> list[str]:
    """Record every finished folder that the ledger does not know as finished; return their trials' ids.

    A folder is renamed into place whole, so one that has a result is complete.
    """
    known = ledger.trials()
    adopted = []
    for folder in sorted(_finished(workspace.trials)):
        result = read_json(folder / "result.json")
        row = known.get(folder.name)
        if row is None or row.state != "finished" or row.validity != result["validity"]:
            adopt_trial(ledger, workspace, folder.name)
            adopted.append(folder.name)
    for part in ("validation", "test"):
        evaluated = ledger.evaluations(part)
        for summary in workspace.trials.glob(f"*/{part}*.json"):
            look, trial_id = read_json(summary), summary.parent.name
            if (
                not trial_id.startswith(".")
                and evaluated.get((trial_id, look["control"])) != look["validity"]
            ):
                digest = read_json(summary.with_name("result.json"))["data_digest"]
                adopt_look(ledger, workspace, trial_id, Look(part, look["control"]), digest)
    return adopted


def _finished(trials: Path) -> list[Path]:
    return [path.parent for path in trials.glob("*/result.json") if not path.parent.name.startswith(".")]
