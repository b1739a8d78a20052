"""The store of prepared data sets: content-addressed folders of memory-mapped Arrow files.

A data set is parsed once. Its folder is named by a digest of the source's bytes and of the settings, written
under a temporary name and renamed into place, so that several processes may prepare the same data at once.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from components.config import DataSettings
from components.data.text import DataFile

FORMS = {
    "interactions": "components.data.interactions",
    "questions": "components.data.questions_form",
    "captions": "components.data.captions_form",
}
"""The forms that a data set can be prepared in, each a module that fulfils `Form`.

By name, so that the code of one form is no part of what the tasks on another depend on.
"""


class Form(Protocol):
    """A module that prepares data sets in one form. Nothing heavier than numpy is imported at its top."""

    def versions(self, settings: Any) -> Mapping[str, Any]:
        """Name the versions of all that turns the source into this form; they enter the digest."""

    def files(self, settings: Any) -> Mapping[str, DataFile]:
        """Name the files whose bytes decide the data, by their role; a missing one is a `DataError`.

        A folder of files may stand among them, and members of an archive.
        """

    def read(self, settings: Any) -> Any:
        """Parse the source; whatever is wrong with it is a `DataError`, and nothing has been written yet."""

    def write(self, content: Any, settings: Any, digest: str, folder: Path) -> None:
        """Write what `read` returned into the empty `folder`."""


def data_digest(settings: DataSettings, form: str = "interactions") -> str:
    """Hash what decides the prepared data: source bytes, settings that differ from their defaults, versions.

    Paths do not enter, so the same files elsewhere, or in an archive, are the same data. Of a folder among the files,
    names and sizes enter instead of bytes. A changed default must come with a raised version. Nothing is parsed.
    Raises `DataError` where a file is missing or an archive damaged.
    """
    module = _load(form)
    files = module.files(settings)
    paths = {name for name in type(settings).model_fields if isinstance(getattr(settings, name), Path)}
    identity = {
        **module.versions(settings),
        "settings": settings.model_dump(mode="json", exclude=paths, exclude_defaults=True),
        "files": {role: _hash_file(path) for role, path in files.items()},
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def prepare(settings: DataSettings, root: Path, form: str = "interactions") -> Path:
    """Parse the source into `root/<digest>`, unless that folder exists, and return the folder."""
    digest = data_digest(settings, form)
    folder = root / digest
    if folder.exists():
        return folder
    content = _load(form).read(settings)
    root.mkdir(parents=True, exist_ok=True)
    # A folder inside a private temporary one: rename keeps the permissions that this process's umask gives.
    with tempfile.TemporaryDirectory(prefix=f".{digest}-", dir=root, ignore_cleanup_errors=True) as temporary:
        built = Path(temporary) / digest
        built.mkdir()
        _load(form).write(content, settings, digest, built)
        try:
            built.rename(folder)
        except OSError:
            if not folder.exists():
                raise
            shutil.rmtree(built)  # another process was first; what it wrote is the same
    return folder


def left_out(folder: Path) -> dict[str, int]:
    """Return how much of the source a prepared folder does not use, by reason, as far as its manifest says."""
    return cast(dict[str, int], _said(folder).get("left_out", {}))


def notes(folder: Path) -> tuple[str, ...]:
    """Return what its preparation has to say of a prepared folder, a sentence each."""
    return tuple(_said(folder).get("notes", ()))


def _said(folder: Path) -> dict[str, Any]:
    manifest = folder / "manifest.json"
    found = json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else {}
    return cast(dict[str, Any], found)


def _load(form: str) -> Form:
    return cast(Form, import_module(FORMS[form]))


def _hash_file(path: DataFile) -> str:
    """Hash a file's bytes; of a folder of pictures the names and sizes, as its bytes may be gigabytes."""
    if isinstance(path, Path) and path.is_dir():
        listing = sorted((each.name, each.stat().st_size) for each in path.iterdir() if each.is_file())
        return hashlib.sha256(json.dumps(listing).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
