"""Rows of captioning: which captions count for whom, and that their means are the scores of the whole."""

import numpy as np
import pyarrow.compute as pc
import pytest
from sacrebleu.metrics.bleu import BLEU

from components.data import store
from components.data.captions import Captions, open_captions, split_words
from components.metrics.captions import HUMAN, caption_rows, rubric
from components.metrics.rows import macro, metric_names, metric_values, select_slice
from components.tasks import TASKS
from tests.components.data.flickr_fixtures import tiny_settings, write_flickr


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Captions:
    folder = tmp_path_factory.mktemp("flickr")
    settings = tiny_settings(write_flickr(folder / "data"), drift=0.2)
    return open_captions(store.prepare(settings, folder / "store", "captions"))


@pytest.fixture(scope="module")
def pair(data: Captions) -> np.ndarray:
    return np.flatnonzero(data.part[data.pair_image] == 1)


def in_style(data: Captions, pair: np.ndarray, style: np.ndarray) -> list[str]:
    """The first caption of each pair's picture in the style that is given for it."""
    images = data.pair_image[pair].tolist()
    return [
        data.caption_text[data.captions_of(*each)[0]] for each in zip(images, style.tolist(), strict=True)
    ]


def wanted(data: Captions, pair: np.ndarray) -> np.ndarray:
    return data.preference[data.pair_user[pair], data.kind[data.pair_image[pair]]]


def test_the_right_captions_score_best(data, pair):
    right = caption_rows(data, pair, in_style(data, pair, wanted(data, pair)), -1, slices=True)
    wrong = caption_rows(data, pair, in_style(data, pair, (wanted(data, pair) + 1) % 3), -1, slices=True)
    for group in ("unseen", "plain", "conditional", "drifting"):
        one, other = macro(right, group), macro(wrong, group)
        assert one["style_match"] == one["content_match"] == 1 > other["style_match"]
        assert one["bleu4"] == pytest.approx(1) and one["rouge_l"] == pytest.approx(1)
        assert one["satisfaction"] > other["satisfaction"]
        assert one["cider"] > other["cider"] and one["bleu1"] > other["bleu1"]


def test_drifting_users_are_judged_after_no_more_events_than_all_have_after_the_change(data, pair):
    texts = ["a dog"] * len(pair)
    least = int((8 - data.drift_at[data.drift_at >= 0]).min())  # events after the change, of 8
    for events in (0, least, least + 1, 20):
        rows = caption_rows(data, pair, texts, events, slices=True)
        assert ("drifting" in rows["group"].to_pylist()) == (events <= least)


def test_every_metric_of_the_task_has_a_column(data, pair):
    rows = caption_rows(data, pair, [""] * len(pair), 5, slices=False)
    assert set(metric_names(rows)) == set(TASKS["captioning"].metrics)
    assert set(rows["history"].to_pylist()) == {5} and set(rows["group"].to_pylist()) == {"unseen"}
    assert macro(rows, "unseen", 5)["bleu1"] == macro(rows, "unseen", 5)["cider"] == 0
    assert macro(rows, "unseen", 5)["satisfaction"] == 1


def test_groups_hold_the_pairs_that_they_name(data, pair):
    rows = caption_rows(data, pair, ["a dog"] * len(pair), -1, slices=True)
    user = data.pair_user[pair]
    drifting = data.drift_at[user] >= 0
    counts = {
        group: pc.sum(select_slice(rows, group)["examples"]).as_py() for group in TASKS["captioning"].groups
    }
    assert counts == {
        "unseen": (~drifting).sum(),
        "plain": (~drifting & ~data.conditional[user]).sum(),
        "conditional": data.conditional[user].sum(),
        "drifting": drifting.sum(),
    }
    names = [data.image_names[image] for image in np.unique(data.pair_image[pair])]
    assert all(select_slice(rows, group)["user"].to_pylist() == names for group in counts)


def test_a_group_without_a_pair_has_no_rows(data, pair):
    settled = pair[data.drift_at[data.pair_user[pair]] < 0]
    rows = caption_rows(data, settled, ["a dog"] * len(settled), -1, slices=True)
    assert set(rows["group"].to_pylist()) == {"unseen", "plain", "conditional"}


def test_bleu_of_the_rows_is_that_of_the_corpus(data, pair):
    generator = np.random.default_rng(1)
    texts = [
        data.caption_text[caption] for caption in generator.integers(0, len(data.caption_text), len(pair))
    ]
    rows = caption_rows(data, pair, texts, -1, slices=True)
    user = data.pair_user[pair]
    choices = {"unseen": data.drift_at[user] < 0, "conditional": data.conditional[user]}

    def reference(chosen: np.ndarray, order: int) -> float:
        numbers = np.flatnonzero(chosen)
        outputs = [" ".join(split_words(texts[number])) for number in numbers]
        known = [
            [
                " ".join(split_words(data.caption_text[caption]))
                for caption in data.captions_of(data.pair_image[pair[number]], wanted(data, pair)[number])
            ]
            for number in numbers
        ]
        streams = [
            [each[n] if n < len(each) else None for each in known] for n in range(max(map(len, known)))
        ]
        return (
            BLEU(tokenize="none", max_ngram_order=order, force=True).corpus_score(outputs, streams).score
            / 100
        )

    for group, chosen in choices.items():
        means = macro(rows, group)
        for order in (1, 2, 3, 4):
            assert means[f"bleu{order}"] == pytest.approx(reference(chosen, order), abs=1e-8)
        for number, style in enumerate(data.styles):
            expected = reference(chosen & (wanted(data, pair) == number), 4)
            assert means[f"bleu4_{style}"] == pytest.approx(expected, abs=1e-8)


def test_only_a_change_of_preference_can_be_adapted_to(data, pair):
    user, kind = data.pair_user[pair], data.kind[data.pair_image[pair]]
    new, old = data.preference[user, kind], data.preference_before[user, kind]
    for style, expected in ((new, 1.0), (old, 0.0)):
        rows = caption_rows(data, pair, in_style(data, pair, style), -1, slices=True)
        assert macro(rows, "drifting")["adapted"] == expected
        assert np.isnan(metric_values(select_slice(rows, "unseen"), "adapted")).all()


def test_the_same_caption_for_every_picture_is_not_distinct(data, pair):
    images = len(np.unique(data.pair_image[pair]))
    same = caption_rows(data, pair, ["A dog ."] * len(pair), -1, slices=False)
    assert macro(same, "unseen")["distinct"] == pytest.approx(1 / images)
    own = caption_rows(data, pair, [f"dog {image}" for image in data.pair_image[pair]], -1, slices=False)
    assert macro(own, "unseen")["distinct"] == 1


def test_the_rubric_by_hand(data, pair):
    plain = in_style(data, pair, np.zeros(len(pair), int))
    scores = rubric(data, data.pair_user[pair], data.pair_image[pair], plain)
    factual = wanted(data, pair) == 0
    assert np.array_equal(scores["style_match"], factual)
    assert scores["content_match"].all() and scores["length_match"][factual].all()
    assert (scores["satisfaction"][factual] == 5).all()
    scores = rubric(
        data, data.pair_user[pair], data.pair_image[pair], ["an aeroplane lands there now"] * len(pair)
    )
    assert not scores["content_match"].any() and (scores["satisfaction"] == 1).all()


def test_a_human_caption_is_compared_with_the_others_of_its_picture(data, pair):
    texts = in_style(data, pair, wanted(data, pair))
    full, part = (caption_rows(data, pair, texts, -1, True, human=each) for each in (False, True))
    assert set(metric_names(part)) == set(HUMAN)
    judged = [name for name in part.column_names if not name.endswith("factual")]
    assert part.select(judged).equals(full.select(judged))
    one, other = macro(full, "unseen"), macro(part, "unseen")
    assert one["bleu4_factual"] == pytest.approx(1) and 0 < other["bleu4_factual"] < 0.9
    assert 0 < other["cider_factual"] < one["cider_factual"]
    plain = pair[(wanted(data, pair) == 0) & (data.drift_at[data.pair_user[pair]] < 0)]
    outputs, known = [], []
    for image in data.pair_image[plain].tolist():
        first, *rest = (data.caption_text[caption] for caption in data.captions_of(image, 0))
        outputs.append(" ".join(split_words(first)))
        known.append([" ".join(split_words(text)) for text in rest])
    streams = list(zip(*known, strict=True))
    expected = BLEU(tokenize="none", force=True).corpus_score(outputs, streams).score / 100
    assert other["bleu4_factual"] == pytest.approx(expected, abs=1e-8)


def test_without_named_styles_their_scores_are_undefined(tmp_path):
    settings = tiny_settings(write_flickr(tmp_path / "data", "flickr30k"), source="flickr30k")
    data = open_captions(store.prepare(settings, tmp_path / "store", "captions"))
    pair = np.flatnonzero(data.part[data.pair_image] == 2)
    means = macro(caption_rows(data, pair, in_style(data, pair, wanted(data, pair)), -1, True), "unseen")
    assert np.isnan([means[name] for name in ("cider_factual", "bleu4_factual", "bleu4_romantic")]).all()
    assert means["bleu4"] == pytest.approx(1) and means["style_match"] > 0.7
