"""A comparison as tables for the terminal."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text

from components.metrics.statistics import MINIMUM_USERS
from components.tasks import Metric
from orchestrator.judging.comparison import ALPHA, Comparison, Difference, Row, Slice
from orchestrator.judging.formatting import (
    MISSING,
    count,
    detectable,
    difference_interval,
    effect_size,
    metric_difference,
    metric_interval,
    metric_value,
    p_value,
    share,
    with_interval,
)
from orchestrator.judging.paper import PaperTables, paper_tables
from orchestrator.judging.verdict import caveats, findings, headline, is_better

PADDING = 3
"""Columns that a table puts between two cells."""


def comparison_view(comparison: Comparison) -> Group:
    """Show the verdict, the objective with its differences, and the means of all metrics."""
    sentences = [Text(headline(comparison), style="bold"), *map(Text, findings(comparison))]
    notes = [Text(note, style="yellow") for note in caveats(comparison)]
    tables = [
        objective_table(comparison),
        *parts_view(comparison),
        MetricsTables(comparison),
        *benefit_view(comparison),
        *paper_view(paper_tables(comparison)),
    ]
    return Group(*sentences, *notes, "", *tables)


def paper_view(paper: PaperTables | None) -> Iterator[Table | Text]:
    """Show what the paper reports beside what was measured; nothing where nothing is claimed."""
    if paper is None:
        return
    headings = ("model", "paper", "baseline", "paper", "difference", "paper", "p adj.", "paper")
    table = _table(f"Beside the paper ({paper.source}, on {paper.data})", headings)
    for line in paper.results:
        table.add_row(
            line.metric.label,
            metric_value(line.metric, line.model.mean if line.model else None),
            metric_value(line.metric, line.claim.model),
            metric_value(line.metric, line.baseline.mean if line.baseline else None),
            metric_value(line.metric, line.claim.baseline),
            MISSING if line.gain is None else _points(line.metric, line.gain.difference),
            _points(line.metric, line.claimed_gain),
            MISSING if line.gain is None else p_value(line.gain.p_adjusted),
            line.claim.significance,
        )
    yield table
    for part in paper.parts:
        columns = (part.metric.label, "paper", "model minus row", "paper", "p adj.", "of the gain", "paper")
        table = _table("Without one part", columns)
        for one in part.lines:
            table.add_row(
                one.row.name,
                metric_value(part.metric, one.value.mean),
                metric_value(part.metric, one.claimed),
                MISSING if one.drop is None else _points(part.metric, one.drop.difference),
                MISSING if one.claimed_drop is None else _points(part.metric, one.claimed_drop),
                MISSING if one.drop is None else p_value(one.drop.p_adjusted),
                share(one.share),
                share(one.claimed_share),
                style="bold" if one.row.role == "model" else "",
            )
        yield table
    yield from (Text(sentence) for sentence in (*paper.sentences, paper.note, paper.expectation) if sentence)


def _points(metric: Metric, value: float) -> str:
    return metric_difference(metric, value).removesuffix(" points")


def objective_table(comparison: Comparison, chosen: Slice | None = None) -> Table:
    """Show each row's objective and its difference from the baseline, each with its interval.

    By default on the main slice.
    """
    chosen = chosen or comparison.main
    metric = comparison.task.metrics[comparison.metric]
    title = f"{comparison.sweep}: {metric.label}, {_subtitle(comparison, chosen)}"
    table = _table(title, (metric.label, f"minus {comparison.baseline}", "p adj.", "could see", "effect"))
    role = None
    for row in comparison.slices.get(chosen, ()):
        if comparison.metric not in row.metrics:
            continue
        if role not in (None, row.role):
            table.add_section()
        role = row.role
        interval = row.metrics[comparison.metric]
        written = with_interval(metric_value(metric, interval.mean), metric_interval(metric, interval))
        cells = [row.name, written]
        difference = row.against_baseline.get(comparison.metric)
        cells += [MISSING] * 4 if difference is None else _difference(metric, difference)
        table.add_row(*cells, style=_style(comparison, row))
    return table


def parts_view(comparison: Comparison) -> Iterator[Table]:
    """Show the model minus each ablation and control on the main slice; nothing where there are none."""
    metric = comparison.task.metrics[comparison.metric]
    without = {
        row.name: row.model_minus[comparison.metric]
        for row in comparison.rows
        if row.role in ("ablation", "control") and comparison.metric in row.model_minus
    }
    if not without:
        return
    table = _table(
        f"Which part matters: {metric.label}", ("model minus row", "p adj.", "could see", "effect")
    )
    for name, difference in without.items():
        table.add_row(name, *_difference(metric, difference))
    yield table


def benefit_view(comparison: Comparison) -> Iterator[Table | Text]:
    """Show the model minus the baseline for groups of users, and which are too small, if any are known."""
    metric = comparison.task.metrics[comparison.metric]
    judged = [group for group in comparison.benefit if not group.refused]
    if judged:
        headings = ("users", comparison.baseline, "model", "difference", "p adj.", "could see")
        table = _table(f"For whom: {metric.label}, the model minus {comparison.baseline}", headings)
        for trait, groups in groupby(judged, key=lambda group: group.trait):
            for group in groups:
                table.add_row(
                    f"{trait} {group.value}",
                    count(group.users),
                    metric_value(metric, group.baseline.mean),
                    metric_value(metric, group.model.mean),
                    f"{_points(metric, group.difference.difference)} "
                    f"{difference_interval(metric, group.difference)}",
                    p_value(group.difference.p_adjusted),
                    _could_see(metric, group.difference),
                )
            table.add_section()
        yield table
    small = [f"{group.trait} {group.value} ({group.users})" for group in comparison.benefit if group.refused]
    if small:
        yield Text(f"Too few users, at least {MINIMUM_USERS} are needed: {', '.join(small)}")


def _difference(metric: Metric, difference: Difference) -> list[str]:
    """Write a difference with its interval, adjusted p, what could have been seen, and effect size."""
    size = with_interval(_points(metric, difference.difference), difference_interval(metric, difference))
    return [
        size,
        p_value(difference.p_adjusted),
        _could_see(metric, difference),
        effect_size(difference.effect_size),
    ]


def _could_see(metric: Metric, difference: Difference) -> str:
    return detectable(metric, difference).removesuffix(" points")


class MetricsTables:
    """The means of all metrics, in as many tables as the width asks for.

    A star marks an adjusted p-value below .05 against the baseline.
    """

    def __init__(self, comparison: Comparison, chosen: Slice | None = None) -> None:
        """Show one slice of `comparison`, by default the main one."""
        self._comparison = comparison
        self._rows = comparison.slices.get(chosen or comparison.main, ())

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Fill one table after another with the columns that fit."""
        title = f"All metrics (* differs from {self._comparison.baseline}, adjusted p < {ALPHA:g})"
        columns = list(self._columns())
        first = max(len(row.name) for row in self._rows) + PADDING
        while columns:
            taken, used = 0, first
            while taken < len(columns) and (taken == 0 or used + _width(columns[taken]) <= options.max_width):
                used += _width(columns[taken])
                taken += 1
            table = _table(title, [heading for heading, _ in columns[:taken]])
            for index, row in enumerate(self._rows):
                cells = [values[index] for _, values in columns[:taken]]
                table.add_row(row.name, *cells, style="bold" if row.role == "model" else "")
            yield table
            columns, title = columns[taken:], ""

    def _columns(self) -> Iterator[tuple[str, list[str]]]:
        yield "parameters", [count(row.parameters) for row in self._rows]
        for name, metric in self._comparison.task.metrics.items():
            if not any(name in row.metrics for row in self._rows):
                continue
            cells = []
            for row in self._rows:
                interval, difference = row.metrics.get(name), row.against_baseline.get(name)
                star = "*" if difference is not None and difference.p_adjusted < ALPHA else " "
                cells.append(
                    MISSING + " " if interval is None else metric_value(metric, interval.mean) + star
                )
            yield metric.label, cells


def _width(column: tuple[str, list[str]]) -> int:
    heading, cells = column
    return max(len(heading), *map(len, cells)) + PADDING


def _table(title: str, headings: Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _subtitle(comparison: Comparison, chosen: Slice) -> str:
    users = next((row.units for row in comparison.slices.get(chosen, ())), 0)
    group = comparison.task.counted_group(chosen[0], users)
    return f"{comparison.part} part, {group}, {len(comparison.seeds)} seed(s)"


def _style(comparison: Comparison, row: Row) -> str:
    difference = row.against_baseline.get(comparison.metric)
    if row.role == "model":
        return "bold"
    if difference is None or difference.p_adjusted >= ALPHA:
        return ""
    return "green" if is_better(comparison, difference.difference) else "red"
