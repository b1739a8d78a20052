"""Simulated satisfaction: what a user with a known preference would say of an answer, on a scale from 1 to 5.

The zone of tolerance of service research (Zeithaml, Berry and Parasuraman, The nature and determinants of customer
expectations of service, JAMS 1993): below an adequate level a user is not satisfied at all, above the desired level
wholly, and between the two the more the closer. Nobody was asked: it restates F1 against what the simulated user
wanted on the scale of a rating.
"""

import numpy as np
from numpy.typing import NDArray

ADEQUATE, DESIRED = 0.25, 0.9
"""Levels of F1 between an answer and the one that the user wanted."""


def satisfaction(f1: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the satisfaction of users whose answers reach `f1` (0 to 1) against the ones they wanted."""
    return 1 + 4 * np.clip((f1 - ADEQUATE) / (DESIRED - ADEQUATE), 0, 1)
