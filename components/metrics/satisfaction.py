"""Simulated satisfaction: what a user with a known preference would say of an answer, on a scale from 1 to 5.

The zone of tolerance of service research (Zeithaml, Berry and Parasuraman, The nature and determinants of customer
expectations of service, JAMS 1993): below an adequate level a user is not satisfied at all, above the desired level
wholly, and between the two the more the closer. Nobody was asked: it restates on the scale of a rating how near an
output comes to what the simulated user wanted.

In question answering, nearness is F1 against the wanted answer. In captioning it is what a rubric of three yes/no
checks gives: 0 unless the caption names what people name in the picture, else the share that holds of: it is in the
preferred style, it is as long as captions in that style are.
"""

import numpy as np
from numpy.typing import NDArray

ADEQUATE, DESIRED = 0.25, 0.9
"""Levels of nearness, from 0 to 1, to what the user wanted."""


def satisfaction(nearness: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the satisfaction of users whose outputs come this near (0 to 1) to the ones they wanted."""
    return 1 + 4 * np.clip((nearness - ADEQUATE) / (DESIRED - ADEQUATE), 0, 1)
