"""Items that training never met, known by their content."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from components.config import ModalitySettings
from components.tasks.recommendation import cold_start
from components.tasks.recommendation import task as recommendation
from components.tasks.recommendation.catalogue import Catalogue
from components.tasks.recommendation.cold_start import RIDGE, content_features, regress
from tests.components.tasks.recommendation.fixtures import (
    EVERYTHING,
    described,
    described_config,
    with_cold_items,
)


@pytest.fixture(scope="module")
def world(log):
    return with_cold_items(described(log), 30)


def catalogue_of(world, cold_start):
    return Catalogue.of(world, described_config(cold_start=cold_start).model)


def test_expectations_are_those_of_weighted_ridge_regression(world):
    features = content_features(catalogue_of(world, False), EVERYTHING)
    rng = np.random.default_rng(0)
    target, weight = rng.normal(size=(40, 3)), rng.uniform(0.5, 3, 40) * (np.arange(40) % 3 > 0)
    known = weight > 0
    reference = Ridge(alpha=RIDGE).fit(features[known].toarray(), target[known], weight[known])
    asked = np.array([0, 3, 7])
    alike = (features[np.r_[np.flatnonzero(known), asked]] @ features[known].T).toarray()
    found = regress(alike, target[known], weight[known])
    assert found == pytest.approx(reference.predict(features[asked].toarray()), abs=1e-8)


def test_of_many_items_some_are_fitted_to_rare_ones_too(world, monkeypatch):
    whole = catalogue_of(world, True)
    order = np.argsort(whole.count[:30], kind="stable")
    monkeypatch.setattr(cold_start, "MOST_FITTED", 3)
    count = whole.count.astype(float)
    assert cold_start._some_of(np.arange(30), count).tolist() == order[[0, 14, 29]].tolist()
    some = catalogue_of(world, True)
    assert np.array_equal(some.expected[:30], whole.expected[:30])
    assert (some.expected[30:] != whole.expected[30:]).all()


def test_features_are_of_what_is_switched_on_and_zero_where_an_item_lacks_it(world):
    catalogue = catalogue_of(world, False)
    sizes = {}
    for name in ModalitySettings.model_fields:
        only = ModalitySettings(**{each: each == name for each in ModalitySettings.model_fields})
        features = content_features(catalogue, only).toarray()
        sizes[name] = features.shape[1]
        lacks = {
            "overview": [not text for text in world.item_overviews],
            "poster": ~world.item_has_poster,
            "vectors": ~world.item_has_vector,
        }.get(name)
        if lacks is not None:
            assert not features[lacks].any() and features[~np.array(lacks)].any(1).all()
    assert content_features(catalogue, EVERYTHING).shape[1] == sum(sizes.values())
    assert sizes["poster"] == 3 * 6 * 4


def test_only_what_is_said_of_cold_items_changes(world):
    plain, expecting = catalogue_of(world, False), catalogue_of(world, True)
    assert max(abs(plain.lead[30:]).max(), abs(plain.follow[30:]).max()) < 1e-5 and plain.expected is None
    for one, two in ((plain.lead, expecting.lead), (plain.follow, expecting.follow)):
        assert one.shape == two.shape and one.dtype == two.dtype
        assert abs(one[:30]) == pytest.approx(abs(two[:30]), abs=1e-4), "signs are the solver's own"
        assert abs(two[30:]).max(axis=1).min() > 1e-2
    assert np.array_equal(expecting.expected[:30], plain.count[:30])
    assert (expecting.expected[30:] > 0).all() and np.array_equal(expecting.count, plain.count)


def test_nothing_is_expected_where_training_met_all_or_nothing(log, world):
    for data in (described(log), dataclasses.replace(world, part=np.ones_like(world.part))):
        plain, expecting = catalogue_of(data, False), catalogue_of(data, True)
        assert abs(plain.lead) == pytest.approx(abs(expecting.lead), abs=1e-4)
        assert np.array_equal(expecting.expected, plain.count)


@pytest.mark.parametrize("known", [False, True])
def test_cold_items_have_no_identity(world, known):
    model = recommendation.build(described_config(cold_start=known), world).model.eval()
    before = model.items()
    with torch.no_grad():
        model.items.identity.weight[30:] += 5
    same = (before.modality_IME == model.items().modality_IME).flatten(1).all(1)
    assert same[:30].all() and same[30:].all() == known


def test_cold_items_rank_by_what_is_expected_of_them(world):
    """Popularity and what goes with what are all that an untrained model ranks by."""
    model = recommendation.build(described_config(cold_start=True), world).model.eval()
    catalogue = catalogue_of(world, True)
    expected = np.log((catalogue.expected + 1) / catalogue.count.sum())
    assert model.popularity_I.numpy() == pytest.approx(expected)


def test_what_is_expected_travels_with_the_catalogue(world, tmp_path):
    catalogue = catalogue_of(world, True)
    catalogue.write(tmp_path)
    again = Catalogue.read(tmp_path)
    for name in ("expected", "lead", "follow", "count"):
        assert np.array_equal(getattr(catalogue, name), getattr(again, name)), name
