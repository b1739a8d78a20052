import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.metrics.rows import macro, select_slice
from components.tasks import TASKS
from components.tasks.recommendation import batches as recommendation_batches
from components.tasks.recommendation import evaluation, ranking
from components.tasks.recommendation import task as recommendation
from components.tasks.recommendation.batches import TrainingBatches
from components.tasks.recommendation.evaluation import Examples, another_user, cold_items, predict
from components.tasks.recommendation.ranking import Ranking
from tests.components.tasks.recommendation.fixtures import tiny_config, with_cold_items

SWITCHES = ("history", "attention", "feedback", "profile", "attention_modulation", "fusion_modulation")


def names(config, log):
    return {name: value.shape for name, value in recommendation.build(config, log).model.named_parameters()}


@pytest.mark.parametrize("switch", SWITCHES)
def test_a_part_switched_off_has_no_parameters_and_changes_no_other_initial_value(log, switch):
    full = recommendation.build(tiny_config({}), log).model
    less = recommendation.build(tiny_config({switch: False}), log).model
    of_full, of_less = dict(full.named_parameters()), dict(less.named_parameters())
    assert set(of_less) < set(of_full)
    for name in of_less:
        if of_less[name].shape == of_full[name].shape:
            assert torch.equal(of_less[name], of_full[name]), name
    recommendation.evaluate(
        recommendation.build(tiny_config({switch: False}), log), log, "validation", slices=False
    )


def test_all_off_is_the_baseline(log):
    off = dict.fromkeys(SWITCHES, False)
    assert names(tiny_config(off), log) == names(tiny_config(None), log)


def test_every_training_event_of_seen_users_is_met_once_an_epoch(log):
    batches = TrainingBatches(log, 16, 8, seed=0)
    owner = np.repeat(np.arange(len(log.user_ids)), np.diff(log.user_offsets))
    expected = np.bincount(log.content[(log.part == 0) & ~log.unseen[owner]], minlength=len(log.item_ids))
    for epoch in range(2):
        met = [batch.item_BQ[batch.mask_BQ] for batch in batches.epoch(epoch)]
        assert len(met) == len(batches)
        assert np.array_equal(np.bincount(torch.cat(met), minlength=len(log.item_ids)), expected)


def test_of_a_long_log_a_stretch_is_shown(log, monkeypatch):
    monkeypatch.setattr(recommendation_batches, "MOST_EVENTS", 7)
    for batch in TrainingBatches(log, 16, 8, seed=0).epoch(0):
        assert batch.item_BQ.shape[1] <= 7
        assert (batch.earlier_BQ <= torch.arange(batch.item_BQ.shape[1])).all()
        assert (batch.before_BQ <= batch.earlier_BQ).all()


@pytest.mark.parametrize("core", [{}, {"history": False}, None])
@pytest.mark.parametrize("knowledge", [{"transitions": 0}, {"co_occurrence": 6}])
def test_knowledge_of_pairs_of_items_can_be_switched(log, core, knowledge):
    config = tiny_config(core)
    config = config.model_copy(update={"model": config.model.model_copy(update=knowledge)})
    found, usual = names(config, log), names(tiny_config(core), log)
    if "transitions" in knowledge:
        assert not any(name.startswith(("items.lead", "items.follow", "ranking_habits")) for name in found)
    else:
        assert found["items.lead.weight"][1] == usual["items.lead.weight"][1] + 6
    module = recommendation.build(config, log)
    module.log = lambda *args, **keywords: None
    module.training_step(next(module.batches.epoch(0)), 0).backward()
    assert np.isfinite(macro(recommendation.evaluate(module, log, "validation"), "seen")["ndcg@10"])


def test_counting_has_its_say_in_the_ranking_and_in_nothing_else(log):
    config = tiny_config({})
    with_counts = {"co_occurrence": 6, "counting_weight": 50.0}
    tables = {}
    for weight in (0.0, 50.0):
        model = config.model.model_copy(update={**with_counts, "counting_weight": weight})
        module = recommendation.build(config.model_copy(update={"model": model}), log)
        tables[weight] = macro(recommendation.evaluate(module, log, "validation", slices=False), "seen")
    assert tables[0.0]["log_loss"] == tables[50.0]["log_loss"]
    assert tables[50.0]["ndcg@10"] != tables[0.0]["ndcg@10"]
    model, history = module.model.eval(), next(module.batches.epoch(0)).history
    encoded = model.encode(model.items(), history)
    last = torch.full((len(history.item_BT), 1), history.item_BT.shape[1])
    profile = torch.zeros(len(last), log.profile.shape[1], dtype=torch.long)
    counted = model.counted(model.read(encoded, profile, last))
    assert counted.shape == (len(last), 1, len(log.item_ids))
    assert counted.mean(-1).abs().max() < 1e-3 and counted.std(-1).max() <= 50.0 * len(model.knowledge) + 1e-3
    for core in ({"history": False}, None):  # without events there is nothing to count
        model = tiny_config(core).model.model_copy(update=with_counts)
        module = recommendation.build(tiny_config(core).model_copy(update={"model": model}), log)
        assert np.isfinite(macro(recommendation.evaluate(module, log, "test"), "seen")["ndcg@10"])


@pytest.mark.parametrize("core", [{}, {"history": False}, None])
def test_data_without_genres_titles_and_profiles_will_do(log, core):
    bare = dataclasses.replace(
        log,
        genres=[],
        item_genres=[[] for _ in log.item_ids],
        item_titles=["" for _ in log.item_ids],
        profile_fields={},
        profile=log.profile[:, :0],
    )
    module = recommendation.build(tiny_config(core), bare)
    module.log = lambda *args, **keywords: None
    loss = module.training_step(next(module.batches.epoch(0)), 0)
    loss.backward()
    assert torch.isfinite(loss)
    assert np.isfinite(macro(recommendation.evaluate(module, bare, "validation"), "seen")["accuracy"])


def test_data_in_which_all_happens_at_once_will_do(log):
    at_once = dataclasses.replace(log, before=np.zeros_like(log.before))
    module = recommendation.build(tiny_config(), at_once)
    assert np.isfinite(macro(recommendation.evaluate(module, at_once, "test"), "seen")["accuracy"])


def test_batches_follow_from_seed_and_epoch(log):
    def items(seed, epoch):
        return [batch.item_BQ.tolist() for batch in TrainingBatches(log, 16, 8, seed).epoch(epoch)]

    assert items(0, 1) == items(0, 1)
    assert items(0, 1) != items(0, 2)
    assert items(0, 1) != items(1, 1)


@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_no_example_sees_its_own_instant_or_what_follows(trained, log, data):
    examples = Examples.of(log, "test")
    index = data.draw(st.integers(0, len(examples.row) - 1))
    user, before = examples.user[index], examples.before[index]
    first = int(log.user_offsets[user] + before)
    stop = int(log.user_offsets[user + 1])
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    value, content = log.value.copy(), log.content.copy()
    value[first:stop] = rng.uniform(-1, 1, stop - first)
    content[first:stop] = rng.integers(0, len(log.item_ids), stop - first)
    content[examples.row[index]] = log.content[examples.row[index]]
    changed = dataclasses.replace(log, value=value, content=content)
    everyone = np.arange(len(log.user_ids))
    trained.model.eval()
    for cut in (-1, 2):
        with torch.inference_mode():
            one, top = predict(trained.model, log, examples, everyone, cut)
            two, top_again = predict(trained.model, changed, examples, everyone, cut)
        assert one[index] == pytest.approx(two[index], abs=1e-5)
        if before == examples.part_start[user]:
            assert np.array_equal(top[user], top_again[user])


def test_an_example_sees_what_came_before(trained, log):
    examples = Examples.of(log, "test")
    index = len(examples.row) // 2
    row = int(log.user_offsets[examples.user[index]] + examples.before[index]) - 1
    value = log.value.copy()
    value[row] = -1 if value[row] > 0 else 1
    everyone = np.arange(len(log.user_ids))
    trained.model.eval()
    with torch.inference_mode():
        one, _ = predict(trained.model, log, examples, everyone, -1)
        two, _ = predict(trained.model, dataclasses.replace(log, value=value), examples, everyone, -1)
    assert abs(one[index] - two[index]) > 1e-4


def test_lists_are_measured_for_each_group_and_history(trained, log):
    examples = Examples.of(log, "test")
    rows = recommendation.evaluate(trained, log, "test")
    everyone = np.arange(len(log.user_ids))
    trained.model.eval()
    for cut in (-1, 2):
        with torch.inference_mode():
            _, top = predict(trained.model, log, examples, everyone, cut)
        for group, unseen in (("seen", False), ("unseen", True)):
            shown = top[(log.unseen == unseen) & (examples.part_start >= 0)]
            means = macro(rows, group, cut)
            assert means["coverage@10"] == pytest.approx(len(np.unique(shown)) / len(log.item_ids))
            assert 0 < means["gini@10"] < 1 and 0 < means["entropy@10"] < 1
            assert means["novelty@10"] > 0 and 0 < means["diversity@10"] < 1
            assert means["popularity_lift@10"] > -1


def test_cold_items_are_ranked_among_each_other_and_among_all(trained, log, monkeypatch):
    """With a model that prefers higher numbers, or to say it otherwise, the cold items of those training knows."""
    cold_log = with_cold_items(log, 30)
    examples, everyone = Examples.of(cold_log, "test"), np.arange(len(log.user_ids))

    def by_number(model, table, state, profile, excluded, count):
        left = [np.setdiff1d(np.arange(40), items)[::-1] for items in excluded]
        item = torch.tensor([[*items, *[-1] * (40 - len(items))] for items in left])
        return Ranking(item, torch.where(item >= 0, item.float(), -torch.inf), torch.zeros(item.shape))

    monkeypatch.setattr(evaluation, "rank", by_number)
    monkeypatch.setattr(evaluation, "ranking_scores", lambda *args: torch.arange(40.0)[None] // 2)
    with torch.inference_mode():
        found = cold_items(trained.model, cold_log, examples, everyone, -1, trained.model.items())
    for user in everyone:
        start = log.user_offsets[user]
        mine = cold_log.content[start : log.user_offsets[user + 1]]
        new = set(range(40)) - set(mine[: examples.part_start[user]])
        left = {item for item in new if item >= 30}
        asked = {item for item in cold_log.content[examples.row[examples.user == user]] if item >= 30}
        wanted = left & asked
        pairs = [float(one > other) for one in wanted for other in left - wanted]
        assert found["auc_cold"][user] == pytest.approx(np.mean(pairs) if pairs else np.nan, nan_ok=True)
        place = {item: index for index, item in enumerate(sorted(left, reverse=True))}
        gain = sum(1 / np.log2(place[item] + 2) for item in wanted)
        ideal = sum(1 / np.log2(index + 2) for index in range(min(10, len(asked))))
        assert found["ndcg_cold@10"][user] == pytest.approx(gain / ideal if asked else np.nan, nan_ok=True)
        higher = [
            np.mean([(other // 2 > item // 2) + (other // 2 == item // 2) / 2 for other in new - {item}])
            for item in wanted
        ]
        assert found["rank_cold"][user] == pytest.approx(np.mean(higher) if higher else np.nan, nan_ok=True)
    assert (~np.isnan(found["auc_cold"])).sum() > 10 and np.unique(found["rank_cold"]).size > 5


def test_cold_items_beyond_the_shortlist_are_ranked_too(trained, log, monkeypatch):
    cold_log = with_cold_items(log, 30)
    examples, everyone = Examples.of(cold_log, "test"), np.arange(len(log.user_ids))
    found = []
    for shortlist in (3, 200):
        monkeypatch.setattr(ranking, "SHORTLIST", shortlist)
        with torch.inference_mode():
            found.append(cold_items(trained.model, cold_log, examples, everyone, -1)["auc_cold"])
    assert np.array_equal(*found, equal_nan=True)


def test_cold_items_have_rows_where_there_are_any(trained, log):
    assert "auc_cold" in macro(recommendation.evaluate(trained, with_cold_items(log, 30), "test"), "seen", 2)
    for cut, some in ((with_cold_items(log, 30), True), (log, False)):
        means = macro(recommendation.evaluate(trained, cut, "test", slices=False), "seen")
        for metric in ("auc_cold", "ndcg_cold@10", "rank_cold"):
            assert np.isfinite(means[metric]) == some


def test_training_does_not_read_labels_at_or_after_an_instant(trained, log):
    """The like logits of training, from the batches that training itself uses."""
    batch = next(TrainingBatches(log, 16, 8, 0).epoch(0))
    model = trained.model.eval()

    def logits(history):
        with torch.inference_mode():
            table = model.items()
            source = model.encode(table, history)
            reading = model.read(source, batch.profile_BF, batch.before_BQ)
            return model.like_logits(table, source, reading, batch.item_BQ, batch.before_BQ)

    middle = batch.item_BQ.shape[1] // 2
    later = batch.before_BQ[:, middle, None] <= torch.arange(batch.history.item_BT.shape[1])
    value = torch.where(later, -batch.history.value_BT, batch.history.value_BT)
    one, two = logits(batch.history), logits(batch.history._replace(value_BT=value))
    torch.testing.assert_close(one[:, middle], two[:, middle], atol=1e-5, rtol=1e-5)
    assert (one[:, -1] - two[:, -1]).abs().max() > 1e-3


def test_histories_of_training_are_parts_of_what_came_before(log):
    """Each question's history is a subsequence of its user's strictly earlier events."""
    batch = next(TrainingBatches(log, 16, 8, 0).epoch(0))
    item_BT, before_BQ, earlier_BQ = batch.history.item_BT, batch.before_BQ, batch.earlier_BQ
    assert (before_BQ <= earlier_BQ).all() and (before_BQ < earlier_BQ).any()
    for user in range(len(item_BT)):
        for question in range(0, int(batch.mask_BQ[user].sum()), 5):
            earlier = iter(batch.item_BQ[user, : earlier_BQ[user, question]].tolist())
            assert all(item in earlier for item in item_BT[user, : before_BQ[user, question]].tolist())


def test_rows_have_the_tasks_metrics_and_slices(trained, log):
    rows = recommendation.evaluate(trained, log, "validation")
    assert set(TASKS["recommendation"].metrics) <= set(rows.column_names)
    assert set(rows["history"].to_pylist()) == {-1, 0, 1, 2, 5, 20}
    seen, unseen = (len(select_slice(rows, group)) for group in ("seen", "unseen"))
    assert seen + unseen == len(np.unique(Examples.of(log, "validation").user))
    quick = recommendation.evaluate(trained, log, "validation", slices=False)
    assert set(quick["history"].to_pylist()) == {-1}
    assert macro(quick, "seen") == pytest.approx(macro(rows, "seen"), rel=0, abs=0, nan_ok=True)


def test_a_long_cut_equals_the_full_history(trained, log):
    examples = Examples.of(log, "validation")
    everyone = np.arange(len(log.user_ids))
    trained.model.eval()
    with torch.inference_mode():
        full, top = predict(trained.model, log, examples, everyone, -1)
        cut, top_cut = predict(trained.model, log, examples, everyone, 10_000)
    assert np.allclose(full, cut, atol=1e-4)
    assert np.array_equal(top, top_cut)


def test_without_history_all_depends_on_the_profile(trained, log):
    examples = Examples.of(log, "validation")
    trained.model.eval()
    with torch.inference_mode():
        logits, _ = predict(trained.model, log, examples, np.arange(len(log.user_ids)), 0)
    content = log.content[examples.row]
    answer: dict[tuple[int, ...], float] = {}
    for index, user in enumerate(examples.user):
        key = (int(content[index]), *log.profile[user].tolist())
        assert answer.setdefault(key, logits[index]) == pytest.approx(logits[index], abs=1e-5)


def test_the_control_gives_every_user_the_history_of_another_of_the_group(log):
    present = np.ones(len(log.user_ids), bool)
    reader = another_user(log, present)
    assert sorted(reader) == list(range(len(log.user_ids)))
    assert (reader != np.arange(len(log.user_ids))).all()
    assert np.array_equal(log.unseen[reader], log.unseen)
    assert np.array_equal(reader, another_user(log, present))


def test_the_control_removes_what_the_true_user_had_met(trained, log):
    examples = Examples.of(log, "test")
    trained.model.eval()
    with torch.inference_mode():
        _, top = predict(trained.model, log, examples, another_user(log, examples.part_start >= 0), -1)
    for user in np.flatnonzero(examples.part_start >= 0):
        start = log.user_offsets[user]
        assert not set(top[user]) & set(log.content[start : start + examples.part_start[user]])


def test_a_model_of_personal_taste_fits_its_training_users(log, tmp_path):
    """Overfit: after some epochs the training loss is far below what the baseline can reach."""
    losses = {}
    for name, core in (("personal", {}), ("baseline", None)):
        config = tiny_config(core, epochs=25, learning_rate=0.02, batch_size=54)
        plain = config.model.model_copy(update={"ranking_weight": 0.0, "dropout": 0.0})
        config = config.model_copy(update={"model": plain})
        module = recommendation.build(config, log)
        optimizer = module.configure_optimizers()
        module.log = lambda *args, **keywords: None
        for epoch in range(25):
            for step, batch in enumerate(module.batches.epoch(epoch)):
                optimizer.zero_grad()
                loss = module.training_step(batch, step)
                loss.backward()
                optimizer.step()
        losses[name] = loss.item()
    assert losses["personal"] < 0.3 < 0.5 < losses["baseline"]
