"""Evaluation rows of captioning, from the captions that were written.

Dimensions: N pairs of user and picture, U pictures, S styles.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.data.caption_styles import open_styles
from components.data.captions import Captions, split_words
from components.data.splits import TRAIN
from components.metrics.bleu import LARGEST_ORDER, bleu_statistics, unit_bleu
from components.metrics.cider import Cider, rouge_l
from components.metrics.rows import concat_rows, evaluation_rows
from components.metrics.satisfaction import satisfaction

Values = NDArray[np.float64]
Indices = NDArray[np.integer]

NAMED_STYLES = ("factual", "humorous", "romantic")
"""Styles with a BLEU-4 of their own, undefined where the data has other ones."""
LENGTHS = (10, 90)
"""Percentiles of the length of training captions in a style between which a caption is as long as preferred."""
NAMED_BY = 0.5
"""Share of a picture's captions that name a word which is then its content."""
JUDGEMENTS = ("style_match", "satisfaction", "length_match", "content_match", "distinct", "adapted")
"""The metrics that need no references: those of a human caption."""

_LITTLE_WORDS = """
    a an the and or but of in on at to by for with from as into onto over under through up down out off near next
    while is are was were be being been has have had do does there it its his her their he she they him them this that
    who which some one two other another
"""
_LITTLE = frozenset(_LITTLE_WORDS.split())


def caption_rows(
    data: Captions, pair: Indices, texts: Sequence[str], history: int, slices: bool, references: bool = True
) -> pa.Table:
    """Return the rows of one history length: one a picture, means over its pairs, or its part of the corpus BLEU.

    `pair` holds rows of `data.pair_user`, [N], and `texts` what was written for each. Group `unseen` holds the pairs
    of users whose preference never changes. With `slices`, users with one preference (`plain`), those whose
    preference depends on the picture (`conditional`) and those who have changed it (`drifting`) have rows of their
    own; a group without a pair has none. Without `references`, only what needs none is scored, the rest is null.
    """
    user, image = data.pair_user[pair], data.pair_image[pair]
    drifts = data.drift_at[user] >= 0
    groups = {"unseen": ~drifts}
    if slices:
        groups |= {"plain": ~drifts & ~data.conditional[user], "conditional": data.conditional[user]}
        groups |= {"drifting": drifts}
    words = [split_words(text) for text in texts]
    wanted = data.preference[user, data.kind[image]].astype(np.int64)
    scores = judge(data, user, image, texts)
    statistics = None
    if references:
        scores |= _against_references(data, image, wanted, words)
        statistics = _bleu_statistics(data, image, wanted, words)
    tables = []
    for group, chosen in groups.items():
        shown, place = np.unique(image[chosen], return_inverse=True)
        if not len(shown):
            continue
        metrics = {name: _means(values[chosen], place, len(shown)) for name, values in scores.items()}
        metrics["distinct"] = _means(
            _distinct(image[chosen], texts, np.flatnonzero(chosen)), place, len(shown)
        )
        if statistics is not None:
            metrics |= _bleu(data, statistics[chosen], wanted[chosen], place, len(shown))
        names = [data.image_names[number] for number in shown]
        tables.append(evaluation_rows(names, group, history, np.bincount(place), metrics))
    return concat_rows(tables)


def judge(data: Captions, user: Indices, image: Indices, texts: Sequence[str]) -> dict[str, Values]:
    """Say of each caption whether it is as the user wanted it, by no reference, [N] each; NaN where not defined."""
    wanted = data.preference[user, data.kind[image]].astype(np.int64)
    before = data.preference_before[user, data.kind[image]].astype(np.int64)
    row = np.arange(len(texts))
    probability = open_styles(data.folder).log_probability(texts)
    words = [split_words(text) for text in texts]
    length = np.array([len(each) for each in words])
    low, high = _preferred_lengths(data)
    content = {number: _content(data, number) for number in np.unique(image).tolist()}
    named = [not content[number].isdisjoint(each) for number, each in zip(image.tolist(), words, strict=True)]
    checks = {
        "style_match": np.argmax(probability, axis=1) == wanted,
        "length_match": (low[wanted] <= length) & (length <= high[wanted]),
        "content_match": np.array(named, bool),
    }
    scores: dict[str, Values] = {name: passed.astype(np.float64) for name, passed in checks.items()}
    manner = (scores["style_match"] + scores["length_match"]) / 2
    scores["satisfaction"] = satisfaction(scores["content_match"] * manner)
    nearer = (probability[row, wanted] > probability[row, before]).astype(np.float64)
    scores["adapted"] = np.where(wanted != before, nearer, np.nan)
    return scores


def _preferred_lengths(data: Captions) -> tuple[Values, Values]:
    """Return the shortest and the longest preferred number of words of each style, [S] each."""
    trained = data.part[data.caption_image] == TRAIN
    length = np.diff(data.caption_offsets)
    styles = range(len(data.styles))
    bounds = [np.percentile(length[trained & (data.caption_style == style)], LENGTHS) for style in styles]
    return np.array([low for low, _ in bounds]), np.array([high for _, high in bounds])


def _content(data: Captions, image: int) -> frozenset[str]:
    """Return the words that most of a picture's captions name; if people name different things, the most named."""
    captions = range(int(data.image_captions[image]), int(data.image_captions[image + 1]))
    named = [set(split_words(data.caption_text[caption])) - _LITTLE for caption in captions]
    votes = {word: sum(word in each for each in named) for word in set().union(*named)}
    enough = min(NAMED_BY * len(named), max(votes.values(), default=0))
    return frozenset(word for word, count in votes.items() if count >= enough)


def _against_references(
    data: Captions, image: Indices, wanted: Indices, words: Sequence[Sequence[str]]
) -> dict[str, Values]:
    """Score each caption against those of the picture in the wanted style, [N] each; NaN where not defined."""
    evaluated = np.flatnonzero(np.isin(data.part, np.unique(data.part[image])))
    documents = [
        [
            split_words(data.caption_text[caption])
            for caption in range(*data.image_captions[number : number + 2])
        ]
        for number in evaluated
    ]
    cider = Cider(documents)
    known = [_references(data, *each) for each in zip(image, wanted, strict=True)]
    scored = list(zip(words, known, strict=True))
    scores = {
        "cider": np.array([cider.score(*each) for each in scored]),
        "rouge_l": np.array([rouge_l(*each) for each in scored]),
    }
    factual = wanted == _number(data, "factual")
    return scores | {"cider_factual": np.where(factual, scores["cider"], np.nan)}


def _references(data: Captions, image: int, style: int) -> list[list[str]]:
    return [split_words(data.caption_text[caption]) for caption in data.captions_of(image, style)]


def _bleu_statistics(
    data: Captions, image: Indices, wanted: Indices, words: Sequence[Sequence[str]]
) -> NDArray[np.int64]:
    known = [
        [" ".join(each) for each in _references(data, *pair)] for pair in zip(image, wanted, strict=True)
    ]
    return bleu_statistics([" ".join(each) for each in words], known)


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
