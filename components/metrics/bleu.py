"""Corpus BLEU, and what each unit contributes to it.

Papineni et al., BLEU: a Method for Automatic Evaluation of Machine Translation, ACL 2002. Statistics of a caption
come from sacrebleu (Post, A Call for Clarity in Reporting BLEU Scores, WMT 2018), and so does the definition: the
reference length closest to the output's, and exponential smoothing of precisions that are 0. Values are from 0 to 1,
where sacrebleu prints percent.

N outputs, U units.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components.metrics.statistics import unit_shares

LARGEST_ORDER = 4
WIDTH = 2 + 2 * LARGEST_ORDER
"""Statistics of an output: its length, that of the closest reference, and matched and all n-grams of each order."""


def bleu_statistics(outputs: Sequence[str], references: Sequence[Sequence[str]]) -> NDArray[np.int64]:
    """Count what BLEU needs of each output and its references, [N, 10]; words are divided by spaces."""
    from sacrebleu.metrics.bleu import BLEU

    bleu = BLEU(tokenize="none", max_ngram_order=LARGEST_ORDER, force=True)
    rows = np.zeros((len(outputs), WIDTH), np.int64)
    for row, (output, known) in enumerate(zip(outputs, references, strict=True)):
        score = bleu.corpus_score([output], [[reference] for reference in known])
        rows[row] = [score.sys_len, score.ref_len, *score.counts, *score.totals]
    return rows


def corpus_bleu(statistics: NDArray[np.integer], order: int = LARGEST_ORDER) -> NDArray[np.float64]:
    """Return the BLEU of corpora whose summed statistics are given, [..., 10], with n-grams up to `order`."""
    length, reference = statistics[..., 0], statistics[..., 1]
    matched = statistics[..., 2 : 2 + order]
    total = statistics[..., 2 + LARGEST_ORDER : 2 + LARGEST_ORDER + order]
    smoothing = 2.0 ** np.cumsum(matched == 0, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(matched > 0, matched, 1 / smoothing) / total
        brevity = np.exp(np.minimum(0, 1 - reference / length))
        value = brevity * np.exp(np.log(precision).mean(axis=-1))
    scored = (total > 0).all(axis=-1) & (matched > 0).any(axis=-1)
    return np.where(scored, value, 0.0)


def unit_bleu(statistics: NDArray[np.integer], order: int = LARGEST_ORDER) -> NDArray[np.float64]:
    """Divide the corpus BLEU among units with these statistics, [U, 10]; the mean of the values, [U], is that BLEU.

    See `unit_shares`. Single values may lie outside 0 and 1.
    """
    total = statistics.sum(axis=0)
    return unit_shares(float(corpus_bleu(total, order)), corpus_bleu(total - statistics, order))
