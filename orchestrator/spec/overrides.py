"""`--set key=value`: changes to a sweep file from the command line, checked like the file itself."""

from collections.abc import Sequence
from dataclasses import replace

from orchestrator.spec.problems import SpecError, SpecErrors
from orchestrator.spec.source import Node, Position, parse_text

_NAMED_BY_PATH = {"grid": 1, "search": 2, "ablations": 2}
"""Sections whose keys, after so many steps, are dotted paths themselves."""


def apply_overrides(node: Node, overrides: Sequence[str]) -> list[SpecError]:
    """Write each `key=value` into `node`, the value read as YAML; return what is wrong with them."""
    errors: list[SpecError] = []
    for override in overrides:
        place = Position(f"--set {override}")
        key, separator, text = override.partition("=")
        if not separator or not all(key.split(".")):
            errors.append(place.error("expected `key=value`, such as `training.epochs=5`"))
            continue
        try:
            value, found = parse_text(text, place.path, located=False)
        except SpecErrors as error:
            errors.extend(error.errors)
            continue
        problem = _no_effect(node, key) or _write(node, _steps(key), value, place)
        errors.extend([*found, place.error(problem)] if problem else found)
    return errors


def _steps(key: str) -> list[str]:
    depth = _NAMED_BY_PATH.get(key.split(".", 1)[0])
    return key.split(".") if depth is None else key.split(".", depth)


def _write(node: Node, steps: Sequence[str], value: Node, place: Position) -> str | None:
    for index, step in enumerate(steps[:-1]):
        if step not in node.value:
            node.value[step], node.keys[step] = Node(place, {}), place
        child = node.value[step]
        if not isinstance(child.value, dict):
            parent = ".".join(steps[: index + 1])
            return f"{parent!r} is no section that could hold {steps[index + 1]!r}: set {parent!r} as a whole"
        # An alias shares its value with the original, which must stay as it is.
        node.value[step] = replace(child, value=dict(child.value), keys=dict(child.keys))
        node = node.value[step]
    node.value[steps[-1]], node.keys[steps[-1]] = value, place
    return None


def _no_effect(node: Node, key: str) -> str | None:
    if key == "training.seed" and "seeds" in node.value:
        return "`seeds` lists the seeds, so setting 'training.seed' changes nothing: use `--set 'seeds=[…]'`"
    for section, verb in (("grid", "varies"), ("search.space", "searches")):
        varied = _section(node, section.split("."))
        if varied is not None and key in varied.value:
            how = "[…]" if section == "grid" else "{…}"
            return f"`{section}` {verb} {key!r}, so setting it changes nothing: use `--set '{section}.{key}={how}'`"
    return None


def _section(node: Node, steps: Sequence[str]) -> Node | None:
    for step in steps:
        child = node.value.get(step)
        if child is None or not isinstance(child.value, dict):
            return None
        node = child
    return node
