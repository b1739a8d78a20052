import numpy as np
import pytest

from components.metrics.satisfaction import ADEQUATE, DESIRED, satisfaction


def test_zone_of_tolerance():
    levels = np.array([0, ADEQUATE, (ADEQUATE + DESIRED) / 2, DESIRED, 1])
    assert satisfaction(levels) == pytest.approx([1, 1, 3, 5, 5])
    rising = satisfaction(np.linspace(0, 1, 50))
    assert (np.diff(rising) >= 0).all() and rising.min() == 1 and rising.max() == 5
