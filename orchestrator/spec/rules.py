"""What must hold between the sections of a sweep file: names that the task knows, directions, duplicates."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from components.tasks import TASKS, TaskInfo
from orchestrator.spec.fields import Location
from orchestrator.spec.gates import check_gates, no_such_metric
from orchestrator.spec.problems import SpecError, show, suggest
from orchestrator.spec.source import Node
from orchestrator.spec.sweep import BASELINE


def check_names(values: Mapping[str, Any], info: TaskInfo, node: Node) -> Iterator[SpecError]:
    """Check every name in a file's `values` (plain, completed) against what `info`'s task has."""
    yield from _unknown(node, ("data", "source"), info.sources, f"source of data for {info.name}", values)
    for index in range(len(_list(values, "controls"))):
        yield from _unknown(node, ("controls", index), info.controls, f"control of {info.name}", values)
    metric = section(values, "objective").get("metric")
    if isinstance(metric, str) and metric not in info.main_metrics:
        yield node.find(("objective", "metric")).error(no_such_metric(metric, info))
    yield from check_gates(values, info, node)
    yield from _unknown(node, ("compare", "unit"), (info.unit,), f"unit of {info.name}", values)
    yield from _wrong_direction(values, info, node)
    yield from _indivisible(values, info, node)
    yield from _told(values, info, node)
    if isinstance(values.get("ablations"), Mapping):
        completed = {"compare": {"against": BASELINE, **section(values, "compare")}}
        names = (BASELINE, *section(values, "ablations"))
        yield from _unknown(node, ("compare", "against"), names, "ablation", completed)
    for name in ("seeds", "controls"):
        yield from repeated(node, (name,), _list(values, name))


def _told(values: Mapping[str, Any], info: TaskInfo, node: Node) -> Iterator[SpecError]:
    head, _, name = info.told.partition(".")
    if info.told and section(values, head).get(name) is True:
        yield node.find((head, name)).error(
            f"`{info.told}` tells the model what its users want: a ceiling to compare with, which cannot be served. "
            f"Remove the line, and make it an ablation: `oracle: {{{info.told}: true}}`"
        )


def section(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the section `name`; an empty one if it is missing or no section."""
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}


def repeated(node: Node, location: Location, values: Sequence[Any]) -> Iterator[SpecError]:
    """Find the values of a list that stand in it before."""
    seen: set[str] = set()
    for index, value in enumerate(values):
        if repr(value) in seen:
            yield node.find((*location, index)).error(f"{show(value)} stands in the list twice")
        seen.add(repr(value))


def _list(values: Mapping[str, Any], name: str) -> Sequence[Any]:
    found = values.get(name)
    return found if isinstance(found, list) else []


def _unknown(
    node: Node, location: Location, options: Iterable[str], what: str, values: Any
) -> Iterator[SpecError]:
    for step in location:
        inside = isinstance(values, Mapping) and step in values
        values = values[step] if inside or (isinstance(values, list) and isinstance(step, int)) else None
    if isinstance(values, str) and values not in options:
        yield node.find(location).error(f"there is no {what} named {values!r}; {suggest(values, options)}")


def _wrong_direction(values: Mapping[str, Any], info: TaskInfo, node: Node) -> Iterator[SpecError]:
    objective = section(values, "objective")
    metric, mode = objective.get("metric"), objective.get("mode")
    right = info.metrics[metric].mode if isinstance(metric, str) and metric in info.metrics else mode
    if mode in ("min", "max") and mode != right:
        better = "lower" if right == "min" else "higher"
        message = (
            f"`objective.mode` {mode} would choose the worst: a {better} {metric} is better; remove the line"
        )
        yield node.find(("objective", "mode")).error(message)


def _indivisible(values: Mapping[str, Any], info: TaskInfo, node: Node) -> Iterator[SpecError]:
    workers = section(values, "resources").get("workers")
    if isinstance(workers, int) and workers > 1 and not info.divisible:
        able = [name for name, other in TASKS.items() if other.divisible]
        yield node.find(("resources", "workers")).error(
            f"`workers` {workers}: a batch of {info.name} cannot be shared out among workers without training "
            f"something else; use 1 (more than one works for {' and '.join(able)})"
        )
