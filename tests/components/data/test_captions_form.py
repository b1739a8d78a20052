"""Whatever pictures are prepared, users and pairs keep their promises."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data import captions_form
from components.data.album import Album, Picture, mixed_preferences
from components.data.captions import Captions, open_captions
from tests.components.data.flickr_fixtures import tiny_settings

STYLES = ("plain", "merry", "sad")
WORDS = ("dog", "cat", "snow", "runs")


def album(seed: int, styles: int, kinds: int, images: int) -> Album:
    generator = np.random.default_rng(seed)
    parts = [0, 0, 1, 2, *generator.integers(0, 3, images).tolist()]

    def texts(style: int) -> tuple[str, ...]:
        count = generator.integers(1, 4)
        return tuple(" ".join([*generator.choice(WORDS, 3), STYLES[style]]) for _ in range(count))

    pictures = tuple(
        Picture(f"{number}.jpg", part, tuple(texts(style) for style in range(styles)))
        for number, part in enumerate(parts)
    )
    return Album(
        pictures=pictures,
        pixels=generator.integers(0, 256, (len(parts), 4, 4, 3)).astype(np.uint8),
        styles=STYLES[:styles],
        kinds=tuple(f"kind {number}" for number in range(kinds)),
        kind=generator.integers(0, kinds, len(parts)).astype(np.int8),
        mixed=mixed_preferences(kinds, styles),
        topics=("one", "two"),
        topic=generator.integers(0, 3, len(parts)).astype(np.int32),
    )


def prepared(content: Album, folder: Path, **changes: object) -> Captions:
    captions_form.write(content, tiny_settings(folder, **changes), "digest", folder)
    return open_captions(folder)


@given(
    seed=st.integers(0, 99),
    styles=st.sampled_from([2, 3]),
    kinds=st.integers(2, 5),
    images=st.integers(0, 12),
    users=st.integers(30, 80),
    noise=st.sampled_from([0.0, 0.2]),
    conditional=st.sampled_from([0.0, 0.5, 1.0]),
    drift=st.sampled_from([0.0, 0.3]),
)
@settings(max_examples=15, deadline=None)
def test_any_album_keeps_its_promises(seed, styles, kinds, images, users, noise, conditional, drift):
    content = album(seed, styles, kinds, images)
    chosen = {"users": users, "noise": noise, "conditional": conditional, "drift": drift, "seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        data = prepared(content, Path(folder), **chosen)
        assert np.array_equal(data.pixels, content.pixels)
        shown = data.caption_image[data.event_caption]
        assert (data.part[shown] == 0).all()  # of unseen users, too
        assert data.unseen[data.pair_user].all() and (data.part[data.pair_image] > 0).all()
        assert len({*zip(data.pair_user, data.pair_image, strict=True)}) == len(data.pair_user)
        for image, picture in enumerate(content.pictures):
            for style, texts in enumerate(picture.captions):
                assert tuple(data.caption_text[each] for each in data.captions_of(image, style)) == texts
        user = np.repeat(np.arange(users), np.diff(data.event_offsets))
        number = np.arange(len(user)) - data.event_offsets[user]
        before = (number < data.drift_at[user])[:, None]
        wanted = np.where(before, data.preference_before[user], data.preference[user])
        wanted = wanted[np.arange(len(user)), data.kind[shown]]
        style = data.caption_style[data.event_caption]
        if noise == 0:
            assert np.array_equal(style == wanted, data.event_value > 0)
        assert (style != wanted)[data.event_value < 0].all()
        assert ((data.drift_at >= 0).any() == (drift > 0)) and not data.conditional[data.drift_at >= 0].any()


def test_other_evaluated_captions_change_nothing_that_a_model_trains_on(tmp_path):
    """Events, users and the classifier are the same whatever stands under the evaluated pictures."""
    content = album(3, 3, 3, 10)
    other = [
        Picture(each.name, each.part, (("an elk",), ("a merry elk",), ("a sad elk",))) if each.part else each
        for each in content.pictures
    ]
    folders = [tmp_path / "one", tmp_path / "two"]
    found = []
    for folder, pictures in zip(folders, (content.pictures, tuple(other)), strict=True):
        folder.mkdir()
        found.append(prepared(Album(**{**vars(content), "pictures": pictures}), folder))
    one, two = found
    for row in range(len(one.event_caption)):
        assert one.event_content(row) == two.event_content(row)
    for name in ("users", "pairs", "truth", "caption_styles"):
        assert (folders[0] / f"{name}.arrow").read_bytes() == (folders[1] / f"{name}.arrow").read_bytes()
