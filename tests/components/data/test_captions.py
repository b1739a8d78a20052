"""Prepared captions: nobody has met what is evaluated, the truth stays beside the data, a seed fixes every byte."""

import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data import store
from components.data.album import mixed_preferences
from components.data.arrow import open_table, view
from components.data.captions import Captions, open_captions, split_words
from components.data.population import Population, write_population
from components.errors import DataError
from tests.components.data.flickr_fixtures import tiny_settings, write_flickr


def prepared(root: Path, store_root: Path, **changes: object) -> Captions:
    return open_captions(store.prepare(tiny_settings(root, **changes), store_root, "captions"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_flickr(tmp_path_factory.mktemp("flickr"))


@pytest.fixture(scope="module")
def data(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Captions:
    return prepared(root, tmp_path_factory.mktemp("store"), drift=0.2)


@pytest.fixture(scope="module")
def by_length(tmp_path_factory: pytest.TempPathFactory) -> Captions:
    folder = tmp_path_factory.mktemp("flickr30k")
    return prepared(write_flickr(folder / "data", "flickr30k"), folder / "store", source="flickr30k")


@pytest.fixture(params=["data", "by_length"])
def either(request: pytest.FixtureRequest) -> Captions:
    return request.getfixturevalue(request.param)


def test_words_are_cut_alike_everywhere():
    assert split_words("A black-and-white dog's toy , isn't it ?") == [
        "a",
        "black-and-white",
        "dog's",
        "toy",
        "isn't",
        "it",
    ]
    assert split_words(" . -- _ ' !") == [] and split_words("CAFÉ, 北京 #1") == ["café", "北京", "1"]
    assert split_words("Un cafe\u0301 noir") == ["un", "cafe\u0301", "noir"]
    assert split_words("एक कुत्ता। مُحَمَّد می\u200cخواهم") == ["एक", "कुत्ता", "مُحَمَّد", "می\u200cخواهم"]  # noqa: RUF001


@given(st.text(max_size=60))
def test_words_hold_no_space_and_are_their_own_words(text: str):
    words = split_words(text)
    assert split_words(" ".join(words)) == words and not any(re.search(r"\s", word) for word in words)


def test_words_and_texts_agree(either):
    assert len(either.words) == len(set(either.words))
    for caption in range(len(either.caption_text)):
        first, last = either.caption_offsets[caption : caption + 2]
        words = [either.words[word] for word in either.caption_word[first:last]]
        assert words == split_words(either.caption_text[caption]) and words


def test_every_picture_has_captions_in_every_style_in_order(either):
    for image in range(len(either.image_names)):
        styles = either.caption_style[either.image_captions[image] : either.image_captions[image + 1]]
        assert sorted(set(styles)) == list(range(len(either.styles))) and (np.diff(styles) >= 0).all()
        for style in range(len(either.styles)):
            captions = either.captions_of(image, style)
            assert (either.caption_style[captions] == style).all() and len(captions)
            assert (either.caption_image[captions] == image).all()


def test_nobody_has_an_event_about_an_evaluated_picture(either):
    met = either.caption_image[either.event_caption]
    assert (either.part[met] == 0).all() and (either.part[either.pair_image] > 0).all()
    assert set(either.part[either.pair_image]) == {1, 2}
    texts = {either.caption_text[caption] for caption in either.event_caption}
    assert all(json.loads(content.as_py())["caption"] in texts for content in either.event_columns().content)


def test_only_unseen_users_are_evaluated_and_each_sort_of_them(data):
    assert data.unseen[data.pair_user].all() and data.unseen.sum() == 12
    drifting = data.drift_at >= 0
    assert drifting.sum() == 12 and not (drifting & data.conditional).any()
    for image in np.flatnonzero(data.part > 0):
        users = data.pair_user[data.pair_image == image]
        assert len(set(users)) == len(users) == 7
        assert data.conditional[users].sum() == 3 and drifting[users].sum() == 1
        assert sorted(data.preference[users[~data.conditional[users] & ~drifting[users]], 0]) == [0, 1, 2]


def test_preferences_change_with_the_kind_or_in_time_or_not_at_all(either):
    varies = (either.preference != either.preference[:, :1]).any(axis=1)
    changed = (either.preference != either.preference_before).any(axis=1)
    assert (varies == either.conditional).all() and (changed == (either.drift_at >= 0)).all()
    assert either.preference.max() == len(either.styles) - 1


def test_conditional_preferences_have_one_border():
    tables = mixed_preferences(5, 3)
    assert len(tables) == len({row.tobytes() for row in tables}) == 6 * 3
    assert ((np.diff(tables, axis=1) != 0).sum(axis=1) == 1).all()
    assert len(mixed_preferences(2, 2)) == 2


def test_events_show_what_the_user_wants_but_for_noise(either):
    truth = open_table(either.folder / "truth.arrow")
    style, wanted = view(truth, "style"), view(truth, "wanted")
    assert (either.caption_style[either.event_caption] == style).all()
    liked = either.event_value > 0
    assert 0.2 < (~liked).mean() < 0.45 and (style != wanted)[~liked].all()
    assert 0.0 < (style != wanted)[liked].mean() < 0.25
    user = np.repeat(np.arange(len(either.user_ids)), np.diff(either.event_offsets))
    number = np.concatenate([np.arange(count) for count in np.diff(either.event_offsets)])
    now = np.where(
        (number >= either.drift_at[user])[:, None], either.preference[user], either.preference_before[user]
    )
    kind = either.kind[either.caption_image[either.event_caption]]
    assert (now[np.arange(len(user)), kind] == wanted).all()


def test_what_a_model_reads_of_an_event_holds_no_truth(either):
    event = next(either.events_of(2))
    assert json.loads(event.content).keys() == {"caption", "image"} and event.kind == "captioned"
    assert event.value in (1.0, -1.0)
    columns = either.event_columns()
    row = int(either.event_offsets[2])
    assert columns.content[row].as_py() == event.content == either.event_content(row)
    assert list(either.profile_fields) == ["topic"] and either.profile.shape == (60, 1)
    topics = set(either.profile_fields["topic"])
    assert not topics & {*either.styles, *either.kinds}


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(root, data, tmp_path):
    again, other = (prepared(root, tmp_path, drift=0.2, seed=seed) for seed in (0, 1))
    assert again.digest == data.digest != other.digest
    for path in sorted(data.folder.iterdir()):
        assert (again.folder / path.name).read_bytes() == path.read_bytes()
    for name, same in (("images", True), ("captions", True), ("caption_styles", True), ("events", False)):
        file = f"{name}.arrow"
        assert ((other.folder / file).read_bytes() == (data.folder / file).read_bytes()) == same


def test_arrays_are_views_and_travel_as_their_folder(data):
    assert not data.pixels.flags.writeable and not data.event_caption.flags.owndata
    again = pickle.loads(pickle.dumps(data))
    assert len(pickle.dumps(data)) < 500 and again.folder == data.folder
    assert np.array_equal(again.pixels, data.pixels) and again.caption_text == data.caption_text


def test_users_travel_with_a_promoted_model(data, tmp_path):
    write_population(data, tmp_path)
    population = Population(tmp_path)
    history = population.history("user-3")
    replayed = list(data.events_of(3))
    assert [(e.content, e.kind, e.value, e.timestamp) for e in history] == [
        (e.content, e.kind, e.value, e.timestamp) for e in replayed
    ]
    assert len(history) == 8 and set(population.profile("user-3")) <= {"topic"}


def test_damaged_folders_are_refused(data, tmp_path):
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(DataError, match="not a prepared data set"):
        open_captions(tmp_path)
    (tmp_path / "manifest.json").write_text((data.folder / "manifest.json").read_text())
    with pytest.raises(DataError, match=r"\.arrow: this prepared file is unusable"):
        open_captions(tmp_path)


def test_planning_does_not_import_what_decodes_and_fits(root):
    program = f"""
import sys
from pathlib import Path
from components.config import FlickrSettings
from components.data import store
store.data_digest(FlickrSettings(source="flickr8k", root=Path({str(root)!r})), "captions")
print(*sys.modules)
"""
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"PIL", "sklearn", "torch", "pyarrow", "sacrebleu"} & set(loaded)
