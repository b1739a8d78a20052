"""What a sweep file varies: grid, search and ablations, checked against the settings that they change."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import combinations, islice, product
from math import prod
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from components.config import SILENT_WITHOUT, TrainingSettings, TrialConfig
from components.errors import AdaptuneError
from components.tasks import TaskInfo
from orchestrator.spec.fields import Location, as_field, describe, keys, paths, sections, walk
from orchestrator.spec.messages import explain
from orchestrator.spec.problems import SpecError, show, suggest
from orchestrator.spec.rules import repeated, section
from orchestrator.spec.search import KINDS, Space
from orchestrator.spec.source import Node
from orchestrator.spec.sweep import BASELINE, BASELINE_PATH, SweepSpec, is_within

MAX_TRIALS = 100_000
"""Trials of a grid beyond which a file is refused before anything is expanded."""
MAX_COMBINATIONS = 20_000
"""Combinations of values that are tried with each other; `SweepSpec.resolve` checks each again when used."""


class Variations:
    """The grid, the search and the ablations of one file; what is wrong with them is collected in `errors`."""

    def __init__(self, values: Mapping[str, Any], info: TaskInfo, node: Node) -> None:
        """Check `values` (plain, completed), which stand at the places of `node`."""
        self.errors: list[SpecError] = []
        self._values = values
        self._info = info
        self._node = node
        self._roots = {"model": as_field(info.settings), "training": as_field(TrainingSettings)}
        self.grid = self._checked_grid()
        self.space = self._checked_space()
        self.ablations = self._checked_ablations()

    def _report(self, location: Location, message: str) -> None:
        self.errors.append(self._node.find(location, key=True).error(message))

    def _checked_grid(self) -> dict[str, tuple[Any, ...]]:
        grid: dict[str, tuple[Any, ...]] = {}
        given = section(self._values, "grid")
        if self._is_too_big(given):
            return grid
        for path, values in given.items():
            location = ("grid", path)
            setting = self._setting(location, path, {})
            if path == "training.seed":
                self._report(location, "seeds are not for the grid: list them under `seeds`")
            elif values == [] and setting:
                self._report(location, f"no values: give {describe(setting)}, or more, or remove the line")
            elif isinstance(values, list) and setting:
                grid[path] = tuple(self._coerced(location, values, setting))
                self.errors.extend(repeated(self._node, location, grid[path]))
        self._check_overlap(("grid",), grid)
        return grid

    def _is_too_big(self, given: Mapping[str, Any]) -> bool:
        trials = section(self._values, "search").get("trials")
        lists = (*given.values(), self._values.get("seeds") if trials is None else None)
        sizes = [len(values) for values in lists if isinstance(values, list) and values]
        sizes += [trials] if isinstance(trials, int) and trials > 0 else []
        if prod(sizes) > MAX_TRIALS:
            factors = " x ".join(str(size) for size in sizes if size > 1)
            message = f"{prod(sizes):,} trials ({factors}); no more than {MAX_TRIALS:,} can be planned"
            self._report(("grid",) if trials is None else ("search", "trials"), message)
        return prod(sizes) > MAX_TRIALS

    def _checked_space(self) -> dict[str, dict[str, tuple[Any, ...]]]:
        """Return each searched path with its distribution, the values of a `choice` in the setting's own type."""
        space: dict[str, dict[str, tuple[Any, ...]]] = {}
        for path, given in section(section(self._values, "search"), "space").items():
            location = ("search", "space", path)
            setting = self._setting(location, path, self.grid)
            if path == "training.seed":
                self._report(location, "seeds are not searched for: list them under `seeds`")
            elif isinstance(given, Mapping) and setting:
                space[path] = {
                    kind: tuple(self._checked_values((*location, kind), path, values, setting))
                    for kind, values in given.items()
                    if kind in KINDS and isinstance(values, list)
                }
        self._check_overlap(("search", "space"), space)
        return space

    def _checked_values(
        self, location: Location, path: str, values: Sequence[Any], setting: FieldInfo
    ) -> Iterator[Any]:
        kind = location[-1]
        coerced = list(self._coerced(location, values, setting))
        if kind == "choice":
            self.errors.extend(repeated(self._node, location, coerced))
        elif kind in ("uniform", "log_uniform") and all(type(value) is int for value in coerced):
            whole = "int" if kind == "uniform" else "log_int"
            self._report(location, f"{path!r} takes whole numbers: use `{whole}` instead of `{kind}`")
        yield from coerced

    def _checked_ablations(self) -> dict[str, dict[str, Any]]:
        told = (name for names in self._info.oracles.values() for name in names)
        taken = {"model", *self._info.controls, *self._info.trivial, *told}
        ablations: dict[str, dict[str, Any]] = {}
        for name, changes in section(self._values, "ablations").items():
            location = ("ablations", name)
            if name in taken:
                self._report(
                    location, f"the name {name!r} belongs to another row of the results: choose another"
                )
            if not isinstance(changes, Mapping):
                continue
            ablations[name] = {}
            for path, value in changes.items():
                setting = self._setting((*location, path), path, self.grid)
                if path == "training.seed":
                    self._report((*location, path), "an ablation runs with the same `seeds` as the model")
                elif setting:
                    (coerced,) = self._coerced((*location, path), [value], setting, listed=False)
                    ablations[name][path] = coerced
            self._check_overlap(location, ablations[name])
            if len(ablations[name]) == len(changes):
                self._check_effect(name, ablations[name])
        return ablations

    def _check_effect(self, name: str, changes: Mapping[str, Any]) -> None:
        varied = (*self.grid, *self.space)
        if any(
            is_within(path, changed) or is_within(changed, path) for path in varied for changed in changes
        ):
            return
        silent = {path: needed for path in changes if (needed := self._silent_without(path, varied))}
        if any(self._base(path) != value for path, value in changes.items() if path not in silent):
            return
        if name == BASELINE and self._node.find(("ablations", name)) == self._node.find(("ablations",)):
            message = f"`{BASELINE_PATH}` is null, so nothing differs from the baseline: give it a section"
            self._report(tuple(BASELINE_PATH.split(".")), message)
        else:
            equal = " and ".join(f"{path!r}" for path in changes if path not in silent)
            said = [f"{equal} is as it says already"] if equal else []
            said += [f"{path!r} has no effect while {needed!r} is off" for path, needed in silent.items()]
            why = ", and ".join(said) or "it is empty"
            self._report(("ablations", name), f"the ablation {name!r} changes nothing: {why}")

    def _silent_without(self, path: str, varied: Collection[str]) -> str:
        """Return the setting that silences `path` because it is off in the file and nothing varies it."""
        section, _, part = path.rpartition(".")
        needed = f"{section}.{SILENT_WITHOUT.get(part, '')}"
        off = section == BASELINE_PATH and part in SILENT_WITHOUT and self._base(needed) is False
        return needed if off and needed not in varied else ""

    def _setting(self, location: Location, path: str, grid: Mapping[str, Sequence[Any]]) -> FieldInfo | None:
        """Return the field that `path` leads to; report a path that leads nowhere."""
        head, *rest = path.split(".")
        if head == "data":
            self._report(location, "a sweep has one data set: change `data` itself, or by `--set`")
            return None
        found = self._roots.get(head) if rest else None
        if found is None:
            hint = f"name one in it, such as {self._known_in(head)[0]!r}" if path in self._roots else ""
            self._report(location, f"{path!r} is no setting; {hint or self._meant(path, self._known)}")
            return None
        for index, step in enumerate(rest):
            parent = ".".join([head, *rest[:index]])
            if index and (None in grid.get(parent, ()) or self._base(parent) is None):
                self._report(location, f"{parent!r} is null, so it has no {step!r}: give it a section first")
                return None
            child, _ = walk(found, (step,))
            if child is None:
                self._report(
                    location, f"{parent!r} has no setting {step!r}; {self._meant(path, keys(found))}"
                )
                return None
            found = child
        return found

    def _meant(self, path: str, options: Sequence[str]) -> str:
        last = path.rsplit(".", 1)[-1]
        same = [known for known in self._known if known.rsplit(".", 1)[-1] == last]
        return (
            f"did you mean {same[0]!r}?"
            if same
            else suggest(last if options is not self._known else path, options)
        )

    def _known_in(self, head: str) -> list[str]:
        return [path for path in self._known if is_within(path, head)]

    @cached_property
    def _known(self) -> list[str]:
        return [path for name, root in self._roots.items() for path in paths(root, name)]

    def _base(self, path: str) -> Any:
        """Return what the file itself sets at `path`, or the default there."""
        head, *rest = path.split(".")
        value: Any = section(self._values, head)
        setting: FieldInfo | None = self._roots[head]
        for step in rest:
            setting = walk(setting, (step,))[0] if setting else None
            default = setting.get_default(call_default_factory=False) if setting else None
            value = value.get(step, default) if isinstance(value, Mapping) else getattr(value, step, default)
        return value

    def _coerced(
        self, location: Location, values: Sequence[Any], setting: FieldInfo, *, listed: bool = True
    ) -> Iterator[Any]:
        """Bring each value into the setting's own type (`1` into `1.0`); sections stay as written."""
        expected: Any = Annotated[setting.annotation, setting]
        adapter = TypeAdapter(expected)
        for index, value in enumerate(values):
            coerced = value
            try:
                coerced = adapter.validate_json(json.dumps(value), strict=True)
            except ValidationError as error:
                place = (*location, index) if listed else location
                self.errors.extend(explain(error, setting, self._node, place))
            yield value if isinstance(value, Mapping) else coerced

    def _check_overlap(self, location: Location, given: Collection[str]) -> None:
        for path in given:
            for other in given:
                if path != other and is_within(path, other):
                    self._report(
                        (*location, path), f"{path!r} lies in {other!r}, which is set too: keep one of them"
                    )


def clashes(spec: SweepSpec, node: Node) -> Iterator[SpecError]:
    """Find values of the grid, the search and the ablations that are good alone and do not go together."""
    try:
        spec.resolve({}, spec.seeds[0])
    except AdaptuneError as error:
        named = re.search(r"`(model|training)\.([a-z_.]+)`", str(error))
        place = (named[1], *named[2].split(".")) if named else ("model",)
        yield node.find(place, key=True).error(str(error))
        return  # whatever varies would repeat it
    root = {"model": as_field(type(spec.model)), "training": as_field(TrainingSettings)}
    said: set[str] = set()
    for name, changes in {"": {}, **spec.ablations}.items():
        varied = {
            path: values
            for path, values in {**spec.grid, **_possible(spec.space)}.items()
            if _has_rules(root, path) and not any(is_within(path, changed) for changed in changes)
        }
        for point in _combinations(varied):
            try:
                spec.resolve({**point, **changes}, spec.seeds[0])
            except AdaptuneError as error:
                place = _blamed(str(error), name, changes, point, spec.space)
                # Of a range that is searched, the first value that does not fit says enough.
                same = str(place) + ("" if place[0] == "search" else str(error).rpartition(" (at ")[0])
                if same not in said:
                    said.add(same)
                    yield node.find(place, key=True).error(str(error))


def tried_twice(spec: SweepSpec, node: Node) -> Iterator[SpecError]:
    """Find ablations, the baseline among them, that the grid tries as the model, or that are all the same as another.

    Where such a point wins, or anywhere, both rows are the same trials: a difference of nothing, tested with all
    others. The sweep's values go together.
    """
    for name, changes in spec.ablations.items():
        is_baseline = name == spec.compare.against
        row = "the baseline" if is_baseline else f"the ablation {name!r}"
        shared = [
            path
            for path in spec.grid
            if any(is_within(path, changed) or is_within(changed, path) for changed in changes)
        ]
        tried = {path: values if path in shared else values[:1] for path, values in spec.grid.items()}
        same = (point for point in _combinations(tried) if _are_same(spec, point, {**point, **changes}))
        if shared and (point := next(same, None)) is not None:
            yield node.find(("ablations", name), key=True).error(
                f"`grid` tries {show(point[shared[0]])} of {shared[0]!r} for the model, so {row} may be the "
                "model itself, with nothing to compare: remove this value from `grid`"
                f"{'' if is_baseline else ', or the ablation'}"
            )
    # The baseline stands at its own best point, the ablations at the model's.
    apart = spec.compare.against if spec.baseline_grid() or spec.baseline_space() else None
    points = {**spec.grid, **_possible(spec.space)}
    for (one, changes), (other, others) in combinations(spec.ablations.items(), 2):
        if apart not in (one, other) and all(
            _are_same(spec, {**point, **changes}, {**point, **others}) for point in _combinations(points)
        ):
            first, second = (
                "the baseline" if name == spec.compare.against else f"the ablation {name!r}"
                for name in (one, other)
            )
            yield node.find(("ablations", other), key=True).error(
                f"{second} trains the same as {first}, with nothing to compare: remove one of them"
            )


def _combinations(values: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Yield what values of several paths can be together, up to a limit."""
    for chosen in islice(product(*values.values()), MAX_COMBINATIONS):
        yield dict(zip(values, chosen, strict=True))


def _are_same(spec: SweepSpec, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two assignments are one trial, where parts of the core that are as good as off count as off.

    What does not go together is no trial; it is reported elsewhere, or is a point that a search may never draw.
    """
    try:
        return _effective(spec, one) == _effective(spec, other)
    except AdaptuneError:
        return False


def _effective(spec: SweepSpec, assignments: Mapping[str, Any]) -> TrialConfig:
    config = spec.resolve(assignments, spec.seeds[0])
    core = getattr(config.model, "personalization", None)
    if core is None:
        return config
    silent = {part: False for part, needed in SILENT_WITHOUT.items() if not getattr(core, needed)}
    model = config.model.model_copy(update={"personalization": core.model_copy(update=silent)})
    return config.model_copy(update={"model": model})


def _possible(space: Space) -> dict[str, Sequence[Any]]:
    """Return the values that a search can draw; of a range that is not of few whole numbers, its ends."""
    possible: dict[str, Sequence[Any]] = {}
    for path, distribution in space.items():
        possible[path] = distribution.values
        if distribution.kind in ("int", "log_int"):
            low, high = distribution.values
            possible[path] = range(low, high + 1) if high - low < MAX_COMBINATIONS else (low, high)
    return possible


def _blamed(
    message: str, name: str, changes: Mapping[str, Any], point: Mapping[str, Any], space: Space
) -> Location:
    named = re.findall(r"`([a-z_.]+)`", message)
    for key in named:
        for path in changes:
            if f".{path}".endswith(f".{key}"):
                return ("ablations", name, path)
        for path in point:
            if f".{path}".endswith(f".{key}"):
                return ("search", "space", path) if path in space else ("grid", path)
    return ("ablations", name) if name else ("grid",) if set(point) - set(space) else ("search", "space")


def _has_rules(roots: Mapping[str, FieldInfo], path: str) -> bool:
    """Whether a setting is in a section whose settings are checked against each other, or is one."""
    head, *rest = path.split(".")
    fields = [walk(roots[head], rest[:end])[0] for end in range(len(rest) + 1)]
    classes = [each for found in fields if found for each in sections(found)]
    return any(each.__pydantic_decorators__.model_validators for each in classes)
