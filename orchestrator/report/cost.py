"""What a sweep cost: by phase, by row, by training. The template only lays this out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.judging import formatting as write
from orchestrator.judging.comparison import Comparison
from orchestrator.judging.verdict import reference_name
from orchestrator.records.costs import Training
from orchestrator.records.spent import Spent
from orchestrator.report.data import Cost, ReportData
from orchestrator.spec.points import setting, short_names
from orchestrator.spec.problems import counted


@dataclass(frozen=True)
class RowCost:
    """What the trainings of one row took."""

    name: str
    role: str
    trainings: int
    epochs: int
    spent: Spent
    parameters: int | None

    @property
    def training(self) -> float:
        """Mean seconds a training."""
        return self.spent.seconds / self.trainings

    @property
    def epoch(self) -> float:
        """Mean seconds an epoch."""
        return self.spent.seconds / max(1, self.epochs)


@dataclass(frozen=True)
class CostView:
    """The section on cost."""

    sentences: Sequence[str]
    phases: Sequence[Cost]
    together: Cost
    rows: Sequence[RowCost]
    settings: Sequence[str]
    """What tells trainings of a row apart, beside the seed."""
    trainings: Sequence[tuple[Training, Sequence[str]]]
    """The longest first, each with its settings."""
    per_training: str
    """Shortest, middle and longest training, as a sentence; empty without trainings."""


def cost(report: ReportData) -> CostView | None:
    """Lay out what the sweep took; None where nothing is known of it."""
    if not report.costs:
        return None
    together = Cost(
        "together",
        sum(one.trials for one in report.costs),
        sum(one.runs for one in report.costs),
        sum(one.epochs for one in report.costs),
        Spent.in_all(one.spent for one in report.costs if one.trials),
    )
    rows = _rows(report.comparison, report.trainings)
    paths = list(dict.fromkeys(path for point in report.points for path in point))
    names = short_names(paths)
    listed = sorted(report.trainings, key=lambda one: -one.spent.seconds)
    return CostView(
        sentences=[*_whole(together), *_beside_the_baseline(report.comparison, rows)],
        phases=report.costs,
        together=together,
        rows=rows,
        settings=names,
        trainings=[(one, [setting(one.point.get(path)) for path in paths]) for one in listed],
        per_training=_spread(listed),
    )


def _rows(comparison: Comparison, trainings: Sequence[Training]) -> list[RowCost]:
    by_row: dict[str, list[Training]] = {}
    for one in trainings:
        by_row.setdefault(one.row, []).append(one)
    known: Mapping[str, tuple[str, int | None]] = {
        row.name: (row.role, row.parameters) for row in comparison.rows
    }
    order = {row.name: place for place, row in enumerate(comparison.rows)}
    return [
        RowCost(
            name,
            known.get(name, ("ablation", None))[0],
            len(group),
            sum(one.epochs for one in group),
            Spent.in_all(one.spent for one in group),
            known.get(name, ("", None))[1],
        )
        for name, group in sorted(by_row.items(), key=lambda item: order.get(item[0], len(order)))
    ]


def _whole(together: Cost) -> list[str]:
    spent = together.spent
    sentences = []
    if spent.cpu_seconds is not None:
        sentences.append(
            f"All of it took {write.hours(spent.cpu_seconds)} of processor time, and "
            f"{write.duration(spent.seconds)} if one worker had done it all."
        )
    else:
        sentences.append(
            f"All of it took {write.duration(spent.seconds)} of one worker. Processor time and memory are "
            "not known of every part: an older version ran it, or its files are gone."
        )
    if spent.peak_memory is not None:
        sentences.append(
            f"No worker held more than {write.memory(spent.peak_memory)} at once, libraries and mapped data included."
        )
    return sentences


def _beside_the_baseline(comparison: Comparison, rows: Sequence[RowCost]) -> list[str]:
    model = next((row for row in rows if row.role == "model"), None)
    baseline = next((row for row in rows if row.name == comparison.baseline), None)
    if model is None or baseline is None or not baseline.epoch:
        return []
    return [
        f"An epoch of the model took {write.short_time(model.epoch)}, {model.epoch / baseline.epoch:.1f} times as "
        f"long as one of {reference_name(comparison)} ({write.short_time(baseline.epoch)})."
    ]


def _spread(trainings: Sequence[Training]) -> str:
    if not trainings:
        return ""
    seconds = sorted(one.spent.seconds for one in trainings)
    middle = seconds[len(seconds) // 2]
    times = [write.short_time(one) for one in (seconds[0], middle, seconds[-1])]
    return (
        f"{counted(len(seconds), 'training')}: the shortest took {times[0]}, the middle one {times[1]}, "
        f"the longest {times[2]}."
    )
