"""Who a trial is, and whether its result still holds.

A trial's id hashes what defines it: the settings that differ from their defaults, the data's digest, the seed,
the kind of device and the number of workers. Names, paths, machines and tracking have no part in it. Validity
is kept apart: the digest of the `components` code that a trial used, and the torch version.
"""

import ast
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from components.config import TrialConfig
from components.tasks import TASKS

IDENTITY_VERSION = 1
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=str)


def _digest(document: Any, length: int = 12) -> str:
    return hashlib.sha256(_CANONICAL.encode(document).encode()).hexdigest()[:length]


def trial_document(config: TrialConfig, data_digest: str, device: str, workers: int) -> dict[str, Any]:
    """Return what defines a trial, as plain data: defaults left out, the data by digest."""
    document: dict[str, Any] = {
        "identity": IDENTITY_VERSION,
        "task": config.task,
        "data": data_digest,
        "model": config.model.model_dump(mode="json", exclude_defaults=True),
        "training": config.training.model_dump(mode="json", exclude_defaults=True),
    }
    if device != "cpu":
        document["device"] = device
    if workers != 1:
        document["workers"] = workers
    return document


def trial_and_run_id(document: Mapping[str, Any]) -> tuple[str, str]:
    """Return the ids of a trial and of its training run; trials that differ only in `epochs` share a run."""
    training = {key: value for key, value in document["training"].items() if key != "epochs"}
    return _digest(document), _digest({**document, "training": training, "run": True})


def search_id(base: Mapping[str, Any], **search: Any) -> str:
    """Return the id of a search around the trial that `base` describes: what its suggestions follow from."""
    return _digest({**base, "search": search})


def trivial_id(task: str, name: str, data_digest: str) -> str:
    """Return the id of a trivial baseline's rows on one data set."""
    return _digest({"identity": IDENTITY_VERSION, "task": task, "trivial": name, "data": data_digest})


@cache
def validity(task: str) -> str:
    """Return the digest of the code that trials of `task` run and of the torch version they run on.

    The code is every file of `components` that the task's module and the training loop import, directly or
    not, as syntax trees without docstrings: comments and documentation change nothing.
    """
    hasher = hashlib.sha256(version("torch").split("+")[0].encode())
    for module, path in sorted(_imported_components(TASKS[task].module, "components.training").items()):
        hasher.update(module.encode())
        hasher.update(_syntax(path).encode())
    return hasher.hexdigest()[:12]


def _syntax(path: Path) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [statement for statement in node.body if not _is_text(statement)]
    return ast.dump(tree)


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _imported_components(*modules: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        path = _source_of(module)
        if module in found or path is None:
            continue
        found[module] = path
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
    return found


def _source_of(module: str) -> Path | None:
    if module.split(".")[0] != "components":
        return None
    package = find_spec("components")
    assert package is not None and package.submodule_search_locations
    base = Path(next(iter(package.submodule_search_locations))).joinpath(*module.split(".")[1:])
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None
