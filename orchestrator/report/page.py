"""One self-contained HTML page: no script, no font, no picture from elsewhere."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from components.metrics.statistics import MINIMUM_USERS
from components.tasks import Group
from orchestrator.judging import formatting
from orchestrator.judging.comparison import Comparison
from orchestrator.judging.paper import paper_tables
from orchestrator.judging.verdict import caveats, findings, headline
from orchestrator.report.benefit import benefit
from orchestrator.report.data import ReportData, StudyData
from orchestrator.report.parties import who_holds_what
from orchestrator.report.progress import adaptation, cold_start, grid, learning
from orchestrator.report.standings import Drawn, all_metrics, contributions, leaderboard

FOLDER = Path(__file__).parent


def render_report(report: ReportData) -> str:
    """Return one sweep's page as HTML."""
    return _environment().get_template("page.html").render(**_view(report), prefix="")


def render_study(study: StudyData) -> str:
    """Return the page of several sweeps as HTML."""
    environment = _environment()
    article = environment.get_template("article.html")
    sweeps = []
    for report in study.sweeps:
        view = {**_view(report), "prefix": f"{report.comparison.sweep}-"}
        body = article.render(**{**view, "paper": None})  # its tables stand at the top of the page
        sweeps.append({**view, "body": Markup(body)})
    return environment.get_template("study.html").render(study=study, sweeps=sweeps)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = _unbroken
    environment.globals["style"] = Markup((FOLDER / "style.css").read_text(encoding="utf-8"))
    environment.globals["write"] = formatting
    environment.globals["minimum_users"] = MINIMUM_USERS
    return environment


def _view(report: ReportData) -> dict[str, Any]:
    """Everything that the templates say of one sweep."""
    comparison = report.comparison
    return {
        "report": report,
        "comparison": comparison,
        "metric": comparison.task.metrics[comparison.metric],
        "headline": headline(comparison),
        "findings": findings(comparison),
        "caveats": caveats(comparison),
        "model": comparison.model,
        "gain": comparison.model.against_baseline.get(comparison.metric),
        "possible": comparison.possible_gain().get(comparison.metric),
        "leaderboard": leaderboard(comparison),
        "others": _other_groups(comparison),
        "all_metrics": all_metrics(comparison),
        "contributions": contributions(comparison),
        "benefit": benefit(comparison),
        "paper": paper_tables(comparison),
        "cold_start": cold_start(comparison),
        "adaptation": adaptation(comparison),
        "learning": learning(comparison, report.curves),
        "grid": grid(comparison, report.grid),
        "private": _private(report),
        "total_seconds": sum(cost.seconds for cost in report.costs),
    }


def _private(report: ReportData) -> dict[str, Any] | None:
    """The newest evaluation over private users, drawn, and the earlier ones."""
    if not report.evaluations:
        return None
    *earlier, newest = report.evaluations
    return {
        "evaluation": newest,
        "drawn": who_holds_what(newest["roles"], newest["receiver"]),
        "earlier": earlier,
    }


def _other_groups(comparison: Comparison) -> list[tuple[str, Group, Drawn, Drawn]]:
    """Name, words, leaderboard and contributions of each group beside the main one."""
    main, history = comparison.main
    return [
        (name, group, leaderboard(comparison, (name, history)), contributions(comparison, (name, history)))
        for name, group in comparison.task.groups.items()
        if name != main and (name, history) in comparison.slices
    ]


def _unbroken(sentence: str) -> str:
    """Keep numbers and what belongs to them on one line."""
    for broken in (" %", " points", "p = ", "p < "):
        sentence = sentence.replace(broken, broken.replace(" ", "\N{NO-BREAK SPACE}"))
    return sentence
