"""What is planted through a channel is found through it; where nothing is planted, nothing is lost without it."""

from statistics import mean

import pytest

from components.config import (
    PersonalizationSettings,
    RecommendationSettings,
    SyntheticSettings,
    TrainingSettings,
    TrialConfig,
)
from components.data.events import Event
from components.data.interactions import Interactions
from components.metrics.rows import concat_rows, micro
from components.tasks import recommendation
from components.tasks.recommendation_catalogue import Catalogue
from components.tasks.recommendation_serving import RecommendationServable
from components.tasks.recommendation_training import RecommendationTraining

PLANTED = {"taste": 2.0, "choice": 0.5, "profile": 1.0}
EPOCHS = 4


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train for some seconds on what is planted, with parts switched off; each combination once."""
    root = tmp_path_factory.mktemp("planted")
    known: dict[str, tuple[RecommendationTraining, Interactions]] = {}

    def find(planted: dict[str, float], **switches: bool) -> tuple[RecommendationTraining, Interactions]:
        key = repr((planted, switches))
        if key not in known:
            known[key] = train(PLANTED | planted, switches, root)
        return known[key]

    return find


def train(planted, switches, root):
    source = SyntheticSettings(source="synthetic", users=300, items=80, events=36, drift=0.0, **planted)
    core = PersonalizationSettings(layers=1, hidden=32, window=20, heads=2, **switches)
    config = TrialConfig(
        task="recommendation",
        data=source,
        model=RecommendationSettings(personalization=core, embedding=16, negatives=16, dropout=0.1),
        training=TrainingSettings(learning_rate=0.01, batch_size=16),
    )
    log = recommendation.open_data(recommendation.prepare(source, root))
    module = recommendation.build(config, log)
    module.log = lambda *args, **keywords: None
    optimizer = module.configure_optimizers()
    for epoch in range(EPOCHS):
        for step, batch in enumerate(module.batches.epoch(epoch)):
            optimizer.zero_grad()
            module.training_step(batch, step).backward()
            optimizer.step()
    module.model.load_state_dict(module.trained.state_dict())
    return module, log


@pytest.fixture(scope="module")
def accuracy(trained):
    """Accuracy on seen users, validation and test together."""

    def measure(planted: dict[str, float], **switches: bool) -> float:
        module, log = trained(planted, **switches)
        parts = ("validation", "test")
        rows = concat_rows([recommendation.evaluate(module, log, part, slices=False) for part in parts])
        return micro(rows)["accuracy"]

    return measure


def test_taste_is_read_from_feedback(accuracy):
    assert accuracy({}) > accuracy({}, feedback=False) + 0.08
    assert accuracy({}) > accuracy({}, history=False) + 0.08


def test_without_taste_and_choice_feedback_is_worth_nothing(accuracy):
    nothing = {"taste": 0.0, "choice": 0.0}
    assert accuracy(nothing) == pytest.approx(accuracy(nothing, feedback=False), abs=0.03)


def test_profile_effects_are_read_from_the_profile(accuracy):
    assert accuracy({}) > accuracy({}, profile=False) + 0.02


def test_without_profile_effects_the_profile_is_worth_nothing(accuracy):
    nothing = {"profile": 0.0}
    assert accuracy(nothing) == pytest.approx(accuracy(nothing, profile=False), abs=0.03)


def test_likes_raise_a_genre_and_dislikes_lower_it_among_unmet_items(trained):
    module, log = trained({})
    servable = RecommendationServable(module.model, Catalogue.of(log))
    for liked, disliked in zip(log.genres, reversed(log.genres), strict=True):
        if liked == disliked:
            continue
        items = {
            genre: [i for i, of in enumerate(log.item_genres) if of == [genre]][:4]
            for genre in (liked, disliked)
        }
        told = [(item, value) for genre, value in ((liked, 1.0), (disliked, -1.0)) for item in items[genre]]
        before = after = servable.initial_state()
        for time, (item, value) in enumerate(told):
            event = Event(f"{time}", "u", float(time), log.item_ids[item], log.kinds[0], value)
            after = servable.step(after, event)
        met = [log.item_ids[item] for item, _ in told]
        assert mean_place(servable, after, liked, met) < mean_place(servable, before, liked, met) - 5
        assert mean_place(servable, after, disliked, met) > mean_place(servable, before, disliked, met) + 5


def mean_place(servable, state, genre, met):
    answer = servable.recommend(state, {}, len(servable.item_ids), met)
    return mean(place for place, one in enumerate(answer) if genre in one.genres)
