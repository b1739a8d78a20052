"""Overviews, posters and vectors beside identity, genres and titles; and items that lack some of them."""

import numpy as np
import pytest
import torch

from components.config import ModalitySettings
from components.metrics.rows import macro
from components.tasks.recommendation import task as recommendation
from components.tasks.recommendation.batches import TrainingBatches
from components.tasks.recommendation.catalogue import Catalogue
from components.tasks.recommendation.model import Reading
from components.tasks.recommendation.texts import known_words, weighted_words
from tests.components.tasks.quick import train_quickly
from tests.components.tasks.recommendation.fixtures import described, described_config

EVERY = ("genres", "title", "overview", "poster", "vectors")


@pytest.fixture(scope="module")
def world(log):
    return described(log)


@pytest.fixture
def model(world):
    return as_if_trained(recommendation.build(described_config(), world).model)


def as_if_trained(model):
    """A model with something in place of what starts at zero: attention, gates, overviews and posters."""
    items = model.items
    started = (items.attention, items.overview, items.poster.out)
    torch.manual_seed(0)
    with torch.no_grad():
        for part in (*started, model.attention_bias.interest, model.fusion_gate.gate):
            part.weight.normal_(std=0.5)
    return model.eval()


def some_users(model):
    torch.manual_seed(1)
    return Reading({}, torch.randn(3, 1, model.core.user_size))


def ranking(model, table, reading):
    """The ranking logits but for what is counted, item by item and by the product of factors."""
    items = torch.arange(len(table.content_IC)).expand(3, -1)
    fused = model._fuse(table, reading, items)
    return (model.wanted(reading) * fused).sum(-1)


@pytest.mark.parametrize("switch", EVERY)
def test_a_modality_switched_off_has_no_parameters_and_changes_no_other_initial_value(world, switch):
    full = recommendation.build(described_config(), world).model
    chosen = ModalitySettings(**{name: name != switch for name in EVERY})
    less = recommendation.build(described_config(chosen), world)
    of_full, of_less = dict(full.named_parameters()), dict(less.model.named_parameters())
    assert set(of_less) < set(of_full)
    assert less.model.items.modalities == ("identity", *(name for name in EVERY if name != switch))
    for name in of_less:
        if of_less[name].shape == of_full[name].shape:
            assert torch.equal(of_less[name], of_full[name]), name
    train_quickly(less, 1, 1)
    assert np.isfinite(
        macro(recommendation.evaluate(less, world, "validation", slices=False), "seen")["ndcg@10"]
    )


@pytest.mark.parametrize("core", [{"history": False}, None])
def test_every_modality_serves_models_without_histories(world, core):
    module = train_quickly(recommendation.build(described_config(personalization=core), world), 1, 1)
    assert np.isfinite(macro(recommendation.evaluate(module, world, "test", slices=False), "seen")["ndcg@10"])


def test_what_an_item_lacks_has_no_weight_and_no_part_in_the_normalisation(model, world):
    table, reading = model.items(), some_users(model)
    has = np.ones((len(world.item_ids), 6), bool)
    has[:, 3] = [bool(text) for text in world.item_overviews]
    has[:, 4], has[:, 5] = world.item_has_poster, world.item_has_vector
    assert torch.equal(table.attention_IM > 0, torch.from_numpy(has))
    items = torch.arange(len(has)).expand(3, -1)
    share = model.modality_weights(table, reading, items) / model.fusion_gate(reading.user_BQH)
    assert (share[:, ~torch.from_numpy(has)] == 0).all()
    torch.testing.assert_close(share.sum(-1), torch.ones(3, len(has)))
    assert (share.amax(-1) - share.amin(-1)).min() > 0.01, "the user's and the item's say must show"


def test_all_ways_to_score_agree_and_see_nothing_that_is_lacking(model, world):
    table, reading = model.items(), some_users(model)
    items = torch.arange(len(world.item_ids)).expand(3, -1)
    absurd = table.modality_IME.clone()
    absurd[table.attention_IM == 0] = 1e4
    like, base = [], model.popularity_I * (1 + model.popularity_scale.weight)
    model.core.history = False  # what is counted has no part in this
    with torch.inference_mode():
        expected = ranking(model, table, reading) + base
        for seen in (table, table._replace(modality_IME=absurd)):
            one = model.ranking_logits(seen, reading, None)[:, 0]
            other = model.ranking_logits_of(seen, reading, items)
            torch.testing.assert_close(one, expected, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(other, expected, atol=1e-4, rtol=1e-4)
            like.append(model.head_item(model._fuse(seen, reading, items)))
    assert torch.equal(*like)


def test_training_encodes_what_a_step_needs(model, world):
    whole = model.items()
    needed = torch.tensor([0, 1, 7, 20])
    some = model.items(needed)
    for one, two in zip(whole, some, strict=True):
        torch.testing.assert_close(one[needed], two[needed])
    assert (some.modality_IME[30:, 3:5] == 0).all() and (whole.modality_IME[30:, 3:5] != 0).any()


def test_a_step_needs_all_that_it_looks_up(world):
    """Whatever a step does not need may be anything: the loss is the same."""
    module = recommendation.build(described_config(), world)
    module.log = lambda *args, **keywords: None
    as_if_trained(module.trained)
    batch = next(TrainingBatches(world, 1, 4, seed=0).epoch(0))
    needed = batch.needed_items()
    unneeded = np.setdiff1d(np.arange(len(world.item_ids)), needed)
    losses = []
    for changed in ([], unneeded, needed):
        module.trained.items.poster_I3HW[changed] = 255
        torch.manual_seed(0)
        losses.append(module.training_step(batch, 0).item())
    assert len(unneeded) and losses[0] == losses[1] != losses[2]


def test_overviews_are_weighed_by_tf_idf():
    texts = ["the cat and the hat", "the dog", "", "cat dog cat"]
    words = known_words(texts)
    assert words == ["cat", "dog", "the"]
    number, weight = weighted_words(texts, words)
    rare = np.log(4 / 2)  # of four texts two have it, whichever of the three words
    assert number.tolist() == [[3, 1], [2, 3], [0, 0], [1, 2]]
    first, last = np.array([2 * rare, rare]), np.array([2 * rare, rare])
    assert weight[0] == pytest.approx(first / np.linalg.norm(first))
    assert weight[3] == pytest.approx(last / np.linalg.norm(last))
    assert weight[1] == pytest.approx([2**-0.5] * 2) and weight[2].tolist() == [0, 0]


def test_contents_come_back_as_they_were_written(world, tmp_path):
    settings = described_config().model
    catalogue = Catalogue.of(world, settings)
    catalogue.write(tmp_path)
    again = Catalogue.read(tmp_path)
    assert list(again.overviews) == list(catalogue.overviews)
    assert list(again.overview_words) == list(catalogue.overview_words)
    for name in ("posters", "has_poster", "vectors", "has_vector"):
        one, two = getattr(catalogue, name), getattr(again, name)
        assert one.dtype == two.dtype and np.array_equal(one, two), name
    without = Catalogue.of(world, described_config(ModalitySettings()).model)
    assert without.overviews is None and without.posters is None and without.vectors is None


def test_the_full_softmax_is_the_sampled_one_with_all_items(world):
    losses = []
    for change in ({"softmax": "full", "negatives": 3}, {"negatives": len(world.item_ids)}):
        module = recommendation.build(described_config(**change), world)
        module.log = lambda *args, **keywords: None
        batch = next(module.batches.epoch(0))
        assert batch.negative_N.tolist() == list(range(len(world.item_ids)))
        torch.manual_seed(0)
        losses.append(module.training_step(batch, 0).item())
    assert losses[0] == losses[1]


def test_the_ranking_loss_of_the_full_softmax_is_that_over_all_items_not_met(world):
    module = recommendation.build(described_config(softmax="full"), world)
    model = module.trained.eval()
    batch = next(module.batches.epoch(0))
    with torch.inference_mode():
        table = model.items()
        reading = model.read(model.encode(table, batch.history), batch.profile_BF, batch.before_BQ)
        torch.manual_seed(3)
        count_S = torch.stack([batch.mask_BQ[:, first::2].sum() for first in range(2)])
        found = module._ranking_loss(table, reading, batch, count_S)
        torch.manual_seed(3)
        first = int(torch.randint(2, ()))
        score = model.ranking_logits(table, reading, None)
    losses = []
    for user in range(len(batch.item_BQ)):
        for question in range(first, int(batch.mask_BQ[user].sum()), 2):
            met = set(batch.item_BQ[user, : batch.earlier_BQ[user, question]].tolist())
            item = int(batch.item_BQ[user, question])
            left = [other for other in range(len(world.item_ids)) if other not in met or other == item]
            losses.append(score[user, question, left].logsumexp(-1) - score[user, question, item])
    assert found.item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-4)
