"""One self-contained HTML page: no script, no font, no picture from elsewhere."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from components.metrics.statistics import MINIMUM_USERS, SAMPLES
from components.tasks import Group
from orchestrator.judging import formatting
from orchestrator.judging.answers import answers
from orchestrator.judging.comparison import Comparison
from orchestrator.judging.paper import paper_tables
from orchestrator.judging.verdict import caveats, headline
from orchestrator.report.benefit import benefit
from orchestrator.report.cost import cost
from orchestrator.report.data import ReportData, StudyData
from orchestrator.report.model_card import model_card
from orchestrator.report.parties import who_holds_what
from orchestrator.report.points import grid, searched
from orchestrator.report.progress import adaptation, cold_start, learning
from orchestrator.report.sensitivity import sensitivity
from orchestrator.report.side_by_side import between_view
from orchestrator.report.standings import (
    Drawn,
    against_rules,
    all_metrics,
    contributions,
    leaderboard,
    parts_on_metrics,
)

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
    costs = {view["report"].comparison.sweep: view["cost"].together for view in sweeps if view["cost"]}
    return environment.get_template("study.html").render(
        study=study, sweeps=sweeps, between=[between_view(one, costs) for one in study.between]
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["prose"] = _prose
    environment.globals["style"] = Markup((FOLDER / "style.css").read_text(encoding="utf-8"))
    environment.globals["write"] = formatting
    environment.globals["minimum_users"] = MINIMUM_USERS
    environment.globals["samples"] = SAMPLES
    return environment


def _view(report: ReportData) -> dict[str, Any]:
    """Everything that the templates say of one sweep."""
    comparison = report.comparison
    return {
        "report": report,
        "comparison": comparison,
        "metric": comparison.task.metrics[comparison.metric],
        "headline": headline(comparison),
        "answers": answers(comparison),
        "caveats": caveats(comparison),
        "model": comparison.model,
        "gain": comparison.model.against_baseline.get(comparison.metric),
        "possible": comparison.possible_gain().get(comparison.metric),
        "counted_units": _counted_units(comparison),
        "leaderboard": leaderboard(comparison),
        "unranked": [row.name for row in comparison.rows if comparison.metric not in row.metrics],
        "others": _other_groups(comparison),
        "all_metrics": all_metrics(comparison),
        "contributions": contributions(comparison),
        "rules": against_rules(comparison),
        "parts_on_metrics": parts_on_metrics(comparison),
        "benefit": benefit(comparison),
        "paper": paper_tables(comparison),
        "cold_start": cold_start(comparison),
        "adaptation": adaptation(comparison),
        "learning": learning(comparison, report.curves, report.tried_seeds),
        "grid": grid(comparison, report.grid),
        "searched": searched(comparison, report.grid) if report.search else None,
        "sensitivity": sensitivity(comparison, report.grid, report.grid_keys),
        "chosen_among_points": _chosen_among_points(report),
        "cost": cost(report),
        "cards": [model_card(comparison, card) for card in report.cards],
        "private": _private(report),
    }


def _chosen_among_points(report: ReportData) -> bool:
    """Whether the points that were tried have more to show than the leaderboard: a choice, or a gap."""
    roles = [point.role for point in report.grid]
    return len(set(roles)) < len(roles) or any(point.missing or point.stopped for point in report.grid)


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


def _counted_units(comparison: Comparison) -> str:
    """Name what the main figures stand on: `seen users`, or `passages` where a group is named after its users."""
    units, title = f"{comparison.task.unit}s", comparison.task.groups[comparison.main[0]].title
    return title if title.endswith(units) else units


@dataclass(frozen=True)
class _Group:
    """A group beside the main one: its words, and how the rows do there."""

    name: str
    words: Group
    leaderboard: Drawn
    contributions: Drawn
    rules: Drawn


def _other_groups(comparison: Comparison) -> list[_Group]:
    main, history = comparison.main
    return [
        _Group(
            name,
            words,
            leaderboard(comparison, (name, history)),
            contributions(comparison, (name, history)),
            against_rules(comparison, (name, history)),
        )
        for name, words in comparison.task.groups.items()
        if name != main and (name, history) in comparison.slices
    ]


def _prose(sentence: str) -> Markup:
    """Keep numbers, what belongs to them and intervals on one line, and show what stands in backticks as code."""
    for broken in (" %", "p = ", "p < "):
        sentence = sentence.replace(broken, broken.replace(" ", "\N{NO-BREAK SPACE}"))
    sentence = re.sub(r"(\d\.\d) points", "\\1\N{NO-BREAK SPACE}points", sentence)
    sentence = re.sub(r"(\[[^\]\s]+,) ([^\]\s]+\])", "\\1\N{NO-BREAK SPACE}\\2", sentence)
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(sentence))))
