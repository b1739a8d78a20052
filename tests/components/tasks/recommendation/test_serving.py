import json

import numpy as np
import pytest
import safetensors.torch
import torch

from components.data.events import Event
from components.tasks.recommendation import task as recommendation
from components.tasks.recommendation.evaluation import Examples, predict
from components.tasks.servable import UnknownKind, UnusableContent
from tests.components.tasks.quick import train_quickly
from tests.components.tasks.recommendation.fixtures import (
    described,
    described_config,
    tiny_config,
    with_cold_items,
)


def promoted(module, log, folder):
    recommendation.export(module, log, folder)
    (folder / "config.json").write_text(json.dumps(module.config.model_dump(mode="json")))
    weights = {name: value.contiguous() for name, value in module.model.state_dict().items()}
    safetensors.torch.save_file(weights, folder / "model.safetensors")
    return recommendation.load_servable(folder)


@pytest.fixture(scope="module")
def servable(trained, log, tmp_path_factory):
    return promoted(trained, log, tmp_path_factory.mktemp("version"))


def profile_of(log, user):
    row = log.profile[user]
    return {field: log.profile_fields[field][row[column]] for column, field in enumerate(log.profile_fields)}


def test_serving_gives_the_probabilities_and_the_ranking_of_evaluation(servable, trained, log):
    assert_serving_is_evaluation(servable, trained, log)


def test_so_it_does_with_all_modalities_and_items_that_lack_some(log, tmp_path):
    world = with_cold_items(described(log), 30)
    module = train_quickly(recommendation.build(described_config(cold_start=True), world), 2, 2)
    served = promoted(module, world, tmp_path)
    assert served.model.items.modalities == ("identity", "genres", "title", "overview", "poster", "vectors")
    assert_serving_is_evaluation(served, module, world)


def assert_serving_is_evaluation(servable, trained, log):
    examples = Examples.of(log, "test")
    everyone = np.arange(len(log.user_ids))
    trained.model.eval()
    with torch.inference_mode():
        logits, top = predict(trained.model, log, examples, everyone, -1)
    probability = 1 / (1 + np.exp(-logits))
    for user in np.flatnonzero(examples.part_start >= 0)[::7]:
        wanted = {}
        for index in np.flatnonzero(examples.user == user):
            wanted.setdefault(int(examples.before[index]), []).append(index)
        state, profile = servable.initial_state(), profile_of(log, user)
        for place, event in enumerate([*log.events_of(user), None]):
            for index in wanted.get(place, []):
                item = log.item_ids[log.content[examples.row[index]]]
                assert servable.like_probability(state, profile, [item])[0] == pytest.approx(
                    probability[index], abs=1e-4
                )
            if place == examples.part_start[user]:
                met = [log.item_ids[log.content[log.user_offsets[user] + step]] for step in range(place)]
                answer = servable.recommend(state, profile, 10, met)
                expected = [log.item_ids[item] for item in top[user] if item >= 0]
                assert [one.id for one in answer] == expected
            if event is not None:
                state = servable.step(state, event)


def test_a_dumped_state_comes_back_and_goes_on(servable, log):
    events = list(log.events_of(0))
    state = servable.initial_state()
    for event in events[:10]:
        state = servable.step(state, event)
    again = servable.load_state(servable.dump_state(state))
    one, two = servable.step(state, events[10]), servable.step(again, events[10])
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_states_of_another_model_are_refused(servable):
    with pytest.raises(ValueError, match="not a state"):
        servable.load_state(b"nonsense")
    with pytest.raises(ValueError, match="another model"):
        servable.load_state(safetensors.torch.save({"hidden": torch.zeros(1)}))


def test_unknown_contents_and_kinds_are_named(servable, log):
    state = servable.initial_state()
    with pytest.raises(UnusableContent, match="'x'"):
        servable.step(state, Event("1", "u", 0.0, "x", log.kinds[0], 1.0))
    with pytest.raises(UnknownKind, match="'sniffed'"):
        servable.step(state, Event("1", "u", 0.0, log.item_ids[0], "sniffed", 1.0))
    with pytest.raises(UnusableContent, match="'x'"):
        servable.like_probability(state, {}, ["x"])


def test_excluded_items_are_not_recommended(servable, log):
    kept = log.item_ids[3:8]
    excluded = [item for item in log.item_ids if item not in kept]
    answer = servable.recommend(servable.initial_state(), {}, 10, excluded)
    assert {one.id for one in answer} == set(kept)
    assert [one.score for one in answer] == sorted((one.score for one in answer), reverse=True)
    assert servable.recommend(servable.initial_state(), {}, 10, log.item_ids) == []


def test_the_servable_of_a_baseline_works_alike(log, tmp_path):
    module = recommendation.build(tiny_config(None), log)
    baseline = promoted(module, log, tmp_path)
    before = baseline.recommend(baseline.initial_state(), {}, 5)
    state = baseline.step(baseline.initial_state(), next(log.events_of(0)))
    assert baseline.recommend(state, {}, 5) == before
    assert baseline.load_state(baseline.dump_state(state)).keys() == state.keys()
