import json
import re
from dataclasses import replace
from io import StringIO
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console
from scipy import stats

from components.errors import AdaptuneError
from components.metrics.rows import FULL_HISTORY, macro, metric_values, select_slice
from components.metrics.statistics import MissingTrials, compare_paired, holm
from components.tasks import TASKS
from orchestrator.judging.answers import certainty
from orchestrator.judging.compare import compare_entries
from orchestrator.judging.comparison import Entry
from orchestrator.judging.tables import comparison_view
from orchestrator.judging.verdict import caveats, findings, headline
from orchestrator.report.standings import all_metrics, contributions
from tests.orchestrator.made_up import made_up_entries, made_up_table

ACCURACY = SimpleNamespace(metric="accuracy", mode="max")


def compare(entries, seeds=(0, 1), **options):
    settings = {"test_looks": 3, "part": "test"} | options
    return compare_entries(
        "made-up", TASKS["recommendation"], ACCURACY, entries, "baseline", seeds, **settings
    )


@pytest.fixture(scope="module")
def entries():
    return made_up_entries()


@pytest.fixture(scope="module")
def comparison(entries):
    return compare(entries)


def test_json_has_the_announced_shape(comparison):
    document = json.loads(json.dumps(comparison.to_json(), allow_nan=False))
    assert list(document) == [
        "sweep", "task", "objective", "unit", "group", "part", "seeds", "test_looks", "possible_gain",
        "benefit", "rows",
    ]  # fmt: skip
    assert (document["unit"], document["seeds"], document["test_looks"]) == ("user", [0, 1], 3)
    rows = {row["name"]: row for row in document["rows"]}
    assert list(rows["model"]) == [
        "name", "role", "units", "parameters", "metrics", "against_baseline", "model_minus", "by_seed", "users",
    ]  # fmt: skip
    assert rows["model"]["model_minus"] == {}
    minus = rows["no-feedback"]["model_minus"]["accuracy"]["difference"]
    of = {name: rows[name]["metrics"]["accuracy"]["mean"] for name in ("model", "no-feedback")}
    assert minus == pytest.approx(of["model"] - of["no-feedback"])
    assert rows["model"]["users"] == rows["model"]["units"]
    assert set(rows["model"]["metrics"]["accuracy"]) == {"mean", "low", "high"}
    assert set(rows["model"]["against_baseline"]["accuracy"]) == {
        "difference", "low", "high", "p_value", "p_adjusted", "effect_size", "detectable",
    }  # fmt: skip
    assert rows["baseline"]["against_baseline"] == {}
    assert set(rows["popularity"]["metrics"]) == {"ndcg@10"}
    assert "ndcg@10" not in rows["always-like"]["metrics"]
    assert rows["popularity"]["parameters"] == 0
    assert [row["role"] for row in document["rows"]] == [
        "model", "ablation", "ablation", "control", "baseline", "trivial", "trivial", "trivial",
    ]  # fmt: skip


def test_numbers_are_those_of_the_statistics_by_hand(entries, comparison):
    by_name = {entry.name: entry for entry in entries}

    def per_user(name):
        tables = by_name[name].tables.values()
        return np.mean([metric_values(select_slice(table, "seen"), "accuracy") for table in tables], axis=0)

    model = comparison.model
    assert model.units == 108
    assert model.metrics["accuracy"].mean == pytest.approx(per_user("model").mean())
    assert model.metrics["accuracy"].mean == pytest.approx(
        np.mean([macro(table, "seen")["accuracy"] for table in by_name["model"].tables.values()])
    )
    expected = compare_paired(per_user("model")[:, None], per_user("baseline")[:, None], seed=0)
    found = model.against_baseline["accuracy"]
    assert found.difference == pytest.approx(expected.difference[0])
    assert (found.low, found.high) == pytest.approx((expected.low[0], expected.high[0]))
    assert found.p_value == expected.p_value[0]
    assert found.effect_size == pytest.approx(expected.effect_size[0])


def test_holm_family_is_a_metric_over_all_compared_rows(comparison):
    for metric in ("accuracy", "ndcg@10"):
        differences = [
            row.against_baseline[metric] for row in comparison.rows if metric in row.against_baseline
        ]
        expected = holm(np.array([difference.p_value for difference in differences]))
        assert [difference.p_adjusted for difference in differences] == pytest.approx(expected)


def test_what_a_comparison_could_have_seen_allows_for_its_family(entries, comparison):
    def per_user(name):
        tables = {entry.name: entry for entry in entries}[name].tables.values()
        return np.mean([metric_values(select_slice(table, "seen"), "accuracy") for table in tables], axis=0)

    difference = per_user("no-attention") - per_user("baseline")
    rows = sum("accuracy" in row.against_baseline for row in comparison.rows)
    quantiles = stats.t.ppf(1 - 0.05 / rows / 2, 107) + stats.t.ppf(0.8, 107)
    found = comparison.row("no-attention").against_baseline["accuracy"].detectable
    assert found == pytest.approx(quantiles * stats.sem(difference))


def test_only_the_compared_seeds_are_pooled(entries, comparison):
    more = [
        entry
        if entry.role == "trivial"
        else replace(entry, tables={**entry.tables, 7: made_up_table(0.9, 7)})
        for entry in entries
    ]
    assert compare(more, all_slices=False).rows == comparison.rows


def test_model_minus_row_is_the_reverse_of_row_minus_baseline(comparison):
    baseline = comparison.row("baseline").model_minus["accuracy"]
    model = comparison.model.against_baseline["accuracy"]
    assert baseline.difference == pytest.approx(model.difference)
    assert baseline.low == pytest.approx(model.low)
    assert comparison.model.model_minus == {}
    residual = comparison.row("running-residual").model_minus["accuracy"]
    assert 0 < residual.low < residual.difference < residual.high


def test_identical_rows_do_not_differ(entries):
    model = entries[0]
    twin = replace(model, name="twin", role="ablation")
    result = compare([*entries[:2], twin]).row("twin").model_minus["accuracy"]
    assert (result.difference, result.p_value, result.effect_size) == (0, 1, 0)


def test_slices_are_kept_apart(comparison):
    assert set(comparison.slices) == {
        (group, cut) for group in ("seen", "unseen") for cut in (-1, 0, 1, 2, 5, 20)
    }
    assert comparison.row("model", ("unseen", -1)).units == 12
    assert comparison.row("popularity", ("seen", 5)) is None
    cold, full = (comparison.row("model", ("seen", cut)).metrics["accuracy"].mean for cut in (0, -1))
    assert cold < full - 0.05


def test_only_the_main_slice_on_request(entries, comparison):
    quick = compare(entries, all_slices=False)
    assert list(quick.slices) == [("seen", -1)]
    assert quick.to_json() == comparison.to_json()


def test_another_group_can_be_what_it_is_about(entries, comparison):
    result = compare(entries, group="unseen", all_slices=False)
    assert result.main == ("unseen", -1) and result.to_json()["group"] == "unseen"
    assert result.rows == comparison.slices[("unseen", -1)]
    console = Console(width=140, record=True, file=StringIO())
    console.print(comparison_view(result))
    assert "12 unseen users" in console.export_text()
    with pytest.raises(AdaptuneError, match="did you mean 'unseen'"):
        compare(entries, group="unsen")


def test_a_row_whose_slices_were_not_evaluated_is_refused(entries):
    whole = next(entry for entry in entries if entry.name == "no-attention")
    short = replace(whole, tables={**whole.tables, 1: made_up_table(0.64, 1, cuts=(FULL_HISTORY,))})
    others = [short if entry is whole else entry for entry in entries]
    with pytest.raises(MissingTrials, match=r"^row 'no-attention': seed 1 was not evaluated on all slices"):
        compare(others)


def test_a_row_with_missing_seeds_is_refused(entries):
    crippled = [
        replace(entry, tables={0: entry.tables[0]}) if entry.name in ("no-attention", "model") else entry
        for entry in entries
    ]
    with pytest.raises(MissingTrials, match=r"row 'model'.*seed 1(.|\n)*row 'no-attention'.*seed 1"):
        compare(crippled)
    with pytest.raises(MissingTrials, match="'popularity': never evaluated"):
        compare([replace(entry, tables={}) if entry.name == "popularity" else entry for entry in entries])


def test_rows_of_other_users_are_refused(entries):
    others = made_up_entries(users=130)
    with pytest.raises(AdaptuneError, match=r"row 'no-feedback', seed 0, seen: evaluated on 117 users"):
        compare([*entries[:2], others[3]])


def test_a_missing_baseline_is_refused(entries):
    with pytest.raises(AdaptuneError, match=r"no row is named 'baseline' \(rows: model"):
        compare(entries[:1])


def test_frame_is_tidy(comparison):
    frame = comparison.frame()
    line = frame[
        (frame.row == "model")
        & (frame.metric == "accuracy")
        & (frame.group == "seen")
        & (frame.history == -1)
    ]
    assert len(line) == 1
    assert line["mean"].item() == comparison.model.metrics["accuracy"].mean
    assert (
        line["against_baseline_p_adjusted"].item() == comparison.model.against_baseline["accuracy"].p_adjusted
    )
    assert line["model_minus_difference"].isna().all()


def test_verdict_names_size_certainty_and_caveats(comparison):
    assert headline(comparison).startswith("The model beats the baseline: 7")
    assert "p < .001" in headline(comparison)
    text = " ".join(findings(comparison))
    assert "above the best trivial row, running-residual" in text
    assert "loses 9" in text and "% of its gain" in text
    assert "12 users that training never saw" in text
    notes = " ".join(caveats(comparison))
    assert "3 times" in notes and "2 seeds" in notes


@pytest.mark.parametrize(
    ("row", "said"),
    [("no-attention", "which may be chance: it is not shown to lose any"), ("better", "it loses nothing")],
)
def test_a_control_that_costs_nothing_is_not_said_to_take_a_share_of_the_gain(entries, row, said):
    better = replace(made_up_entries()[0], tables={seed: made_up_table(0.75, seed) for seed in (0, 1)})
    found = {"better": better, **{entry.name: entry for entry in entries}}[row]
    changed = [
        replace(found, name=entry.name, role="control") if entry.role == "control" else entry
        for entry in entries
    ]
    [sentence] = [text for text in findings(compare(changed)) if "control" in text]
    assert said in sentence and "%" not in sentence.partition("points")[2]


def test_a_control_below_the_baseline_is_said_to_end_there(entries):
    lost = {seed: made_up_table(0.5, seed) for seed in (0, 1)}
    changed = [replace(entry, tables=lost) if entry.role == "control" else entry for entry in entries]
    [sentence] = [text for text in findings(compare(changed)) if "control" in text]
    assert "it loses all of its gain over the baseline and ends 1" in sentence
    assert sentence.endswith("points below it.")


def test_an_ablation_that_scores_better_is_named(entries, comparison):
    assert "scores better" not in " ".join(findings(comparison))
    swapped = [
        replace(entries[3], name="model", role="model"),
        entries[1],
        replace(entries[0], name="no-history"),
    ]
    swapped[2] = replace(swapped[2], role="ablation")
    assert "no-history scores better without one of its parts" in findings(compare(swapped))[0]


def test_an_ablation_that_may_be_better_by_chance_is_called_level(entries):
    model, twin = entries[2], entries[0]
    almost = [
        replace(model, name="model", role="model"),
        entries[1],
        replace(twin, name="no-x", role="ablation"),
    ]
    text = " ".join(findings(compare(almost)))
    assert "no-x is level with the model, or better, without one of its parts" in text
    assert "scores better" not in text


def told(entries, level=0.75):
    """The entries, and the model that is told the truth."""
    return [*entries, Entry("told", "oracle", 1000, {seed: made_up_table(level, seed) for seed in (0, 1)})]


def test_a_model_that_is_told_the_truth_is_a_ceiling(entries, comparison):
    assert comparison.oracle is None and comparison.possible_gain() == {}
    result = compare(told(entries))
    baseline, model, oracle = (result.row(name) for name in ("baseline", "model", "told"))
    assert result.rows[-1] is oracle and result.oracle is oracle
    mean = {row.name: row.metrics["accuracy"].mean for row in (baseline, model, oracle)}
    share = (mean["model"] - mean["baseline"]) / (mean["told"] - mean["baseline"])
    assert result.possible_gain()["accuracy"] == pytest.approx(share)
    assert result.to_json()["possible_gain"]["accuracy"] == pytest.approx(share)
    assert result.possible_gain()["log_loss"] == pytest.approx(share)  # lower is better, and both fall
    assert findings(result)[0].startswith(f"It reaches {share * 100:.0f} % of the possible gain: told")
    drawn = [line.row.name for line in contributions(result).lines]
    assert "told" not in drawn and "no-feedback" in drawn
    assert not any(cell.best for row, cells in all_metrics(result)[1] if row is oracle for cell in cells)


def test_without_a_possible_gain_there_is_no_share_of_it(entries):
    result = compare(told(entries, level=0.65))
    assert result.possible_gain().get("accuracy") is None
    assert "there is no gain to have a share of" in findings(result)[0]


def test_a_model_that_scores_exactly_as_a_rule_is_pointed_out(entries):
    rule = entries[5]
    tables = {seed: rule.tables[0] for seed in (0, 1)}
    lazy = Entry("model", "model", 10, tables)
    plain = replace(
        entries[1],
        tables={seed: made_up_table(0.65, seed, cuts=(FULL_HISTORY,)) for seed in (0, 1)},
    )
    notes = caveats(compare([lazy, plain, rule]))
    assert any("model scores exactly as the rule always-like in every metric" in note for note in notes)
    assert not any("exactly as the rule" in note for note in caveats(compare(entries)))
    alike = rule.tables[0].column_names.index("auc")
    shifted = rule.tables[0].column("auc").to_numpy() - 0.01
    other = rule.tables[0].set_column(alike, "auc", pa.array(shifted))
    lucky = Entry("model", "model", 10, {seed: other for seed in (0, 1)})
    notes = caveats(compare([lucky, plain, rule]))
    assert not any("exactly as the rule" in note for note in notes), "only some of its metrics are the rule's"


def test_verdict_claims_nothing_that_is_not_shown(entries):
    twin = replace(entries[1], name="model", role="model")
    nothing = headline(compare([twin, entries[1]]))
    assert nothing.startswith("No difference shown") and "could have seen" not in nothing, (
        "they do not differ at all"
    )
    near = Entry("model", "model", 1, {seed: made_up_table(0.6502, seed) for seed in (0, 1)})
    assert re.search(
        r"this comparison could have seen \d\.\d points\)", headline(compare([near, entries[1]]))
    )
    worse = replace(entries[4], name="model", role="model")
    better = replace(entries[0], name="baseline", role="baseline")
    assert headline(compare([worse, better])).startswith("The model is worse than the baseline")


def test_the_headline_names_a_rule_that_the_model_is_not_shown_to_be_above(comparison):
    assert "a rule without training" not in headline(comparison)
    rows = [
        replace(row, model_minus={"accuracy": replace(row.model_minus["accuracy"], p_adjusted=0.2)})
        if row.role == "trivial" and "accuracy" in row.model_minus
        else row
        for row in comparison.rows
    ]
    close = replace(comparison, slices={**comparison.slices, comparison.main: tuple(rows)})
    assert re.search(
        r"It is not shown to be better than \S+, a rule without training \(\d+\.\d %\)\.$", headline(close)
    )


def test_generated_data_is_called_so(comparison):
    assert not any("generated" in note for note in caveats(comparison))
    assert any("generated" in note for note in caveats(replace(comparison, source="synthetic")))


def test_lower_is_better_for_a_loss(entries):
    loss = SimpleNamespace(metric="log_loss", mode="min")
    result = compare_entries(
        "made-up", TASKS["recommendation"], loss, entries, "baseline", (0, 1), test_looks=1, part="test"
    )
    assert headline(result).startswith("The model beats the baseline")
    assert "above the best trivial row, running-residual" in " ".join(findings(result))


def test_of_a_single_user_there_are_means_and_neither_intervals_nor_effects():
    result = compare(made_up_entries(users=2))  # one of them is seen
    console = Console(width=140, record=True, file=StringIO())
    console.print(comparison_view(result))
    text = console.export_text()
    assert "nan" not in text and "[" not in text
    assert "1 seen user, 2 seed(s)" in text and "Only 1 user stands behind the main figures." in text
    assert re.search(r"no-feedback +\d+\.\d % +[+-]\d+\.\d +1\.000 +– *\n", text)  # noqa: RUF001
    assert "(+" in headline(result) and "points, p = 1.000" in headline(result)
    assert certainty(result)[0].startswith("The figures stand on one of the users that were seen")


def test_terminal_view_shows_every_row(comparison):
    console = Console(width=140, record=True, file=StringIO())
    console.print(comparison_view(comparison))
    text = console.export_text()
    for row in comparison.rows:
        assert row.name in text
    assert "412,345" in text and "< .001" in text
