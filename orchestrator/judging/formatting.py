"""How numbers are written for a reader: percents and points, intervals, p-values."""

from collections.abc import Mapping
from math import isfinite, isnan
from typing import Any

from components.tasks import Metric
from orchestrator.judging.comparison import ALPHA, Difference, Interval

MISSING = "–"  # noqa: RUF001 (a dash that stands for no number)


def metric_value(metric: Metric, value: float | None) -> str:
    """Write one value: `69.9 %`, or `0.182`."""
    if value is None or isnan(value):
        return MISSING
    return f"{value * 100:.1f} %" if metric.percent else f"{value:.3f}"


def metric_interval(metric: Metric, interval: Interval) -> str:
    """Write the interval alone: `[68.7, 71.0]`."""
    return _bracket(metric, interval.low, interval.high, "")


def metric_difference(metric: Metric, value: float) -> str:
    """Write a signed difference: `+1.2 points` of a percentage, or `+0.012`."""
    if isnan(value):
        return MISSING
    value = round(value * 100, 1) if metric.percent else round(value, 3)
    value = value or 0.0  # never "-0.0"
    return f"{value:+.1f} points" if metric.percent else f"{value:+.3f}"


def difference_interval(metric: Metric, difference: Difference) -> str:
    """Write a difference's interval alone, signed: `[+0.3, +2.1]`."""
    return _bracket(metric, difference.low, difference.high, "+")


def with_interval(value: str, interval: str) -> str:
    """Write a value and its interval, which a single unit does not have: `69.9 % [68.7, 71.0]`."""
    return f"{value} {interval}" if interval else value


def effect_size(value: float) -> str:
    """Write an effect size: `+0.76`."""
    return MISSING if isnan(value) else f"{round(value, 2) or 0.0:+.2f}"  # never "-0.00"


def detectable(metric: Metric, difference: Difference) -> str:
    """Write the smallest difference that a comparison could have seen, `0.8 points`; empty where it has seen one."""
    if difference.p_adjusted < ALPHA or isnan(difference.detectable):
        return ""
    if not isfinite(difference.detectable):
        return "none"
    return metric_difference(metric, difference.detectable).removeprefix("+")


def p_value(value: float) -> str:
    """Write a p-value: `.012`, or `< .001`."""
    if isnan(value):
        return MISSING
    return "< .001" if value < 0.001 else f"{value:.3f}".removeprefix("0")


def p_statement(value: float) -> str:
    """Write a p-value as part of a sentence: `p = .012`, or `p < .001`."""
    written = p_value(value)
    return f"p {written}" if written.startswith("<") else f"p = {written}"


def count(value: int | None) -> str:
    """Write a count with thousands marked."""
    return MISSING if value is None else f"{value:,}"


def history_label(history: int) -> str:
    """Name a history length."""
    return "full" if history < 0 else str(history)


def axis_tick(metric: Metric, value: float, sign: str = "") -> str:
    """Write a value at an axis: percentages without their sign, `sign` "+" for differences."""
    if value == 0:
        return "0"
    return f"{value * 100:{sign}g}" if metric.percent else f"{value:{sign}g}"


def share(value: float | None) -> str:
    """Write a share of something as a whole percentage."""
    return MISSING if value is None or isnan(value) else f"{round(value * 100) + 0:d} %"


def duration(seconds: float | None) -> str:
    """Write a time span."""
    if seconds is None:
        return MISSING
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def short_time(seconds: float) -> str:
    """Write a time span of which tenths of a second may matter."""
    return f"{seconds:.1f} s" if seconds < 10 else duration(seconds)


def memory(size: float | None) -> str:
    """Write an amount of memory, given in bytes."""
    if size is None:
        return MISSING
    return f"{size / 1e6:,.0f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"


def hours(seconds: float | None) -> str:
    """Write a time in hours, as processor time is counted."""
    if seconds is None:
        return MISSING
    value = seconds / 3600
    return f"{value:.3f} h" if value < 0.1 else f"{value:.2f} h" if value < 10 else f"{value:,.0f} h"


def plain_value(value: Any) -> str:
    """Write any value: lists with commas, mappings as `name value`."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {plain_value(one)}" for name, one in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(plain_value(one) for one in value)
    if value is None or value == "":
        return MISSING
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _bracket(metric: Metric, low: float, high: float, sign: str) -> str:
    if isnan(low) or isnan(high):
        return ""
    if metric.percent:
        return f"[{low * 100:{sign}.1f}, {high * 100:{sign}.1f}]"
    return f"[{low:{sign}.3f}, {high:{sign}.3f}]"
