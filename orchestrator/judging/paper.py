"""What the paper reports of a task beside what a sweep measured: its table of results and its table of ablations.

The numbers that are claimed are data of the task (`TaskInfo.claims`); nothing here knows what they are about.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from components.tasks import Metric
from components.tasks.claims import Claim
from orchestrator.judging.comparison import ALPHA, Comparison, Difference, Interval, Row, numbers

EXPECTATION = (
    "The paper's absolute numbers come from other data, other users and perhaps pretrained models. "
    "Do not expect to meet them: compare the direction, the relative size and the certainty of the differences."
)


@dataclass(frozen=True)
class Result:
    """One line of the main results: model and baseline here, and as claimed."""

    metric: Metric
    claim: Claim
    model: Interval | None
    baseline: Interval | None
    gain: Difference | None
    """The model minus the baseline, as measured here."""

    @property
    def claimed_gain(self) -> float:
        """The model minus the baseline, as claimed."""
        return self.claim.model - self.claim.baseline

    def to_json(self) -> dict[str, Any]:
        """Return the line for `compare --json`."""
        return {
            "metric": self.claim.metric,
            "model": self.model.mean if self.model else None,
            "baseline": self.baseline.mean if self.baseline else None,
            "gain": numbers(self.gain) if self.gain else None,
            "paper": {
                "model": self.claim.model,
                "baseline": self.claim.baseline,
                "gain": self.claimed_gain,
                "significance": self.claim.significance,
            },
        }


@dataclass(frozen=True)
class Part:
    """One line of the ablations: a row, what the model loses with it, and what is claimed of both."""

    row: Row
    value: Interval
    drop: Difference | None
    """The model minus the row, as measured here; None for the model."""
    share: float | None
    """The drop as a share of the model's gain over the baseline, if there is a gain."""
    claimed: float | None
    claimed_drop: float | None
    claimed_share: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the line for `compare --json`."""
        return {
            "row": self.row.name,
            "value": self.value.mean,
            "drop": numbers(self.drop) if self.drop else None,
            "share_of_gain": self.share,
            "paper": {
                "value": self.claimed,
                "drop": self.claimed_drop,
                "share_of_gain": self.claimed_share,
            },
        }


Order = Literal["shown", "seen", "open", "contradicted"]


@dataclass(frozen=True)
class Parts:
    """The ablations on one metric."""

    name: str
    metric: Metric
    claim: Claim
    lines: Sequence[Part]

    def order(self, comparison: Comparison, ablation: str) -> Order | None:
        """How the claimed order, model above ablation above baseline, stands here; None without such a row.

        Shown if both differences are significant, seen if only their signs are right, contradicted if one is
        significant the other way, open where one goes the other way and that may be chance.
        """
        row = comparison.row(ablation)
        if row is None or self.name not in row.model_minus or self.name not in row.against_baseline:
            return None
        sign = 1 if self.metric.mode == "max" else -1
        steps = [row.model_minus[self.name], row.against_baseline[self.name]]
        against = [step for step in steps if sign * step.difference <= 0]
        if against:
            return "contradicted" if any(step.p_adjusted < ALPHA for step in against) else "open"
        return "shown" if all(step.p_adjusted < ALPHA for step in steps) else "seen"

    def sentences(self, comparison: Comparison) -> list[str]:
        """Say how each claimed order stands."""
        said: dict[Order, str] = {
            "shown": "holds here, both steps with adjusted p < .05",
            "seen": "is seen here, but not both steps are significant",
            "open": "is not seen here; that may be chance",
            "contradicted": "does not hold here",
        }
        found = [(name, self.order(comparison, name)) for name in self.claim.ablations]
        return [
            f"The order that the paper reports in {self.metric.label}, the model above {name} above "
            f"{comparison.baseline}, {said[order]}."
            for name, order in found
            if order is not None
        ]


@dataclass(frozen=True)
class PaperTables:
    """A sweep's results laid beside the paper's."""

    source: str
    data: str
    note: str
    expectation: str
    results: Sequence[Result]
    parts: Sequence[Parts]
    sentences: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """Return the tables for `compare --json`."""
        return {
            "source": self.source,
            "data": self.data,
            "note": self.note,
            "results": [result.to_json() for result in self.results],
            "ablations": {parts.name: [line.to_json() for line in parts.lines] for parts in self.parts},
            "sentences": list(self.sentences),
        }


def paper_tables(comparison: Comparison) -> PaperTables | None:
    """Lay a comparison beside what is claimed of its task; None where nothing is claimed of such data."""
    claims = comparison.task.claims
    if claims is None or comparison.source not in claims.sources:
        return None
    results = [_result(comparison, claim) for claim in claims.rows]
    parts = [_parts(comparison, claim) for claim in claims.rows if claim.ablations]
    parts = [one for one in parts if len(one.lines) > 1]
    sentences = [sentence for one in parts for sentence in one.sentences(comparison)]
    return PaperTables(claims.source, claims.data, claims.note, EXPECTATION, results, parts, sentences)


def _result(comparison: Comparison, claim: Claim) -> Result:
    baseline = comparison.row(comparison.baseline)
    return Result(
        metric=comparison.task.metrics[claim.metric],
        claim=claim,
        model=comparison.model.metrics.get(claim.metric),
        baseline=baseline.metrics.get(claim.metric) if baseline else None,
        gain=comparison.model.against_baseline.get(claim.metric),
    )


def _parts(comparison: Comparison, claim: Claim) -> Parts:
    gain = comparison.model.against_baseline.get(claim.metric)
    claimed_gain = claim.model - claim.baseline
    lines = []
    for row in comparison.rows:
        if row.role not in ("model", "ablation", "baseline") or claim.metric not in row.metrics:
            continue
        drop = row.model_minus.get(claim.metric)
        known = {"model": claim.model, "baseline": claim.baseline}.get(
            row.role, claim.ablations.get(row.name)
        )
        claimed_drop = claim.model - known if known is not None and row.role != "model" else None
        share = _share(comparison, claim.metric, drop, gain) if row.role == "ablation" else None
        lines.append(
            Part(
                row=row,
                value=row.metrics[claim.metric],
                drop=drop,
                share=share,
                claimed=known,
                claimed_drop=claimed_drop,
                claimed_share=claimed_drop / claimed_gain
                if claimed_drop is not None and row.role == "ablation"
                else None,
            )
        )
    return Parts(claim.metric, comparison.task.metrics[claim.metric], claim, lines)


def _share(
    comparison: Comparison, name: str, drop: Difference | None, gain: Difference | None
) -> float | None:
    sign = 1 if comparison.task.metrics[name].mode == "max" else -1
    if drop is None or gain is None or gain.p_adjusted >= ALPHA or sign * gain.difference <= 0:
        return None
    return drop.difference / gain.difference
