"""Beam search with guidance: what this user would be told of this picture, and more so than anybody of anything.

Classifier-free guidance (Ho and Salimans, 2022) on the next word: the difference between log p(word | user, picture)
and log p(word | nobody, no picture) counts several times. Hypotheses are compared by their log-probability divided by
a power of their length.

Dimensions: B pictures, Q captions of each, K beams, W vocabulary.
"""

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from components.tasks.captioning.vocabulary import BEGIN, END, FIRST_WORD, PADDING

IMPOSSIBLE = -1e9
PLAUSIBLE = 0.05


class Written(NamedTuple):
    """The best caption of each search."""

    word_BQT: Tensor
    """Numbers of words, padded at the end; the end itself is left out."""
    score_BQ: Tensor
    """Log-probability a word, with guidance and length normalisation."""


class Writer(Protocol):
    """What beam search drives: hypotheses (B, Q, K) that grow by a word at a time."""

    def step(self, word_BQK: Tensor, parent_BQK: Tensor | None) -> Tensor:
        """Log-probabilities (B, Q, K, W) of the next words, after taking over the state of each one's parent."""


def beam_search(
    writer: Writer,
    shape: tuple[int, int],
    beam: int,
    length_penalty: float,
    most_words: int,
    device: torch.device,
) -> Written:
    """Write (B, Q) captions of at most `most_words` words each; `length_penalty` is the power of their length."""
    batch, captions = shape
    word = torch.full((batch, captions, beam), BEGIN, device=device)
    parent: Tensor | None = None
    # At first all beams are the same: only one of them counts.
    total = torch.full((batch, captions, beam), IMPOSSIBLE, device=device)
    total[..., 0] = 0
    text = torch.full((batch, captions, beam, most_words), PADDING, device=device)
    best = torch.full((batch, captions), IMPOSSIBLE, device=device)
    best_text = text[:, :, 0].clone()
    for step in range(most_words + 1):
        log_BQKW = writer.step(word, parent)
        length = float(step + 1) ** length_penalty
        ended = (total + log_BQKW[..., END]) / length
        score, which = ended.max(dim=-1)
        better = score > best
        best = torch.where(better, score, best)
        chosen = text.gather(2, which[..., None, None].expand(-1, -1, 1, most_words))[:, :, 0]
        best_text = torch.where(better[..., None], chosen, best_text)
        if step == most_words:
            break
        going_on = (total[..., None] + log_BQKW)[..., FIRST_WORD:]
        total, flat = going_on.flatten(2).topk(beam, dim=-1)
        parent, word = flat // going_on.shape[-1], flat % going_on.shape[-1] + FIRST_WORD
        text = text.gather(2, parent[..., None].expand(-1, -1, -1, most_words))
        text[..., step] = word
        # No continuation can have a higher total than now, whatever its length.
        if bool((best >= total[..., 0] / float(most_words + 1) ** length_penalty).all()):
            break
    return Written(best_text, best)


def guided(log_user: Tensor, log_nobody: Tensor, guidance: float) -> Tensor:
    """Log-probabilities (..., W) of the next word under guidance (1 is none), among words plausible for the user.

    A word is plausible with at least the share `PLAUSIBLE` of the likeliest word's probability (Li et al.,
    Contrastive Decoding, ACL 2023).
    """
    combined = log_nobody + guidance * (log_user - log_nobody)
    threshold = log_user.amax(-1, keepdim=True) + math.log(PLAUSIBLE)
    return combined.masked_fill(log_user < threshold, IMPOSSIBLE).log_softmax(-1)
