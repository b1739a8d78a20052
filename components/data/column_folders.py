"""Dividing a log by columns: one party holds the users' profiles, another what they did, under hashed ids.

Both folders hold the same key, in a file that only its owner may read; nobody else is given it. Users are known by
HMAC-SHA256 of their ids under that key, so whoever lacks the key cannot tell whose rows these are. Whoever has it can
test whether a given id is among those that it is shown.
"""

import hashlib
import hmac
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from components.data.arrow import open_table, view, write_manifest, write_table
from components.data.interactions import VERSION
from components.data.party_folders import EVENTS, USERS, read_part_manifest
from components.errors import DataError

Holds = Literal["profiles", "logs"]
HOLDS: tuple[Holds, ...] = ("profiles", "logs")
KEY_FILE = "join.key"
KEY_BYTES = 32
TOKEN_NUMBERS = 2
"""A user's token in the join is 128 bits of a hash, as this many whole numbers."""
LACKING = 10
"""One user in this many is left out of the profiles, and as many others out of the logs."""


def split_by_columns(folder: Path, out: Path) -> list[Path]:
    """Write `out/profiles` and `out/logs` from the prepared log in `folder` and return them.

    Each is given some users that the other lacks, and an order of its own. Raises `DataError` where `folder` is no
    prepared log, its users have no profiles or are too few, or a folder exists already.
    """
    manifest = read_part_manifest(folder)
    if not manifest.get("profile_fields") or not all(
        (folder / f"{name}.arrow").is_file() for name in (EVENTS, USERS, "items")
    ):
        raise DataError(
            folder, "cannot be divided by columns: expected a log of users who have profile fields"
        )
    places = [out / name for name in HOLDS]
    for place in places:
        if place.exists():
            raise DataError(place, "exists already: name another folder, or delete this one first")
    users = open_table(folder / f"{USERS}.arrow")
    if users.num_rows < 3:
        raise DataError(folder, f"{users.num_rows} users are too few to be divided by columns")
    key = os.urandom(KEY_BYTES)
    names = [pseudonym(key, user) for user in users.column("id").to_pylist()]
    by_name = np.argsort(names)
    lacking = max(1, len(names) // LACKING)
    for place in places:
        place.mkdir(parents=True)
        write_key(place / KEY_FILE, key)
    _write_profiles(folder, manifest, names, by_name[lacking:][::-1], places[0])
    _write_logs(folder, manifest, names, np.r_[by_name[:lacking], by_name[2 * lacking :]], places[1])
    return places


def pseudonym(key: bytes, user: str) -> str:
    """Return what a user is called in the folders."""
    return hmac.digest(key, f"adaptune user {user}".encode(), "sha256").hex()


def join_tokens(key: bytes, users: Sequence[str]) -> NDArray[np.int64]:
    """Return what the two parties compare of each user, [U, 2]: 128 bits of a keyed hash of the folder's id."""
    digests = (hmac.digest(key, f"adaptune join {user}".encode(), "sha256") for user in users)
    flat = b"".join(digest[: 8 * TOKEN_NUMBERS] for digest in digests)
    return np.frombuffer(flat, dtype="<i8").astype(np.int64).reshape(-1, TOKEN_NUMBERS)


def key_token(key: bytes) -> NDArray[np.int64]:
    """Return what tells whether two parties have the same key, and nothing of it otherwise, [1, 2]."""
    digest = hmac.digest(key, b"adaptune key", "sha256")[: 8 * TOKEN_NUMBERS]
    return np.frombuffer(digest, dtype="<i8").astype(np.int64).reshape(1, TOKEN_NUMBERS)


def held(folder: Path) -> Holds | None:
    """Return what a party's folder holds of its users: profiles, logs, or (None) both."""
    split = read_part_manifest(folder).get("split")
    if not isinstance(split, dict) or split.get("by") != "columns":  # of a whole data set it is a version
        return None
    holds: Holds = split["holds"]
    return holds


def check_folder(folder: Path, divided: str) -> None:
    """Raise `DataError` where a party's folder does not go with how the party file says that data is divided."""
    holds = held(folder)
    if divided == "columns" and holds is None:
        raise DataError(
            folder,
            "holds users with all their columns, and the party file says `divided: columns`; `adaptune split "
            "DATA --by columns` makes folders of profiles and of logs",
        )
    if divided == "users" and holds is not None:
        raise DataError(folder, f"holds {holds} only: write `divided: columns` in the party file")


def profiles_of(folder: Path) -> tuple[list[str], NDArray[np.int32], dict[str, list[str]]]:
    """Return the ids, categories [U, F] and fields of a folder that holds profiles."""
    fields: dict[str, list[str]] = read_part_manifest(folder)["profile_fields"]
    users = open_table(folder / f"{USERS}.arrow")
    profile = np.stack([view(users, f"profile.{name}") for name in fields], axis=1)
    return users.column("id").to_pylist(), profile, fields


def write_key(path: Path, key: bytes) -> None:
    """Write a key into a new file that only its owner may read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(key.hex() + "\n")


def read_key(folder: Path) -> bytes:
    """Return the key of a party's folder; a `DataError` where it is missing, damaged or open to others."""
    path = folder / KEY_FILE
    try:
        text, mode = path.read_text(encoding="ascii").strip(), path.stat().st_mode
        key = bytes.fromhex(text)
    except FileNotFoundError:
        raise DataError(
            path,
            "missing: the two parties who hold columns of the same users share a key, and nobody else has it",
        ) from None
    except ValueError as error:
        raise DataError(path, f"not a key ({error}); expected {2 * KEY_BYTES} hexadecimal digits") from error
    if len(key) != KEY_BYTES:
        raise DataError(path, f"a key of {len(key)} bytes; expected {2 * KEY_BYTES} hexadecimal digits")
    if mode & 0o077:
        raise DataError(path, "other accounts of this machine may read the key: chmod 600 it")
    return key


def _write_profiles(
    folder: Path, manifest: dict[str, Any], names: Sequence[str], kept: NDArray[np.intp], place: Path
) -> None:
    import pyarrow as pa

    users = open_table(folder / f"{USERS}.arrow")
    columns: dict[str, Any] = {"id": pa.array([names[user] for user in kept], pa.string())}
    for field in manifest["profile_fields"]:
        columns[f"profile.{field}"] = np.ascontiguousarray(view(users, f"profile.{field}")[kept])
    write_table(place / f"{USERS}.arrow", pa.table(columns))
    said = {name: manifest[name] for name in ("source", "profile_fields")}
    write_manifest(
        place, {**said, "preparation": VERSION, **_named(manifest, "profiles", {USERS: len(kept)})}
    )


def _write_logs(
    folder: Path, manifest: dict[str, Any], names: Sequence[str], kept: NDArray[np.intp], place: Path
) -> None:
    """Write a log whose users have no profiles: every field is unknown."""
    import pyarrow as pa

    users, events = open_table(folder / f"{USERS}.arrow"), open_table(folder / f"{EVENTS}.arrow")
    counts = view(users, "events")
    first = np.cumsum(counts) - counts
    rows = np.concatenate([np.arange(first[user], first[user] + counts[user]) for user in kept])
    columns: dict[str, Any] = {
        "id": pa.array([names[user] for user in kept], pa.string()),
        "events": np.ascontiguousarray(counts[kept]),
        "unseen": np.ascontiguousarray(view(users, "unseen")[kept]),
    }
    columns |= {f"profile.{field}": np.zeros(len(kept), np.int32) for field in manifest["profile_fields"]}
    write_table(place / f"{USERS}.arrow", pa.table(columns))
    log = pa.Table.from_batches([events]).take(pa.array(rows))
    truth = [name for name in log.column_names if name == "oracle"]
    write_table(place / f"{EVENTS}.arrow", log.drop_columns(truth) if truth else log)
    shutil.copyfile(folder / "items.arrow", place / "items.arrow")
    count = {USERS: len(kept), EVENTS: len(rows), "items": open_table(folder / "items.arrow").num_rows}
    write_manifest(place, {**manifest, **_named(manifest, "logs", count)})


def _named(manifest: dict[str, Any], holds: Holds, rows: dict[str, int]) -> dict[str, Any]:
    name = f"{manifest['digest']} columns {holds}"
    return {
        "digest": hashlib.sha256(name.encode()).hexdigest()[:16],
        "split": {"of": manifest["digest"], "by": "columns", "holds": holds},
        "rows": rows,
    }
