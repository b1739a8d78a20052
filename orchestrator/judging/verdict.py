"""What a comparison means, in sentences: the same in the terminal and in the report."""

from collections.abc import Sequence

from components.metrics.statistics import MINIMUM_USERS
from orchestrator.judging.comparison import ALPHA, Comparison, Difference, GroupBenefit, Row
from orchestrator.judging.formatting import (
    detectable,
    difference_interval,
    metric_difference,
    metric_value,
    p_statement,
    with_interval,
)


def is_better(comparison: Comparison, value: float) -> bool:
    """Return whether a difference of the objective points to the better side."""
    return value > 0 if comparison.mode == "max" else value < 0


def is_ceiling(comparison: Comparison, row: Row) -> bool:
    """Whether a row was told the truth: a ceiling, not a rival."""
    return row.role == "oracle" or (row.role == "trivial" and comparison.task.is_oracle(row.name))


def best_trivial(comparison: Comparison) -> Row | None:
    """Return the trivial row with the best objective; an oracle is a ceiling, not a rival."""
    rivals = [
        row
        for row in comparison.rows
        if row.role == "trivial" and not is_ceiling(comparison, row) and comparison.metric in row.metrics
    ]
    sign = 1 if comparison.mode == "max" else -1
    return max(rivals, key=lambda row: sign * row.metrics[comparison.metric].mean, default=None)


def best_ablation(comparison: Comparison) -> Row | None:
    """Return the best of the ablations that score better than the model, or None."""
    sign = 1 if comparison.mode == "max" else -1
    better = [
        row
        for row in comparison.rows
        if row.role == "ablation"
        and comparison.metric in row.model_minus
        and is_better(comparison, -row.model_minus[comparison.metric].difference)
    ]
    return min(better, key=lambda row: sign * row.model_minus[comparison.metric].difference, default=None)


def reference_name(comparison: Comparison) -> str:
    """Name the baseline inside a sentence."""
    return f"the {comparison.baseline}" if comparison.baseline == "baseline" else comparison.baseline


def size(comparison: Comparison, difference: Difference) -> str:
    """Write a difference of the objective in full: size, interval, p, and what could have been seen where none is."""
    metric = comparison.task.metrics[comparison.metric]
    seen = detectable(metric, difference)
    written = metric_difference(metric, difference.difference)
    return (
        f"{with_interval(written, difference_interval(metric, difference))}, {p_statement(difference.p_adjusted)}"
        + (f"; this comparison could have seen {seen}" if seen else "")
    )


def headline(comparison: Comparison) -> str:
    """Say in one sentence whether the model beats the baseline, and by how much."""
    metric, label = comparison.task.metrics[comparison.metric], label_of(comparison)
    row = comparison.model
    difference = row.against_baseline.get(comparison.metric)
    if difference is None:
        return f"The model cannot be compared with {reference_name(comparison)} on {label}."
    mean = metric_value(metric, row.metrics[comparison.metric].mean)
    baseline = comparison.row(comparison.baseline)
    assert baseline is not None
    reference = metric_value(metric, baseline.metrics[comparison.metric].mean)
    name, written = reference_name(comparison), size(comparison, difference)
    if difference.p_adjusted >= ALPHA:
        return f"No difference shown: the model reaches {mean} {label}, {name} {reference} ({written})."
    verb = "beats" if is_better(comparison, difference.difference) else "is worse than"
    return f"The model {verb} {name}: {mean} against {reference} {label} ({written}).{_ruled_out(comparison)}"


def _ruled_out(comparison: Comparison) -> str:
    """Name the best trivial row, where the model is not shown to be above it."""
    trivial = best_trivial(comparison)
    against = None if trivial is None else trivial.model_minus.get(comparison.metric)
    if trivial is None or against is None:
        return ""
    if against.p_adjusted < ALPHA and is_better(comparison, against.difference):
        return ""
    mean = metric_value(comparison.task.metrics[comparison.metric], trivial.metrics[comparison.metric].mean)
    return f" It is not shown to be better than {trivial.name}, a rule without training ({mean})."


def findings(comparison: Comparison) -> list[str]:
    """Say how the model stands to the trivial rows, to its controls and how it does in the other groups."""
    return [
        *standing(comparison),
        *(text for text in (_better_without(comparison),) if text),
        *controls(comparison),
        *other_groups(comparison),
        *benefit(comparison),
    ]


def standing(comparison: Comparison) -> list[str]:
    """Say how far the model is from the ceiling, and how it stands to the best trivial row."""
    sentences = [text for text in (_ceiling(comparison),) if text]
    trivial = best_trivial(comparison)
    if trivial is not None and comparison.metric in trivial.model_minus:
        difference = trivial.model_minus[comparison.metric]
        place = "above" if is_better(comparison, difference.difference) else "below"
        if difference.difference == 0:
            place = "level with"
        sure = "" if difference.p_adjusted < ALPHA else ", which may be chance"
        sentences.append(
            f"It stands {place} the best trivial row, {trivial.name} ({size(comparison, difference)}){sure}."
        )
    return sentences


def controls(comparison: Comparison) -> list[str]:
    """Say what the model loses under each control."""
    return [
        _control(comparison, row)
        for row in comparison.rows
        if row.role == "control" and comparison.metric in row.model_minus
    ]


def other_groups(comparison: Comparison) -> list[str]:
    """Say how the model stands to the baseline in the groups beside the main one."""
    sentences = []
    main, history = comparison.main
    for name, group in comparison.task.groups.items():
        model = comparison.row(comparison.model.name, (name, history))
        if name != main and model is not None and comparison.metric in model.against_baseline:
            difference = model.against_baseline[comparison.metric]
            share = comparison.possible_gain((name, history)).get(comparison.metric)
            reached = "" if share is None else f", {share * 100:.0f} % of the possible gain"
            few = model.units < MINIMUM_USERS
            hint = (
                f" From fewer than {MINIMUM_USERS} {comparison.task.unit}s this is no more than a hint."
                if few
                else ""
            )
            shown = "a gain is shown" if is_better(comparison, difference.difference) else "a loss is shown"
            if difference.p_adjusted >= ALPHA:
                shown = "no difference is shown"
            sentences.append(
                f"On {model.units} {group.meaning}, {shown}: the model minus "
                f"{reference_name(comparison)} is {size(comparison, difference)}{reached}.{hint}"
            )
    return sentences


def caveats(comparison: Comparison) -> list[str]:
    """Say what to keep in mind: where the data is from, how fresh the test part is, and what seeds can show."""
    notes = []
    if comparison.source == "synthetic":
        notes.append(
            "The data is generated: it can show that parts work, not what they are worth on real data."
        )
    if comparison.part == "validation":
        notes.append("These are validation figures, and the grid points were chosen on them: they flatter.")
    elif comparison.test_looks > 1:
        notes.append(
            f"This data's test part has been evaluated {comparison.test_looks:,} times so far: each row and seed of "
            "a sweep counts. "
            "Choices that were made after looking at it make its figures optimistic."
        )
    if len(comparison.seeds) < 3:
        one = len(comparison.seeds) == 1
        notes.append(
            f"With {'one seed' if one else f'{len(comparison.seeds)} seeds'}, chance in training is "
            f"{'not' if one else 'hardly'} averaged out; the intervals cover {comparison.task.unit}s only."
        )
    if comparison.model.units < 100:
        stand = "stands" if comparison.model.units == 1 else "stand"
        notes.append(
            f"Only {comparison.task.counted(comparison.model.units)} {stand} behind the main figures."
        )
    if comparison.unknown_traits:
        notes.append(f"For whom personalisation pays cannot be told: {comparison.unknown_traits}.")
    return notes + _copies(comparison)


def listed(names: Sequence[str], most: int = 6) -> str:
    """Write names as a list, the first `most` of them."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def smallest_judged(comparison: Comparison) -> GroupBenefit | None:
    """Return the smallest group of users that is large enough to be judged."""
    judged = [group for group in comparison.benefit if not group.refused]
    return min(judged, key=lambda group: group.users, default=None)


def group_name(group: GroupBenefit) -> str:
    """Name a group inside a sentence: `age 18-24`, `gender F`."""
    return f"{group.trait} {group.value}"


def benefit(comparison: Comparison) -> list[str]:
    """Say for how many groups of users a gain is shown, and for which a loss; small groups are not judged."""
    judged = [group for group in comparison.benefit if not group.refused]
    smallest = smallest_judged(comparison)
    if smallest is None:
        return []
    shown = [group for group in judged if group.difference.p_adjusted < ALPHA]
    better = [group for group in shown if is_better(comparison, group.difference.difference)]
    worse = [group_name(group) for group in shown if group not in better]
    rest = [group_name(group) for group in judged if group not in shown]
    gained = listed([group_name(group) for group in better])
    without = f" ({gained}; not in {listed(rest)})" if better and rest else ""
    refused = len(comparison.benefit) - len(judged)
    small = (
        f"; {refused} further {'group is' if refused == 1 else 'groups are'} too small to judge"
        if refused
        else ""
    )
    loss = f", a loss in {', '.join(worse)}" if worse else ", a loss in none"
    return [
        f"By profile and length of history, a gain over {reference_name(comparison)} is shown in {len(better)} of "
        f"{len(judged)} groups of users{without}{loss}{small}. The smallest group that is judged, "
        f"{group_name(smallest)} ({smallest.users} users): {size(comparison, smallest.difference)}."
    ]


def _ceiling(comparison: Comparison) -> str:
    """Say how much of what knowing the user's truth would bring the model has reached."""
    oracle = comparison.oracle
    if oracle is None or comparison.metric not in oracle.against_baseline:
        return ""
    written = size(comparison, oracle.against_baseline[comparison.metric])
    share = comparison.possible_gain().get(comparison.metric)
    if share is None:
        return (
            f"{oracle.name}, the model that is told the truth, is not shown to be above "
            f"{reference_name(comparison)} ({written}): there is no gain to have a share of."
        )
    return (
        f"It reaches {share * 100:.0f} % of the possible gain: {oracle.name}, the model that is told the truth, "
        f"differs from {reference_name(comparison)} by {written}."
    )


def _copies(comparison: Comparison) -> list[str]:
    """Name the trained rows that score exactly as a rule does, which rules seldom leave to chance."""
    rules = [row for row in comparison.rows if row.role == "trivial" and comparison.metric in row.metrics]
    trained = [row for row in comparison.rows if row.role in ("model", "ablation", "baseline")]
    found = [(row, [rule.name for rule in rules if _same(row, rule)]) for row in trained]
    return [
        f"{row.name} scores exactly as the rule{'s'[: len(same) > 1]} {listed(same)} in every metric that both have: "
        "it may give every unit the same answer."
        for row, same in found
        if same and comparison.metric in row.metrics
    ]


def _same(row: Row, rule: Row) -> bool:
    return all(
        abs(row.metrics[name].mean - rule.metrics[name].mean) < 1e-9
        for name in row.metrics.keys() & rule.metrics.keys()
    )


def _better_without(comparison: Comparison) -> str:
    """Name the ablation that scores better than the model, if one does."""
    better = best_ablation(comparison)
    if better is None:
        return ""
    difference = better.model_minus[comparison.metric]
    if difference.p_adjusted < ALPHA:
        text = f"{better.name} scores better without one of its parts"
    else:
        text = f"{better.name} is level with the model, or better, without one of its parts"
    return f"{text}: the model minus {better.name} is {size(comparison, difference)}."


def _control(comparison: Comparison, row: Row) -> str:
    loss = row.model_minus[comparison.metric]
    gain = comparison.model.against_baseline.get(comparison.metric)
    turned = metric_difference(comparison.task.metrics[comparison.metric], -loss.difference)
    text = f"Under the control {row.name} the model changes by {turned}"
    if gain is None or gain.p_adjusted >= ALPHA or not is_better(comparison, gain.difference):
        return f"{text}."
    over = f"of its gain over {reference_name(comparison)}"
    if loss.p_adjusted >= ALPHA:
        return f"{text}, which may be chance: it is not shown to lose any {over}."
    if not is_better(comparison, loss.difference):
        return f"{text}: it loses nothing {over}."
    share = loss.difference / gain.difference
    if share < 1:
        return f"{text}: it loses {share * 100:.0f} % {over}."
    left = row.against_baseline.get(comparison.metric)
    below = ""
    if left is not None and left.p_adjusted < ALPHA:
        far = metric_difference(
            comparison.task.metrics[comparison.metric], abs(left.difference)
        ).removeprefix("+")
        below = f" and ends {far} {'below' if comparison.mode == 'max' else 'above'} it"
    return f"{text}: it loses all {over}{below}."


def label_of(comparison: Comparison) -> str:
    """Write the objective's name inside a sentence."""
    label = comparison.task.metrics[comparison.metric].label
    return label if label.isupper() or "@" in label else label.lower()
