from dataclasses import replace

import pyarrow as pa
import pytest

from components.config import SyntheticSettings
from components.data.interactions import open_interactions
from components.data.population import EVENTS_FILE, USERS_FILE, Population, write_population
from components.data.store import prepare
from components.errors import DataError


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    settings = SyntheticSettings(source="synthetic", users=20, items=30, events=12, genres=3)
    return open_interactions(prepare(settings, tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def population(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("population")
    write_population(data, folder)
    return Population(folder)


def without_id(event):
    return (event.user, event.timestamp, event.content, event.kind, event.value)


def test_users_histories_and_profiles_survive(data, population):
    assert population.digest == data.digest
    assert list(population) == data.user_ids
    for index, user in enumerate(data.user_ids):
        expected = [without_id(event) for event in data.events_of(index)]
        assert [without_id(event) for event in population.history(user)] == expected
        fields = zip(data.profile_fields.items(), data.profile[index], strict=True)
        assert population.profile(user) == {name: names[code] for (name, names), code in fields if code > 0}


def test_all_events_are_the_histories_one_after_the_other(population):
    together = [event for user in population for event in population.history(user)]
    assert list(population.events()) == together
    assert len({event.id for event in together}) == population.event_count == len(together)


def test_a_stranger_has_nothing(population):
    assert "stranger" not in population
    assert population.history("stranger") == []
    assert population.profile("stranger") == {}


def test_missing_and_malformed_files_are_named(data, tmp_path):
    with pytest.raises(DataError, match=rf"{USERS_FILE}: missing"):
        Population(tmp_path)
    write_population(data, tmp_path)
    (tmp_path / EVENTS_FILE).write_bytes(b"half a download")
    with pytest.raises(DataError, match=rf"{EVENTS_FILE}: not an Arrow file"):
        Population(tmp_path)


def test_a_passage_that_many_were_asked_about_is_kept_once(data, tmp_path):
    """Every event holds it; without repetition and compressed, all events take less than a hundredth."""
    passage = " ".join(str(number) for number in range(500))
    contents = [f'{{"passage": "{passage}", "start": {row % 7}}}' for row in range(len(data.content))]
    log = replace(data.event_columns(), content=pa.array(contents, pa.string()))

    class Asked:
        digest, name, user_ids, profile = data.digest, data.name, data.user_ids, data.profile
        profile_fields = data.profile_fields

        def event_columns(self):
            return log

    write_population(Asked(), tmp_path)
    assert (tmp_path / EVENTS_FILE).stat().st_size < sum(map(len, contents)) / 100
    assert [event.content for event in Population(tmp_path).events()] == contents
