"""A comparison as tables for the terminal."""

from rich.console import Group
from rich.table import Table
from rich.text import Text

from orchestrator.comparison import MAIN, Comparison, Row, Slice
from orchestrator.formatting import (
    MISSING,
    count,
    difference_interval,
    metric_difference,
    metric_interval,
    metric_value,
    p_value,
)
from orchestrator.verdict import ALPHA, caveats, findings, headline, is_better


def comparison_view(comparison: Comparison) -> Group:
    """Show the verdict, the objective with its differences, and the means of all metrics."""
    sentences = [Text(headline(comparison), style="bold"), *map(Text, findings(comparison))]
    notes = [Text(note, style="yellow") for note in caveats(comparison)]
    return Group(*sentences, *notes, objective_table(comparison), metrics_table(comparison))


def objective_table(comparison: Comparison, chosen: Slice = MAIN) -> Table:
    """Show each row's objective and its difference from the baseline."""
    metric = comparison.task.metrics[comparison.metric]
    table = Table(
        title=f"{comparison.sweep}: {metric.label}, {_subtitle(comparison, chosen)}", title_justify="left"
    )
    table.add_column("row")
    table.add_column("role", style="dim")
    for name in ("parameters", metric.label, f"minus {comparison.baseline}", "p adjusted", "effect"):
        table.add_column(name, justify="right")
    for row in comparison.slices.get(chosen, ()):
        if comparison.metric not in row.metrics:
            continue
        interval = row.metrics[comparison.metric]
        cells = [row.name, row.role, count(row.parameters)]
        cells.append(f"{metric_value(metric, interval.mean)} {metric_interval(metric, interval)}")
        difference = row.against_baseline.get(comparison.metric)
        if difference is None:
            cells += [MISSING] * 3
        else:
            size = metric_difference(metric, difference.difference)
            cells.append(f"{size} {difference_interval(metric, difference)}")
            cells += [p_value(difference.p_adjusted), f"{difference.effect_size:+.2f}"]
        table.add_row(*cells, style=_style(comparison, row))
    return table


def metrics_table(comparison: Comparison, chosen: Slice = MAIN) -> Table:
    """Show the means of all metrics; a star marks an adjusted p-value below .05 against the baseline."""
    rows = comparison.slices.get(chosen, ())
    present = {
        name: metric
        for name, metric in comparison.task.metrics.items()
        if any(name in row.metrics for row in rows)
    }
    table = Table(
        title=f"All metrics, {_subtitle(comparison, chosen)}",
        caption=f"* differs from {comparison.baseline}, adjusted p < .05",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("row")
    for metric in present.values():
        table.add_column(metric.label, justify="right")
    for row in rows:
        cells = []
        for name, metric in present.items():
            interval, difference = row.metrics.get(name), row.against_baseline.get(name)
            star = "*" if difference is not None and difference.p_adjusted < ALPHA else " "
            cells.append(MISSING + " " if interval is None else metric_value(metric, interval.mean) + star)
        table.add_row(row.name, *cells, style="bold" if row.role == "model" else "")
    return table


def _subtitle(comparison: Comparison, chosen: Slice) -> str:
    users = next((row.users for row in comparison.slices.get(chosen, ())), 0)
    return f"{comparison.part} part, {users} {chosen[0]} users, {len(comparison.seeds)} seed(s)"


def _style(comparison: Comparison, row: Row) -> str:
    difference = row.against_baseline.get(comparison.metric)
    if row.role == "model":
        return "bold"
    if difference is None or difference.p_adjusted >= ALPHA:
        return ""
    return "green" if is_better(comparison, difference.difference) else "red"
