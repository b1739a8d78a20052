"""Renders a comparison as the Markdown table of the README, so that none of its numbers is typed.

Reads what `adaptune compare SWEEP --json` prints. Without an argument the table goes to stdout; with the name
of a Markdown file it replaces what stands there between `<!-- table: SWEEP -->` and `<!-- end of table -->`:

    adaptune compare recommendation-small --json | python benchmarks/readme_table.py README.md
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.tasks import TASKS, Metric
from orchestrator.judging.comparison import Difference, Interval
from orchestrator.judging.formatting import (
    MISSING,
    count,
    difference_interval,
    metric_difference,
    metric_interval,
    metric_value,
    p_value,
)

BESIDE = {
    "recommendation": ("auc", "ndcg@10", "recall@10", "hr@10", "satisfaction"),
    "question-answering": ("em", "reference_f1", "official_f1", "satisfaction"),
    "captioning": ("satisfaction", "cider", "bleu4", "bleu4_factual", "distinct"),
}
"""Metrics that stand beside the objective, by task."""
END = "<!-- end of table -->"


def main() -> None:
    """Read a comparison from stdin and write its table."""
    comparison = json.load(sys.stdin)
    if len(sys.argv) > 1:
        write_into(Path(sys.argv[1]), comparison)
    else:
        print(render(comparison))


def write_into(page: Path, comparison: Mapping[str, Any]) -> None:
    """Replace the table of the comparison's sweep in `page`; raises ValueError if it has no place for it."""
    start = f"<!-- table: {comparison['sweep']} -->"
    text = page.read_text(encoding="utf-8")
    block = re.compile(f"{re.escape(start)}.*?{re.escape(END)}", re.DOTALL)
    if not block.search(text):
        raise ValueError(f"{page}: no place between {start} and {END}")
    table = f"{start}\n{render(comparison)}\n{END}"
    page.write_text(block.sub(lambda _: table, text), encoding="utf-8")


def render(comparison: Mapping[str, Any]) -> str:
    """Return the table, with a line on what it stands on below it."""
    task = TASKS[comparison["task"]]
    metrics, name = task.metrics, comparison["objective"]["metric"]
    beside = [other for other in BESIDE[task.name] if other != name]
    headings = ["", "parameters", metrics[name].label, "minus baseline", "p adjusted"]
    lines = [
        [*headings, *(metrics[other].label for other in beside)],
        ["---", *["---:"] * (len(headings) - 1 + len(beside))],
        *(_cells(row, name, metrics, beside) for row in comparison["rows"]),
    ]
    over = task.counted_group(comparison["group"], max(row["units"] for row in comparison["rows"]))
    seeds = ", ".join(map(str, comparison["seeds"]))
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    basis = f"Means over {over}, test part, seeds {seeds}. In brackets: the interval of each mean."
    return f"{table}\n\n{basis}"


def _cells(
    row: Mapping[str, Any], name: str, metrics: Mapping[str, Metric], beside: list[str]
) -> Iterator[str]:
    yield f"**{row['name']}**" if row["role"] == "model" else row["name"]
    yield count(row["parameters"]) if row["parameters"] else MISSING
    found = row["metrics"].get(name)
    if found is None:
        yield MISSING
    else:
        interval = Interval(**_floats(found))
        yield f"{metric_value(metrics[name], interval.mean)} {metric_interval(metrics[name], interval)}"
    found = row["against_baseline"].get(name)
    if found is None:
        yield from (MISSING, MISSING)
    else:
        difference = Difference(**_floats(found))
        size = metric_difference(metrics[name], difference.difference)
        yield f"{size} {difference_interval(metrics[name], difference)}"
        yield p_value(difference.p_adjusted)
    for other in beside:
        yield metric_value(metrics[other], row["metrics"].get(other, {}).get("mean"))


def _floats(numbers: Mapping[str, float | None]) -> dict[str, float]:
    return {key: float("nan") if value is None else value for key, value in numbers.items()}


if __name__ == "__main__":
    main()
