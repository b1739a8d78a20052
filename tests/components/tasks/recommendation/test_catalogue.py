import dataclasses

import numpy as np
import pytest

from components.baselines.ranking import ease_weights, item_matrix
from components.config import RecommendationSettings
from components.tasks.recommendation.catalogue import Catalogue, co_occurrence_vectors, succession_vectors


def numbers(catalogue):
    of_items = [catalogue.count, catalogue.likes, catalogue.value_sum, catalogue.prior_rate]
    return [*of_items, catalogue.prior_events, catalogue.lead, catalogue.follow]


def training_rows(log):
    owner = np.repeat(np.arange(len(log.user_ids)), np.diff(log.user_offsets))
    return (log.part == 0) & ~log.unseen[owner]


def test_only_training_events_of_seen_users_are_counted(log):
    hidden = ~training_rows(log)
    rng = np.random.default_rng(0)
    value = np.where(hidden, rng.uniform(-1, 1, len(log.value)), log.value).astype(np.float32)
    content = np.where(hidden, rng.integers(0, len(log.item_ids), len(log.value)), log.content).astype(
        np.int32
    )
    changed = dataclasses.replace(
        log, value=value, like=np.where(hidden, ~log.like, log.like), content=content
    )
    for one, two in zip(
        numbers(Catalogue.of(log, RecommendationSettings())),
        numbers(Catalogue.of(changed, RecommendationSettings())),
        strict=True,
    ):
        assert np.array_equal(one, two)


def test_counts_are_those_of_the_training_part(log):
    catalogue, train = Catalogue.of(log, RecommendationSettings()), training_rows(log)
    assert catalogue.count.sum() == train.sum()
    assert catalogue.likes.sum() == log.like[train].sum()
    item = int(log.content[train][0])
    assert catalogue.count[item] == (log.content[train] == item).sum()


def test_what_follows_what_is_found(log):
    """Everybody goes round the items in the same order."""
    position = np.concatenate([np.arange(events) for events in np.diff(log.user_offsets)])
    items = len(log.item_ids)
    start = np.repeat(np.arange(len(log.user_ids)), np.diff(log.user_offsets))
    content = ((position + start) % items).astype(np.int32)
    ordered = dataclasses.replace(log, content=content, before=position.astype(np.int32))
    lead, follow = succession_vectors(ordered, training_rows(ordered), 32)
    score = lead @ follow.T
    following = np.array([score[item, (item + 1) % items] for item in range(items)])
    preceding = np.array([score[item, (item - 1) % items] for item in range(items)])
    assert (following > preceding + 0.1).all()
    distance = (score.argmax(axis=1) - np.arange(items)) % items
    assert (distance >= 1).all() and (distance <= 2).all()


def test_what_goes_together_is_weighed_as_by_ease(log):
    train = training_rows(log)
    frequent, weight = ease_weights(item_matrix(log, train))
    lead, follow = co_occurrence_vectors(log, train, len(log.item_ids))
    score = (lead @ follow.T)[np.ix_(frequent, frequent)]
    assert np.corrcoef(score.ravel(), weight.ravel())[0, 1] > 0.999, "all but one singular value are kept"


@pytest.mark.parametrize("vectors", [succession_vectors, co_occurrence_vectors])
def test_without_events_to_train_on_nothing_speaks_for_anything(log, vectors):
    for matrix in vectors(log, np.zeros_like(training_rows(log)), 4):
        assert matrix.shape == (len(log.item_ids), 4) and matrix.dtype == np.float32
        assert not matrix.any()


@pytest.mark.parametrize("vectors", [succession_vectors, co_occurrence_vectors])
def test_a_single_item_has_no_vectors(log, vectors):
    alone = dataclasses.replace(log, content=np.zeros_like(log.content), item_ids=log.item_ids[:1])
    assert [matrix.shape for matrix in vectors(alone, training_rows(log), 4)] == [(1, 0), (1, 0)]


@pytest.mark.parametrize("sizes", [(32, 0), (0, 0), (0, 5), (4, 5)])
def test_a_catalogue_comes_back_as_it_was_written(log, tmp_path, sizes):
    transitions, co_occurrence = sizes
    settings = RecommendationSettings(transitions=transitions, co_occurrence=co_occurrence)
    catalogue = Catalogue.of(log, settings)
    assert catalogue.lead.shape == catalogue.follow.shape == (len(log.item_ids), sum(sizes))
    catalogue.write(tmp_path)
    again = Catalogue.read(tmp_path)
    for field in dataclasses.fields(Catalogue):
        one, two = getattr(catalogue, field.name), getattr(again, field.name)
        assert np.array_equal(one, two) if isinstance(one, np.ndarray) else _plain(one) == _plain(two), (
            field.name
        )


def _plain(value):
    if isinstance(value, dict):
        return {name: list(values) for name, values in value.items()}
    return value if value is None or isinstance(value, float) else list(value)


def test_rare_words_are_left_out_and_titles_padded(log):
    catalogue = dataclasses.replace(
        Catalogue.of(log, RecommendationSettings()),
        titles=["One Fish", "two fish!", ""],
        words=["fish"],
        item_ids=["a", "b", "c"],
    )
    assert catalogue.word_matrix().tolist() == [[1], [1], [0]]
