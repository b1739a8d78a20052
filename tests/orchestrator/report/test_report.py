import re
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest

from components.data.traits import Trait
from components.tasks import TASKS
from orchestrator.judging.compare import compare_entries
from orchestrator.records.costs import Training
from orchestrator.records.spent import Spent
from orchestrator.report.axis import Axis
from orchestrator.report.charts import Point, Series, line_chart
from orchestrator.report.data import Cost, Curve, GridPoint, ReportData
from orchestrator.report.page import render_report
from orchestrator.report.progress import learning
from orchestrator.report.standings import contributions, leaderboard
from tests.orchestrator.made_up import made_up_entries

VOID = {"meta", "br", "link", "img", "input"}


class Page(HTMLParser):
    """Checks that elements nest, and collects text and what would be fetched."""

    def __init__(self, html):
        super().__init__()
        self.open, self.text, self.fetched, self.ids, self.links = [], [], [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.fetched += [value for name, value in attributes if name in ("src", "srcset", "data") and value]
        self.ids += [values["id"]] if "id" in values else []
        if "href" in values:
            self.links.append(values["href"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (self.open, tag, self.getpos())
        self.open.pop()

    def handle_data(self, data):
        self.text.append(data)


def made_up_report(seeds=(0, 1)):
    objective = SimpleNamespace(metric="accuracy", mode="max")
    comparison = compare_entries(
        "recommendation-grid",
        TASKS["recommendation"],
        objective,
        made_up_entries(seeds),
        "baseline",
        seeds,
        test_looks=3,
        part="test",
    )
    grid, curves = [], []
    for role, top in (("model", 0.70), ("baseline", 0.65)):
        for number, (rate, size) in enumerate([(0.001, 16), (0.001, 32), (0.0001, 16), (0.0001, 32)]):
            best = number == 1
            reached = {seed: top - 0.004 * abs(number - 1) + 0.001 * seed for seed in seeds}
            settings = {"training.learning_rate": rate, "training.batch_size": size, "training.epochs": 20}
            grid.append(GridPoint(role, settings, reached, 412_345, 312.0, best))
            for seed in seeds:
                points = [
                    {
                        "epoch": epoch,
                        "metrics": {
                            "accuracy": reached[seed] - 0.12 * 0.8**epoch,
                            "train_loss": 0.45 + 0.25 * 0.85**epoch - 0.01 * number,
                        },
                    }
                    for epoch in range(1, 21)
                ]
                curves.append(Curve(f"learning rate {rate:g}, batch size {size}", role, seed, points, best))
    return ReportData(
        comparison=comparison,
        curves=curves,
        grid=grid,
        grid_keys=("training.learning_rate", "training.batch_size", "training.epochs"),
        costs=[
            Cost("grid", 8, 8, 160, Spent(1250.0, 1100.0, 812_000_000)),
            Cost("baseline-grid", 8, 8, 160, Spent(900.0, 800.0, 640_000_000)),
        ],
        trainings=[
            Training(phase, row, seed, grid[place].settings, 20, Spent(seconds, seconds, 640_000_000))
            for phase, row, place, seconds in (
                ("grid", "model", 0, 150.0),
                ("baseline-grid", "baseline", 4, 50.0),
            )
            for seed in seeds
        ],
        provenance={
            "Data": {"source": "movielens", "digest": "0123456789abcdef", "split": "temporal 1"},
            "Code": {
                "digest": "89abcdef",
                "git_commit": "51349ef",
                "packages": {"torch": "2.13.0", "ray": "2.60.0"},
            },
            "Hardware": {"cpu": "2 cores", "memory": None},
        },
        description="The paper's grid, on a small scale.",
        created="2026-11-21T03:00:00+00:00",
    )


@pytest.fixture(scope="module")
def report():
    return made_up_report()


@pytest.fixture(scope="module")
def html(report):
    return render_report(report)


def test_page_is_well_formed_and_self_contained(html):
    page = Page(html)
    assert page.open == []
    assert page.fetched == []
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert "<script" not in html and "url(" not in html and "@import" not in html
    assert not re.search(r"https?://", html)
    assert len(html) < 400_000


def test_page_holds_every_row_section_and_origin(html, report):
    text = " ".join(" ".join(Page(html).text).split())
    for row in report.comparison.rows:
        assert row.name in text
    assert "The model beats the baseline" in text and "has been evaluated 3 times" in text
    for part in ("412,345", "0123456789abcdef", "51349ef", "torch 2.13.0", "baseline-grid", "NDCG@10"):
        assert part in text
    assert "nan" not in text.lower().split()


def test_names_are_escaped(report):
    rows = tuple(
        replace(row, name="<b>&") if row.name == "no-attention" else row for row in report.comparison.rows
    )
    slices = {**report.comparison.slices, ("seen", -1): rows}
    html = render_report(replace(report, comparison=replace(report.comparison, slices=slices)))
    assert "<b>&" not in html
    assert "&lt;b&gt;&amp;" in html


def test_bare_comparison_still_renders(report):
    main = {("seen", -1): report.comparison.rows}
    page = Page(render_report(ReportData(replace(report.comparison, slices=main))))
    assert "cold-start" not in page.ids and "learning" not in page.ids
    assert {"leaderboard", "provenance", "glossary"} <= set(page.ids)


def test_leaderboard_is_ordered_by_the_objective(report):
    names = [line.row.name for line in leaderboard(report.comparison).lines]
    means = [row.metrics["accuracy"].mean for name in names if (row := report.comparison.row(name))]
    assert means == sorted(means, reverse=True)
    assert "popularity" not in names  # it has no accuracy


def test_contributions_are_the_model_minus_each_row(report):
    drawn = contributions(report.comparison)
    lines = {line.row.name: line for line in drawn.lines}
    assert set(lines) == {"no-attention", "no-feedback", "shuffled-users", "baseline"}
    assert lines["no-feedback"].value.startswith("+4.")
    assert lines["no-feedback"].difference.verdict == "better"
    assert float(lines["no-feedback"].mark.left[:-1]) > float(drawn.reference[:-1])


def test_learning_curves_average_over_seeds(report):
    drawn = learning(report.comparison, report.curves)
    assert [title for title, _ in drawn.charts] == ["Accuracy, validation part", "Training loss"]
    assert len(drawn.legend) == 8
    assert sum(chosen for _, _, chosen in drawn.legend) == 2
    single = learning(report.comparison, [curve for curve in report.curves if curve.role == "model"][:2])
    assert str(single.charts[0][1]).count("<polyline") == 1


def test_a_point_whose_seed_is_missing_is_not_averaged(report):
    first = report.curves[0]
    curves = [curve for curve in report.curves if curve is not first]
    drawn = learning(report.comparison, curves)
    [label] = [label for _, label, _ in drawn.legend if "not drawn" in label]
    assert label.endswith(f"(not drawn: no curve of seed {first.seed})")
    assert str(drawn.charts[0][1]).count("<polyline") == 7


def test_the_report_says_for_whom_and_what_could_be_seen(report):
    users = [f"u{index:03d}" for index in range(120)]
    side = Trait("side", ("left", "right"), {user: "left" if user > "u060" else "right" for user in users})
    rare = Trait("job", ("bard", "cook"), {user: "bard" if user < "u009" else "cook" for user in users})
    comparison = compare_entries(
        "made-up",
        TASKS["recommendation"],
        SimpleNamespace(metric="accuracy", mode="max"),
        made_up_entries(),
        "baseline",
        (0, 1),
        test_looks=1,
        part="test",
        traits=(side, rare),
    )
    html = render_report(replace(report, comparison=comparison))
    page = Page(html)
    assert page.open == [] and "benefit" in page.ids and "#benefit" in page.links
    text = " ".join(" ".join(page.text).split())
    assert "too few users: 8, at least 50 are needed" in text
    assert re.search(r"could see.\d\.\d.points", text)
    assert "benefit" not in Page(render_report(report)).ids


def test_axis_ends_on_round_ticks_around_the_values():
    axis = Axis.around([0.612, 0.718])
    assert axis.ticks == pytest.approx([0.6, 0.625, 0.65, 0.675, 0.7, 0.725])
    assert axis.percent(0.6) == "0.00%"
    assert Axis.around([5.0]).low < 5 < Axis.around([5.0]).high
    assert Axis.around([float("nan")]).ticks[0] == 0
    assert Axis.around([-0.01, 0.03]).ticks == pytest.approx([-0.01, 0, 0.01, 0.02, 0.03])


def test_chart_places_values_where_they_belong():
    series = [Series("model", "model", [Point(0, 1.0, 0.5, 1.5), Point(1, 2.0, 1.5, 2.5)])]
    chart = str(
        line_chart("objective", series, "events", "Accuracy", lambda value: f"{value:g}", ["0", "full"])
    )
    heights = [float(value) for value in re.findall(r'<circle [^>]*cy="([\d.]+)"', chart)]
    assert heights[0] > heights[1]  # larger values stand higher
    assert "model, events full: 2 [1.5, 2.5]" in chart
    assert 'role="img"' in chart and chart.count("<polygon") == 1


def test_the_grid_says_why_a_point_has_no_result(report):
    point = replace(report.grid[0], objective={0: 0.7, 1: None}, missing={1: "diverged"})
    page = render_report(replace(report, grid=[point, *report.grid[1:]]))
    grid = page[page.index('<section id="grid">') :]
    assert "diverged" in grid[: grid.index("</section>")]
