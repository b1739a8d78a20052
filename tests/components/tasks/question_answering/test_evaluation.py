"""Who and what is evaluated: cuts of the history, users who change, controls, and models that are told."""

import numpy as np
import pytest

from components.config import QuestionAnsweringSettings
from components.metrics.rows import macro, select_slice
from components.tasks.question_answering import task as question_answering
from components.tasks.question_answering.evaluation import (
    another_passage,
    rows_of,
    shown_events,
)
from tests.components.tasks.question_answering.fixtures import tiny_config, tiny_data


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_data(tmp_path_factory.mktemp("squad"), drift=0.4, users=60)


@pytest.fixture(scope="module")
def untrained(data):
    return question_answering.build(tiny_config(data.folder), data)


def told(data):
    config = tiny_config(data.folder)
    model = config.model.model_copy(update={"told": True})
    return question_answering.build(config.model_copy(update={"model": model}), data)


def test_the_control_gives_every_unseen_user_somebody_with_other_wishes(data):
    reader = data.another_user()
    unseen = np.flatnonzero(data.unseen)
    assert data.unseen[reader[unseen]].all()
    assert (data.preference[reader[unseen]] != data.preference[unseen]).any(axis=1).all()
    assert (reader[~data.unseen] == np.flatnonzero(~data.unseen)).all()


def test_every_question_is_asked_of_a_passage_of_another_article_in_its_part(data):
    passage = another_passage(data)
    article = np.array(data.article)
    part = np.zeros(len(data.article), np.int64)
    part[data.passage_of] = data.part
    assert (part[passage] == data.part).all()
    assert (passage != data.passage_of).all()
    for one in range(3):
        asked = data.part == one
        several = len(set(article[data.passage_of[asked]])) > 1
        assert (article[passage[asked]] != article[data.passage_of[asked]]).all() == several


def test_passages_of_one_article_are_turned_among_themselves(data):
    one = data.part == 2
    assert len(set(np.array(data.article)[data.passage_of[one]])) == 1
    assert set(another_passage(data)[one]) == set(data.passage_of[one])


def test_cuts_show_the_most_recent_events_and_of_a_changed_user_the_first_after_the_change(data):
    user = np.arange(len(data.user_ids))
    drifts = data.drift_at >= 0
    count = np.diff(data.event_offsets)
    for cut in (0, 1, 2, 5):
        first, last = shown_events(data, user, cut)
        assert (first[drifts] == 0).all() and (
            last[drifts] == np.minimum(data.drift_at + cut, count)[drifts]
        ).all()
        assert (last[~drifts] == count[~drifts]).all() and (last - first == cut)[~drifts].all()
    first, last = shown_events(data, user, -1)
    assert (first == 0).all() and (last == count).all()


def test_only_changed_users_are_said_to_have_adapted(data, untrained):
    rows = rows_of(untrained.model, untrained.library, "validation", None, True)
    for group in ("unseen", "plain", "conditional"):
        assert np.isnan(macro(rows, group)["adapted"])
    for cut in (-1, 0, 1, 2):
        assert 0 <= macro(rows, "drifting", cut)["adapted"] <= 1
    assert all(
        len(select_slice(rows, "drifting", cut)) == 0 for cut in (5, 20)
    )  # not all have so many after it


def test_a_question_asked_of_another_passage_is_answered_from_it(data, untrained):
    own = rows_of(untrained.model, untrained.library, "validation", None, False)
    other = rows_of(untrained.model, untrained.library, "validation", "shuffled-passages", False)
    assert own["user"].to_pylist() == other["user"].to_pylist()
    assert own["examples"].to_pylist() == other["examples"].to_pylist()
    assert macro(own, "unseen")["f1"] != macro(other, "unseen")["f1"]


def test_a_told_model_reads_the_wanted_style_and_no_history(data):
    module = told(data)
    names = {name for name, _ in module.model.named_parameters()}
    assert "told.weight" in names
    assert not any(name.startswith(("core.", "events.", "wish.")) for name in names)
    with_history = dict(question_answering.build(tiny_config(data.folder), data).model.named_parameters())
    for name, value in module.model.named_parameters():
        if name != "told.weight":
            assert (value == with_history[name]).all(), name
    batch = next(module.batches.epoch(0))
    user_BUV = module.model.users(batch.texts, batch.readers)
    wanted = batch.readers.wanted_N.view(user_BUV.shape[:2])
    assert (user_BUV == module.model.told.weight[wanted]).all()


def test_a_told_model_needs_modulation_to_tell():
    with pytest.raises(ValueError, match="`personalization` is null"):
        QuestionAnsweringSettings(personalization=None, told=True)


def test_a_told_model_is_not_served(data, tmp_path):
    module = told(data)
    (tmp_path / "config.json").write_text(module.config.model_dump_json())
    with pytest.raises(ValueError, match="told"):
        question_answering.load_servable(tmp_path)
