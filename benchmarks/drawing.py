"""What all kinds of random cases of secure evaluation share."""

import numpy as np
from numpy.typing import NDArray

MARGIN = 1e-3
"""How far scores of ordinary cases are from a tie: more than what rounding entries to 2**-17 makes of a score."""

Generator = np.random.Generator
Floats = NDArray[np.float64]


def holders(generator: Generator, parties: int, rows: int) -> NDArray[np.int64]:
    """Give each of `rows` to a party; any but one may get none."""
    some = generator.choice(parties, generator.integers(1, parties, endpoint=True), replace=False)
    return generator.choice(some, rows)
