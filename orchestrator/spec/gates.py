"""Gates over parties: the metrics they may name, the party file that must go with them, and its part."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from components.privacy import PRIVATE_TASK
from components.privacy.totals import PRIVATE_MEASURES, metric_names, metrics_over_parties
from components.tasks import TaskInfo
from orchestrator.spec.parties import PartyFile, load_parties
from orchestrator.spec.problems import SpecError, SpecErrors, suggest
from orchestrator.spec.source import Node, Position, from_plain
from orchestrator.spec.sweep import SweepSpec

PARTIES = "parties"
"""The value of a gate's `over` that stands for the users of the parties."""
PARTY_FILE = ("secure_evaluation", "parties")
"""Where a sweep file names the party file."""


def check_gates(values: Mapping[str, Any], info: TaskInfo, node: Node) -> Iterator[SpecError]:
    """Check that each gate names a metric that is measured where it looks, and that there is a party file."""
    theirs = metrics_over_parties(info.name)
    for index, gate in _gates(values):
        place, metric = ("promote", "gates", index), gate.get("metric")
        over_parties = gate.get("over") == PARTIES
        if over_parties and not isinstance(values.get("secure_evaluation"), Mapping):
            yield node.find((*place, "over")).error(
                "`over: parties` needs the section `secure_evaluation`, which names the party file: "
                "add `secure_evaluation: {parties: FILE}`"
            )
        if not isinstance(metric, str) or metric in (theirs if over_parties else info.main_metrics):
            continue
        where = node.find((*place, "metric"))
        if over_parties and not theirs:
            yield where.error(
                f"models of {info.name} cannot be evaluated over parties: remove `over: parties`"
            )
        elif over_parties:
            yield where.error(
                f"the parties add up no metric of {info.name} named {metric!r}; {suggest(metric, theirs)}"
            )
        elif metric in theirs:
            yield where.error(f"{metric!r} is known over the parties' users only: add `over: parties`")
        else:
            yield where.error(no_such_metric(metric, info))


def no_such_metric(metric: str, info: TaskInfo) -> str:
    """Say why neither a choice nor a gate can look at a metric."""
    if metric not in info.metrics or info.adaptation is None:
        return f"there is no metric of {info.name} named {metric!r}; {suggest(metric, info.main_metrics)}"
    return (
        f"{metric!r} is measured over {info.groups[info.adaptation.group].title} alone, while winners are chosen and "
        f"judged over {info.groups[info.main_group].title}: take one of {', '.join(info.main_metrics)}"
    )


def place_party_file(node: Node, folder: Path) -> None:
    """Make the path of the party file absolute: counted from `folder`, or from the current one in a `--set`."""
    section = node.value.get(PARTY_FILE[0])
    named = section.value.get(PARTY_FILE[1]) if section and isinstance(section.value, dict) else None
    if named is None or not isinstance(named.value, str) or not named.value:
        return
    base = folder if named.position.line is not None else Path()
    placed = replace(named, value=str((base / Path(named.value).expanduser()).resolve()))
    node.value[PARTY_FILE[0]] = replace(section, value={**section.value, PARTY_FILE[1]: placed})


def party_file_errors(values: Mapping[str, Any], node: Node) -> list[SpecError]:
    """Read the party file that a sweep's plain `values` name, if any, and say all that is wrong with it."""
    try:
        _party_file(values, node)
    except SpecErrors as wrong:
        return wrong.errors
    return []


def party_file_of(spec: SweepSpec) -> PartyFile | None:
    """Return the checked party file of a sweep, if it names one; raises SpecErrors with everything that is wrong."""
    values = spec.model_dump(mode="json", include={"secure_evaluation", "promote"})
    return _party_file(values, from_plain(values, Position(spec.name)))


def _party_file(values: Mapping[str, Any], node: Node) -> PartyFile | None:
    section = values.get(PARTY_FILE[0])
    named = section.get(PARTY_FILE[1]) if isinstance(section, Mapping) else None
    if not isinstance(named, str) or not named:
        return None
    path, place = Path(named), node.find(PARTY_FILE)
    try:
        parties = load_parties(path)
    except SpecErrors as wrong:
        # What has no line, such as a file that does not exist, is told where the file is named.
        raise SpecErrors(
            error if error.line is not None else place.error(f"{error.path}: {error.message}")
            for error in wrong.errors
        ) from None
    if parties.owner is not None:
        _check_private(values, node, path)
    over_parties = [index for index, gate in _gates(values) if gate.get("over") == PARTIES]
    if over_parties and parties.part != "validation":
        raise SpecErrors(
            node.find(("promote", "gates", index, "over")).error(
                f"`over: parties` would let test data decide: `part` in {path} is {parties.part}, and gates look at "
                "validation data only; write `part: validation` there"
            )
            for index in over_parties
        )
    return parties


def _check_private(values: Mapping[str, Any], node: Node, path: Path) -> None:
    """Raise SpecErrors where a gate asks for what is not measured of a model that its owner keeps."""
    known = metric_names(PRIVATE_MEASURES[PRIVATE_TASK])
    wrong = [
        node.find(("promote", "gates", index, "metric")).error(
            f"{gate.get('metric')!r} is not measured with `model: private`, as {path} has it; "
            f"{suggest(str(gate.get('metric')), known)}"
        )
        for index, gate in _gates(values)
        if gate.get("over") == PARTIES and gate.get("metric") not in known
    ]
    if wrong:
        raise SpecErrors(wrong)


def _gates(values: Mapping[str, Any]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    promote = values.get("promote")
    gates = promote.get("gates") if isinstance(promote, Mapping) else None
    for index, gate in enumerate(gates if isinstance(gates, list) else ()):
        if isinstance(gate, Mapping):
            yield index, gate
