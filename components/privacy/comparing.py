"""Whether secret numbers of users are large enough, computed on shares: only the answers are ever opened.

G groups, M measures, C cells (see `components.privacy.cohorts`).
"""

import torch

from components.privacy.scoring import Scorer


def sufficient(scorer: Scorer, standing: torch.Tensor, least: int, barring: torch.Tensor) -> torch.Tensor:
    """Return shares, [G, M], of 1 for each measure that at least `least` users stand behind and no cell bars.

    `standing` [G, M + C] is a share of the numbers of users; a cell bars the measures that `barring` [M, C] marks
    where it holds some users, and fewer than `least`.
    """
    measures = len(barring)
    reached = scorer.at_least(standing, least)
    some = scorer.at_least(standing[:, measures:], 1)
    small = some - reached[:, measures:]
    return scorer.at_least(reached[:, :measures] - small @ barring.T, 1)
