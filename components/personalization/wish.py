"""The style that a user is thought to want, put before a task's model as plainly as if it had been told.

A model that sees only the vector of a user must find the style in it by itself, and finds little; one that is told
the style in half of its training, and the core's guess in the rest, follows either.

Dimensions: N users, H units of the core's user vector, S styles, V vector that steers the task's model.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.personalization.modulation import NeutralLinear

REACH = 4.0
"""Under Adam, how much faster than other weights those are that guess styles."""
DECISION = 3.0
"""Power of the probabilities of styles when an output is made: between two styles lies no style."""
TOLD_SHARE = 0.5
"""Share of the training for which the guess is replaced by the truth."""


class Wish(nn.Module):
    """Guesses the style that a user wants in view of the content, and turns probabilities of styles into a vector."""

    def __init__(self, user_size: int, styles: int, hidden: int) -> None:
        super().__init__()
        self.guess = NeutralLinear(user_size, styles, gain=REACH)
        self.style = nn.Embedding(styles, hidden)

    def logits(self, user: Tensor) -> Tensor:
        """Guess from what the core says of users in view of the content (..., H): logits (..., S)."""
        return self.guess(user)

    def taught(self, logit_NS: Tensor, style_N: Tensor, told_N: Tensor) -> Tensor:
        """What steers in training, (N, V): where it is `told` the truth `style_N`, not -1 there; else the guess."""
        guess_NS = logit_NS.softmax(-1)
        truth_NS = F.one_hot(style_N, guess_NS.shape[-1]).to(guess_NS.dtype)
        return torch.where(told_N[:, None], truth_NS, guess_NS) @ self.style.weight

    def decided(self, logit: Tensor) -> Tensor:
        """What steers when an output is made, (..., V): the likeliest style stands out."""
        return (DECISION * logit).softmax(-1) @ self.style.weight
