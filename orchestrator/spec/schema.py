"""The JSON Schema of a sweep file, for editors: every key with its meaning, default and limits."""

from collections.abc import Iterator, Mapping
from typing import Any

from components.privacy.totals import metrics_over_parties
from components.tasks import TASKS, TaskInfo
from orchestrator.spec.gates import PARTIES
from orchestrator.spec.sweep import spec_class

DERIVED = {"seeds", "objective", "ablations", "compare"}
"""Keys that a checked sweep always has and a file may leave out."""


def sweep_schema() -> dict[str, Any]:
    """Return a schema in which `model`, grid paths, metrics and controls are those of the file's task."""
    tasks = {name: spec_class(name).model_json_schema() for name in TASKS}
    first = next(iter(tasks.values()))
    definitions = {name: each for schema in tasks.values() for name, each in schema["$defs"].items()}
    definitions["Objective"] = {**definitions["Objective"], "required": ["metric"]}
    definitions["CompareSettings"] = {**definitions["CompareSettings"], "required": []}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Adaptune sweep",
        "description": "One file that describes a whole experiment: base trial, grid, ablations, judgement.",
        "type": "object",
        "additionalProperties": False,
        "required": [key for key in first["required"] if key not in DERIVED],
        "properties": {
            **first["properties"],
            "task": {**first["properties"]["task"], "enum": list(TASKS)},
            "model": {"type": "object", "description": first["properties"]["model"]["description"]},
        },
        "allOf": [_of_task(TASKS[name], schema) for name, schema in tasks.items()],
        "$defs": definitions,
    }


def _of_task(info: TaskInfo, schema: dict[str, Any]) -> dict[str, Any]:
    """Return what else holds if the file's task is this one."""
    parts = ((part, schema["properties"][part]) for part in ("model", "training"))
    settings = {
        path: each for part, section in parts for path, each in _settings(section, part, schema["$defs"])
    }
    settings.pop("training.seed")
    metric = {"properties": {"metric": {"enum": list(info.main_metrics)}}}
    theirs = metrics_over_parties(info.name)
    gate = {
        "if": {"properties": {"over": {"const": PARTIES}}, "required": ["over"]},
        "then": {"properties": {"metric": {"enum": list(theirs)}}},
        "else": metric,
    }
    searched = {"properties": {"space": {"propertyNames": {"enum": list(settings)}}}}
    grid = {path: {"type": "array", "minItems": 1, "items": each} for path, each in settings.items()}
    return {
        "if": {"properties": {"task": {"const": info.name}}},
        "then": {
            "properties": {
                "model": schema["properties"]["model"],
                "data": {"properties": {"source": {"enum": list(info.sources)}}},
                "grid": {"properties": grid, "additionalProperties": False},
                "search": searched,
                "ablations": {
                    "additionalProperties": {"properties": settings, "additionalProperties": False}
                },
                "controls": {"items": {"enum": list(info.controls)}},
                "objective": metric,
                "compare": {"properties": {"unit": {"const": info.unit}}},
                "promote": {"properties": {"gates": {"items": gate}}},
            }
        },
    }


def _settings(
    section: Mapping[str, Any], prefix: str, definitions: Mapping[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for option in section.get("anyOf", [section]):
        definition = definitions.get(option.get("$ref", "").rsplit("/", 1)[-1], {})
        for name, each in definition.get("properties", {}).items():
            path = f"{prefix}.{name}"
            yield path, {key: value for key, value in each.items() if key not in ("default", "title")}
            yield from _settings(each, path, definitions)
