"""Evaluation rows of question answering, from the spans that were answered.

Dimensions: N pairs of user and question, S styles.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.data.questions import Questions
from components.metrics.reading import exact_match, f1
from components.metrics.rows import concat_rows, evaluation_rows
from components.metrics.satisfaction import satisfaction

CLAUSE = "clause"
"""The style that is no reference answer but the whole clause around one."""
DRIFTING = "drifting"

Values = NDArray[np.float64]
Indices = NDArray[np.integer]


@dataclass(frozen=True)
class Answers:
    """What was answered to N pairs."""

    pair: Indices
    """Rows of `Questions.pair_user`."""
    start: Indices
    """The first token of the answer ..."""
    end: Indices
    """... and the one after its last, inside its passage."""
    passage: Indices
    """The passage that was read."""


def answer_rows(data: Questions, answers: Answers, history: int, slices: bool) -> pa.Table:
    """Return the rows of one history length: one a passage, its metrics means over the passage's pairs.

    With `slices`, users with one preference (group `plain`), those whose preference depends on the question
    (`conditional`) and those who have changed theirs (`drifting`, in no other group) have rows of their own beside
    the group `unseen`. Of drifting users `history` counts the events after the change; there are no rows of more
    events than each of them has.
    """
    user, question = data.pair_user[answers.pair], data.pair_question[answers.pair]
    metrics = score_answers(data, answers)
    conditional, drifting = data.conditional[user], data.drift_at[user] >= 0
    groups = {"unseen": ~drifting}
    if slices:
        groups |= {"plain": ~conditional & ~drifting, "conditional": conditional}
        if data.shows_after_change(history):
            groups |= {DRIFTING: drifting}
    names = data.passage_ids
    tables = []
    for group, chosen in groups.items():
        passage, place = np.unique(data.passage_of[question[chosen]], return_inverse=True)
        means = {name: _means(values[chosen], place, len(passage)) for name, values in metrics.items()}
        examples = np.bincount(place, minlength=len(passage))
        tables.append(evaluation_rows([names[number] for number in passage], group, history, examples, means))
    return concat_rows(tables)


def score_answers(data: Questions, answers: Answers) -> dict[str, Values]:
    """Score answers against what the user wants and against all references, [N] each; NaN where not defined."""
    user, question = data.pair_user[answers.pair], data.pair_question[answers.pair].astype(np.int64)
    kind = data.kind[question]
    wanted, before = data.preference[user, kind], data.preference_before[user, kind]
    spans = np.stack([question, answers.passage, answers.start, answers.end], axis=1)
    distinct, place = np.unique(spans, axis=0, return_inverse=True)
    em_NS, f1_NS, official_em, official_f1 = (scores[place] for scores in _score_spans(data, distinct))
    row = np.arange(len(user))
    em, overlap, overlap_before = em_NS[row, wanted], f1_NS[row, wanted], f1_NS[row, before]
    reference = np.array(data.styles)[wanted] != CLAUSE
    return {
        "em": em,
        "f1": overlap,
        "official_em": official_em,
        "official_f1": official_f1,
        "reference_em": np.where(reference, official_em, np.nan),
        "reference_f1": np.where(reference, official_f1, np.nan),
        "satisfaction": satisfaction(overlap),
        **{f"em_{style}": np.where(wanted == number, em, np.nan) for number, style in enumerate(data.styles)},
        "adapted": np.where(overlap != overlap_before, overlap > overlap_before, np.nan),
    }


def _score_spans(data: Questions, spans: Indices) -> tuple[Values, Values, Values, Values]:
    """EM and F1 against the answer in each style, [N, S], and against all references, [N].

    Each of `spans` is (question, passage read, first token, token after the last).
    """
    styles = len(data.styles)
    em, overlap = np.zeros((len(spans), styles)), np.zeros((len(spans), styles))
    official_em, official_f1 = np.zeros(len(spans)), np.zeros(len(spans))
    for row, (question, read, start, end) in enumerate(spans.tolist()):
        answered, passage = data.span_text(read, start, end), int(data.passage_of[question])
        for style, bounds in enumerate(
            zip(data.answer_start[question].tolist(), data.answer_end[question].tolist(), strict=True)
        ):
            target = [data.span_text(passage, *bounds)]
            em[row, style], overlap[row, style] = exact_match(answered, target), f1(answered, target)
        references = data.references[question]
        official_em[row], official_f1[row] = exact_match(answered, references), f1(answered, references)
    return em, overlap, official_em, official_f1


def _means(values: Values, place: NDArray[np.integer], count: int) -> Values:
    defined = ~np.isnan(values)
    total = np.bincount(place[defined], weights=values[defined], minlength=count)
    number = np.bincount(place[defined], minlength=count)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)
