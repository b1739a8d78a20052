"""Evaluation rows of question answering, from the spans that were answered.

Dimensions: N pairs of user and question.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.data.questions import Questions
from components.metrics.reading import exact_match, f1
from components.metrics.rows import concat_rows, evaluation_rows
from components.metrics.satisfaction import satisfaction

Values = NDArray[np.float64]


def answer_rows(
    data: Questions,
    pair: NDArray[np.integer],
    start: NDArray[np.integer],
    end: NDArray[np.integer],
    history: int,
    slices: bool,
) -> pa.Table:
    """Return the rows of one history length: one a passage, its metrics means over the passage's pairs.

    `pair` holds rows of `data.pair_user`; `start` and `end` (exclusive) the answered tokens, [N] each. With `slices`,
    users with one preference (group `plain`) and those whose preference depends on the question (`conditional`) have
    rows of their own beside the group `unseen`, which holds all pairs.
    """
    user, question = data.pair_user[pair], data.pair_question[pair]
    wanted = data.preference[user, data.kind[question]]
    metrics = score_answers(data, question, wanted, start, end)
    groups = {"unseen": np.ones(len(pair), bool)}
    if slices:
        groups |= {"plain": ~data.conditional[user], "conditional": data.conditional[user]}
    names = data.passage_ids
    tables = []
    for group, chosen in groups.items():
        passage, place = np.unique(data.passage_of[question[chosen]], return_inverse=True)
        means = {name: _means(values[chosen], place, len(passage)) for name, values in metrics.items()}
        examples = np.bincount(place, minlength=len(passage))
        tables.append(evaluation_rows([names[number] for number in passage], group, history, examples, means))
    return concat_rows(tables)


def score_answers(
    data: Questions,
    question: NDArray[np.integer],
    wanted: NDArray[np.integer],
    start: NDArray[np.integer],
    end: NDArray[np.integer],
) -> dict[str, Values]:
    """Score answers against what the user wanted and against all references, [N] each; NaN where not defined."""
    count = len(question)
    names = ("em", "f1", "official_em", "official_f1")
    scores: dict[str, Values] = {name: np.zeros(count) for name in names}
    for row, asked in enumerate(question.tolist()):
        passage, style = data.passage_of[asked], wanted[row]
        answered = data.span_text(passage, int(start[row]), int(end[row]))
        first, last = int(data.answer_start[asked, style]), int(data.answer_end[asked, style])
        target = [data.span_text(passage, first, last)]
        references = data.references[asked]
        values = (
            exact_match(answered, target),
            f1(answered, target),
            exact_match(answered, references),
            f1(answered, references),
        )
        for name, value in zip(names, values, strict=True):
            scores[name][row] = value
    scores["satisfaction"] = satisfaction(scores["f1"])
    for number, style_name in enumerate(data.styles):
        scores[f"em_{style_name}"] = np.where(wanted == number, scores["em"], np.nan)
    return scores


def _means(values: Values, place: NDArray[np.integer], count: int) -> Values:
    defined = ~np.isnan(values)
    total = np.bincount(place[defined], weights=values[defined], minlength=count)
    number = np.bincount(place[defined], minlength=count)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)
