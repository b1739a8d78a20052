"""What a gate says of a model that is no better than the baseline, whatever p is allowed."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from components.tasks import TASKS
from orchestrator.release.promote import judge
from orchestrator.spec.sweep import Gate


@pytest.mark.parametrize(("difference", "passes"), [(0.02, True), (-0.02, False)])
def test_a_model_that_is_not_better_is_called_so(difference: float, passes: bool) -> None:
    against = {"accuracy": SimpleNamespace(difference=difference, p_adjusted=0.5)}
    model = SimpleNamespace(metrics={}, against_baseline=against)
    comparison = SimpleNamespace(model=model, task=TASKS["recommendation"], baseline="baseline")
    gate = Gate(metric="accuracy", min_difference=-1, max_p_value=1)
    least, p_value = judge(gate, cast(Any, comparison))
    assert least.passed and "not better" not in least.gate
    assert p_value.passed is passes
    assert ("(it is not better: -0.0200)" in p_value.gate) is not passes
