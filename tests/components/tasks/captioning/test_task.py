import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.metrics.rows import macro
from components.tasks.captioning import task as captioning
from components.tasks.captioning.batches import TrainingBatches
from components.tasks.captioning.evaluation import rows_of
from components.tasks.captioning.training import CaptioningTraining
from components.training import fit
from tests.components.tasks.captioning.fixtures import tiny_config, tiny_data
from tests.components.tasks.quick import train_quickly


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_data(tmp_path_factory.mktemp("flickr"))


def trained_for(data, epochs, personalization=None, model=None, **training):
    config = tiny_config(data.folder, personalization, model, **training)
    return train_quickly(CaptioningTraining(config, data), epochs)


@pytest.fixture(scope="module")
def personal(data):
    return trained_for(data, 30, {})


def measured(module, control=None, slices=False):
    return rows_of(module.model, module.library, "validation", control, slices)


def test_the_style_that_unseen_users_want_is_read_off_their_history(data, personal):
    generic = trained_for(data, 30)
    ours, theirs = macro(measured(personal), "unseen"), macro(measured(generic), "unseen")
    shuffled = macro(measured(personal, "shuffled-users"), "unseen")
    elsewhere = macro(measured(personal, "shuffled-images"), "unseen")
    assert ours["style_match"] > theirs["style_match"] + 0.2
    assert shuffled["style_match"] < ours["style_match"] - 0.2
    assert elsewhere["cider"] < ours["cider"]
    assert elsewhere["style_match"] > shuffled["style_match"]


def test_slices_hold_all_histories_and_groups(data, personal):
    rows = measured(personal, slices=True)
    assert set(rows["history"].to_pylist()) == {-1, 0, 1, 2, 5, 20}
    assert {"unseen", "plain", "conditional"} <= set(rows["group"].to_pylist())
    assert macro(rows, "unseen", 20) == pytest.approx(
        macro(rows, "unseen"), nan_ok=True
    )  # nobody has more events
    assert macro(rows, "unseen", 0)["style_match"] < macro(rows, "unseen")["style_match"]
    assert macro(measured(personal), "unseen") == pytest.approx(macro(rows, "unseen"), nan_ok=True)


def test_a_told_model_has_the_truth_in_place_of_the_core(data):
    module = captioning.build(tiny_config(data.folder, {}, {"told": True}), data)
    names = dict(module.model.named_parameters())
    assert "told.weight" in names and not any(name.startswith(("core.", "events.")) for name in names)
    module.log = lambda *args, **keywords: None
    module.training_step(next(module.batches.epoch(0)), 0).backward()
    assert module.trained.told.weight.grad.any(dim=1).all()  # the style that is unknown, too
    rows = measured(module, slices=True)
    assert macro(rows, "unseen", 0) == pytest.approx(macro(rows, "unseen"), nan_ok=True)


def test_averaging_follows_the_statistics_of_channels_too(data):
    module = captioning.build(tiny_config(data.folder), data)
    name = "see.encoder.blocks.0.norm.running_mean"
    module.trained.state_dict()[name].add_(1)
    before = module.model.state_dict()[name].clone()
    module._trainer = type("Trainer", (), {"global_step": 0})()
    module.on_train_batch_end(None, next(module.batches.epoch(0)), 0)
    assert torch.allclose(module.model.state_dict()[name], before + 0.9)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000))
def test_no_example_shows_its_own_picture_and_targets_fit_the_newest_event(data, seed):
    batches = CaptioningTraining(tiny_config(data.folder), data).batches
    generator = np.random.default_rng(seed)
    user = generator.choice(batches.users, 64)
    image = generator.choice(batches.images, 64)
    row, before = batches._histories(user, image, generator)
    wanted = batches.wanted(user, image, row)
    log = batches.library.log
    for number in range(64):
        shown = row[number, : before[number]]
        assert (log.image_E[shown] != image[number]).all()
        assert (np.diff(shown) > 0).all()
        first, last = log.offsets[user[number]], log.offsets[user[number] + 1]
        assert ((first <= shown) & (shown < last)).all()
        numbers = [0, *(shown - first + 1)]
        assert numbers == sorted(set(numbers))
        for moment, newest in enumerate(numbers):
            changed = newest > data.drift_at[user[number]]
            table = (data.preference if changed else data.preference_before)[user[number]]
            assert wanted[number, moment] == table[data.kind[image[number]]]


def test_unseen_users_and_later_parts_change_nothing_in_training(data):
    value, preference, kind = data.event_value.copy(), data.preference.copy(), data.kind.copy()
    value[np.repeat(data.unseen, np.diff(data.event_offsets))] *= -1
    preference[data.unseen] = (preference[data.unseen] + 1) % 3
    kind[data.part > 0] = 0
    pixels = data.pixels.copy()
    pixels[data.part > 0] = 0
    word = data.caption_word.copy()
    later = np.repeat(data.part[data.caption_image] > 0, np.diff(data.caption_offsets))
    word[later] = word[~later][0]
    changed = dataclasses.replace(
        data, event_value=value, preference=preference, kind=kind, pixels=pixels, caption_word=word
    )
    one, two = trained_for(data, 1, {}), trained_for(changed, 1, {})
    for name, weight in one.model.state_dict().items():
        assert torch.equal(weight, two.model.state_dict()[name]), name


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000))
def test_encode_is_repeated_step(data, personal, seed):
    batch = next(TrainingBatches(personal.library, 6, 2, seed).epoch(0))
    model = personal.model.eval()
    viewers = batch.viewers
    with torch.inference_mode():
        picture = model.see(batch.image)
        events = model.events(viewers.history)
        encoded = model.core.encode(events)
        state = model.core.initial_state(len(viewers.before_N))
        for time in range(events.value_BT.shape[1]):
            same = model.core.state_at(encoded, torch.full_like(viewers.before_N, time))
            for name in state:
                torch.testing.assert_close(state[name], same[name], atol=1e-5, rtol=1e-5)
            state = model.core.step(state, type(events)(*(field[:, time] for field in events)))
        one = model.wish.decided(model.guesses(picture, viewers)[:, -1])
        two = model.user_of(state, picture, viewers.profile_NF).flatten(0, 1)
    torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-5)


def test_data_without_profile_fields_will_do(data):
    bare = dataclasses.replace(data, profile=data.profile[:, :0], profile_fields={})
    for core in ({}, {"history": False}):
        module = captioning.build(tiny_config(data.folder, core), bare)
        rows = captioning.evaluate(module, bare, "validation", slices=False)
        assert np.isfinite(macro(rows, "unseen")["style_match"])


def test_a_model_evaluates_other_data_than_it_was_trained_on(data, personal):
    same = dataclasses.replace(data)
    one, two = (captioning.evaluate(personal, each, "validation", slices=False) for each in (same, data))
    assert macro(one, "unseen") == pytest.approx(macro(two, "unseen"), nan_ok=True)


def test_a_resumed_training_equals_an_undisturbed_one_bit_for_bit(data, tmp_path):
    """Means and variances of normalised channels, and averaged weights, are part of it."""

    def train_to(folder, epochs):
        module = captioning.build(tiny_config(data.folder, model={"dropout": 0.2}, epochs=epochs), data)
        training = module.config.training
        places = {"group": "unseen", "checkpoint_folder": folder, "on_epoch": lambda report, module: None}
        fit(captioning, module, data, training, epochs, **places)
        return module.state_dict()

    whole = train_to(tmp_path / "whole", 2)
    train_to(tmp_path / "parts", 1)
    resumed = train_to(tmp_path / "parts", 2)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
