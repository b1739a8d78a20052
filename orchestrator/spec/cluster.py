"""Cluster files for `ray up`, checked offline against the schema that Ray's own package ships."""

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator, ValidationError

from components.errors import AdaptuneError
from orchestrator.spec.problems import SpecError, SpecErrors, choice, show, suggest
from orchestrator.spec.source import Node, parse_file

_KINDS = {
    "object": "a section",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


def is_cluster(path: Path) -> bool:
    """Whether a file is meant for `ray up`: it names a cluster. Raises SpecErrors if it cannot be parsed."""
    node, _ = parse_file(path)  # a sweep file's variables would not parse in `{…}` if they were not expanded
    return "cluster_name" in node.value


def check_cluster(path: Path) -> None:
    """Raise SpecErrors with everything that Ray would refuse. Starts nothing and contacts nobody."""
    node, errors = parse_file(path, expand=False)
    validator = Draft7Validator(_schema())
    found = [error for refusal in validator.iter_errors(node.plain()) for error in _explain(refusal, node)]
    found.extend(_check_node_types(node))
    if errors or found:
        raise SpecErrors([*errors, *found])


def _schema() -> dict[str, Any]:
    ray = find_spec("ray")
    if ray is None or not ray.submodule_search_locations:
        raise AdaptuneError("cluster files are checked against Ray's own schema: install `ray` first")
    path = Path(ray.submodule_search_locations[0]) / "autoscaler" / "ray-schema.json"
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def _explain(error: ValidationError, node: Node) -> Iterator[SpecError]:
    location = tuple(error.absolute_path)
    keyword, expected, value = error.validator, error.validator_value, error.instance
    if keyword == "additionalProperties":
        known = error.schema.get("properties", {})
        for key in sorted(set(value) - set(known)):
            yield node.find((*location, key), key=True).error(f"unknown key {key!r}; {suggest(key, known)}")
    elif keyword == "required":
        missing = next(key for key in expected if key not in value and repr(key) in error.message)
        yield node.find(location, key=True).error(f"the key {missing!r} is missing")
    elif keyword == "type":
        kinds = [_KINDS[kind] for kind in ([expected] if isinstance(expected, str) else expected)]
        yield node.find(location).error(f"expected {choice(kinds)}, got {show(value)}")
    elif keyword == "minimum":
        yield node.find(location).error(f"expected at least {expected}, got {show(value)}")
    elif keyword == "enum":
        yield node.find(location).error(f"{show(value)} is unknown; {suggest(str(value), expected)}")
    else:
        yield node.find(location).error(error.message)


def _check_node_types(node: Node) -> Iterator[SpecError]:
    head, types = node.value.get("head_node_type"), node.value.get("available_node_types")
    if head and types and isinstance(types.value, dict) and head.value not in types.value:
        message = f"`head_node_type` {show(head.value)} is not in `available_node_types`; "
        yield head.position.error(message + suggest(str(head.value), types.value))
