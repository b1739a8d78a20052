"""What a reader wants to know first of a sweep, in sentences: which part matters, for whom, how sure that is.

Where a comparison cannot say, the answer says so, and what it could have seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.judging.comparison import ALPHA, Comparison, Difference, Row
from orchestrator.judging.formatting import metric_difference
from orchestrator.judging.verdict import (
    benefit,
    best_trivial,
    controls,
    is_better,
    label_of,
    listed,
    other_groups,
    reference_name,
    size,
    standing,
)


@dataclass(frozen=True)
class Statement:
    """A sentence, and what it lists."""

    text: str
    items: Sequence[str] = ()


@dataclass(frozen=True)
class Answer:
    """A question and what the numbers say to it."""

    question: str
    statements: Sequence[Statement]


def answers(comparison: Comparison) -> list[Answer]:
    """Answer the questions that a report is opened with, beside whether the model beats the baseline."""
    found = [
        Answer("Is the gain what it seems?", genuineness(comparison)),
        Answer("Which part matters, and by how much?", parts(comparison)),
        Answer("For whom?", [Statement(text) for text in for_whom(comparison)]),
        Answer("How sure is that?", [Statement(text) for text in certainty(comparison)]),
    ]
    return [answer for answer in found if answer.statements]


def genuineness(comparison: Comparison) -> list[Statement]:
    """Say how the model stands to rules and to its ceiling, and what controls take away."""
    statements = [Statement(text) for text in standing(comparison)]
    if best_trivial(comparison) is not None:
        statements[-1] = Statement(f"{statements[-1].text} Trivial rows are rules without training.")
    fed = controls(comparison)
    if fed:
        text = (
            "Controls feed the trained model something else than it should read, such as another user's history: "
            "what it loses came from there; where it falls below the baseline, the wrong input misleads it."
        )
        statements.append(Statement(text, fed))
    return statements + _on_other_metrics(comparison)


def _on_other_metrics(comparison: Comparison) -> list[Statement]:
    """Say on which metrics beside the objective the model is shown better or worse than the baseline."""
    differences = comparison.model.against_baseline
    changes = [
        change for name in comparison.task.metrics if (change := _Change.of(comparison, differences, name))
    ]
    if not changes:
        return []
    better, worse = (
        [one.size for one in changes if one.verdict == verdict] for verdict in ("better", "worse")
    )
    silent = [one.label for one in changes if not one.verdict]
    found = [
        f"{title}: {', '.join(names)}"
        for title, names in (("better", better), ("worse", worse), ("no difference shown", silent))
        if names
    ]
    reference = reference_name(comparison)
    return [Statement(f"On the other metrics, each tested by itself, the model against {reference}:", found)]


def parts(comparison: Comparison) -> list[Statement]:
    """Say which ablations are shown to cost the objective, which are not, and what else they do."""
    rows = [row for row in comparison.rows if row.role == "ablation" and comparison.metric in row.model_minus]
    if not rows:
        return [
            Statement(
                "That cannot be said: the sweep has no ablations that switch a part off. `ablations` in its file "
                "adds them."
            )
        ]
    rows.sort(key=lambda row: _of(comparison, row).difference, reverse=comparison.mode == "max")
    shown = [row for row in rows if _of(comparison, row).p_adjusted < ALPHA]
    matter = [row for row in shown if is_better(comparison, _of(comparison, row).difference)]
    harm = [row for row in shown if row not in matter]
    same = [row for row in rows if _never_differs(_of(comparison, row))]
    silent = [row for row in rows if row not in shown and row not in same]
    label, of = label_of(comparison), len(rows)
    order = " Which of them matters more is not tested." if matter[1:] else ""
    texts = (
        (
            matter,
            f"Shown to matter: {len(matter)} of {of}. The model has better {label} than without the part.{order}",
        ),
        (harm, f"Shown to do harm: {len(harm)} of {of}. The model has worse {label} than without the part."),
        (silent, f"Not shown to matter for {label}: {len(silent)} of {of}. Small effects may well be there."),
        (
            same,
            f"Without any effect on {label}: {len(same)} of {of}. It is the same for every {comparison.task.unit}.",
        ),
    )
    statements = [
        Statement(
            text, [f"model minus {row.name}: {size(comparison, _of(comparison, row))}" for row in group]
        )
        for group, text in texts
        if group
    ]
    return statements + _elsewhere(comparison, rows)


def _of(comparison: Comparison, row: Row) -> Difference:
    return row.model_minus[comparison.metric]


def _never_differs(difference: Difference) -> bool:
    return difference.low == difference.difference == difference.high == 0


def _elsewhere(comparison: Comparison, rows: Sequence[Row]) -> list[Statement]:
    """Say which parts change metrics beside the objective, so that nobody drops or keeps one unaware of it.

    What a part makes worse is named in full, and first.
    """
    found = []
    for row in rows:
        changes = [
            change
            for name in comparison.task.metrics
            if (change := _Change.of(comparison, row.model_minus, name)) and change.verdict
        ]
        worse = [f"{one.size} (the model is worse)" for one in changes if one.verdict == "worse"]
        better = [f"{one.size} (better)" for one in changes if one.verdict == "better"]
        if changes:
            found.append(f"model minus {row.name}: {listed([*worse, *better], max(4, len(worse)))}")
    if not found:
        return []
    text = (
        "Some of the parts change other metrics, each metric tested by itself: among so many, some may be named by "
        "chance alone."
    )
    return [Statement(text, found)]


@dataclass(frozen=True)
class _Change:
    """What becomes of a metric beside the objective."""

    label: str
    size: str
    """The metric and its signed difference."""
    verdict: str
    """`better`, `worse`, or empty where no difference is shown."""

    @classmethod
    def of(cls, comparison: Comparison, differences: Mapping[str, Difference], name: str) -> "_Change | None":
        """Return what `differences` say of the metric `name`; None of the objective, and of what is not there."""
        difference, metric = differences.get(name), comparison.task.metrics[name]
        if difference is None or name == comparison.metric:
            return None
        verdict = ""
        if difference.p_adjusted < ALPHA:
            verdict = "better" if (difference.difference > 0) == (metric.mode == "max") else "worse"
        return cls(
            metric.label, f"{metric.label} {metric_difference(metric, difference.difference)}", verdict
        )


def for_whom(comparison: Comparison) -> list[str]:
    """Say how the gain over the baseline depends on the users and on how much is known of them."""
    sentences = [*other_groups(comparison), *_by_history(comparison), *benefit(comparison)]
    if not comparison.benefit and comparison.task.unit != "user":
        sentences.append(
            f"Among users it cannot be told apart further: what is compared are {comparison.task.unit}s."
        )
    return sentences


def _by_history(comparison: Comparison) -> list[str]:
    """Say with how many events of history the main group shows a gain."""
    group = comparison.main[0]
    gains = {
        history: row.against_baseline[comparison.metric]
        for found, history in sorted(comparison.slices)
        if found == group and history >= 0
        if (row := comparison.row(comparison.model.name, (found, history))) is not None
        and comparison.metric in row.against_baseline
    }
    if not gains:
        return []
    shown = [
        history
        for history, gain in gains.items()
        if gain.p_adjusted < ALPHA and is_better(comparison, gain.difference)
    ]
    least, most = min(gains), max(gains)
    title = comparison.task.groups[group].title
    if not shown:
        text = f"of {title} no gain is shown with the last {most} events or fewer"
    elif shown == [history for history in gains if history >= shown[0]]:
        text = f"of {title} a gain is shown from {_events(shown[0])} on"
    else:
        text = f"of {title} a gain is shown with {', '.join(map(str, shown))} events"
    return [
        f"When only the latest events before a prediction are known, {text}; with {_events(least)} the difference "
        f"from {reference_name(comparison)} is {size(comparison, gains[least])}."
    ]


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count} events"


def certainty(comparison: Comparison) -> list[str]:
    """Say what the certainty stands on: units, the correction, and whether the seeds agree."""
    if not any(comparison.metric in row.against_baseline for row in comparison.rows):
        return []
    units = "one of the" if comparison.model.units == 1 else f"{comparison.model.units:,}"
    sentences = [
        f"The figures stand on {units} {comparison.task.groups[comparison.main[0]].meaning}. "
        f"Each is compared with itself; intervals ({comparison.level * 100:g} %) say how far a figure could move "
        f"with other {comparison.task.unit}s of the same kind.",
        f"A difference is called shown where p is below {ALPHA:g}, corrected for all comparisons of its table on the "
        "same metric: of tables without any true difference, at most one in twenty would show one. "
        "Intervals are not corrected: one that leaves out zero may belong to a difference that is not shown.",
    ]
    return sentences + _seeds(comparison)


def _seeds(comparison: Comparison) -> list[str]:
    """Say whether model and baseline differ alike in every seed."""
    baseline = comparison.row(comparison.baseline)
    gains = {} if baseline is None else comparison.model_minus_by_seed(baseline)
    if len(gains) < 2:
        return []
    metric = comparison.task.metrics[comparison.metric]
    written = ", ".join(metric_difference(metric, gain).removesuffix(" points") for gain in gains.values())
    unit = " points" if metric.percent else ""
    agree = len({gain > 0 for gain in gains.values()}) == 1
    verdict = "the same sign in each" if agree else "not the same sign in all: chance in training decides it"
    return [
        f"Trained anew with {len(gains)} seeds, the model minus {reference_name(comparison)} is {written}{unit}: "
        f"{verdict}. The intervals do not cover that chance."
    ]
