import numpy as np
import pytest

from components.data.splits import VALIDATION
from components.metrics.answers import Answers, answer_rows, score_answers
from components.metrics.reading import exact_match, f1
from components.metrics.rows import macro, metric_values, select_slice
from tests.components.tasks.question_answering.fixtures import tiny_data


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_data(tmp_path_factory.mktemp("squad"), drift=0.4, users=60)


def everybody(data, style=None, preference=None):
    """Answer all validation pairs in one style, or as the table of preferences says."""
    pair = np.flatnonzero(data.part[data.pair_question] == VALIDATION)
    user, question = data.pair_user[pair], data.pair_question[pair]
    wanted = np.full(len(pair), style) if preference is None else preference[user, data.kind[question]]
    start, end = data.answer_start[question, wanted], data.answer_end[question, wanted]
    return Answers(pair, start, end, data.passage_of[question])


def test_who_gives_everybody_what_they_want_scores_1(data):
    scores = score_answers(data, everybody(data, preference=data.preference))
    assert (scores["em"] == 1).all() and (scores["f1"] == 1).all() and (scores["satisfaction"] == 5).all()
    wanted = np.stack([~np.isnan(scores[f"em_{style}"]) for style in data.styles])
    assert (wanted.sum(axis=0) == 1).all() and wanted.any(axis=1).all()


def test_official_figures_are_those_of_the_script_whoever_asks(data):
    answers = everybody(data, style=2)
    scores = score_answers(data, answers)
    for row, pair in enumerate(answers.pair[:50]):
        question = data.pair_question[pair]
        text = data.span_text(data.passage_of[question], answers.start[row], answers.end[row])
        references = data.references[question]
        assert scores["official_em"][row] == exact_match(text, references)
        assert scores["official_f1"][row] == f1(text, references)


def test_reference_figures_leave_out_who_wants_the_clause(data):
    answers = everybody(data, style=0)
    scores = score_answers(data, answers)
    user, question = data.pair_user[answers.pair], data.pair_question[answers.pair]
    clause = data.preference[user, data.kind[question]] == data.styles.index("clause")
    assert 0 < clause.sum() < len(clause)
    assert np.isnan(scores["reference_f1"][clause]).all() and np.isnan(scores["reference_em"][clause]).all()
    assert (scores["reference_em"][~clause] == 1).all() and (scores["official_em"] == 1).all()


def test_to_have_adapted_is_to_answer_nearer_to_the_new_preference(data):
    new = score_answers(data, everybody(data, preference=data.preference))["adapted"]
    old = score_answers(data, everybody(data, preference=data.preference_before))["adapted"]
    assert set(new[~np.isnan(new)]) == {1.0} and set(old[~np.isnan(old)]) == {0.0}
    answers = everybody(data, style=0)
    user, question = data.pair_user[answers.pair], data.pair_question[answers.pair]
    kind = data.kind[question]
    before, after = data.preference_before[user, kind], data.preference[user, kind]
    same_output = (data.answer_start[question, before] == data.answer_start[question, after]) & (
        data.answer_end[question, before] == data.answer_end[question, after]
    )
    assert (np.isnan(new) >= same_output).all() and (np.isnan(new) >= (data.drift_at[user] < 0)).all()


def test_an_answer_from_another_passage_is_scored_by_its_words(data):
    own = everybody(data, style=0)
    passage = np.unique(own.passage)
    other = Answers(own.pair, own.start, own.end, np.where(own.passage == passage[0], passage[1], passage[0]))
    row = 0
    question = data.pair_question[own.pair[row]]
    text = data.span_text(other.passage[row], own.start[row], own.end[row])
    assert score_answers(data, other)["official_f1"][row] == f1(text, data.references[question])
    rows = [answer_rows(data, answers, -1, slices=False) for answers in (own, other)]
    assert rows[0]["user"].to_pylist() == rows[1]["user"].to_pylist()  # which name the question's own passage


def test_rows_are_means_over_a_passage_and_its_pairs_of_one_group(data):
    answers = everybody(data, style=1)
    scores = score_answers(data, answers)
    user = data.pair_user[answers.pair]
    drifts = data.drift_at[user] >= 0
    rows = answer_rows(data, answers, -1, slices=True)
    groups = {
        "unseen": ~drifts,
        "plain": ~drifts & ~data.conditional[user],
        "conditional": data.conditional[user],
        "drifting": drifts,
    }
    assert list(dict.fromkeys(rows["group"].to_pylist())) == list(groups)
    for group, chosen in groups.items():
        part = select_slice(rows, group)
        assert sum(part["examples"].to_pylist()) == chosen.sum()
        for name, value in zip(part["user"].to_pylist(), metric_values(part, "f1"), strict=True):
            here = chosen & (np.array(data.passage_ids)[answers.passage] == name)
            assert value == pytest.approx(scores["f1"][here].mean())
    quick = answer_rows(data, answers, -1, slices=False)
    assert macro(quick, "unseen")["f1"] == macro(rows, "unseen")["f1"]
    least = int((8 - data.drift_at[data.drift_at >= 0]).min())  # events after the change, of 8
    for events in (0, least, least + 1, 20):
        judged = select_slice(answer_rows(data, answers, events, slices=True), "drifting", events)
        assert bool(len(judged)) == (events <= least)
