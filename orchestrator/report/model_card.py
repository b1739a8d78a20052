"""The model card of a promoted version, in words that follow from the facts. The template only lays this out."""

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.judging import formatting as write
from orchestrator.judging.comparison import ALPHA, Comparison
from orchestrator.judging.verdict import group_name, is_better, label_of, listed, reference_name, size
from orchestrator.release.card import Card


@dataclass(frozen=True)
class CardView:
    """One version's card."""

    card: Card
    facts: Sequence[tuple[str, str]]
    metrics: Sequence[tuple[str, str, str]]
    """Label, value on validation and value on test with its interval, of this very model."""
    uses: Sequence[str]
    limits: Sequence[str]
    serve: Sequence[str]
    """Commands."""


def model_card(comparison: Comparison, card: Card) -> CardView:
    """Write the card of a version that was promoted from the sweep of `comparison`."""
    return CardView(
        card, _facts(comparison, card), _metrics(comparison, card), _uses(comparison), _limits(comparison, card),
        _serve(comparison, card),
    )  # fmt: skip


def _facts(comparison: Comparison, card: Card) -> list[tuple[str, str]]:
    environment = card.environment
    packages = environment.get("packages") or {}
    return [
        ("version", card.version),
        ("aliases", ", ".join(card.aliases) or "none: nothing that serves by alias answers with it"),
        ("promoted", card.created),
        ("task", comparison.task.name),
        ("made by", f"sweep {comparison.sweep}, trial {card.trial}, seed {card.seed}"),
        ("data", f"{comparison.source} {card.data_digest}".strip()),
        ("parameters", write.count(card.parameters)),
        ("code", str(environment.get("commit") or "not a git checkout")),
        (
            "trained with",
            write.plain_value({key: packages[key] for key in ("adaptune", "torch") if key in packages}),
        ),
        ("contents", f"digest {card.digest}"),
    ]


def _metrics(comparison: Comparison, card: Card) -> list[tuple[str, str, str]]:
    lines = []
    for name, metric in comparison.task.metrics.items():
        test = card.test.get(name)
        if name not in card.validation and (test is None or test.mean != test.mean):
            continue
        written = write.MISSING
        if test is not None:
            mean, interval = write.metric_value(metric, test.mean), write.metric_interval(metric, test)
            written = write.with_interval(mean, interval)
        lines.append((metric.label, write.metric_value(metric, card.validation.get(name)), written))
    return lines


def _uses(comparison: Comparison) -> list[str]:
    groups = " and ".join(
        f"{row.units} {group.meaning}"
        for name, group in comparison.task.groups.items()
        if (row := comparison.row(comparison.model.name, (name, comparison.main[1]))) is not None
    )
    return [
        f"To {comparison.task.servable} for users like those of its data. It follows each user event by event: what "
        "a user does moves what this user is given next, and no weights are updated.",
        f"It was measured on {groups}.",
    ]


def _limits(comparison: Comparison, card: Card) -> list[str]:
    limits = []
    if not card.of_winner:
        limits.append(
            "The sweep has another winner since: what else this page shows is not about this version."
        )
    limits.append(
        f"Everything is known from one data set ({comparison.source or 'the one above'}), and from its own later "
        "part: of other users, other contents and other times nothing is."
    )
    limits += [_unshown_gain(comparison), *_without_gain(comparison), _unheard_of(comparison)]
    limits.append(
        "Its folder in the registry holds the users of its data and all their events, so that known users are known "
        f"when it serves. `adaptune export {card.version} --out FOLDER` makes a copy without them."
    )
    return [limit for limit in limits if limit]


def _unshown_gain(comparison: Comparison) -> str:
    gain = comparison.model.against_baseline.get(comparison.metric)
    if gain is None or (gain.p_adjusted < ALPHA and is_better(comparison, gain.difference)):
        return ""
    return f"It is not shown to be better than {reference_name(comparison)}: {size(comparison, gain)}."


def _without_gain(comparison: Comparison) -> list[str]:
    """Name the users for whom no gain is shown, whom it makes worse, and who are too few to judge."""
    limits = []
    history = comparison.main[1]
    for name, group in comparison.task.groups.items():
        row = comparison.row(comparison.model.name, (name, history))
        gain = row.against_baseline.get(comparison.metric) if row is not None else None
        if name == comparison.main[0] or gain is None:
            continue
        if gain.p_adjusted >= ALPHA or not is_better(comparison, gain.difference):
            limits.append(
                f"For {group.title} no gain over {reference_name(comparison)} is shown ({size(comparison, gain)})."
            )
    judged = [group for group in comparison.benefit if not group.refused]
    shown = [group for group in judged if group.difference.p_adjusted < ALPHA]
    worse = [group_name(g) for g in shown if not is_better(comparison, g.difference.difference)]
    silent = [group_name(group) for group in judged if group not in shown]
    small = [group_name(group) for group in comparison.benefit if group.refused]
    if worse:
        limits.append(f"It is worse than {reference_name(comparison)} for {listed(worse)}.")
    if silent:
        limits.append(f"No gain in {label_of(comparison)} is shown for {listed(silent)}.")
    if small:
        limits.append(f"Too few to judge are {listed(small)}.")
    return limits


def _unheard_of(comparison: Comparison) -> str:
    """Say what is known of users without any history."""
    row = comparison.row(comparison.model.name, (comparison.main[0], 0))
    gain = row.against_baseline.get(comparison.metric) if row is not None else None
    if gain is None:
        return ""
    if gain.p_adjusted < ALPHA and is_better(comparison, gain.difference):
        return ""
    if gain.p_adjusted < ALPHA:
        return f"For users without any events it loses to {reference_name(comparison)}: {size(comparison, gain)}."
    return f"For users without any events no gain is shown ({size(comparison, gain)})."


def _serve(comparison: Comparison, card: Card) -> list[str]:
    alias = next(iter(card.aliases), None)
    if alias is None:
        return [f"adaptune promote {comparison.sweep}"]
    option = "" if alias == "champion" else f" --alias {alias}"
    return [f"adaptune serve --task {comparison.task.name}{option}"]
