"""Making party folders out of a sweep's data, with a party file that is ready to run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from components.data.column_folders import held, split_by_columns
from components.data.party_folders import MANIFEST, split_by_users
from components.data.store import prepare
from components.errors import AdaptuneError
from components.tasks import TASKS
from orchestrator.records.workspace import Workspace

PARTY_FILE = "parties.yaml"


def split_data(
    data: Path,
    parties: int,
    out: Path,
    workspace: Workspace,
    overrides: Sequence[str] = (),
    by: Literal["users", "columns"] = "users",
) -> dict[str, Any]:
    """Divide the users, or the columns, of a sweep's data or of a prepared folder; say who was given how many.

    `overrides` (`key=value`) are written over the sweep file.

    Raises AdaptuneError where `data` is neither, or a party's folder exists already.
    """
    import numpy as np

    from components.data.arrow import open_table, view

    if by == "columns" and parties != 2:
        raise AdaptuneError(
            "columns are divided between 2 parties, who hold the profiles and the logs; expected `--parties 2`, got "
            f"{parties}"
        )
    if (data / MANIFEST).is_file():
        folder = data
    elif data.is_dir():
        raise AdaptuneError(
            f"{data} is no prepared data set: name a sweep file, or a folder with a {MANIFEST}"
        )
    else:
        from orchestrator.spec.load import load_sweep

        spec = load_sweep(data, overrides)
        folder = prepare(spec.data, workspace.data, TASKS[spec.task].form)
    file = out / PARTY_FILE
    if file.exists():
        raise AdaptuneError(f"{file} exists already: name another folder")
    found = []
    for place in split_by_columns(folder, out) if by == "columns" else split_by_users(folder, parties, out):
        users, holds = open_table(place / "users.arrow"), held(place)
        given: dict[str, Any] = {"name": place.name, "folder": place, "users": users.num_rows}
        if holds != "profiles":
            given["unseen"] = int(np.count_nonzero(view(users, "unseen")))
        found.append(given if holds is None else {**given, "holds": holds})
    names = [str(place["name"]) for place in found]
    file.write_text(_column_file(names) if by == "columns" else _party_file(names), encoding="utf-8")
    return {"data": folder, "by": by, "parties": found, "file": file}


def _column_file(names: list[str]) -> str:
    rows = "\n".join(f"  {name}: {{data: {name}}}" for name in names)
    return f"""\
# Who takes part in an evaluation over private users: adaptune evaluate VERSION --parties {PARTY_FILE}
divided: columns      # of the same users, one party holds the profiles and another the logs
parties:
{rows}
receiver: profiles    # learns the sums; a third party without data may, too
run: local            # a rehearsal; `ray` and `remote` keep the parties apart
minimum_cohort: 20    # common users that every sum must stand on
"""


def _party_file(names: list[str]) -> str:
    rows = "\n".join(f"  {name}: {{data: {name}}}" for name in names)
    return f"""\
# Who takes part in an evaluation over private users: adaptune evaluate VERSION --parties {PARTY_FILE}
parties:
{rows}
receiver: {names[0]}     # learns the sums over all parties
run: local            # a rehearsal; `ray` and `remote` keep the parties apart
minimum_cohort: 20    # users of the other parties that every sum must stand on
"""
