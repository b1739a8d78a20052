import json

import numpy as np
import pytest

from benchmarks import statistics_checks as checks
from benchmarks.simulated_users import SHAPES, draw_values


def test_a_small_round_of_checks_holds():
    found = [*checks.scipy_checks(4), *checks.null_checks(50), *checks.power_checks(50)]
    assert len(found) >= 13
    assert not [str(check) for check in found if not check.holds]


def test_a_broken_promise_is_noticed():
    happened = np.arange(1000) < 80
    assert not checks.rate_check("p", happened, 0.05).holds
    assert checks.rate_check("p", happened, 0.08).holds
    assert checks.rate_check("p", happened, 0.2, at_most=True).holds
    assert str(checks.rate_check("p", happened, 0.05)).startswith("FAILS p, 5% is right: 0.08")


def test_rows_that_differ_are_judged_different():
    found = checks.judged(SHAPES[0], 4, rows=2, seed=0, shift=0.2)
    assert found["p_adjusted"].shape == (4, 2)
    assert (found["p_adjusted"][:, 0] < 0.001).all()
    assert (found["p_adjusted"][:, 1] > 0.01).all()


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_simulated_values_have_the_mean_that_they_say(shape):
    value = draw_values(shape, np.random.default_rng(0), 20_000, 1, 2, 2)
    assert value.shape == (20_000, 1, 2, 2)
    assert value.mean() == pytest.approx(shape.mean, abs=0.01)


def test_the_exit_code_tells(monkeypatch, capsys):
    for found, code in ((0.5, 0), (1.5, 1)):
        monkeypatch.setattr(
            checks, "all_checks", lambda n, found=found: iter([checks.Check("x", found, 0, 1)])
        )
        with pytest.raises(SystemExit) as ended:
            checks.main(["--json"])
        assert int(ended.value.code) == code
        assert json.loads(capsys.readouterr().out)[0]["holds"] is (code == 0)


@pytest.mark.slow
def test_all_checks_hold():
    assert not [str(check) for check in checks.all_checks(1000) if not check.holds]
