"""What only a poster shows is in the poster, in nothing else, and in nobody's history where it is not planted."""

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from scipy.special import ndtr, ndtri
from sklearn.linear_model import LogisticRegression

from components.baselines.bias import training_events
from components.config import SyntheticSettings
from components.data import store, synthetic_items
from components.data.interactions import Interactions, open_interactions
from components.data.synthetic import GENRES
from components.data.synthetic_pictures import COLOURS

SHOWN = {"overviews": True, "posters": True}
PLANTED = {**SHOWN, "taste_in": "poster", "cold": 0.5}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def planted(root) -> Interactions:
    return generate(root, **PLANTED, items=320)


def generate(root, **changes) -> Interactions:
    settings = SyntheticSettings.model_validate({"source": "synthetic", **changes})
    return open_interactions(store.prepare(settings, root))


def truth(data: Interactions, name: str) -> pa.Table:
    return pa.ipc.open_file(str(data.folder / f"{name}.arrow")).read_all()


def colours(data: Interactions) -> np.ndarray:
    return truth(data, "truth_items")["colour"].to_numpy()


def owners(data: Interactions) -> np.ndarray:
    return np.repeat(np.arange(len(data.user_ids)), np.diff(data.user_offsets))


def test_posters_and_overviews_alone_change_nothing_of_the_log(root):
    plain, shown = generate(root), generate(root, **SHOWN)
    for name in ("events", "users", "truth"):
        here, there = ((each.folder / f"{name}.arrow").read_bytes() for each in (plain, shown))
        assert here == there, name
    assert plain.item_titles == shown.item_titles and plain.item_genres == shown.item_genres
    assert truth(plain, "truth_items").column_names == ["item", "quality", "mood"]
    assert np.array_equal(generate(root, posters=True).item_posters, shown.item_posters)
    assert generate(root, overviews=True).item_overviews == shown.item_overviews
    cold, shown_cold = (generate(root, **changes, cold=0.3) for changes in ({}, SHOWN))
    assert np.array_equal(cold.content, shown_cold.content)


def test_another_seed_draws_other_posters_and_writes_other_texts(root):
    one, other = (generate(root, **SHOWN, seed=seed, users=30) for seed in (0, 1))
    assert one.item_posters.shape == (240, 3, 36, 24) and one.item_has_poster.all()
    assert not np.array_equal(one.item_posters, other.item_posters)
    assert one.item_overviews != other.item_overviews
    assert len(set(one.item_overviews)) > 200


def test_the_colour_can_be_read_off_a_poster(planted):
    """By a linear classifier of coarse colours, on posters that it was not fitted to."""
    pixels = planted.item_posters[:, :, 8:, :] // 64
    coarse = pixels[:, 0] * 16 + pixels[:, 1] * 4 + pixels[:, 2]
    counts = np.stack([np.bincount(each.ravel(), minlength=64) for each in coarse])
    model = LogisticRegression(max_iter=300).fit(counts[:220], colours(planted)[:220])
    assert model.score(counts[220:], colours(planted)[220:]) > 0.9


def test_nothing_else_tells_the_colour(planted):
    """Titles, genres, overviews, quality and popularity predict it no better than chance."""
    words = sorted({word for text in planted.item_overviews for word in text.split()})
    texts = np.array([[word in text.split() for word in words] for text in planted.item_overviews])
    genres = np.array([[genre in each for genre in planted.genres] for each in planted.item_genres])
    items = truth(planted, "truth_items")
    moods = np.eye(16)[items["mood"].to_numpy()]
    numbers = np.stack(
        [items[name].to_numpy(zero_copy_only=False) for name in ("quality", "popularity", "cold")], 1
    )
    features = np.hstack([texts, genres, moods, numbers])
    model = LogisticRegression(max_iter=300).fit(features[:220], colours(planted)[:220])
    assert model.score(features[220:], colours(planted)[220:]) < 0.3, "chance is 1 in 6"
    assert np.bincount(colours(planted), minlength=len(COLOURS)).min() >= 320 // len(COLOURS)


def test_an_overview_hints_at_the_genres_of_its_item(planted):
    for text, genres in zip(planted.item_overviews, planted.item_genres, strict=True):
        assert all(any(f"the {noun.lower()}" in text for noun in GENRES[genre]) for genre in genres)


def test_cold_items_are_met_in_the_test_part_alone_and_everywhere_in_it(planted):
    cold = truth(planted, "truth_items")["cold"].to_numpy(zero_copy_only=False)
    assert cold.sum() == 160
    of_cold = cold[planted.content]
    assert not of_cold[planted.part < 2].any()
    assert 0.4 < of_cold[planted.part == 2].mean() < 0.7
    met = np.bincount(planted.content[of_cold], minlength=len(cold))[cold]
    assert met.min() > 0
    assert not np.bincount(planted.content[training_events(planted)], minlength=len(cold))[cold].any()
    pairs = owners(planted) * len(cold) + planted.content
    assert len(np.unique(pairs)) == len(pairs)


def test_the_oracle_knows_the_taste_in_colours_and_it_follows_the_history(planted):
    """For users who do not drift the truth gives the stored P(like) again; genres have no part in it."""
    users, items = truth(planted, "truth"), truth(planted, "truth_items")
    owner, colour = owners(planted), colours(planted)[planted.content]
    taste, fit = (np.array(users[name].to_pylist()) for name in ("taste", "mood_fit"))
    assert taste.shape == (800, len(COLOURS))
    steady = (users["switch"].to_numpy() == np.diff(planted.user_offsets))[owner]
    quality, mood = (items[name].to_numpy()[planted.content] for name in ("quality", "mood"))
    utility = quality + 2 * taste[owner, colour] + fit[owner, mood]
    unsure = steady & (np.abs(planted.oracle - 0.5) < 0.4)
    cut = np.median((utility - ndtri(planted.oracle.astype(float)))[unsure])
    assert unsure.sum() > 1000
    assert np.abs(ndtr(utility - cut) - planted.oracle)[steady].max() < 1e-5


def test_who_reads_posters_closes_most_of_the_gap_on_cold_items_and_who_does_not_closes_none(planted):
    """A running residual of each user by colour, and by genre in its place, on likes of cold items."""
    rate = planted.like[training_events(planted)].mean()
    cold = truth(planted, "truth_items")["cold"].to_numpy(zero_copy_only=False)
    asked = (planted.part == 2) & cold[planted.content]
    genre = np.array([planted.genres.index(each[0]) for each in planted.item_genres])
    oracle = float(np.where(planted.oracle > 0.5, planted.oracle, 1 - planted.oracle)[asked].mean())
    generic = max(rate, 1 - rate)
    share = {
        name: (expected_accuracy(planted, kind[planted.content], rate, asked) - generic) / (oracle - generic)
        for name, kind in (("colour", colours(planted)), ("genre", genre))
    }
    assert oracle - generic > 0.2
    assert share["colour"] > 0.6 and abs(share["genre"]) < 0.2


def expected_accuracy(data: Interactions, kind: np.ndarray, rate: float, asked: np.ndarray) -> float:
    """Accuracy, under the truth, of liking what one liked of the same kind before the event's instant."""
    right = []
    for row in np.flatnonzero(asked):
        first = data.user_offsets[np.searchsorted(data.user_offsets, row, side="right") - 1]
        seen = slice(first, first + data.before[row])
        same = kind[seen] == kind[row]
        weight = 0.95 ** np.arange(len(same))[::-1] * same
        liked = (weight @ data.like[seen] + rate) / (weight.sum() + 1) > 0.5
        right.append(data.oracle[row] if liked else 1 - data.oracle[row])
    return float(np.mean(right))


def test_choice_follows_the_colours_too(root):
    data = generate(root, **PLANTED, items=320, choice=1.0, drift=0.0)
    taste = np.array(truth(data, "truth")["taste"].to_pylist())
    assert taste[owners(data), colours(data)[data.content]].mean() > 0.3


def test_settings_that_cannot_be_met_are_refused_with_both_keys():
    for changes, expected in (
        ({"taste_in": "poster"}, r"`taste_in: poster` needs posters to show it: write `posters: true` too"),
        (
            {"cold": 0.85},
            r"events \(50\) must not exceed the items that `cold` 0\.85 leaves of 240: raise items, or",
        ),
    ):
        with pytest.raises(ValidationError, match=expected):
            SyntheticSettings.model_validate({"source": "synthetic", **changes})


def test_a_raised_version_of_the_drawing_is_another_digest_where_it_is_drawn(monkeypatch):
    plain, shown = (SyntheticSettings(source="synthetic", posters=shown) for shown in (False, True))
    before = [store.data_digest(settings) for settings in (plain, shown)]
    monkeypatch.setattr(synthetic_items, "VERSION", 99)
    assert [
        store.data_digest(settings) == old for settings, old in zip((plain, shown), before, strict=True)
    ] == [
        True,
        False,
    ]
