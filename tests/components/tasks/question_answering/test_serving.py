import json

import numpy as np
import pytest
import safetensors.torch
import torch

from components.data.events import Event
from components.tasks.question_answering import task as question_answering
from components.tasks.question_answering.evaluation import predict
from components.tasks.question_answering.serving import MOST_ASKED
from components.tasks.servable import UnknownKind, UnusableContent
from tests.components.tasks.question_answering.fixtures import tiny_config, tiny_data


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_data(tmp_path_factory.mktemp("squad"))


@pytest.fixture(scope="module")
def module(data):
    """Not trained, but with users who make a difference."""
    module = question_answering.build(tiny_config(data.folder), data)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in (*module.model.pointers.parameters(), *module.model.wish.parameters()):
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator))
    return module


@pytest.fixture(scope="module")
def servable(data, module, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    config = module.config.model_dump_json()
    (folder / "config.json").write_text(config, encoding="utf-8")
    safetensors.torch.save_file(module.model.state_dict(), folder / "model.safetensors")
    question_answering.export(module, data, folder)
    return question_answering.load_servable(folder)


def event(**changes):
    content = {"question": "Who built it?", "passage": "Anna built it in 1901.", "start": 0, "end": 4}
    fields = {"id": "1", "user": "u", "timestamp": 1.0, "kind": "answered", "value": 1.0}
    return Event(content=json.dumps(content | changes), **fields)


def test_the_servable_answers_as_the_evaluation_does(data, module, servable):
    """From the same events, one by one as the log tells them: text, question and passage as they were published."""
    module.model.eval()
    unchanged = data.drift_at[data.pair_user] < 0
    pair = np.flatnonzero((data.part[data.pair_question] == 1) & unchanged)[::40]
    with torch.inference_mode():
        whole, none = predict(
            module.model,
            module.library,
            pair,
            np.arange(len(data.user_ids)),
            data.passage_of.astype(np.int64),
            (-1, 0),
        )
    differs = 0
    for place, row in enumerate(pair):
        user, question = int(data.pair_user[row]), int(data.pair_question[row])
        passage = data.passage_of[question]
        profile = {
            field: names[data.profile[user, column]]
            for column, (field, names) in enumerate(data.profile_fields.items())
        }
        state = servable.initial_state()
        asked = (profile, data.question_text[question], data.passage_text[passage])
        before = servable.answer(state, *asked)
        assert before.text == data.span_text(passage, none.start[place], none.end[place])
        for one in data.events_of(user):
            state = servable.step(state, one)
        answered = servable.answer(state, *asked)
        assert answered.text == data.span_text(passage, whole.start[place], whole.end[place])
        assert answered.text == data.passage_text[passage][answered.start : answered.end]
        assert answered.score <= 0
        differs += answered != before
    assert differs


def test_states_survive_and_are_never_changed_in_place(servable):
    empty = servable.initial_state()
    dumped = servable.dump_state(empty)
    state = servable.step(empty, event())
    assert servable.dump_state(empty) == dumped
    again = servable.load_state(servable.dump_state(state))
    assert all(torch.equal(state[name], again[name]) for name in state)
    for damaged in (b"", b"nonsense", safetensors.torch.save({"hidden": torch.zeros(1)})):
        with pytest.raises(ValueError):
            servable.load_state(damaged)


@pytest.mark.parametrize(
    "changes",
    [{"start": -1}, {"start": 4}, {"end": 999}, {"start": "0"}, {"start": True}, {"passage": 7}, {"more": 1},
     {"start": 21, "end": 22, "passage": "Anna built it in 1901\n\n"}],
)  # fmt: skip
def test_events_that_tell_no_answer_are_refused(servable, changes):
    with pytest.raises(UnusableContent):
        servable.step(servable.initial_state(), event(**changes))


@pytest.mark.parametrize(
    "content", ["", "null", "[]", "{}", "question-1", '{"question": "Who?"}', "[" * 49_000]
)
def test_content_of_another_form_is_refused(servable, content):
    wrong = Event("1", "u", 1.0, content, "answered", 1.0)
    with pytest.raises(UnusableContent, match="JSON object"):
        servable.step(servable.initial_state(), wrong)


def test_keys_that_are_missing_or_unknown_are_named(servable):
    told = {"question": "Who?", "passage": "Anna.", "begin": 0, "end": 4}
    wrong = Event("1", "u", 1.0, json.dumps(told), "answered", 1.0)
    with pytest.raises(UnusableContent, match="`start` is missing, 'begin' is no key of it"):
        servable.step(servable.initial_state(), wrong)


def test_another_kind_of_event_is_refused(servable):
    good = event()
    wrong = Event(good.id, good.user, good.timestamp, good.content, "rated", 1.0)
    with pytest.raises(UnknownKind, match="answered"):
        servable.step(servable.initial_state(), wrong)


@pytest.mark.parametrize(
    ("question", "passage"),
    [("", "A word."), (" \n", "A word."), ("Who?", " "), ("Who?", "a " * 20_000)],
    ids=["no question", "blank question", "blank passage", "long passage"],
)
def test_questions_and_passages_that_cannot_be_read_are_refused(servable, question, passage):
    with pytest.raises(UnusableContent) as refused:
        servable.answer(servable.initial_state(), {}, question, passage)
    if passage.strip():  # an event may not tell what could not have been asked
        with pytest.raises(UnusableContent) as untold:
            servable.step(servable.initial_state(), event(question=question, passage=passage, end=1))
        assert str(untold.value) == str(refused.value)


def test_a_question_of_too_many_words_is_told_how_many_it_has(servable):
    state = servable.initial_state()
    assert servable.answer(state, {}, "who?" * (MOST_ASKED // 2), "Anna.").text
    with pytest.raises(UnusableContent, match=f"of {MOST_ASKED + 2} words and signs; at most {MOST_ASKED}"):
        servable.answer(state, {}, "who?" * (MOST_ASKED // 2 + 1), "Anna.")


@pytest.mark.parametrize("passage", ["Anna", "…", "Ünïcode 東京 🙂 built.", "one\n\n\ntwo. Three; four"])
def test_odd_passages_are_answered_from(servable, passage):
    answered = servable.answer(servable.initial_state(), {"topic": "unheard of"}, "Wer??", passage)
    assert answered.text and answered.text == passage[answered.start : answered.end]


def test_events_may_be_disliked_and_unlike_any_seen(servable):
    state = servable.step(servable.initial_state(), event(question="?", passage="🙂", start=0, end=1))
    assert all(torch.isfinite(value).all() for value in state.values())
