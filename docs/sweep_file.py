"""Writes `docs/sweep-file.md`, the reference of all keys, from the JSON Schema of sweep files.

Run from the repository's root: `python docs/sweep_file.py`. A test fails while the page is not up to date.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.privacy.totals import MEASURES, metric_names
from components.tasks import TASKS
from orchestrator.spec.schema import sweep_schema

PAGE = Path(__file__).with_name("sweep-file.md")
SOURCES = {
    "SyntheticSettings": "synthetic",
    "MovieLensSettings": "movielens",
    "TableSettings": "table",
    "SquadSettings": "squad",
    "FlickrSettings": "flickr8k",
}
"""The data sources in the order of the page."""

SEARCHES = {
    "`search`, `method: random`": "RandomSearch",
    "`search`, `method: optuna`": "OptunaSearch",
    "A distribution of `search.space`": "Distribution",
    "`stop`, `method: asha`": "AshaStopping",
    "`stop`, `method: median`": "MedianStopping",
}

REFUSED = (
    "a path in both `grid` and `search.space`: it would be listed and drawn",
    "`grid` beside `method: optuna`: a suggestion would have several results; make the paths a `choice`",
    "an ablation that sets a searched path: it would no longer be the model with one part changed",
    "`stop` while `training.epochs` is varied: `stop` decides how long each training runs",
    "`stop` with only one point, or with a `grace_period` that leaves no epoch to save",
    "`training.seed` in a space: seeds stand under `seeds`",
)
"""What `orchestrator.spec.search_rules` refuses, in words."""

Schema = Mapping[str, Any]

DERIVED = {
    "seeds": "`[training.seed]`",
    "ablations": "`baseline` alone",
    "objective": "the task's first metric",
    "mode": "the metric's own direction",
    "unit": "the task's own",
    "compare": "all defaults",
    "model": "all defaults",
    "grid": "empty: one point",
}
"""Defaults that follow from the rest of the file, which a schema cannot say."""

OPENING = """<!-- Written by docs/sweep_file.py from the schema: change the settings' docstrings, not this page. -->

# Look up a key of the sweep file

You write a sweep file and want to know what a key means, what it may be, and what happens without it.

```bash
adaptune validate sweeps/quickstart.yaml
```

checks a file without running anything, and prints one line a file:

```
sweeps/quickstart.yaml: a sweep of recommendation, 4 grid points x 2 seeds
```

or every error of every file at once, each with its place, what was expected and the nearest key:

```
my-sweep.yaml:12:10: expected a whole number from 20 to 1,000,000, got 'many'
my-sweep.yaml:20:5: unknown key 'hiden'; did you mean 'hidden'?
```

For completion in an editor, save the schema with `adaptune schema > sweep.schema.json` and begin the sweep file with
`# yaml-language-server: $schema=sweep.schema.json`.

## The smallest file

```yaml
name: first
task: recommendation
data: {source: synthetic}
```

Only these keys must be there. Everything else has the default that stands below.

## How a file is read

- YAML is read as plain data: `1e-3` is a number, `no` is text. Tags, merge keys (`<<`) and duplicate keys are errors.
- `${NAME}` is replaced by the environment variable `NAME`; an unset one is an error. Nothing else is expanded.
- Relative paths are relative to the folder that the command runs in.
- An unknown key is an error. `--set key=value` writes a value over the file for one call, checked like the file.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """Return the page as Markdown."""
    schema = sweep_schema()
    return "\n".join([OPENING, *_sections(schema)]).rstrip() + "\n"


def _sections(schema: Schema) -> Iterator[str]:
    definitions = schema["$defs"]
    yield "## The whole file\n"
    yield from _table(schema, definitions)
    yield "## `data`: one of the sources\n"
    for name, source in SOURCES.items():
        yield f"### `source: {source}`\n"
        yield _described(definitions[name])
        yield from _table(definitions[name], definitions, skip=("source",))
    yield "### `columns` of a table\n"
    yield from _table(definitions["TableColumns"], definitions)
    for task, info in TASKS.items():
        model = definitions[info.settings.__name__]
        yield f"## `model` of `task: {task}`\n"
        yield _described(model)
        yield from _table(model, definitions)
    yield "## `model.personalization`\n"
    yield _described(definitions["PersonalizationSettings"])
    yield from _table(definitions["PersonalizationSettings"], definitions)
    yield "## `model.modalities`, in recommendation\n"
    yield _described(definitions["ModalitySettings"])
    yield from _table(definitions["ModalitySettings"], definitions)
    yield "## `training`\n"
    yield from _table(definitions["TrainingSettings"], definitions)
    yield from _variations()
    yield from _searches(definitions)
    for key, name in _own_sections(schema):
        yield f"## `{key}`\n"
        yield _described(definitions[name])
        yield from _table(definitions[name], definitions)
    yield "### A gate of `promote.gates`\n"
    yield _described(definitions["Gate"])
    yield from _table(definitions["Gate"], definitions)
    yield from _names()


def _own_sections(schema: Schema) -> list[tuple[str, str]]:
    """Top-level keys that are sections of their own, beside `data`, `model` and `training`."""
    found = (
        (key, option.get("$ref", "").rsplit("/", 1)[-1])
        for key, each in schema["properties"].items()
        for option in each.get("anyOf", [each])
    )
    return [(key, name) for key, name in found if name and key != "training"]


def _variations() -> Iterator[str]:
    yield "## `grid` and `ablations`\n"
    yield (
        "A path is the way to a key under `model` or `training`, with dots. A grid gives each path a list of values\n"
        "and tries every combination. An ablation gives each path one value; one for a section replaces all of it.\n"
    )
    yield (
        "```yaml\ngrid:\n  training.learning_rate: [3e-3, 1e-3]\n  training.epochs: [4, 8]\n\n"
        "ablations:\n  no-attention: {model.personalization.attention: false}\n```\n"
    )
    yield (
        "`training.seed` belongs into `seeds`, and `data` cannot be varied inside a sweep. Trials that differ only\n"
        "in `training.epochs` are one training run, read after each of these numbers of epochs.\n\n"
        "An ablation that the grid tries as well is refused: if its point won, it would be the model itself.\n"
        "So is one that trains the same as another one at all points.\n"
    )


def _searches(definitions: Schema) -> Iterator[str]:
    yield "## `search` and `stop`\n"
    yield (
        "A search tries points that are drawn instead of listed; beside it, `grid` may list values of other paths.\n"
        "A rule under `stop` ends trainings early that fall behind the others.\n"
    )
    yield (
        "```yaml\ntraining: {epochs: 18}\n\nsearch:\n  method: random\n  trials: 20\n  space:\n"
        "    training.learning_rate: {log_uniform: [1e-4, 1e-2]}\n"
        "    model.personalization.hidden: {choice: [64, 128]}\n\n"
        "stop: {method: asha, grace_period: 2}\n```\n"
    )
    yield (
        "With either, every point is tried with the first of `seeds`; the point that is chosen, and that of the\n"
        "baseline, are then trained with all of them to their last epoch, and so are the ablations.\n"
    )
    for title, name in SEARCHES.items():
        yield f"### {title}\n"
        yield _described(definitions[name])
        yield from _table(definitions[name], definitions, skip=("method",))
    yield "What is refused, and why:\n"
    yield from (f"- {each}" for each in REFUSED)
    yield ""


def _names() -> Iterator[str]:
    for task, info in TASKS.items():
        yield f"## Names that `task: {task}` knows\n"
        yield "| metric | better | meaning |\n|---|---|---|"
        for name, metric in info.metrics.items():
            yield f"| `{name}` | {'higher' if metric.mode == 'max' else 'lower'} | {metric.meaning} |"
        yield ""
        theirs = tuple(name for name in metric_names(MEASURES[task]) if name not in info.metrics)
        absent = tuple(name for name in info.metrics if name not in metric_names(MEASURES[task]))
        without = f" all of these but {_listed(absent)}" if absent else " all of these"
        more = f", and {_listed(theirs)}" if theirs else ""
        yield f"Gates with `over: parties` know{without}{more}.\n"
        yield f"Sources of data: {_listed(info.sources)}. Controls: {_listed(info.controls)}."
        yield f"Trivial rows, always computed: {_listed(info.trivial)};"
        for source, oracles in info.oracles.items():
            yield f"on `{source}` data also {_listed(oracles)}.\n"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _described(definition: Schema) -> str:
    return f"{_one_line(definition['description'])}\n"


def _table(definition: Schema, definitions: Schema, skip: tuple[str, ...] = ()) -> Iterator[str]:
    yield "| key | may be | default | meaning |\n|---|---|---|---|"
    required = definition.get("required", ())
    given_first = sorted(definition["properties"].items(), key=lambda entry: entry[0] not in required)
    for key, each in given_first:
        if key in skip:
            continue
        meaning = _one_line(each.get("description") or _referred(each, definitions).get("description", ""))
        cells = (f"`{key}`", _kind(each, definitions), _default(key, each, key in required), meaning)
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    yield ""


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def _referred(each: Schema, definitions: Schema) -> Schema:
    return definitions.get(each.get("$ref", "").rsplit("/", 1)[-1], {})


def _default(key: str, each: Schema, required: bool) -> str:
    if key in DERIVED and "default" not in each:
        return DERIVED[key]
    if "default" not in each:
        return "must be given" if required else "none"
    default = each["default"]
    if isinstance(default, dict):
        return "all defaults"
    return f"`{json.dumps(default)}`" if default is not None else "none"


def _kind(each: Schema, definitions: Schema) -> str:
    if "anyOf" in each:
        return " or ".join(_kind(option, definitions) for option in each["anyOf"])
    if "oneOf" in each or _referred(each, definitions):
        return "a section"
    if "const" in each:
        return f"`{each['const']}`"
    if "enum" in each:
        return " or ".join(f"`{value}`" for value in each["enum"])
    return _plain_kind(each, definitions)


def _plain_kind(each: Schema, definitions: Schema) -> str:
    match each["type"]:
        case "integer":
            return f"whole number{_range(each)}"
        case "number":
            return f"number{_range(each)}"
        case "boolean":
            return "`true` or `false`"
        case "null":
            return "`null`"
        case "string":
            return "a path" if each.get("format") == "path" else "text"
        case "array" if "prefixItems" in each:
            return f"a list of {len(each['prefixItems'])} numbers"
        case "array":
            items = each.get("items", {})
            return (
                "a list of sections" if _referred(items, definitions) else f"a list{_of(items, definitions)}"
            )
        case _:
            return "a section"


def _of(items: Schema, definitions: Schema) -> str:
    return f", each {_kind(items, definitions)}" if items else ""


def _range(each: Schema) -> str:
    bounds = (
        ("minimum", "at least {:,}"),
        ("exclusiveMinimum", "above {:,}"),
        ("maximum", "at most {:,}"),
        ("exclusiveMaximum", "below {:,}"),
    )
    said = [text.format(each[bound]) for bound, text in bounds if bound in each]
    return f", {' and '.join(said)}" if said else ""


if __name__ == "__main__":
    main()
