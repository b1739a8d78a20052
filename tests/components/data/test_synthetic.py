"""What the generator plants is there, measurable, and absent where its setting is 0."""

import time

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from scipy.special import ndtr, ndtri
from sklearn.linear_model import LogisticRegression

from components.config import SyntheticSettings
from components.data import simulation, store, synthetic, synthetic_captions, synthetic_questions
from components.data.interactions import Interactions, open_interactions


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def default(root) -> Interactions:
    return generate(root)


def generate(root, **changes: float) -> Interactions:
    settings = SyntheticSettings.model_validate({"source": "synthetic", **changes})
    return open_interactions(store.prepare(settings, root))


class Truth:
    """What was planted in each event, as it enters the utility at strength 1."""

    def __init__(self, data: Interactions) -> None:
        self.users, self.items = (
            pa.ipc.open_file(str(data.folder / f"{name}.arrow")).read_all()
            for name in ("truth", "truth_items")
        )
        owner, genres = owners(data), genre_weights(data)[data.content]
        place = np.arange(len(owner)) - data.user_offsets[owner]
        row = np.array([self.users["user"].to_pylist().index(user) for user in data.user_ids])[owner]
        early, late, fit = (np.array(self.users[n].to_pylist()) for n in ("taste", "later_taste", "mood_fit"))
        switch = self.users["switch"].to_numpy()[row]
        self.early, self.late = (early[row] * genres).sum(1), (late[row] * genres).sum(1)
        self.taste = np.where(place >= switch, self.late, self.early)
        self.fits, self.mood = fit, self.items["mood"].to_numpy()[data.content]
        self.fit = fit[row, self.mood]


def owners(data: Interactions) -> np.ndarray:
    return np.repeat(np.arange(len(data.user_ids)), np.diff(data.user_offsets))


def genre_weights(data: Interactions) -> np.ndarray:
    has = np.array([[genre in genres for genre in data.genres] for genres in data.item_genres], float)
    return has / has.sum(axis=1, keepdims=True)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def within_items(data: Interactions, values: np.ndarray) -> np.ndarray:
    means = np.bincount(data.content, values) / np.maximum(np.bincount(data.content), 1)
    return values - means[data.content]


def test_the_same_seed_gives_the_same_population_and_another_seed_another(root, tmp_path, default):
    again = generate(tmp_path)
    other = generate(root, seed=1)
    for name in ("content", "value", "timestamp", "part", "oracle"):
        assert np.array_equal(getattr(again, name), getattr(default, name)), name
    assert not np.array_equal(other.content[:100], default.content[:100])


def test_the_population_is_generated_fast(tmp_path):
    synthetic.read(SyntheticSettings(source="synthetic", users=20))  # imports
    begin = time.perf_counter()
    synthetic.read(SyntheticSettings(source="synthetic"))
    assert time.perf_counter() - begin < 3  # measured: 0.07 s


def test_a_user_rates_an_item_once_in_order_of_time_with_some_ties(default):
    pairs = owners(default) * len(default.item_ids) + default.content
    assert len(np.unique(pairs)) == len(pairs)
    gaps = np.diff(default.timestamp)[np.diff(owners(default)) == 0]
    assert gaps.min() == 0 and 0.15 < (gaps == 0).mean() < 0.25
    assert 45 < len(pairs) / len(default.user_ids) < 55


def test_titles_hint_at_mood_and_genre(default):
    moods = Truth(default).items["mood"].to_pylist()
    for title, genres, mood in zip(default.item_titles, default.item_genres, moods, strict=True):
        _, first, noun, _ = title.split()
        assert first == synthetic.MOODS[mood]
        assert any(noun in synthetic.GENRES[genre] for genre in genres)
    assert len(set(default.item_titles)) == len(default.item_ids)


def test_more_genres_than_named_and_odd_thresholds_work(root):
    data = generate(root, genres=12, users=40, like_threshold=4.5)
    assert data.genres[-1] == "Genre 11"
    assert data.like.mean() == pytest.approx(0.2, abs=0.01)
    assert data.oracle.mean() == pytest.approx(0.2, abs=0.03)


def test_more_events_than_items_are_refused_with_both_keys():
    with pytest.raises(ValidationError, match=r"events \(50\) must not exceed items \(30\)"):
        SyntheticSettings(source="synthetic", items=30)


def test_the_oracle_is_the_true_probability(default):
    for low in np.arange(0, 1, 0.1):
        inside = (default.oracle >= low) & (default.oracle < low + 0.1)
        assert default.like[inside].mean() == pytest.approx(default.oracle[inside].mean(), abs=0.035)


def test_the_truth_explains_the_oracle(default):
    truth = Truth(default)
    quality = truth.items["quality"].to_numpy()[default.content]
    # Ties are reordered after generation, so at the switch of taste a few events differ.
    utility = quality + 2.0 * truth.taste + truth.fit
    assert correlation(utility, ndtri(default.oracle.astype(float).clip(1e-7, 1 - 1e-7))) > 0.98


def test_without_taste_and_profile_likes_depend_on_the_item_alone(root):
    data = generate(root, taste=0, profile=0, choice=1.0)
    assert np.abs(within_items(data, data.oracle)).max() < 1e-5


def test_without_taste_the_history_says_nothing_beyond_item_and_profile(root):
    data = generate(root, taste=0)
    truth = Truth(data)
    group = data.content * 1000 + truth.fit.astype(int)
    spread = [np.ptp(data.oracle[group == g]) for g in np.unique(group)[:300]]
    assert max(spread) < 1e-5


def test_without_profile_the_profile_says_nothing(root, default):
    assert correlation(Truth(default).fit, default.oracle) > 0.3
    data = generate(root, profile=0)
    assert abs(correlation(Truth(data).fit, data.oracle)) < 0.02


def test_choice_decides_how_far_picks_follow_taste(root):
    picked = {choice: Truth(generate(root, choice=choice)).taste.mean() for choice in (0, 0.15, 1)}
    assert abs(picked[0]) < 0.02
    assert picked[0] + 0.05 < picked[0.15] < picked[1] - 0.2


def test_drift_replaces_the_taste_of_that_share_of_users(root, default):
    switch = Truth(default).users["switch"].to_numpy()
    assert (switch < np.diff(default.user_offsets)).mean() == pytest.approx(0.25, abs=0.05)
    data = generate(root, drift=0)
    truth = Truth(data)
    assert (truth.taste == truth.early).all()
    drifted = generate(root, drift=1)
    truth = Truth(drifted)
    last = drifted.part == 2
    assert correlation(truth.late[last], drifted.oracle[last]) > 0.6
    assert abs(correlation(truth.early[last], drifted.oracle[last])) < 0.1


def test_unseen_users_leave_the_intended_room_between_generic_and_oracle(root):
    """The calibration of the defaults; accuracies are expected ones, under the oracle."""
    figures = np.mean([measure(generate(root, seed=seed)) for seed in (0, 1)], axis=0)
    oracle, without_profile, generic, with_profile, full = figures
    assert 0.85 < oracle < 0.90
    assert 0.55 < generic < 0.65
    assert oracle - without_profile > 0.05
    assert with_profile - generic > 0.04
    assert (full - generic) / (oracle - generic) > 0.75


def measure(data: Interactions) -> tuple[float, float, float, float, float]:
    """Accuracy on unseen users: oracle, oracle blind to profiles, item mean, and profile, and history."""
    owner, truth = owners(data), Truth(data)
    unseen = data.unseen[owner] & (data.part > 0)
    train = (data.part == 0) & ~data.unseen[owner]

    def expected(predicted: np.ndarray) -> float:
        return float(np.where(predicted, data.oracle, 1 - data.oracle)[unseen].mean())

    rest = ndtri(data.oracle.astype(float).clip(1e-7, 1 - 1e-7)) - truth.fit
    others = truth.fits[:: max(1, len(truth.fits) // 100)]
    blind = ndtr(rest[:, None] + others[:, truth.mood].T).mean(axis=1)

    features = estimate_features(data, owner, truth.mood, train)
    learned = train & (data.before >= 10)
    predictions = []
    for used in (1, 3, 4):
        model = LogisticRegression().fit(features[learned, :used], data.like[learned])
        predictions.append(expected(model.predict(features[:, :used])))
    return expected(data.oracle > 0.5), expected(blind > 0.5), *predictions


def estimate_features(
    data: Interactions, owner: np.ndarray, mood: np.ndarray, train: np.ndarray
) -> np.ndarray:
    """Item like rate, mean residual of each profile field by mood, and recent residuals of the genres."""
    items = len(data.item_ids)
    rate = (np.bincount(data.content[train], data.like[train], items) + 1.5) / (
        np.bincount(data.content[train], minlength=items) + 3
    )
    residual = data.like - rate[data.content]
    columns = [np.log(rate / (1 - rate))[data.content]]
    for codes in data.profile.T:
        cell = codes[owner] * len(synthetic.MOODS) + mood
        total = np.bincount(cell[train], residual[train], 5 * len(synthetic.MOODS))
        columns.append((total / (np.bincount(cell[train], minlength=len(total)) + 5))[cell])
    known = train & (data.before >= 10)
    model = LogisticRegression().fit(np.stack(columns, 1)[known], data.like[known])
    residual = data.like - model.predict_proba(np.stack(columns, 1))[:, 1]
    genres = genre_weights(data)[data.content]
    recent = np.zeros(len(owner))
    for start, end in zip(data.user_offsets[:-1], data.user_offsets[1:], strict=True):
        place, before, own = np.arange(end - start), data.before[start:end, None], genres[start:end]
        decay = np.where(place < before, 0.96 ** np.maximum(before - place, 0), 0)
        mean = (decay @ (own * residual[start:end, None])) / (decay @ own + 1)
        recent[start:end] = (own * mean).sum(axis=1)
    return np.stack([*columns, recent], axis=1)


def test_the_defaults_have_not_changed_without_a_new_version():
    """Digests leave defaults out, so a new default needs new versions of what it decides, here and there."""
    assert synthetic.VERSION == 3
    assert (synthetic_questions.VERSION, synthetic_captions.VERSION, simulation.VERSION) == (1, [1, 1], 2)
    assert SyntheticSettings(source="synthetic").model_dump(exclude={"source"}) == {
        **{"users": 800, "items": 240, "events": 50, "genres": 6, "seed": 0, "like_threshold": 4.0},
        **{"taste": 2.0, "choice": 0.15, "drift": 0.25, "profile": 1.0},
        **{"articles": 40, "passages": 8, "images": 1600, "history": 20, "noise": 0.1, "conditional": 0.5},
        **{"overviews": False, "posters": False, "taste_in": "genres", "cold": 0, "item_vectors": None},
    }
