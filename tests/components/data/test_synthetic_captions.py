"""Generated pictures: what a caption says is to be seen, styles suit the subject, users are the population's."""

import numpy as np
import pytest

from components.config import SyntheticSettings
from components.data import store
from components.data.caption_styles import open_styles
from components.data.captions import Captions, open_captions
from components.data.interactions import open_interactions
from components.data.synthetic_captions import STYLES
from components.data.synthetic_pictures import (
    COLOURS,
    GLYPH,
    GLYPHS,
    KINDS,
    PLACES,
    SIZE,
    SUBJECTS,
    Scene,
    draw,
)

SMALL = {"source": "synthetic", "users": 200, "images": 120}


def generate(root, **changes: object) -> Captions:
    settings = SyntheticSettings.model_validate(SMALL | changes)
    return open_captions(store.prepare(settings, root, "captions"))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Captions:
    return generate(tmp_path_factory.mktemp("store"))


def texts(data: Captions, image: int) -> list[str]:
    return data.caption_text[data.image_captions[image] : data.image_captions[image + 1]]


def test_sizes_and_parts_are_as_the_settings_say(data):
    assert data.pixels.shape == (120, SIZE, SIZE, 3) and data.styles == STYLES and data.kinds == KINDS
    assert np.bincount(data.part).tolist() == [96, 12, 12]
    for image in range(120):
        assert [len(data.captions_of(image, style)) for style in range(3)] == [5, 2, 2]


def test_every_caption_of_a_picture_names_the_same_subject_and_colour(data):
    for image in range(120):
        named = [set(text.split()) for text in texts(data, image)]
        assert len(set.intersection(*named) & set(COLOURS)) == 1
        words = {word for text in named for word in text}
        kinds = {SUBJECTS[word] for word in words if word in SUBJECTS}
        assert kinds <= {KINDS[data.kind[image]]}


def test_a_glyph_is_whole_and_of_its_own():
    drawn = {subject: "".join(glyph.split()) for subject, glyph in GLYPHS.items()}
    assert set(drawn) == set(SUBJECTS) and len(set(drawn.values())) == len(drawn)
    for glyph in GLYPHS.values():
        rows = glyph.split()
        assert len(rows) == GLYPH and {len(row) for row in rows} == {GLYPH}
        assert set("".join(rows)) == set(".#o")


@pytest.mark.parametrize(("big", "count"), [(True, 1), (False, 1), (False, 3)])
@pytest.mark.parametrize("place", PLACES)
def test_a_picture_shows_as_much_of_its_colour_as_the_scene_says(place, big, count):
    """Pixels nearer to the subject's colour than to sky and ground are those of its glyphs."""
    for subject, glyph in GLYPHS.items():
        picture = draw(Scene(subject, "red", place, big, count), np.random.default_rng(0)).astype(float)
        palette = np.array([COLOURS["red"], *PLACES[place], (125, 75, 45)], float)
        nearest = np.linalg.norm(picture[:, :, None] - palette, axis=-1).argmin(-1)
        expected = glyph.count("#") * count * (4 if big else 1)
        assert (nearest == 0).sum() == pytest.approx(expected, rel=0.1)


def test_styles_are_told_apart_by_the_judge_of_styles(data):
    held_out = np.flatnonzero(data.part[data.caption_image] != 0)
    found = open_styles(data.folder).classify([data.caption_text[caption] for caption in held_out])
    assert (found == data.caption_style[held_out]).mean() > 0.99


def test_users_are_those_of_recommendation(data, tmp_path):
    interactions = open_interactions(store.prepare(SyntheticSettings(**SMALL), tmp_path))
    assert interactions.user_ids == data.user_ids
    assert (interactions.unseen == data.unseen).all()
    assert data.unseen[data.pair_user].all()
    assert len({row.tobytes() for row in data.preference[data.conditional]}) > 20


def test_the_same_seed_gives_the_same_pictures_and_another_one_others(data, tmp_path):
    again, other = generate(tmp_path), generate(tmp_path, seed=1)
    for path in data.folder.iterdir():
        assert path.read_bytes() == (again.folder / path.name).read_bytes()
    assert (other.pixels != data.pixels).any(axis=(1, 2, 3)).all()
