"""What of a promoted version the parties are given: the model, and not the users that travel with it for serving."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from components.data.population import EVENTS_FILE, USERS_FILE
from components.errors import AdaptuneError
from orchestrator.release.registry import MANIFEST, REQUIRED, SUFFIXES, Version

PRIVATE = (EVENTS_FILE, USERS_FILE)
"""Users and events of the data set that the model was trained on."""
ABOUT = (MANIFEST, "metrics.json", "provenance.json")
"""What is said of the version; no part of what computes."""


def model_files(folder: Path) -> list[Path]:
    """Return the files of a model, sorted by name; raises AdaptuneError where it is no model's folder."""
    left_out = {*PRIVATE, *ABOUT}
    files = sorted(path for path in folder.glob("*") if path.suffix in SUFFIXES and path.name not in left_out)
    missing = [name for name in REQUIRED if not (folder / name).is_file()]
    if missing:
        raise AdaptuneError(
            f"{folder} holds no model ({' and '.join(missing)} missing): `adaptune export VERSION` makes such "
            "a folder"
        )
    return files


def model_digest(folder: Path) -> str:
    """Hash names and bytes of a model's files: what parties compare before they compute."""
    hasher = hashlib.sha256()
    for path in model_files(folder):
        with path.open("rb") as file:
            hasher.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return hasher.hexdigest()[:16]


def export_model(version: Version, out: Path) -> list[Path]:
    """Copy a version's model into the new folder `out`, to be handed to a party."""
    if out.exists():
        raise AdaptuneError(f"{out} exists already: name another folder")
    out.mkdir(parents=True)
    return [Path(shutil.copyfile(path, out / path.name)) for path in model_files(version.folder)]


def packed(folder: Path) -> dict[str, bytes]:
    """Return a model's files as they travel to an actor."""
    return {path.name: path.read_bytes() for path in model_files(folder)}


def unpack(files: Mapping[str, bytes], folder: Path) -> None:
    """Write what `packed` returned."""
    for name, content in files.items():
        (folder / Path(name).name).write_bytes(content)
