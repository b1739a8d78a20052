"""Where a location leads in the settings, and what is expected there, in plain words."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from orchestrator.spec.problems import choice

Location = tuple[int | str, ...]

SLUG_WORDS = "of lower-case letters, digits, `-`, `_` and `.`, starting with a letter or digit"

_PLAIN: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    Path: "a path",
}
_PLURAL: dict[Any, str] = {int: "whole numbers", float: "numbers", str: "names", Any: "values"}


def as_field(annotation: Any) -> FieldInfo:
    """Wrap a type so that it can be walked like a field."""
    return FieldInfo.from_annotation(annotation)


def members(field: FieldInfo) -> tuple[FieldInfo, ...]:
    """Return the alternatives of a union, and of anything else itself; null is left out."""
    if get_origin(field.annotation) in (Union, UnionType):
        return tuple(as_field(member) for member in get_args(field.annotation) if member is not NoneType)
    return (field,)


def sections(field: FieldInfo) -> list[type[BaseModel]]:
    """Return the settings that a field can hold."""
    found = (member.annotation for member in members(field))
    return [each for each in found if isinstance(each, type) and issubclass(each, BaseModel)]


def keys(field: FieldInfo) -> list[str]:
    """Return the keys that are known below a field."""
    return list(dict.fromkeys(name for section in sections(field) for name in section.model_fields))


def walk(field: FieldInfo, location: Sequence[int | str]) -> tuple[FieldInfo | None, Location]:
    """Follow `location`; return the field there, if any, and the location without pydantic's union tags."""
    cleaned: list[int | str] = []
    current: FieldInfo | None = field
    for step in location:
        tagged = _tagged_sections(current).get(str(step)) if current else None
        if tagged:
            current = as_field(tagged)
            continue
        cleaned.append(step)
        current = _child(current, step) if current else None
    return current, tuple(cleaned)


def tags(field: FieldInfo) -> list[str]:
    """Return the values that tell the sections of a field apart."""
    return list(_tagged_sections(field))


def _tagged_sections(field: FieldInfo) -> dict[str, type[BaseModel]]:
    if not isinstance(field.discriminator, str):
        return {}
    return {
        tag: section
        for section in sections(field)
        for tag in get_args(section.model_fields[field.discriminator].annotation)
    }


def _child(field: FieldInfo, step: int | str) -> FieldInfo | None:
    for section in sections(field):
        if step in section.model_fields:
            return section.model_fields[str(step)]
    for member in members(field):
        origin, arguments = get_origin(member.annotation), get_args(member.annotation)
        if origin is dict:
            return as_field(arguments[1])
        if origin is tuple and isinstance(step, int):
            return as_field(
                arguments[0] if arguments[-1] is Ellipsis else arguments[min(step, len(arguments) - 1)]
            )
    return None


def paths(field: FieldInfo, prefix: str) -> Iterator[str]:
    """Return the dotted paths of all settings below a field, sections before what they hold."""
    for section in sections(field):
        for name, child in section.model_fields.items():
            yield f"{prefix}.{name}"
            yield from paths(child, f"{prefix}.{name}")


def describe(field: FieldInfo) -> str:
    """Say what a field expects."""
    annotation, arguments = field.annotation, get_args(field.annotation)
    origin = get_origin(annotation)
    if origin is Annotated:
        return describe(as_field(annotation))
    if origin in (Union, UnionType):
        words = dict.fromkeys(describe(member) for member in members(field))
        nullable = ["null"] if NoneType in arguments else []
        return choice([*(f"{word}{_bounds(field)}" for word in words), *nullable])
    if origin is Literal:
        return choice([repr(argument) for argument in arguments])
    if origin is tuple:
        kind = _PLURAL.get(as_field(arguments[0]).annotation, "values")
        return f"a list of {kind}" if arguments[-1] is Ellipsis else f"a list of {len(arguments)} {kind}"
    if sections(field):
        return "a section"
    if origin is dict:
        return "a section"
    return _PLAIN.get(annotation, "a value") + _bounds(field)


def _bounds(field: FieldInfo) -> str:
    limits = {
        name: getattr(constraint, name)
        for constraint in field.metadata
        for name in ("ge", "gt", "le", "lt", "pattern")
        if getattr(constraint, name, None) is not None
    }
    if "ge" in limits and "le" in limits:
        return f" from {_written(limits['ge'])} to {_written(limits['le'])}"
    words = {"ge": "of at least", "gt": "above", "le": "of at most", "lt": "below"}
    said = [f"{word} {_written(limits[name])}" for name, word in words.items() if name in limits]
    if limits.get("pattern"):
        said.append(SLUG_WORDS)
    return f" {' and '.join(said)}" if said else ""


def _written(limit: float) -> str:
    return f"{limit:,}" if isinstance(limit, int) else f"{limit:g}"
