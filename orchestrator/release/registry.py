"""The registry: promoted models as immutable, checked versions, and the aliases that point at them.

    <root>/<task>/<number>/   weights, config, vocabulary, metrics.json, provenance.json, manifest.json
    <root>/<task>/aliases/<alias>.json

A version is written beside its place and renamed into it, so it is there whole or not at all, and two
writers never get the same number. An alias moves by replacing one small file.
"""

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.errors import AdaptuneError
from components.tasks import TASKS

MANIFEST = "manifest.json"
WEIGHTS = "model.safetensors"
REQUIRED = (WEIGHTS, "config.json")
SUFFIXES = (".safetensors", ".json", ".arrow")
"""Formats that cannot carry code: nothing in a version is ever unpickled."""

_ADVICE = "delete this version and promote the model again"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_REFERENCE = re.compile(r"([a-z][a-z0-9_-]{0,63})/([1-9][0-9]{0,8}|[a-z][a-z0-9_-]{0,63})")


class RegistryError(AdaptuneError):
    """A version or alias is unknown, incomplete or altered."""


@dataclass(frozen=True)
class Version:
    """One promoted model."""

    task: str
    number: int
    folder: Path
    digest: str
    """Hash of the contents of all its files: equal digests are equal models."""
    created: str
    metrics: Mapping[str, Any] = field(repr=False)
    provenance: Mapping[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        """How people refer to it: `task/number`."""
        return f"{self.task}/{self.number}"


@dataclass(frozen=True)
class Listing:
    """A line of `adaptune models`: a version, or an alias that cannot be read."""

    name: str
    aliases: tuple[str, ...]
    digest: str | None
    created: str | None
    metrics: Mapping[str, Any]
    provenance: Mapping[str, Any]
    problem: str | None = None
    """Why it cannot be used, if it cannot."""


def load_servable(version: Version) -> Any:
    """Load a version's model for serving; raise `RegistryError` if this code does not fit it."""
    return load_model(version.task, version.folder, version.name)


def load_model(task: str, folder: Path, name: str) -> Any:
    """Load a model for serving from a folder that messages call `name`; raise `RegistryError` if that fails."""
    from safetensors import SafetensorError

    info = TASKS.get(task)
    try:
        if info is None:
            raise ValueError(f"there is no task {task!r}")
        return info.load().load_servable(folder)
    except (ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise RegistryError(
            f"{name}: its files are damaged, or this code does not fit them; run its sweep again and promote the "
            f"winner, or use the code that it was trained with ({str(error).splitlines()[0]})"
        ) from error


class Registry:
    """The versions and aliases in one folder."""

    def __init__(self, root: Path) -> None:
        """Use the registry in `root`, which need not exist yet."""
        self.root = root

    def create(
        self, task: str, source: Path, metrics: Mapping[str, Any], provenance: Mapping[str, Any]
    ) -> Version:
        """Copy the files of the folder `source` into a new version and return it.

        Promoting the same contents again gives the version that already holds them. Raises `RegistryError` if
        weights or configuration are missing, or a file has a format that could carry code.
        """
        _check_name("a task", task)
        files = sorted(source.iterdir())
        _check_source(source, files)
        folder = self.root / task
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{uuid.uuid4().hex}"
        temporary.mkdir()
        try:
            for file in files:
                shutil.copyfile(file, temporary / file.name)
            for name, document in (("metrics.json", metrics), ("provenance.json", provenance)):
                (temporary / name).write_text(_dump(document), encoding="utf-8")
            hashes = {file.name: _sha256(file) for file in sorted(temporary.iterdir())}
            digest = _digest(hashes)
            known = self._holding(task, digest)
            if known is not None:
                return known
            created = datetime.now(UTC).isoformat(timespec="seconds")
            manifest = {"digest": digest, "created": created, "files": hashes}
            (temporary / MANIFEST).write_text(_dump(manifest), encoding="utf-8")
            for file in temporary.iterdir():
                file.chmod(0o444)
                _sync(file)
            _sync(temporary)
            number = self._rename_to_next_number(temporary, task)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return self.version(f"{task}/{number}")

    def _holding(self, task: str, digest: str) -> Version | None:
        """Return a sound version with these contents; a damaged one is passed over."""
        for number in self._numbers(task):
            with suppress(RegistryError):
                version = self._read(task, number)
                if version.digest == digest:
                    self._verify(version)
                    return version
        return None

    def _rename_to_next_number(self, temporary: Path, task: str) -> int:
        number = max(self._numbers(task), default=0) + 1
        while True:
            try:
                temporary.rename(self.root / task / str(number))
            except OSError:
                # A folder that is not empty cannot be renamed onto: another writer took the number.
                if not (self.root / task / str(number)).exists():
                    raise
                number += 1
            else:
                _sync(self.root / task)
                return number

    def version(self, reference: str) -> Version:
        """Return the version that `task/number` or `task/alias` names, after checking every file's hash."""
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            raise RegistryError(f"{reference}: not a version; expected one such as `recommendation/1`")
        task, rest = match.groups()
        if not rest.isdigit():
            version = self.alias(task, rest)
            if version is None:
                raise RegistryError(f"{reference}: no such alias; {self._known_aliases(task)}")
            return version
        number = int(rest)
        if number not in self._numbers(task):
            known = ", ".join(f"{task}/{known}" for known in self._numbers(task)) or "none"
            raise RegistryError(f"{reference}: no such version in {self.root}; known: {known}")
        version = self._read(task, number)
        self._verify(version)
        return version

    def versions(self) -> list[Listing]:
        """List every version of every task, usable or not, without hashing the files; after them, damaged aliases."""
        rows = []
        for task in self._tasks():
            aliases, damaged, numbers = {}, [], self._numbers(task)
            for alias in self._alias_names(task):
                path = self.alias_path(task, alias)
                try:
                    aliases[alias] = _read_alias(path)
                    if aliases[alias] not in numbers:
                        raise RegistryError(
                            f"{path}: version {aliases[alias]} is not there; {_advice_for(path)}"
                        )
                except RegistryError as error:
                    damaged.append(Listing(f"{task}/{alias}", (alias,), None, None, {}, {}, str(error)))
            for number in numbers:
                names = tuple(name for name, target in aliases.items() if target == number)
                try:
                    version = self._read(task, number)
                except RegistryError as error:
                    rows.append(Listing(f"{task}/{number}", names, None, None, {}, {}, str(error)))
                else:
                    contents = (version.digest, version.created, version.metrics, version.provenance)
                    rows.append(Listing(version.name, names, *contents))
            rows += damaged
        return rows

    def alias(self, task: str, name: str) -> Version | None:
        """Return the version that an alias points at, or None if there is no such alias."""
        path = self.alias_path(task, name)
        return self.version(f"{task}/{_read_alias(path)}") if path.exists() else None

    def set_alias(self, task: str, name: str, version: Version) -> None:
        """Point the alias at `version`, in one atomic step; whoever serves by the alias follows it."""
        _check_name("an alias", name)
        if version.task != task:
            raise RegistryError(f"{version.name}: not a version of {task}; alias `{name}` was left as it is")
        self.version(version.name)
        path = self.alias_path(task, name)
        if path.is_dir():
            raise RegistryError(f"{path}: a folder; expected a file; {_advice_for(path)}")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{uuid.uuid4().hex}")
        temporary.write_text(_dump({"version": version.number}), encoding="utf-8")
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)

    def alias_path(self, task: str, name: str) -> Path:
        """Return the file whose replacement is the alias's move."""
        return self.root / task / "aliases" / f"{name}.json"

    def _known_aliases(self, task: str) -> str:
        names = ", ".join(f"{task}/{name}" for name in self._alias_names(task))
        return f"known: {names}" if names else f"{task} has none yet; `adaptune promote` makes one"

    def _alias_names(self, task: str) -> list[str]:
        files = sorted((self.root / task / "aliases").glob("*.json"))
        return [path.stem for path in files if _NAME.fullmatch(path.stem)]

    def _tasks(self) -> list[str]:
        return sorted(folder.name for folder in self.root.glob("*") if _NAME.fullmatch(folder.name))

    def _numbers(self, task: str) -> list[int]:
        folders = (self.root / task).glob("[1-9]*")
        return sorted(int(folder.name) for folder in folders if folder.name.isdigit())

    def _read(self, task: str, number: int) -> Version:
        folder = self.root / task / str(number)
        manifest, metrics, provenance = (
            _read_object(folder / name) for name in (MANIFEST, "metrics.json", "provenance.json")
        )
        files = manifest.get("files")
        if not isinstance(files, dict) or manifest.get("digest") != _digest(files):
            raise RegistryError(f"{folder / MANIFEST}: altered; {_ADVICE}")
        created = str(manifest.get("created"))
        return Version(task, number, folder, manifest["digest"], created, metrics, provenance)

    def _verify(self, version: Version) -> None:
        """Raise `RegistryError` unless the version's files are the ones that were written."""
        expected = _read_object(version.folder / MANIFEST)["files"]
        found = {path.name for path in version.folder.iterdir()} - {MANIFEST}
        for name in sorted(found | set(expected)):
            path = version.folder / name
            if name not in found:
                raise RegistryError(f"{path}: missing from {version.name}; {_ADVICE}")
            if name not in expected:
                raise RegistryError(f"{path}: not part of {version.name}; delete the file")
            if _sha256(path) != expected[name]:
                raise RegistryError(f"{path}: altered since {version.name} was written; {_ADVICE}")


def _check_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise RegistryError(
            f"{name!r}: no name of {what}; expected a letter, then letters, digits, `-`, `_`, all lower case"
        )


def _check_source(source: Path, files: list[Path]) -> None:
    for file in files:
        if file.is_symlink() or not file.is_file():
            raise RegistryError(f"{file}: a version holds plain files only")
        if file.suffix not in SUFFIXES:
            raise RegistryError(f"{file}: not allowed in a version; expected one of {', '.join(SUFFIXES)}")
    for name in REQUIRED:
        if not (source / name).exists():
            raise RegistryError(f"{source / name}: missing; a version needs {' and '.join(REQUIRED)}")


def _dump(document: Any) -> str:
    return json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + "\n"


def _digest(hashes: Mapping[str, str]) -> str:
    return hashlib.sha256(_dump(hashes).encode()).hexdigest()[:16]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Make a file or folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_object(path: Path, advice: str = _ADVICE) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RegistryError(f"{path}: missing; the version is incomplete; {advice}") from None
    except IsADirectoryError:
        raise RegistryError(f"{path}: a folder; expected a file; {advice}") from None
    except ValueError as error:
        raise RegistryError(f"{path}: not JSON ({error}); {advice}") from error
    if not isinstance(document, dict):
        raise RegistryError(f"{path}: expected a JSON object; {advice}")
    return document


def _read_alias(path: Path) -> int:
    number = _read_object(path, _advice_for(path)).get("version")
    if type(number) is not int:
        raise RegistryError(f"{path}: `version` should be a number; {_advice_for(path)}")
    return number


def _advice_for(alias: Path) -> str:
    again = f"promote to the alias `{alias.stem}` again"
    return f"delete the folder, then {again}" if alias.is_dir() else f"delete the file, or {again}"
