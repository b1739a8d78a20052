"""Lays results of secure evaluations beside the plain evaluation of the same model over all users together.

    adaptune evaluate recommendation/champion --parties parties/parties.yaml --json > public.json
    python -m benchmarks.secure_against_plain --home runs --data runs/data/DIGEST public.json [more.json …]

`--data` is the undivided data, as prepared: what `adaptune split` has divided. Prints a Markdown table of the seen
users; with `--into README.md` it replaces the one that stands there. Raises where a number differs by more than
the millionths in which scores are added up.
"""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.metrics.rows import macro
from components.tasks import TASKS
from orchestrator.judging.formatting import MISSING
from orchestrator.records.workspace import Workspace
from orchestrator.release.registry import Registry

GROUP = "seen"
TOLERANCE = 5e-6
START, END = "<!-- table: secure -->", "<!-- end of table -->"


def plain_metrics(version: str, home: Path, data: Path, part: str) -> dict[str, float]:
    """Evaluate a version of a recommender on undivided data, in the clear: means over users."""
    from components.tasks.recommendation.evaluation import rows_of

    found = Registry(Workspace(home).registry).version(version)
    task = TASKS[found.task].load()
    model = task.load_servable(found.folder).model
    assert part in ("validation", "test"), part
    return dict(macro(rows_of(model, task.open_data(data), part, None, False), GROUP))


def render(plain: Mapping[str, float], results: Sequence[Mapping[str, Any]]) -> str:
    """Return the table: what is measured, the plain value, and each secure one."""
    headings = ["", "plain", *(_title(result) for result in results)]
    lines = ["| " + " | ".join(headings) + " |", "| --- |" + " ---: |" * (1 + len(results))]
    task = TASKS[results[0]["task"]]
    for name, value in plain.items():
        secure = [result["groups"][GROUP]["metrics"].get(name) for result in results]
        if all(found is None for found in secure):
            continue
        for found in secure:
            if found is not None and abs(found - value) > TOLERANCE:
                raise ValueError(f"{name} is {found} in a secure evaluation, and {value} in the plain one")
        cells = [MISSING if found is None else f"{found:.6f}" for found in secure]
        lines.append("| " + " | ".join([task.metrics[name].label, f"{value:.6f}", *cells]) + " |")
    costs = [_cost(result) for result in results]
    lines.append("| " + " | ".join(["seconds in the protocol; MB sent a party", "", *costs]) + " |")
    users = results[0]["groups"][GROUP]["users"]
    basis = f"{results[0]['version']}, {users} seen users, {results[0]['part']} part, parties: "
    return "\n".join(lines) + "\n\n" + basis + ", ".join(results[0]["parties"]) + "."


def _title(result: Mapping[str, Any]) -> str:
    return "`model: private`" if result["owner"] else "`model: public`"


def _cost(result: Mapping[str, Any]) -> str:
    traffic = [result["traffic"][party] for party in result["parties"]]
    sent = max(each["bytes"] for each in traffic) / 1e6
    return f"{max(each['seconds'] for each in traffic):.1f}; {sent:,.2f}"


def main() -> None:
    """Read the results, evaluate plainly, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--home", type=Path, default=Path("runs"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--into", type=Path)
    options = parser.parse_args()
    results = [json.loads(path.read_text(encoding="utf-8")) for path in options.results]
    table = render(
        plain_metrics(results[0]["version"], options.home, options.data, results[0]["part"]), results
    )
    if options.into is None:
        print(table)
        return
    text = options.into.read_text(encoding="utf-8")
    block = re.compile(f"{re.escape(START)}.*?{re.escape(END)}", re.DOTALL)
    if not block.search(text):
        raise ValueError(f"{options.into}: no place between {START} and {END}")
    options.into.write_text(block.sub(lambda _: f"{START}\n{table}\n{END}", text), encoding="utf-8")


if __name__ == "__main__":
    main()
