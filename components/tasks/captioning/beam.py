"""Beam search with guidance: what this user would be told of this picture, and more so than anybody of anything.

Classifier-free guidance (Ho and Salimans, 2022) on the next word: the difference between log p(word | user, picture)
and log p(word | nobody, no picture) counts several times. Hypotheses are compared by their log-probability divided by
a power of their length.

Dimensions: B pictures, Q captions of each, K beams, W vocabulary, C words that come into question.
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


class Following(NamedTuple):
    """Words that come into question after some hypotheses; all others are impossible."""

    log_BQKC: Tensor
    """Log-probabilities."""
    word_C: Tensor
    """Their numbers; the end is among them, and a word."""


class Writer(Protocol):
    """What beam search drives: hypotheses (B, Q, K) that grow by a word at a time."""

    def step(self, word_BQK: Tensor, parent_BQK: Tensor | None) -> Following:
        """Say what may come next, after taking over the state of each one's parent."""


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
        log_BQKC, word_C = writer.step(word, parent)
        length = float(step + 1) ** length_penalty
        ended = (total + log_BQKC[..., word_C == END].squeeze(-1)) / length
        score, which = ended.max(dim=-1)
        better = score > best
        best = torch.where(better, score, best)
        chosen = text.gather(2, which[..., None, None].expand(-1, -1, 1, most_words))[:, :, 0]
        best_text = torch.where(better[..., None], chosen, best_text)
        if step == most_words:
            break
        proper = word_C >= FIRST_WORD
        going_on = total[..., None] + log_BQKC[..., proper]
        total, flat = going_on.flatten(2).topk(beam, dim=-1)
        parent, word = flat // going_on.shape[-1], word_C[proper][flat % going_on.shape[-1]]
        text = text.gather(2, parent[..., None].expand(-1, -1, -1, most_words))
        text[..., step] = word
        # No continuation can have a higher total than now, whatever its length.
        if bool((best >= total[..., 0] / float(most_words + 1) ** length_penalty).all()):
            break
    return Written(best_text, best)


def plausible(logit: Tensor) -> Tensor:
    """Which words (..., W) have at least the share `PLAUSIBLE` of the likeliest one's probability.

    Li et al., Contrastive Decoding (ACL 2023), section 3.3. The likeliest one is one that can be written: a word, or
    the end. Unknown words may be plausible beside it, and keep their share of the probability.
    """
    likeliest = torch.maximum(logit[..., FIRST_WORD:].amax(-1), logit[..., END])
    return logit >= likeliest[..., None] + math.log(PLAUSIBLE)


def in_question(plausible_BQKW: Tensor) -> Tensor:
    """Return the words that are plausible after any hypothesis, with the end and a word: their numbers, [C]."""
    wanted_W = plausible_BQKW.flatten(0, -2).any(0)
    wanted_W[[END, FIRST_WORD]] = True
    return wanted_W.nonzero().squeeze(-1)


def guided(logit_user: Tensor, logit_nobody: Tensor, allowed: Tensor, guidance: float) -> Tensor:
    """Log-probabilities (..., C) of the next word under guidance (1 is none), among those allowed."""
    combined = logit_nobody + guidance * (logit_user - logit_nobody)
    return combined.masked_fill(~allowed, IMPOSSIBLE).log_softmax(-1)
