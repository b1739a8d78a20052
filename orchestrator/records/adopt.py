"""Taking finished result folders into the ledger, also those that a driver that died never saw."""

from pathlib import Path
from typing import Any

from components.errors import DataError
from orchestrator.records.ledger import Ledger, TrialRow
from orchestrator.records.workspace import Workspace, read_json
from orchestrator.running.jobs import Look

TRAINED = ("validation.arrow", "model/model.safetensors")
"""What a trained trial must have beside its result."""
RULE = ("validation.arrow", "test.arrow")
"""What a row without training must have."""


def read_whole(path: Path) -> dict[str, Any] | None:
    """Return a result's JSON document; None if it is not there or damaged, as a full disk may leave it."""
    try:
        document = read_json(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def adopt_trial(
    ledger: Ledger, workspace: Workspace, trial_id: str, code: str | None = None
) -> dict[str, Any] | None:
    """Record a trial's finished folder and return its result; None if there is none, or not of this `code`."""
    folder = workspace.trial(trial_id)
    result, config = read_whole(folder / "result.json"), read_whole(folder / "config.json")
    if result is None or config is None or code not in (None, result["validity"]):
        return None
    ledger.record_trial(
        trial_id,
        run_id=result["run"],
        task=result["task"],
        config=config,
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


def adopt_look(
    ledger: Ledger, workspace: Workspace, trial_id: str, look: Look, data_digest: str, code: str
) -> dict[str, Any] | None:
    """Record one finished evaluation of a trial and return its summary; None if it is not there, or not of this
    `code`.
    """
    summary = read_whole(workspace.trial(trial_id) / f"{look.stem}.json")
    if summary is None or summary["validity"] != code:
        return None
    ledger.record_evaluation(trial_id, look.part, look.control, code, summary["metrics"], data_digest)
    return summary


def adopt_unknown(ledger: Ledger, workspace: Workspace) -> list[str]:
    """Record every finished folder that the ledger does not know as finished; return their trials' ids.

    A folder is renamed into place whole, so one that has a readable result is complete.
    """
    known = ledger.trials()
    evaluated = {part: ledger.evaluations(part) for part in ("validation", "test")}
    adopted = []
    for folder in sorted(workspace.trials.glob("[!.]*")):
        result = read_whole(folder / "result.json")
        if result is None:
            continue
        if _is_news(known.get(folder.name), result) and adopt_trial(ledger, workspace, folder.name):
            adopted.append(folder.name)
        for part, looks in evaluated.items():
            for path in folder.glob(f"{part}*.json"):
                summary = read_whole(path) or {}
                look, code = Look(part, summary.get("control", "")), summary.get("validity")
                if code is not None and looks.get((folder.name, look.control)) != code:
                    adopt_look(ledger, workspace, folder.name, look, result["data_digest"], code)
    return adopted


def _is_news(row: TrialRow | None, result: dict[str, Any]) -> bool:
    """Whether the ledger lacks a result; a failure of other code came after the result and stands."""
    if row is None or row.state in ("running", "interrupted"):
        return True
    return row.state == "finished" and row.validity != result["validity"]


def is_whole(workspace: Workspace, trial_id: str, *files: str) -> bool:
    """Whether a trial's folder has a readable result and these files, which can be opened (but for JSON, unread)."""
    folder = workspace.trial(trial_id)
    return read_whole(folder / "result.json") is not None and all(_opens(folder / name) for name in files)


def has_slices(workspace: Workspace, trial_id: str) -> bool:
    """Whether a trial was validated with histories that were cut, too."""
    from components.metrics.rows import FULL_HISTORY, read_rows

    rows = read_rows(workspace.trial(trial_id) / "validation.arrow")
    return any(history != FULL_HISTORY for history in rows["history"].unique().to_pylist())


def _opens(path: Path) -> bool:
    """Whether an Arrow file has its footer, a safetensors file the length its header promises, and JSON its end."""
    from safetensors import SafetensorError, safe_open

    from components.metrics.rows import read_rows

    if path.suffix == ".json":
        return read_whole(path) is not None
    try:
        if path.suffix == ".arrow":
            read_rows(path)
        else:
            safe_open(path, framework="numpy")
    except (OSError, SafetensorError, DataError):
        return False
    return True
