from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from components.config import SyntheticSettings
from components.data import store
from components.data.interactions import open_interactions
from components.data.traits import PARTS, read_traits


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    settings = SyntheticSettings(source="synthetic", users=60, items=40, events=20)
    return store.prepare(settings, tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("part", PARTS)
def test_traits_are_those_of_the_log(folder, part):
    data = open_interactions(folder)
    traits = {trait.name: trait for trait in read_traits(folder, part)}
    assert list(traits) == [*data.profile_fields, "history length"]
    for place, (name, categories) in enumerate(data.profile_fields.items()):
        for user, value in traits[name].of.items():
            assert value == categories[data.profile[data.user_ids.index(user), place]]
    bands = traits["history length"]
    for user, value in bands.of.items():
        index = data.user_ids.index(user)
        start, stop = data.user_offsets[index : index + 2]
        first = int(np.flatnonzero(data.part[start:stop] == PARTS[part])[0])
        low, high = (int(end) for end in value.removesuffix(" events").split("-"))
        assert low <= data.before[start + first] <= high
    assert set(bands.of.values()) == set(bands.values)
    assert max(Counter(bands.of.values()).values()) < len(bands.of) / 2


def test_what_all_users_share_is_no_trait(folder, monkeypatch):
    data = open_interactions(folder)
    name = next(iter(data.profile_fields))
    alike = replace(data, profile=np.where(np.arange(data.profile.shape[1]) == 0, 1, data.profile))
    monkeypatch.setattr("components.data.traits.open_interactions", lambda _: alike)
    assert name not in [trait.name for trait in read_traits(folder, "test")]
