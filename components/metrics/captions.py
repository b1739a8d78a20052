"""Evaluation rows of captioning, from the captions that were written.

Dimensions: N pairs of user and picture, U pictures.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.data.captions import Captions, split_words
from components.metrics.bleu import LARGEST_ORDER, unit_bleu
from components.metrics.caption_judge import judge_of
from components.metrics.rows import concat_rows, evaluation_rows
from components.metrics.satisfaction import satisfaction

Values = NDArray[np.float64]
Indices = NDArray[np.integer]

NAMED_STYLES = ("factual", "humorous", "romantic")
"""Styles with a BLEU-4 of their own, undefined where the data has other ones."""
HUMAN = (
    *("style_match", "satisfaction", "length_match", "content_match", "distinct", "adapted"),
    *("cider_factual", "bleu4_factual"),
)
"""The metrics of a human caption: those that need no references, and those of the style with several of them."""


def caption_rows(
    data: Captions, pair: Indices, texts: Sequence[str], history: int, slices: bool, human: bool = False
) -> pa.Table:
    """Return the rows of one history length: one a picture, means over its pairs, or its part of the corpus BLEU.

    `pair` holds rows of `data.pair_user`, [N], and `texts` what was written for each. Group `unseen` holds the pairs
    of users whose preference never changes. With `slices`, users with one preference (`plain`), those whose
    preference depends on the picture (`conditional`) and those who have changed it (`drifting`) have rows of their
    own; a group without a pair has none. Of drifting users `history` counts the events after the change; there are no
    rows of more events than each of them has. `human` says that the captions are the pictures' own: each is compared
    with the others of its picture, and only `HUMAN` is scored.
    """
    user, image = data.pair_user[pair], data.pair_image[pair]
    drifts = data.drift_at[user] >= 0
    groups = {"unseen": ~drifts}
    if slices:
        groups |= {"plain": ~drifts & ~data.conditional[user], "conditional": data.conditional[user]}
        if data.shows_after_change(history):
            groups |= {"drifting": drifts}
    wanted = data.preference[user, data.kind[image]].astype(np.int64)
    scores = rubric(data, user, image, texts)
    parts = tuple(np.unique(data.part[image]).tolist())
    compared = judge_of(data.folder).compare(image, wanted, texts, parts, others=human)
    factual = wanted == _number(data, "factual")
    scores |= {"cider": compared.cider, "rouge_l": compared.rouge_l}
    scores |= {"cider_factual": np.where(factual, compared.cider, np.nan)}
    tables = []
    for group, chosen in groups.items():
        shown, place = np.unique(image[chosen], return_inverse=True)
        if not len(shown):
            continue
        metrics = {name: _means(values[chosen], place, len(shown)) for name, values in scores.items()}
        metrics["distinct"] = _means(
            _distinct(image[chosen], texts, np.flatnonzero(chosen)), place, len(shown)
        )
        metrics |= _bleu(data, compared.statistics[chosen], wanted[chosen], place, len(shown))
        if human:
            metrics = {name: metrics[name] for name in HUMAN}
        names = [data.image_names[number] for number in shown]
        tables.append(evaluation_rows(names, group, history, np.bincount(place), metrics))
    return concat_rows(tables)


def rubric(data: Captions, user: Indices, image: Indices, texts: Sequence[str]) -> dict[str, Values]:
    """Say of each caption whether it is as the user wanted it, by no reference, [N] each; NaN where not defined."""
    wanted = data.preference[user, data.kind[image]].astype(np.int64)
    before = data.preference_before[user, data.kind[image]].astype(np.int64)
    judge = judge_of(data.folder)
    row = np.arange(len(texts))
    probability = judge.styles.log_probability(texts)
    checks = {
        "style_match": np.argmax(probability, axis=1) == wanted,
        "length_match": judge.has_length(texts, wanted),
        "content_match": judge.names_content(texts, image),
    }
    scores: dict[str, Values] = {name: passed.astype(np.float64) for name, passed in checks.items()}
    manner = (scores["style_match"] + scores["length_match"]) / 2
    scores["satisfaction"] = satisfaction(scores["content_match"] * manner)
    nearer = (probability[row, wanted] > probability[row, before]).astype(np.float64)
    scores["adapted"] = np.where(wanted != before, nearer, np.nan)
    return scores


def _bleu(
    data: Captions, statistics: NDArray[np.int64], wanted: Indices, place: Indices, count: int
) -> dict[str, Values]:
    """Divide the corpus BLEU of a group among its pictures, [U] each: of all pairs, and of those wanting a style."""

    def summed(chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        total = np.zeros((count, statistics.shape[1]), np.int64)
        np.add.at(total, place[chosen], statistics[chosen])
        return total

    everything = summed(np.ones(len(place), bool))
    metrics = {f"bleu{order}": unit_bleu(everything, order) for order in range(1, LARGEST_ORDER + 1)}
    for style in NAMED_STYLES:
        chosen = wanted == _number(data, style)
        among = np.bincount(place[chosen], minlength=count) > 0
        values = np.full(count, np.nan)
        values[among] = unit_bleu(summed(chosen)[among])
        metrics[f"bleu4_{style}"] = values
    return metrics


def _number(data: Captions, style: str) -> int:
    """Return the number of a style, -1 where the data does not have it."""
    return data.styles.index(style) if style in data.styles else -1


def _distinct(image: Indices, texts: Sequence[str], rows: Indices) -> Values:
    """Return 1 divided by the number of pictures that were given the same caption, for each of `rows` of `texts`."""
    captions = [" ".join(split_words(texts[row])) for row in rows.tolist()]
    shown: dict[str, set[int]] = {}
    for number, caption in zip(image.tolist(), captions, strict=True):
        shown.setdefault(caption, set()).add(number)
    return np.array([1 / len(shown[caption]) for caption in captions])


def _means(values: Values, place: Indices, count: int) -> Values:
    defined = ~np.isnan(values)
    total = np.bincount(place[defined], weights=values[defined], minlength=count)
    number = np.bincount(place[defined], minlength=count)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)
