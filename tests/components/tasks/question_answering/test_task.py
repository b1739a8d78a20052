import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data import store
from components.data.questions import open_questions
from components.data.word_vectors import WordVectors
from components.errors import AdaptuneError
from components.metrics.rows import macro
from components.personalization.events import Encoded
from components.tasks.question_answering import task as question_answering
from components.tasks.question_answering.batches import TrainingBatches
from components.tasks.question_answering.evaluation import predict, rows_of
from components.tasks.question_answering.training import QuestionAnsweringTraining
from components.tasks.question_answering.vocabulary import Vocabulary
from components.team import Team
from tests.components.tasks.question_answering.fixtures import (
    tiny_config,
    tiny_data,
    tiny_settings,
    write_squad,
)
from tests.components.tasks.quick import train_quickly


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_data(tmp_path_factory.mktemp("squad"))


def trained_for(data, epochs, personalization=None, most=None, **training):
    config = tiny_config(data.folder, personalization, **training)
    return train_quickly(QuestionAnsweringTraining(config, data), epochs, most)


def texts_of(library, questions):
    """Questions and their own passages."""
    return library.texts(questions.astype(np.int64), library.data.passage_of[questions].astype(np.int64))


def defined(metrics):
    return {name: value for name, value in metrics.items() if not np.isnan(value)}


@pytest.fixture(scope="module")
def personal(data):
    return trained_for(data, 14, {})


def test_the_preference_of_unseen_users_is_read_off_their_history(data, personal):
    generic = trained_for(data, 14, None)
    with_history = macro(rows_of(personal.model, personal.library, "validation", None, False), "unseen")
    without = macro(rows_of(generic.model, generic.library, "validation", None, False), "unseen")
    shuffled = macro(
        rows_of(personal.model, personal.library, "validation", "shuffled-users", False), "unseen"
    )
    assert with_history["em"] > without["em"] + 0.15
    assert with_history["f1"] > without["f1"] + 0.1
    assert shuffled["em"] < with_history["em"] - 0.15
    assert with_history["official_f1"] > 0.5


def test_the_curve_over_the_history_rises_and_slices_add_up(data, personal):
    rows = rows_of(personal.model, personal.library, "validation", None, True)
    assert set(rows["history"].to_pylist()) == {-1, 0, 1, 2, 5, 20}
    assert set(rows["group"].to_pylist()) == {"unseen", "plain", "conditional", "drifting"}
    assert macro(rows, "unseen", 5)["em"] > macro(rows, "unseen", 0)["em"]
    assert defined(macro(rows, "unseen", 20)) == defined(macro(rows, "unseen"))  # nobody has more events
    quick = rows_of(personal.model, personal.library, "validation", None, False)
    assert defined(macro(quick, "unseen")) == defined(macro(rows, "unseen"))
    pairs = int(((data.part[data.pair_question] == 1) & (data.drift_at[data.pair_user] < 0)).sum())
    assert sum(quick["examples"].to_pylist()) == pairs
    passages = {data.passage_ids[passage] for passage in np.unique(data.passage_of[data.part == 1])}
    assert set(quick["user"].to_pylist()) == passages


def test_half_precision_gives_nearly_the_same_loss(data, personal):
    batch = next(personal.batches.epoch(0))
    with torch.no_grad():
        full = personal.training_step(batch, 0)
        with torch.autocast("cpu", torch.bfloat16):
            half = personal.training_step(batch, 0)
    assert float(half) == pytest.approx(float(full), rel=0.1)


def test_unseen_users_and_later_parts_change_nothing_in_training(data):
    changed_value = data.event_value.copy()
    first = np.repeat(data.unseen, np.diff(data.event_offsets))
    changed_value[first] *= -1
    preference = data.preference.copy()
    preference[data.unseen] = (preference[data.unseen] + 1) % 3
    start, end = data.answer_start.copy(), data.answer_end.copy()
    start[data.part > 0], end[data.part > 0] = 0, 1
    changed = dataclasses.replace(
        data, event_value=changed_value, preference=preference, answer_start=start, answer_end=end
    )
    one, two = trained_for(data, 1, {}, most=8), trained_for(changed, 1, {}, most=8)
    for name, value in one.model.state_dict().items():
        assert torch.equal(value, two.model.state_dict()[name]), name


def test_the_vocabulary_survives_writing(data, tmp_path):
    vocabulary = Vocabulary.of(data)
    vocabulary.write(tmp_path)
    again = Vocabulary.read(tmp_path)
    assert again.words == vocabulary.words
    assert dict(again.stem_rarity) == dict(vocabulary.stem_rarity)
    assert again.extent_scale == vocabulary.extent_scale
    assert (again.kinds, dict(again.profile_fields)) == (vocabulary.kinds, dict(vocabulary.profile_fields))
    assert {path.suffix for path in tmp_path.iterdir()} == {".arrow", ".json"}


def test_a_vocabulary_of_tokens_that_were_cut_in_another_way_is_refused(data, tmp_path, monkeypatch):
    Vocabulary.of(data).write(tmp_path)
    monkeypatch.setattr("components.data.passages.VERSION", 0)
    with pytest.raises(ValueError, match="in another way when it was trained"):
        Vocabulary.read(tmp_path)


def test_the_vocabulary_holds_training_words_only(data):
    training = Vocabulary.of(data)
    changed = data.question_word.copy()
    for question in np.flatnonzero(data.part > 0):
        changed[data.question_offsets[question] : data.question_offsets[question + 1]] = 0
    assert Vocabulary.of(dataclasses.replace(data, question_word=changed)) == training


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000))
def test_encode_is_repeated_step(data, personal, seed):
    batch = next(TrainingBatches(personal.library, 8, 2, seed).epoch(0))
    model = personal.model
    with torch.inference_mode():
        events = model.events(batch.readers.history)
        encoded = model.core.encode(events)
        state = model.core.initial_state(len(batch.readers.before_N))
        for time in range(events.value_BT.shape[1]):
            for user in torch.nonzero(batch.readers.before_N == time).flatten().tolist():
                only = {name: value[user : user + 1] for name, value in state.items()}
                same = model.core.state_at(encoded, torch.tensor([time]), torch.tensor([user]))
                for name in only:
                    torch.testing.assert_close(only[name], same[name], atol=1e-5, rtol=1e-5)
            state = model.core.step(state, type(events)(*(field[:, time] for field in events)))
        texts, profile = batch.texts, batch.readers.profile_NF
        whole = torch.full_like(batch.readers.before_N, events.value_BT.shape[1])
        one = model._guesses(encoded, texts, profile, whole)
        two = model._guesses(state, texts, profile, None)
    assert isinstance(encoded, Encoded)
    torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-5)


def test_a_history_cut_to_nothing_is_the_initial_state(data, personal):
    library, model = personal.library, personal.model
    pair = np.flatnonzero((data.part[data.pair_question] == 1) & (data.drift_at[data.pair_user] < 0))[:12]
    readers = np.arange(len(data.user_ids))
    with torch.inference_mode():
        [answers] = predict(model, library, pair, readers, data.passage_of.astype(np.int64), (0,))
        for number, row in enumerate(pair):
            user = int(data.pair_user[row])
            texts = texts_of(library, data.pair_question[row : row + 1])
            profile = torch.from_numpy(data.profile[user : user + 1].astype(np.int64))
            vector = model.user_of(model.core.initial_state(), texts, profile)
            spans = model.answer(model.read(texts), vector)
            assert (int(spans.start), int(spans.end) + 1) == (answers.start[number], answers.end[number])


def test_padding_changes_nothing(data, personal):
    """A question read alone and among longer ones gives the same answers and the same loss."""
    library, model = personal.library, personal.model
    questions = np.flatnonzero(data.part == 0)
    length = library.lengths(data.passage_of[questions]) * 100 + np.diff(data.question_offsets)[questions]
    chosen = questions[np.argsort(length, kind="stable")][[0, -1]]
    start = torch.from_numpy(data.answer_start[chosen].astype(np.int64))[:, None].expand(-1, 3, -1)
    end = torch.from_numpy(data.answer_end[chosen].astype(np.int64))[:, None].expand(-1, 3, -1) - 1
    user = torch.randn(2, 3, model.core.user_size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        alone, together = (model.read(texts_of(library, part)) for part in (chosen[:1], chosen))
        one = model.log_likelihood(alone, user[:1], start[:1], end[:1])
        two = model.log_likelihood(together, user, start, end)[:1]
    torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-5)


def test_padding_of_histories_changes_nothing(data, personal):
    library, model = personal.library, personal.model
    question = np.flatnonzero(data.part == 1)[:1]
    rows = np.arange(6)[None]
    with torch.inference_mode():
        texts = texts_of(library, question)
        user, wanted = np.array([0]), np.array([0])
        short = model.users(texts, library.readers(rows[:, :3], np.array([3]), user, wanted))
        long = model.users(texts, library.readers(rows, np.array([3]), user, wanted))
    torch.testing.assert_close(short, long, atol=1e-6, rtol=1e-5)


def test_span_probabilities_sum_to_one(data, personal):
    model = personal.model
    texts = texts_of(personal.library, np.flatnonzero(data.part == 1)[:1])
    user = torch.randn(1, 1, model.core.user_size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        reading = model.read(texts)
        length = int(texts.length_B)
        start, end = (
            grid.flatten()[None, None] for grid in torch.meshgrid(*[torch.arange(length)] * 2, indexing="ij")
        )
        total = model.log_likelihood(reading, user, start, end).exp().sum()
    assert float(total) == pytest.approx(1, abs=1e-3)


def test_data_without_profile_fields_will_do(data):
    bare = dataclasses.replace(data, profile=data.profile[:, :0], profile_fields={})
    for core in ({}, {"history": False}):
        module = question_answering.build(tiny_config(data.folder, core), bare)
        rows = question_answering.evaluate(module, bare, "validation", slices=False)
        assert np.isfinite(macro(rows, "unseen")["f1"])


def test_a_model_evaluates_other_data_than_it_was_trained_on(data, personal):
    same = dataclasses.replace(data)
    one, two = (question_answering.evaluate(personal, of, "validation", slices=False) for of in (same, data))
    assert defined(macro(one, "unseen")) == defined(macro(two, "unseen"))


def test_the_reader_starts_from_word_vectors_and_says_so_where_they_do_not_fit(tmp_path):
    root = write_squad(tmp_path / "squad")
    (tmp_path / "vectors.txt").write_text("Bridge " + "2 " * 15 + "-2\nzebra " + "1 " * 16 + "\n")
    chosen = tiny_settings(root, word_vectors=tmp_path / "vectors.txt")
    data = open_questions(store.prepare(chosen, tmp_path / "prepared", form="questions"))
    module = question_answering.build(tiny_config(root), data)
    number = module.vocabulary.lexicon(["bridge"]).word_W[0]
    for model in (module.model, module.trained):
        started = model.read.words.word.weight[number]
        assert torch.equal(
            started, torch.tensor([2.0] * 15 + [-2.0]) / torch.tensor([2.0] * 15 + [-2.0]).std()
        )
    without = question_answering.build(tiny_config(root), dataclasses.replace(data, word_vectors=None))
    others = torch.arange(len(module.vocabulary.words) + 1) != number
    assert torch.equal(
        without.model.read.words.word.weight[others], module.model.read.words.word.weight[others]
    )
    wide = dataclasses.replace(data, word_vectors=WordVectors(["bridge"], np.ones((1, 5), np.float32)))
    with pytest.raises(AdaptuneError, match=r"5 numbers a word.*set it to 5"):
        question_answering.build(tiny_config(root), wide)


class OfTwo(Team):
    """One of two members that share a batch of `rows` questions, without the other one."""

    def __init__(self, rank, rows):
        super().__init__(rank, 2)
        self.of_both = rows

    def rows(self, batch):
        return self.of_both


def test_the_gradients_of_two_workers_add_up_to_those_of_one(data):
    config = tiny_config(data.folder, batch_size=7)
    module = QuestionAnsweringTraining(config, data)
    batch = next(module.batches.epoch(0))

    def gradients(team):
        module.team = team
        module.zero_grad()
        module.log = lambda *args, **keywords: None
        module.training_step(team.share(batch), 0).backward()
        weights = module.trained.named_parameters()
        return {name: weight.grad.clone() for name, weight in weights if weight.grad is not None}

    whole, *parts = (gradients(team) for team in (Team(), OfTwo(0, 7), OfTwo(1, 7)))
    assert all(part.keys() == whole.keys() for part in parts)
    for name, gradient in whole.items():
        torch.testing.assert_close(parts[0][name] + parts[1][name], gradient, atol=1e-5, rtol=1e-3)
