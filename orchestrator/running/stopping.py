"""When a training is ended early for being worse than others: asynchronous successive halving, or the median rule.

- ASHA, in the form that stops and never pauses: Li et al., "A system for massively parallel hyperparameter tuning"
  (MLSys 2020), as Ray Tune's `ASHAScheduler` has it.
- The median rule: Golovin et al., "Google Vizier" (KDD 2017), section 3.2, as Ray Tune's `MedianStoppingRule` has it.

What is decided depends on who came first, so each decision is recorded and never taken back. What earlier runs of the
sweep have reached is known from the ledger and the learning curves, so that a resumed sweep compares with all of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean, median

import numpy as np

from orchestrator.planning.plan import PlannedTrial
from orchestrator.records.ledger import Ledger, Stop
from orchestrator.records.workspace import Workspace, read_curve
from orchestrator.running.jobs import Progress, TrainJob
from orchestrator.spec.search import AshaStopping, MedianStopping, StopSettings
from orchestrator.spec.sweep import Objective

Curve = dict[int, float]
"""The objective after each epoch; with `mode: min` negated, so that more is better."""


@dataclass(frozen=True)
class Halt:
    """Why and where a training was ended early."""

    reason: str
    stop: Stop


@dataclass
class Stopping:
    """Judges trainings as they report; those of the model and of the baseline are compared among themselves."""

    settings: StopSettings
    objective: Objective
    _rows: dict[str, dict[str, Curve]] = field(default_factory=dict)

    def know(self, trials: Iterable[PlannedTrial], ledger: Ledger, workspace: Workspace, code: str) -> None:
        """Take in how far these trials came in earlier runs, under this state of the code."""
        trials = list(trials)
        ids = [trial.id for trial in trials]
        rows, stops = ledger.trials(ids), ledger.stops(ids)
        for trial in trials:
            row, curves = rows.get(trial.id), self._rows.setdefault(trial.name, {})
            if row is None or row.validity != code or trial.id in curves:
                continue
            if row.state == "stopped" and trial.id in stops:
                curves[trial.id] = self._signed(dict(enumerate(stops[trial.id].curve, start=1)))
                continue
            folder = (
                workspace.trial(trial.id) if row.state == "finished" else workspace.run(trial.run_id, code)
            )
            curves[trial.id] = self._signed(
                {
                    point["epoch"]: point["metrics"][self.objective.metric]
                    for point in read_curve(folder)
                    if self.objective.metric in point["metrics"]
                }
            )

    def judge(self, job: TrainJob, progress: Progress) -> Halt | None:
        """Note what a training has reached; return why it must end, if it must."""
        value = (progress.metrics or {}).get(self.objective.metric)
        if not job.may_stop or value is None:
            return None
        mine, curves = job.readings[-1].trial_id, self._rows.setdefault(job.name, {})
        curve = curves.setdefault(mine, {})
        curve.update(self._signed({progress.epoch: value}))
        if progress.epoch >= job.epochs:
            return None
        others = [each for trial_id, each in curves.items() if trial_id != mine]
        match self.settings:
            case AshaStopping():
                missed = asha(self.settings, curve, others, progress.epoch)
            case MedianStopping():
                missed = median_rule(self.settings, curve, others, progress.epoch)
        if missed is None:
            return None
        reason = (
            f"stopped after epoch {progress.epoch} of {job.epochs}: {self.objective.metric} "
            f"{self._sign * missed.value:.4f} is worse than {self._sign * missed.limit:.4f}, {missed.whose}"
        )
        values = [self._sign * curve[epoch] for epoch in sorted(curve) if epoch <= progress.epoch]
        return Halt(reason, Stop(self.settings.model_dump(mode="json"), progress.epoch, values))

    @property
    def _sign(self) -> int:
        return 1 if self.objective.mode == "max" else -1

    def _signed(self, values: Mapping[int, float]) -> Curve:
        return {epoch: self._sign * value for epoch, value in values.items()}


@dataclass(frozen=True)
class Missed:
    """What a training should have reached and did not; more is better."""

    value: float
    limit: float
    whose: str
    """Who reached the limit."""


def asha(settings: AshaStopping, mine: Curve, others: Iterable[Curve], epoch: int) -> Missed | None:
    """Return what is missed by not being in the best `1 / reduction_factor` of those that came this far before.

    Looks only at epochs `grace_period` times a power of `reduction_factor`.
    """
    rung = settings.grace_period
    while rung < epoch:
        rung *= settings.reduction_factor
    reached = [curve[epoch] for curve in others if epoch in curve]
    if rung != epoch or not reached:
        return None
    limit = float(np.percentile(reached, (1 - 1 / settings.reduction_factor) * 100))
    whose = f"which the best 1 in {settings.reduction_factor} of {len(reached)} others had reached"
    return Missed(mine[epoch], limit, whose) if mine[epoch] < limit else None


def median_rule(settings: MedianStopping, mine: Curve, others: Iterable[Curve], epoch: int) -> Missed | None:
    """Return what is missed by a best value below the median of the others' means from `grace_period` to `epoch`."""
    first = settings.grace_period
    if epoch < first:
        return None
    reached = [curve for curve in others if epoch in curve]
    means = [fmean(value for at, value in curve.items() if first <= at <= epoch) for curve in reached]
    if len(means) < settings.min_samples_required:
        return None
    best = max(value for at, value in mine.items() if at <= epoch)
    limit = median(means)
    return Missed(best, limit, f"the median of the means of {len(means)} others") if best < limit else None
