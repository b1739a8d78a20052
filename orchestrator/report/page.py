"""One self-contained HTML page: no script, no font, no picture from elsewhere."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from components.tasks import Group
from orchestrator import formatting
from orchestrator.comparison import Comparison
from orchestrator.report.data import ReportData
from orchestrator.report.progress import cold_start, grid, learning
from orchestrator.report.standings import Drawn, all_metrics, contributions, leaderboard
from orchestrator.verdict import caveats, findings, headline

FOLDER = Path(__file__).parent


def render_report(report: ReportData) -> str:
    """Return the page as HTML."""
    comparison = report.comparison
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = _unbroken
    return environment.get_template("page.html").render(
        style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
        write=formatting,
        report=report,
        comparison=comparison,
        metric=comparison.task.metrics[comparison.metric],
        headline=headline(comparison),
        findings=findings(comparison),
        caveats=caveats(comparison),
        model=comparison.model,
        gain=comparison.model.against_baseline.get(comparison.metric),
        leaderboard=leaderboard(comparison),
        others=_other_groups(comparison),
        all_metrics=all_metrics(comparison),
        contributions=contributions(comparison),
        cold_start=cold_start(comparison),
        learning=learning(comparison, report.curves),
        grid=grid(comparison, report.grid),
        total_seconds=sum(cost.seconds for cost in report.costs),
    )


def _other_groups(comparison: Comparison) -> list[tuple[str, Group, Drawn]]:
    """Name, words and leaderboard of each group beside the main one."""
    main, history = comparison.main
    return [
        (name, group, leaderboard(comparison, (name, history)))
        for name, group in comparison.task.groups.items()
        if name != main and (name, history) in comparison.slices
    ]


def _unbroken(sentence: str) -> str:
    """Keep numbers and what belongs to them on one line."""
    for broken in (" %", " points", "p = ", "p < "):
        sentence = sentence.replace(broken, broken.replace(" ", "\N{NO-BREAK SPACE}"))
    return sentence
