import pytest
from fastapi.testclient import TestClient

from components.errors import AdaptuneError
from serve.api import create_api
from serve.demo_items import choose_genres, demonstrate
from serve.dispatch import Dispatcher
from serve.engine import Engine
from tests.serve.fakes import load_fake, promote


def client_of(registry, log, folder, items):
    promote(registry, folder, items=items)
    engine = Engine(registry, "recommendation", "champion", log, load=load_fake)
    return TestClient(create_api(Dispatcher(registry, {"recommendation": engine})))


def test_likes_raise_a_genre_dislikes_lower_one_and_the_control_user_sees_nothing(registry, log, tmp_path):
    client = client_of(registry, log, tmp_path / "version", 100)
    for _ in range(2):
        shift = demonstrate(client)
        assert shift.after[shift.liked] > shift.before[shift.liked]
        assert shift.after.get(shift.disliked, 0) < shift.before[shift.disliked]
        assert shift.control_unchanged


def test_a_catalogue_without_genres_to_spare_is_refused(registry, log, tmp_path):
    client = client_of(registry, log, tmp_path / "version", 12)
    with pytest.raises(AdaptuneError, match="two genres of at least 12 items"):
        demonstrate(client)


def test_the_genre_shown_least_is_liked_and_the_one_shown_most_disliked():
    ranking = [{"genres": ["often"]}] * 15 + [{"genres": ["some"]}] * 5 + [{"genres": ["never", "some"]}] * 20
    assert choose_genres([*ranking, {"genres": ["tiny"]}]) == ("never", "often")
