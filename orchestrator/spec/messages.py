"""Pydantic's errors as located sentences in the terms of a sweep file."""

import json
import re
from collections.abc import Iterator
from math import isfinite

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from components.data.text import is_number
from orchestrator.spec.fields import SLUG_WORDS, Location, describe, keys, paths, tags, walk
from orchestrator.spec.problems import SpecError, choice, show, suggest
from orchestrator.spec.source import Node, Position

_KEY = re.compile(r"`([a-z_]+)`")


def explain(error: ValidationError, field: FieldInfo, node: Node, at: Location = ()) -> Iterator[SpecError]:
    """Say what `field` refused, for the value that stands at the location `at` of the file `node`."""
    for detail in error.errors(include_url=False):
        found, inner = walk(field, detail["loc"])
        location = (*at, *inner)
        kind = detail["type"]
        if kind == "extra_forbidden":
            parent, _ = walk(field, detail["loc"][:-1])
            message = f"unknown key {location[-1]!r}; {_hint(location, parent, field)}"
            yield node.find(location, key=True).error(message)
        elif kind == "too_short" and detail["input"]:
            continue  # values of it are wrong, and only those that are right have been counted
        elif kind == "missing" and isinstance(location[-1], int):
            parent, _ = walk(field, detail["loc"][:-1])
            message = f"expected {describe(parent or field)}, got {len(detail['input'])}"
            yield node.find(location[:-1]).error(message)
        elif kind == "missing":
            expected = f"; expected {describe(found)}" if found else ""
            yield node.find(location, key=True).error(f"the key {_dotted(location)!r} is missing{expected}")
        elif kind in ("union_tag_not_found", "union_tag_invalid"):
            yield _wrong_tag(detail["input"], found or field, node, location)
        elif kind == "value_error":
            message = str(detail["ctx"]["error"])
            yield blame(node, location, message).error(message)
        elif location and location[-1] == "[key]":
            name = str(location[-2])
            yield node.find(location[:-1], key=True).error(f"expected a name {SLUG_WORDS}, got {name!r}")
        else:
            yield node.find(location).error(_expected(detail, found))


def blame(node: Node, location: Location, message: str) -> Position:
    """Return the place of the first key that `message` names and the section at `location` has."""
    section = node.find(location, key=True)
    named = (node.find((*location, key)) for key in _KEY.findall(message))
    return next((place for place in named if place != section), section)


def misfit(value: object, field: FieldInfo) -> str:
    """Say that `value` is not what `field` expects, and what to write instead where that is plain."""
    return f"expected {describe(field)}, got {show(value)}{_remedy(value, describe(field))}"


def _expected(detail: ErrorDetails, field: FieldInfo | None) -> str:
    kind, value = detail["type"], detail["input"]
    if kind == "too_short":
        return f"expected at least one {'key' if isinstance(value, dict) else 'value'}, got {show(value)}"
    if kind == "too_long" and isinstance(value, list):
        return f"expected {detail['ctx']['max_length']} values, got {len(value)}"
    if kind == "string_too_long":
        return f"expected at most {detail['ctx']['max_length']} characters, got {len(str(value))}"
    if kind == "string_too_short":
        return "expected text, got none"
    if field is None:
        return f"{detail['msg']}, got {show(value)}"
    return misfit(value, field)


def _remedy(value: object, expected: str) -> str:
    if expected.startswith("true or false") and str(value).lower() in ("yes", "no", "on", "off", "y", "n"):
        return " (YAML 1.2 knows only true and false)"
    if "whole number" in expected and isinstance(value, float) and value.is_integer():
        return f": write {int(value)}"
    if "number" in expected and "list" not in expected and isinstance(value, str) and is_number(value):
        if not isfinite(float(value)):
            return ", which is not a finite number"
        return ": remove the quotes (a variable stands for text only)"
    if expected.startswith("a list") and not isinstance(value, dict | list | None):
        return f": write [{value}]"
    if expected.startswith("text") and isinstance(value, int | float):
        return f": write {json.dumps(show(value))}"
    if expected == "a section":
        return ": write indented `key: value` lines below the name, or remove it"
    if isinstance(value, str) and expected.count("'") > 2:
        options = re.findall(r"'([^']*)'", expected)
        guess = suggest(value, options)
        return f"; {guess}" if guess.startswith("did you") else ""
    return ""


def _hint(location: Location, parent: FieldInfo | None, root: FieldInfo) -> str:
    name = str(location[-1])
    hint = suggest(name, keys(parent) if parent else [])
    if hint.startswith("did you"):
        return hint
    known = (path[1:] for path in paths(root, ""))
    elsewhere = [path for path in known if path.rsplit(".", 1)[-1] == name and path != _dotted(location)]
    return f"did you mean {elsewhere[0]!r}?" if elsewhere else hint


def _wrong_tag(value: object, field: FieldInfo, node: Node, location: Location) -> SpecError:
    name = str(field.discriminator)
    options = tags(field)
    given = value.get(name) if isinstance(value, dict) else None
    if given is None:
        message = f"the key {_dotted((*location, name))!r} is missing; expected {choice(options)}"
        return node.find((*location, name), key=True).error(message)
    message = f"unknown {name} {show(given)}; {suggest(str(given), options)}"
    return node.find((*location, name)).error(message)


def _dotted(location: Location) -> str:
    return ".".join(str(step) for step in location)
