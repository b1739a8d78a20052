import re
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest

from components.data.traits import Trait
from components.tasks import TASKS
from orchestrator.judging.compare import compare_entries
from orchestrator.judging.comparison import Interval
from orchestrator.records.costs import Training
from orchestrator.records.spent import Spent
from orchestrator.release.card import Card
from orchestrator.report.axis import Axis
from orchestrator.report.charts import Point, Series, line_chart
from orchestrator.report.data import Cost, Curve, GridPoint, ReportData
from orchestrator.report.page import render_report
from orchestrator.report.progress import learning
from orchestrator.report.standings import against_rules, contributions, leaderboard
from tests.orchestrator.made_up import made_up_entries

VOID = {"meta", "br", "link", "img", "input"}


class Page(HTMLParser):
    """Checks that elements nest, and collects text and what would be fetched."""

    def __init__(self, html):
        super().__init__()
        self.open, self.text, self.fetched, self.ids, self.links = [], [], [], [], []
        self.inside: dict[str, list[set[str]]] = {"table": [], "svg": []}
        """For each table and drawing, the tags that stand in it; drawings that are hidden are left out."""
        self.headings, self.scrolling = [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.fetched += [value for name, value in attributes if name in ("src", "srcset", "data") and value]
        self.ids += [values["id"]] if "id" in values else []
        if "href" in values:
            self.links.append(values["href"])
        for kind, found in self.inside.items():
            if kind in self.open and found:
                found[-1].add(tag)
            elif tag == kind and values.get("aria-hidden") != "true":
                found.append(set())
        self.headings += [values] if tag == "th" else []
        self.scrolling += [values] if values.get("class") == "scroll" else []
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
        cards=[
            Card(
                "recommendation/7",
                ("champion",),
                "fedcba98",
                "2026-11-21T04:00:00+00:00",
                0,
                "abc123",
                True,
                "0123456789abcdef",
                412_345,
                [{"gate": "accuracy at least 0.6", "value": 0.68, "passed": True}],
                {"accuracy": 0.68},
                {"accuracy": Interval(0.67, 0.65, 0.69)},
                {"commit": "51349ef", "packages": {"torch": "2.13.0"}},
            )
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
    rules = [line.row.name for line in against_rules(report.comparison).lines]
    assert rules and text.count("Against rules without training") >= 2
    for part in ("412,345", "0123456789abcdef", "51349ef", "torch 2.13.0", "baseline-grid", "NDCG@10"):
        assert part in text
    assert "nan" not in text.lower().split()


def test_everything_that_is_drawn_can_be_read_and_reached_without_seeing_it(html):
    page = Page(html)
    assert len(page.inside["table"]) > 12 and all("caption" in tags for tags in page.inside["table"])
    assert len(page.inside["svg"]) > 3 and all("title" in tags for tags in page.inside["svg"])
    assert page.headings and all("scope" in heading for heading in page.headings)
    assert len(page.scrolling) == len(page.inside["table"])
    for values in page.scrolling:
        assert (values["role"], values["tabindex"]) == ("region", "0") and values["aria-label"]
    assert len(page.ids) == len(set(page.ids))


def test_a_row_says_in_a_word_what_its_colour_does(report, html):
    text = " ".join(Page(html).text)
    assert text.count("better") > 3 and text.count("worse") > 0 and text.count("not shown") > 1
    [silent] = [line for line in contributions(report.comparison).lines if line.row.name == "no-attention"]
    assert (silent.difference.word, silent.difference.verdict) == ("not shown", "")


def test_the_page_says_what_it_cost_and_what_was_promoted(report, html):
    text = " ".join(" ".join(Page(html).text).split())
    assert "All of it took 0.53\N{NO-BREAK SPACE}h of processor time" in text.replace(
        " h of", "\N{NO-BREAK SPACE}h of"
    )
    assert "No worker held more than 812 MB at once" in text
    assert "An epoch of the model took 7.5 s, 3.0 times as long as one of the baseline (2.5 s)" in text
    assert "recommendation/7" in text and "adaptune serve --task recommendation" in text
    assert "accuracy at least 0.6" in text and "67.0 % [65.0, 69.0]" in text
    assert "For users without any events no gain is shown" in text
    older = replace(report.cards[0], of_winner=False, aliases=())
    text = " ".join(Page(render_report(replace(report, cards=[older]))).text)
    assert "Not the present winner." in text and "nothing that serves by alias answers with it" in text


def test_without_measured_processor_time_none_is_claimed(report):
    old = [replace(report.costs[0], spent=Spent(1250.0)), *report.costs[1:]]
    text = " ".join(Page(render_report(replace(report, costs=old))).text)
    assert "of processor time" not in text and "an older version ran it" in text


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


def test_a_report_on_a_single_user_draws_its_means_alone(report):
    entries = made_up_entries(users=2)  # one of them is seen
    objective = SimpleNamespace(metric="satisfaction", mode="max")
    comparison = compare_entries(
        "made-up", TASKS["recommendation"], objective, entries, "baseline", (0, 1), 1, "test"
    )
    html = render_report(replace(report, comparison=comparison, cards=[]))
    Page(html)
    assert not re.search(r"\bnan\b", html) and 'class="band' not in html
    lines = leaderboard(comparison).lines
    assert {line.mark.width for line in lines} == {"0.00%"} and {line.interval for line in lines} == {""}
    assert all(line.mark.left == line.mark.dot for line in lines)
    assert len({line.mark.dot for line in lines}) == len(lines)


def test_what_has_nothing_to_compare_is_left_out(report):
    """One point a role, one epoch: no grid and no curve; but a seed without a result is told."""
    lone = [point for point in report.grid if point.chosen]
    short = [replace(curve, points=curve.points[:1]) for curve in report.curves]
    assert {"grid", "learning"} <= set(Page(render_report(report)).ids)
    assert not {"grid", "learning"} & set(Page(render_report(replace(report, grid=lone, curves=short))).ids)
    failed = [replace(lone[0], missing={0: "diverged"}), *lone[1:]]
    assert "grid" in Page(render_report(replace(report, grid=failed))).ids


def test_the_glossary_says_what_ablations_change(report):
    changes = {"no-feedback": {"model.personalization.feedback": False}}
    text = render_report(replace(report, ablations=changes))
    assert "no-feedback: <code>model.personalization.feedback: false</code>" in text


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
    drawn = learning(report.comparison, report.curves, (0, 1))
    assert [title for title, _ in drawn.charts] == ["Accuracy, validation part", "Training loss"]
    assert len(drawn.legend) == 8
    assert sum(chosen for _, _, chosen in drawn.legend) == 2
    of_model = [curve for curve in report.curves if curve.role == "model"]
    assert str(learning(report.comparison, of_model[:2], (0, 1)).charts[0][1]).count("<polyline") == 1


def test_points_of_a_search_have_curves_of_the_seed_that_chooses(report, html):
    first = [curve for curve in report.curves if curve.seed == 0]
    grid = [replace(point, objective={0: point.objective[0]}) for point in report.grid]
    searched = replace(report, curves=first, grid=grid)
    assert searched.tried_seeds == [0] and report.tried_seeds == [0, 1]
    drawn = learning(report.comparison, searched.curves, searched.tried_seeds)
    assert len(drawn.charts) == 2 and str(drawn.charts[0][1]).count("<polyline") == len(first)
    assert "Seed 0, with which points are chosen, after each epoch" in render_report(searched)
    assert "Mean over seeds after each epoch" in html


def test_a_point_whose_seed_is_missing_is_not_averaged(report):
    first = report.curves[0]
    curves = [curve for curve in report.curves if curve is not first]
    drawn = learning(report.comparison, curves, (0, 1))
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
    assert "too few users: 8" in text and "Groups of fewer than 50 users are not judged" in text
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
