"""From a file, or from plain values, to a sweep in which everything has been checked."""

import json
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError, create_model

from components.tasks import TASKS
from orchestrator.spec.fields import as_field
from orchestrator.spec.gates import party_file_errors, place_party_file
from orchestrator.spec.messages import explain
from orchestrator.spec.overrides import apply_overrides
from orchestrator.spec.problems import SpecError, SpecErrors, suggest
from orchestrator.spec.rules import check_names
from orchestrator.spec.search import Distribution
from orchestrator.spec.search_rules import check_search
from orchestrator.spec.source import Node, Position, from_plain, parse_file
from orchestrator.spec.sweep import SweepSpec, complete, spec_class
from orchestrator.spec.variations import Variations, clashes, tried_twice

__all__ = ["SpecError", "SpecErrors", "check_sweep", "load_sweep", "shipped", "sweep_from_values"]


def load_sweep(
    path: Path, overrides: Sequence[str] = (), parties: bool = False, recorded: bool = False
) -> SweepSpec:
    """Read and check a sweep file, with `overrides` (`key=value`) written over it.

    A path such as `sweeps/quickstart.yaml` that does not exist here names a sweep that ships with the distribution.
    Relative paths in a file are relative to the current folder; that of its party file is relative to the sweep
    file. With `parties` the party file is checked as well. Raises SpecErrors with everything that is wrong;
    values that are good alone and clash are looked for once nothing else is, and not where the file only says which
    `recorded` sweep is meant: rules that have come since do not hide its results.
    """
    file = path if path.exists() else shipped(path)
    node, errors = parse_file(file)
    errors = [*errors, *apply_overrides(node, overrides)]
    place_party_file(node, file.parent)
    beside = party_file_errors(node.plain(), node) if parties else []
    try:
        spec = check_sweep(node, errors, recorded)
    except SpecErrors as wrong:
        raise SpecErrors([*wrong.errors, *_elsewhere(beside, wrong.errors)]) from None
    if beside:
        raise SpecErrors(beside)
    return spec


def sweep_from_values(
    values: Mapping[str, Any], overrides: Sequence[str] = (), recorded: bool = False
) -> SweepSpec:
    """Check the plain values of a sweep; raises SpecErrors with everything that is wrong.

    `recorded` is as in `load_sweep`.
    """
    node = from_plain(values, Position("sweep"))
    errors = apply_overrides(node, overrides)
    place_party_file(node, Path())
    return check_sweep(node, errors, recorded)


def check_sweep(node: Node, errors: Sequence[SpecError] = (), recorded: bool = False) -> SweepSpec:
    """Make a sweep of a parsed file; raises SpecErrors with `errors` and everything else that is wrong.

    `recorded` is as in `load_sweep`.
    """
    values = complete(node.plain())
    task = values.get("task")
    info = TASKS.get(task) if isinstance(task, str) else None
    settings = spec_class(info.name) if info else _without_task()
    spec = None
    found: list[SpecError] = []
    try:
        spec = settings.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        found.extend(explain(error, as_field(settings), node))
    if info is None:
        if isinstance(task, str):
            found.append(node.find(("task",)).error(f"there is no task {task!r}; {suggest(task, TASKS)}"))
        raise SpecErrors([*errors, *_elsewhere(found, errors)])
    variations = Variations(values, info, node)
    named = [*variations.errors, *check_names(values, info, node), *check_search(values, variations, node)]
    found = [*named, *_elsewhere(found, named)]
    if spec is not None and not errors and not found:
        spec = spec.model_copy(update={"grid": variations.grid, "ablations": variations.ablations})
        if spec.search is not None:
            space = {path: Distribution(**given) for path, given in variations.space.items()}
            spec = spec.model_copy(update={"search": spec.search.model_copy(update={"space": space})})
        if not recorded:
            found.extend(clashes(spec, node))
            found.extend(tried_twice(spec, node) if not found else ())
    if spec is None or errors or found:
        raise SpecErrors([*errors, *_elsewhere(found, errors)])
    return spec


def shipped(path: Path) -> Path:
    """Return where the distribution has put the file or folder `path`, if it came with it, else `path` itself."""
    installed = Path(sys.prefix) / "share" / "adaptune" / path
    return installed if path.parts[:1] == ("sweeps",) and installed.exists() else path


def _elsewhere(found: Sequence[SpecError], known: Sequence[SpecError]) -> list[SpecError]:
    """Drop errors at places that are known to be broken: they follow from what is known already."""
    places = {(error.path, error.line, error.column) for error in known}
    return [error for error in found if (error.path, error.line, error.column) not in places]


@cache
def _without_task() -> type[SweepSpec]:
    return create_model("SweepSpec", __base__=SweepSpec, model=(Any, None))
