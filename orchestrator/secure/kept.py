"""Results of evaluations in the home folder, and which of them answers what a party file asks for."""

from collections.abc import Mapping
from typing import Any

from components.errors import AdaptuneError
from orchestrator.records.workspace import Workspace, read_json
from orchestrator.spec.parties import PartyFile

HOW = {"run", "rendezvous", "timeout", "dealer"}
"""Keys of a party file that say how its seats run, and change nothing of what comes out."""
OWN = {"data", "node", "resource", "privacy_budget"}
"""Keys of a party that say where it is and what it allows, and change nothing of what comes out."""


def asked_of(parties: PartyFile) -> dict[str, Any]:
    """Return what a party file asks for, as a result keeps it: who takes part, with or without users, and who learns.

    Parties go by their names: where their folders are and how the seats run does not matter. Keys at their defaults
    are left out, so that a key which is added later leaves earlier results what they were.
    """
    asked = parties.model_dump(mode="json", exclude_defaults=True, exclude=HOW)
    asked["parties"] = {
        name: {
            **{key: value for key, value in asked["parties"][name].items() if key not in OWN},
            "users": party.data is not None,
        }
        for name, party in parties.parties.items()
    }
    return asked


def kept_results(workspace: Workspace) -> list[dict[str, Any]]:
    """Return all results of the home folder, oldest first; each says where it is `kept`."""
    found = []
    for path in sorted(workspace.evaluations.glob("*.json")):
        try:
            found.append({**read_json(path), "kept": str(path)})
        except (ValueError, TypeError) as error:
            raise AdaptuneError(
                f"{path} is damaged ({error}): restore it, or delete it if you can do without"
            ) from error
    return sorted(found, key=lambda result: str(result["created"]))


def kept_result(digest: str, parties: PartyFile, workspace: Workspace) -> dict[str, Any] | None:
    """Return the newest result of the model with this digest that answers what a party file asks for."""
    asked = asked_of(parties)
    found = [
        result
        for result in kept_results(workspace)
        if result["model"] == digest and result.get("asked") == asked
    ]
    return found[-1] if found else None


def results_of(sweep: str, workspace: Workspace, digest: str | None) -> list[dict[str, Any]]:
    """Return all results of a sweep's winners, oldest first, those of the present one (with `digest`) last.

    Each says as `of_winner` whether it is of the present one; None where there is none to compare with.
    """
    found = [
        {**result, "of_winner": None if digest is None else result["model"] == digest}
        for result in kept_results(workspace)
        if result["sweep"] == sweep or result["model"] == digest
    ]
    return sorted(found, key=lambda result: bool(result["of_winner"]))


def shortened(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of a result and where it is kept; the whole one has the statement as well."""
    keys = (
        "version",
        "task",
        "model",
        "part",
        "created",
        "insecure_simulation",
        "parties",
        "receiver",
        "kept",
    )
    groups = {
        name: {key: group.get(key) for key in ("users", "metrics", "margins")}
        for name, group in result["groups"].items()
    }
    return {**{key: result[key] for key in keys}, "groups": groups}
