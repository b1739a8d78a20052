"""YAML as plain data with positions.

Scalars follow the core schema of YAML 1.2 (`1e-3` is a number, `no` is text, nothing is a date). Tags, merge
keys, duplicate keys and a second document are errors, and so is what could make a small file a big value.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import Reader

from orchestrator.spec.problems import SpecError, SpecErrors, nearest
from orchestrator.spec.syntax import explain

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_NODES = 100_000
MAX_NUMBER = 2**63

_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_MARKED = re.compile("\ue000\ue001([A-Za-z_][A-Za-z0-9_]*)\ue002|\\$\\{")
"""A variable while the file is parsed: as long, but without the braces, which would end text in `{…}`."""
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Position:
    """Where something stands; lines and columns count from 1, and a `--set` has none."""

    path: str
    line: int | None = None
    column: int | None = None

    def error(self, message: str) -> SpecError:
        """Say `message` of this place."""
        return SpecError(self.path, self.line, self.column, message)


@dataclass
class Node:
    """A value of the file: a scalar, a list of nodes, or a mapping from names to nodes."""

    position: Position
    value: Any
    keys: dict[str, Position] = field(default_factory=dict)
    size: int = 1
    """Nodes in it, counting what an alias repeats."""

    def plain(self) -> Any:
        """Return the value without positions."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def find(self, location: tuple[int | str, ...], *, key: bool = False) -> Position:
        """Return the place of the value at `location`, or of its key; of what surrounds it if it has none."""
        node, place = self, self.position
        for step in location:
            if isinstance(node.value, dict) and step in node.value:
                place = node.keys[str(step)]
                node = node.value[str(step)]
            elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                place = node.position
        return place if key or isinstance(node.value, dict) else node.position


def read_text(path: Path) -> str:
    """Read a UTF-8 file; raises SpecErrors if it cannot be read, is too big or is something else."""
    place = Position(str(path))
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        siblings = {other.stem: other.name for other in sorted(path.parent.glob("*.y*ml"))}
        meant = nearest(path.stem, list(siblings))  # all names end alike, which makes none of them close
        hint = f"; did you mean {siblings[meant]!r}?" if meant else ""
        raise SpecErrors([place.error(f"no such file{hint}")]) from None
    except IsADirectoryError:
        raise SpecErrors([place.error("this is a folder; expected a YAML file")]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SpecErrors([place.error(f"cannot be read: {reason}")]) from None
    if len(content) > MAX_BYTES:
        raise SpecErrors([place.error(f"larger than {MAX_BYTES // 1024} KiB, so hardly what was meant")])
    return _decode(content, str(path))


def _decode(content: bytes, path: str) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SpecErrors([SpecError(path, 1, 1, "the file is UTF-16: save it as UTF-8")])
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8").split("\n")
        byte = content[error.start]
        message = f"byte 0x{byte:02x} is not UTF-8: save the file as UTF-8"
        raise SpecErrors([SpecError(path, len(before), len(before[-1]) + 1, message)]) from None


def parse_file(path: Path, *, expand: bool = True) -> tuple[Node, list[SpecError]]:
    """Read a file that holds one mapping; errors that leave the rest readable are returned, others raised.

    With `expand`, `${NAME}` in text stands for the environment variable.
    """
    text = read_text(path)
    node, errors = parse_text(text, str(path), expand=expand)
    if not isinstance(node.value, dict):
        if node.value is None:
            message = "the file is empty; expected keys such as `name`, `task` and `data`"
        else:
            message = "expected `key: value` lines at the top of the file, such as `name: …`, `task: …`"
        raise SpecErrors([*errors, node.position.error(message)])
    return node, errors


def parse_text(
    text: str, path: str, *, located: bool = True, expand: bool = True
) -> tuple[Node, list[SpecError]]:
    """Parse one YAML document. Without `located`, positions have no line (text that is not from a file)."""
    start = Position(path, 1, 1) if located else Position(path)
    strange = Reader.NON_PRINTABLE.search(text)
    if strange:
        before = text[: strange.start()].split("\n")
        place = Position(path, len(before), len(before[-1]) + 1) if located else start
        raise SpecErrors([place.error(f"character {ord(strange.group()):#04x} is not allowed in YAML")])
    builder = _Builder(text, start, expand)
    try:
        node = builder.document()
    except yaml.MarkedYAMLError as error:
        mark, message = explain(error)
        raise SpecErrors([*builder.errors, builder.place(mark).error(message)]) from None
    except (ValueError, OverflowError) as error:
        message = "not YAML: a number or character code here is too large"
        raise SpecErrors([*builder.errors, builder.here().error(message)]) from error
    return node, builder.errors


class _Builder:
    """Builds nodes from PyYAML's events, which know the places and have executed nothing."""

    def __init__(self, text: str, start: Position, expand: bool) -> None:
        self.errors: list[SpecError] = []
        self._start = start
        self._expands = expand
        self._loader = yaml.SafeLoader(_VARIABLE.sub("\ue000\ue001\\1\ue002", text) if expand else text)
        self._anchors: dict[str, Node] = {}

    def place(self, mark: Any) -> Position:
        if self._start.line is None or mark is None:
            return self._start
        return Position(self._start.path, mark.line + 1, mark.column + 1)

    def here(self) -> Position:
        return self.place(self._loader.get_mark())

    def document(self) -> Node:
        self._loader.get_event()
        if isinstance(self._loader.get_event(), yaml.StreamEndEvent):
            return Node(self._start, None)
        node = self._node(0)
        self._loader.get_event()
        after = self._loader.get_event()
        if not isinstance(after, yaml.StreamEndEvent):
            self._fail(after, "a second document starts here; expected one a file")
        return node

    def _node(self, depth: int) -> Node:
        event = self._loader.get_event()
        if isinstance(event, yaml.AliasEvent):
            if str(event.anchor) not in self._anchors:
                self._fail(
                    event,
                    f"`*{event.anchor}` stands for nothing yet: no `&{event.anchor}` is complete before it",
                )
            original = self._anchors[str(event.anchor)]
            return Node(self.place(event.start_mark), original.value, original.keys, original.size)
        if depth > MAX_DEPTH:
            self._fail(event, f"nested more than {MAX_DEPTH} levels deep")
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._report(
                event, f"the tag `{tag}` is refused, as the file is plain data: write the value itself"
            )
        if isinstance(event, yaml.MappingStartEvent):
            node = self._mapping(event, depth)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(event, depth)
        else:
            node = Node(self.place(event.start_mark), self._scalar(event))
        if node.size > MAX_NODES:
            self._fail(event, f"its aliases expand to more than {MAX_NODES:,} values")
        if event.anchor is not None:
            self._anchors[str(event.anchor)] = node
        return node

    def _mapping(self, start: yaml.Event, depth: int) -> Node:
        node = Node(self.place(start.start_mark), {})
        while not self._loader.check_event(yaml.MappingEndEvent):
            event = self._loader.peek_event()
            key = self._node(depth + 1)
            value = self._node(depth + 1)
            node.size += value.size
            if not isinstance(event, yaml.ScalarEvent):
                self._report(event, "a list, section or alias cannot be a key; expected a name")
            elif event.implicit[0] and event.value == "<<":
                self._report(event, "merge keys (`<<`) are not supported: write the keys out")
            elif not isinstance(key.value, str):
                self._report(
                    event, f"expected a name as key, got {event.value or 'nothing'}: quote it if it is a name"
                )
            elif key.value in node.value:
                line = node.keys[key.value].line
                self._report(
                    event, f"the key {key.value!r} stands twice" + (f", first in line {line}" if line else "")
                )
            else:
                node.value[key.value] = value
                node.keys[key.value] = key.position
        self._loader.get_event()
        return node

    def _sequence(self, start: yaml.Event, depth: int) -> Node:
        node = Node(self.place(start.start_mark), [])
        while not self._loader.check_event(yaml.SequenceEndEvent):
            item = self._node(depth + 1)
            node.size += item.size
            node.value.append(item)
        self._loader.get_event()
        return node

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        text: str = event.value
        if not event.implicit[0]:
            return self._expand(event, text)
        if text in _WORDS:
            return _WORDS[text]
        number = _number(text)
        if number is None:
            return self._expand(event, text)
        if not isfinite(number) or (isinstance(number, int) and abs(number) >= MAX_NUMBER):
            self._report(event, f"{text[:40]} is not a finite number below 2^63")
            return 0
        return number

    def _expand(self, event: yaml.ScalarEvent, text: str) -> str:
        def value_of(match: re.Match[str]) -> str:
            name = match[1]
            if name is None:
                self._report(event, "expected a variable's name in braces, such as `${ADAPTUNE_DATA}`")
            elif name not in os.environ:
                self._report(event, f"the environment variable {name} is not set: `export {name}=…` first")
            return os.environ.get(name or "", "")

        expanded = _MARKED.sub(value_of, text) if self._expands else text
        if _SURROGATE.search(expanded):
            self._report(event, "the text holds half a character (a lone surrogate)")
            return ""
        return expanded

    def _report(self, event: yaml.Event, message: str) -> None:
        self.errors.append(self.place(event.start_mark).error(message))

    def _fail(self, event: yaml.Event, message: str) -> None:
        raise SpecErrors([*self.errors, self.place(event.start_mark).error(message)])


def _number(text: str) -> int | float | None:
    if _NOT_FINITE.fullmatch(text):
        return float("inf")
    if _INTEGER.fullmatch(text):
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        return int(text, base) if len(text) <= 40 else float("inf")
    return float(text) if _FLOAT.fullmatch(text) else None


def from_plain(value: Any, position: Position) -> Node:
    """Make nodes of plain values; `position` grows by the names that lead to a value."""
    if isinstance(value, Mapping):
        places = {str(key): Position(f"{position.path}.{key}") for key in value}
        nodes = {str(key): from_plain(item, places[str(key)]) for key, item in value.items()}
        return Node(position, nodes, places)
    if isinstance(value, list | tuple):
        return Node(position, [from_plain(item, position) for item in value])
    return Node(position, value)
