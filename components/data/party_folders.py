"""Dividing a prepared data set among parties: each one's users in a folder of its own, the contents in all of them.

A party's folder is a prepared data set in the same form, so whatever evaluates the whole evaluates a part, and
what it finds of a user is what it finds of that user in the whole. What the generator of simulated users knows and
no model may read stays behind.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from components.data.arrow import open_table, view, write_manifest, write_table
from components.data.splits import keyed_hash
from components.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

USERS, EVENTS, PAIRS = "users", "events", "pairs"
"""The tables that belong to users; events stand user by user, pairs name their user by number."""
TRUTH = "truth"
"""What the names of tables of the generator's truth begin with."""
MANIFEST = "manifest.json"


def split_by_users(folder: Path, parties: int, out: Path) -> list[Path]:
    """Write `out/party-1` … `out/party-N` from the prepared data set in `folder` and return them.

    Users are dealt by a keyed hash of their ids, seen and unseen ones apart, so that every party has its share of
    both. Raises `DataError` where `folder` is no prepared data set, has too few users, or a folder exists already.
    """
    manifest = read_part_manifest(folder)
    places = [out / f"party-{number}" for number in range(1, parties + 1)]
    for place in places:
        if place.exists():
            raise DataError(place, "exists already: name another folder, or delete this one first")
    users = open_table(folder / f"{USERS}.arrow")
    owner = deal(users.column("id").to_pylist(), view(users, "unseen").view(np.bool_), parties)
    fewest = int(np.bincount(owner, minlength=parties).min())
    if fewest == 0:
        raise DataError(folder, f"{users.num_rows} users are too few for {parties} parties")
    for number, place in enumerate(places):
        place.mkdir(parents=True)
        _write_part(folder, manifest, np.flatnonzero(owner == number), number, parties, place)
    return places


def deal(user_ids: Sequence[str], unseen: NDArray[np.bool_], parties: int) -> NDArray[np.int64]:
    """Return the number of the party, from 0, that each user is dealt to, [U]."""
    owner = np.zeros(len(user_ids), np.int64)
    order = np.argsort(keyed_hash("adaptune party", user_ids), kind="stable")
    for group in (unseen, ~unseen):
        members = order[group[order]]
        owner[members] = np.arange(len(members)) % parties
    return owner


def snapshot_digest(folder: Path) -> str:
    """Hash all files of a prepared folder that decide what is evaluated: its manifest, tables and encoder."""
    hasher = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.name == MANIFEST or path.suffix in (".arrow", ".pt2"):
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            hasher.update(f"{path.name} {digest}\n".encode())
    return hasher.hexdigest()[:16]


def read_part_manifest(folder: Path) -> dict[str, Any]:
    """Return what a prepared folder says of itself; a `DataError` where it is none."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(folder, f"not a prepared data set ({error})") from error
    return manifest


def _write_part(
    folder: Path, manifest: dict[str, Any], users: NDArray[np.int64], number: int, parties: int, place: Path
) -> None:
    """Write one party's folder: its users' rows of their tables, and everything that belongs to nobody."""
    tables = {path.stem: path for path in folder.glob("*.arrow") if not path.stem.startswith(TRUTH)}
    rows = {}
    for name, path in tables.items():
        if name in (USERS, EVENTS, PAIRS):
            part = _belonging(name, folder, users)
            write_table(place / path.name, part)
            rows[name] = part.num_rows
        else:
            shutil.copyfile(path, place / path.name)
    for path in folder.iterdir():
        if path.is_file() and path.suffix not in (".arrow", ".json"):
            shutil.copyfile(path, place / path.name)
    name = f"{manifest['digest']} users {number + 1} of {parties}"
    said = {
        **manifest,
        "digest": hashlib.sha256(name.encode()).hexdigest()[:16],
        "split": {"of": manifest["digest"], "by": "users", "party": number + 1, "parties": parties},
    }
    if "rows" in manifest:
        said["rows"] = {
            name: rows.get(name, count) for name, count in manifest["rows"].items() if name in tables
        }
    write_manifest(place, said)


def _belonging(name: str, folder: Path, users: NDArray[np.int64]) -> "pa.Table":
    """Return the rows of a table that belong to `users`, in their order."""
    import pyarrow as pa

    batch = open_table(folder / f"{name}.arrow")
    table = pa.Table.from_batches([batch])
    if name == USERS:
        return table.take(pa.array(users))
    if name == EVENTS:
        counts = view(open_table(folder / f"{USERS}.arrow"), "events")
        chosen = np.zeros(len(counts), bool)
        chosen[users] = True
        return table.filter(pa.array(np.repeat(chosen, counts)))
    number = np.full(int(max(users.max(), view(batch, "user").max(initial=0))) + 1, -1, np.int32)
    number[users] = np.arange(len(users))
    renamed = number[view(batch, "user")]
    table = table.set_column(table.schema.get_field_index("user"), "user", pa.array(renamed))
    return table.filter(pa.array(renamed >= 0))
