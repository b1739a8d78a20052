"""What of a promoted version the parties are given: the model, and not the users that travel with it for serving."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from components.data.population import EVENTS_FILE, USERS_FILE
from components.errors import AdaptuneError
from components.privacy import ENCODER, PRIVATE_TASK, WHOLE
from orchestrator.release.registry import MANIFEST, REQUIRED, SUFFIXES

PRIVATE = (EVENTS_FILE, USERS_FILE)
"""Users and events of the data set that the model was trained on."""
ABOUT = (MANIFEST, "metrics.json", "provenance.json")
"""What is said of the version; no part of what computes."""


def model_files(folder: Path) -> list[Path]:
    """Return the files of a model, or of its encoder, sorted by name; raises AdaptuneError for any other folder."""
    left_out = {*PRIVATE, *ABOUT}
    files = sorted(path for path in folder.glob("*") if path.suffix in SUFFIXES and path.name not in left_out)
    required = (ENCODER, "config.json") if is_encoder(folder) else REQUIRED
    missing = [name for name in required if not (folder / name).is_file()]
    if missing:
        raise AdaptuneError(
            f"{folder} holds no model ({' and '.join(missing)} missing): `adaptune export VERSION` makes such "
            "a folder"
        )
    return files


def is_encoder(folder: Path) -> bool:
    """Whether a folder holds the open part of a model, for parties that are not given the whole."""
    return (folder / ENCODER).is_file()


def model_digest(folder: Path) -> str:
    """Hash names and bytes of a model's files: what parties compare before they compute."""
    hasher = hashlib.sha256()
    for path in model_files(folder):
        with path.open("rb") as file:
            hasher.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return hasher.hexdigest()[:16]


def whole_digest(folder: Path) -> str:
    """Return the digest of the whole model, also where the folder holds its encoder only."""
    if not is_encoder(folder):
        return model_digest(folder)
    from safetensors import safe_open

    with safe_open(folder / ENCODER, framework="numpy") as file:
        told: dict[str, str] = file.metadata()
    return told[WHOLE].split()[0]


def export_model(task: str, folder: Path, out: Path, encoder: bool = False) -> list[Path]:
    """Copy the model in `folder`, or of a private one its encoder, into the new folder `out`, to hand to a party."""
    if out.exists():
        raise AdaptuneError(f"{out} exists already: name another folder")
    must_be_whole(folder)
    if encoder:
        from components.privacy.divided_model import write_encoder

        check_divisible(task)
        out.mkdir(parents=True)
        write_encoder(folder, out, model_digest(folder))
        return model_files(out)
    out.mkdir(parents=True)
    return [Path(shutil.copyfile(path, out / path.name)) for path in model_files(folder)]


def must_be_whole(folder: Path) -> None:
    """Raise AdaptuneError where a folder holds no more of a model than its encoder."""
    if is_encoder(folder):
        raise AdaptuneError(
            f"{folder} is an encoder only, and this needs the whole model: name the version, or the folder that "
            "`adaptune export` has made without `--encoder`"
        )


def check_divisible(task: str) -> None:
    """Raise AdaptuneError where a task's models cannot be kept private."""
    if task != PRIVATE_TASK:
        raise AdaptuneError(
            f"only a model of {PRIVATE_TASK} can stay with its owner, because its scores are products of vectors and "
            f"a small head; those of {task} are not: use `model: public`"
        )


def packed(folder: Path) -> dict[str, bytes]:
    """Return a model's files as they travel to an actor."""
    return {path.name: path.read_bytes() for path in model_files(folder)}


def unpack(files: Mapping[str, bytes], folder: Path) -> None:
    """Write what `packed` returned."""
    for name, content in files.items():
        (folder / Path(name).name).write_bytes(content)
