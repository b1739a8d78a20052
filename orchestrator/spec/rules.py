"""What must hold between the sections of a sweep file: names that exist, paths that lead somewhere, values that fit."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from math import prod
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from components.config import TrainingSettings
from components.tasks import TaskInfo
from orchestrator.spec.fields import Location, as_field, describe, keys, paths, sections, walk
from orchestrator.spec.messages import blame, explain, misfit
from orchestrator.spec.problems import SpecError, choice, show, suggest
from orchestrator.spec.source import Node
from orchestrator.spec.sweep import BASELINE, is_within

MAX_POINTS = 100_000
"""Trials of a grid beyond which a file is refused before anything is expanded."""
MAX_COMBINATIONS = 20_000
"""Combinations of values that are checked against each other; `SweepSpec.resolve` checks the one at hand again."""


@dataclass
class Rules:
    """One check of a file's `values` (plain, completed) that stand at the places of `node`."""

    values: Mapping[str, Any]
    info: TaskInfo
    node: Node
    errors: list[SpecError] = field(default_factory=list)

    def check(self) -> tuple[dict[str, tuple[Any, ...]], dict[str, dict[str, Any]]]:
        """Collect `errors`; return the grid and the ablations with every value in its setting's type."""
        self._check_names()
        grid = self._grid()
        ablations = self._ablations(grid)
        if not self.errors:
            self._check_combinations(grid, ablations)
        return grid, ablations

    def _section(self, name: str) -> Mapping[str, Any]:
        section = self.values.get(name)
        return section if isinstance(section, Mapping) else {}

    def _list(self, value: object) -> Sequence[Any]:
        return value if isinstance(value, list) else []

    def _report(self, location: Location, message: str, *, key: bool = False) -> None:
        self.errors.append(self.node.find(location, key=key).error(message))

    def _check_names(self) -> None:
        info, compare = self.info, self._section("compare")
        for index, control in enumerate(self._list(self.values.get("controls"))):
            self._known(("controls", index), control, info.controls, f"control of {info.name}")
        source = self._section("data").get("source")
        if source not in info.sources:
            self._known(("data", "source"), source, info.sources, f"source for {info.name}")
        metric = self._section("objective").get("metric")
        mode = self._section("objective").get("mode")
        if self._known(("objective", "metric"), metric, info.metrics, f"metric of {info.name}"):
            right = info.metrics[metric].mode
            if mode in ("min", "max") and mode != right:
                message = f"`objective.mode` {mode} would choose the worst: `objective.metric` {metric} is better {right}"
                self._report(("objective", "mode"), message)
        for index, gate in enumerate(self._list(self._section("promote").get("gates"))):
            if isinstance(gate, Mapping):
                place = ("promote", "gates", index, "metric")
                self._known(place, gate.get("metric"), info.metrics, f"metric of {info.name}")
        ablations = self._section("ablations")
        against = compare.get("against", BASELINE)
        if ablations or self.values.get("ablations") == {}:
            self._known(("compare", "against"), against, ablations, "ablation to compare against")
        self._distinct(("seeds",), self._list(self.values.get("seeds")))
        self._distinct(("controls",), self._list(self.values.get("controls")))

    def _known(self, location: Location, name: object, options: Mapping[str, Any] | Sequence[str], what: str) -> bool:
        if isinstance(name, str) and name not in options:
            self._report(location, f"there is no {what} named {name!r}; {suggest(name, options)}")
        return isinstance(name, str) and name in options

    def _distinct(self, location: Location, values: Sequence[Any]) -> None:
        seen: list[str] = []
        for index, value in enumerate(values):
            if repr(value) in seen:
                self._report((*location, index), f"{show(value)} stands in the list twice")
            seen.append(repr(value))

    def _grid(self) -> dict[str, tuple[Any, ...]]:
        grid: dict[str, tuple[Any, ...]] = {}
        for path, values in self._section("grid").items():
            setting = self._setting(("grid", path), path)
            if path == "training.seed":
                self._report(("grid", path), "seeds are no grid: list them under `seeds`", key=True)
            elif not isinstance(values, list):
                continue
            elif not values:
                self._report(("grid", path), f"no values: give at least one {_expectation(setting)}, or remove the line")
            elif setting:
                coerced = [self._coerced(("grid", path, index), value, setting) for index, value in enumerate(values)]
                self._distinct(("grid", path), coerced)
                grid[path] = tuple(coerced)
        self._check_overlap(("grid",), list(self._section("grid")))
        seeds = self._list(self.values.get("seeds"))
        size = prod(len(values) for values in grid.values()) * max(len(seeds), 1)
        if size > MAX_POINTS:
            sizes = " x ".join(str(len(values)) for values in (*grid.values(), seeds) if len(values) > 1)
            message = f"{size:,} trials ({sizes}); at most {MAX_POINTS:,} can be planned: shorten the lists"
            self._report(("grid",), message, key=True)
            return {}
        return grid

    def _ablations(self, grid: Mapping[str, Sequence[Any]]) -> dict[str, dict[str, Any]]:
        taken = {"model", *self.info.controls, *self.info.trivial}
        ablations: dict[str, dict[str, Any]] = {}
        for name, changes in self._section("ablations").items():
            if name in taken:
                self._report(("ablations", name), f"the name {name!r} is taken by another row of the results", key=True)
            if not isinstance(changes, Mapping):
                continue
            coerced: dict[str, Any] = {}
            for path, value in changes.items():
                location = ("ablations", name, path)
                if path == "training.seed":
                    self._report(location, "an ablation runs with the seeds of the model: list them under `seeds`", key=True)
                    continue
                setting = self._setting(location, path, grid)
                if setting:
                    coerced[path] = self._coerced(location, value, setting)
            self._check_overlap(("ablations", name), list(changes))
            self._check_effect(name, changes, coerced, grid)
            ablations[name] = coerced
        return ablations

    def _check_effect(
        self, name: str, changes: Mapping[str, Any], coerced: Mapping[str, Any], grid: Mapping[str, Any]
    ) -> None:
        if len(coerced) != len(changes) or any(is_within(path, other) for path in grid for other in changes):
            return
        same = [path for path, value in coerced.items() if self._base(path) == value]
        if len(same) == len(changes):
            said = f"{choice(same)} is so already" if same else "it sets nothing"
            message = f"the ablation {name!r} changes nothing: {said}"
            if name == BASELINE and name not in self.node.value.get("ablations", Node(self.node.position, {})).value:
                self._report(("model", "personalization"), "`model.personalization` is null, so the model is the baseline "
                             "itself: turn it on, or name another ablation in `compare.against`")
            else:
                self._report(("ablations", name), message, key=True)

    def _setting(self, location: Location, path: str, grid: Mapping[str, Sequence[Any]] | None = None) -> FieldInfo | None:
        """Return the field that `path` leads to; report a path that leads nowhere."""
        roots = self._roots
        head, *rest = path.split(".")
        if head == "data":
            message = "all trials of a sweep share one data set: set it with `--set`, or write another file"
            self._report(location, message, key=True)
            return None
        current = roots.get(head)
        if current is None or not rest:
            known = [each for name, root in roots.items() for each in paths(root, name)]
            where = "" if head in roots else f"; {suggest(path, known)}"
            self._report(location, f"no setting has the path {path!r}{_elsewhere(path, known) or where}", key=True)
            return None
        for index, step in enumerate(rest):
            found, _ = walk(current, (step,))
            if found is None:
                section = ".".join([head, *rest[:index]])
                known = [each for name, root in roots.items() for each in paths(root, name)]
                hint = _elsewhere(path, known) or f"; {suggest(step, keys(current))}"
                self._report(location, f"{section!r} has no setting {step!r}{hint}", key=True)
                return None
            current = found
        for end in range(1, len(rest) + 1):
            section = ".".join([head, *rest[: end - 1]])
            if end > 1 and self._is_null(section, grid):
                self._report(location, f"{section!r} is null, so it has no setting {rest[end - 1]!r}: give it a section", key=True)
                return None
        return current

    def _is_null(self, section: str, grid: Mapping[str, Sequence[Any]] | None) -> bool:
        return None in (grid or {}).get(section, ()) or self._base(section) is None

    @property
    def _roots(self) -> dict[str, FieldInfo]:
        return {"model": as_field(self.info.settings), "training": as_field(TrainingSettings)}

    def _base(self, path: str) -> Any:
        """Return what the file itself sets at `path`, or the default there."""
        head, *rest = path.split(".")
        value: Any = self._section(head)
        setting: FieldInfo | None = self._roots[head]
        for step in rest:
            setting = walk(setting, (step,))[0] if setting else None
            default = setting.get_default(call_default_factory=False) if setting else None
            value = value.get(step, default) if isinstance(value, Mapping) else getattr(value, step, default)
        return value

    def _coerced(self, location: Location, value: Any, setting: FieldInfo) -> Any:
        try:
            coerced = _adapter(setting).validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            self.errors.extend(explain(error, setting, self.node, location))
            return value
        return coerced if not isinstance(value, Mapping) else value

    def _check_overlap(self, location: Location, given: Sequence[str]) -> None:
        for path in given:
            for other in given:
                if path != other and is_within(path, other):
                    message = f"{path!r} and {other!r} set the same thing: keep one of them"
                    self._report((*location, path), message, key=True)

    def _check_combinations(
        self, grid: Mapping[str, Sequence[Any]], ablations: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Try values that stand in one section with each other: each is good alone, some may not go together."""
        for name, changes in {"": {}, **ablations}.items():
            paths_in_play = {path: values for path, values in grid.items() if path not in changes}
