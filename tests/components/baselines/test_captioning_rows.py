"""The rows that a captioning model must beat, and those that are told the truth."""

from pathlib import Path

import numpy as np
import pytest

from components.baselines.captioning import medoid, nearest_pictures, trivial_rows
from components.data import store
from components.data.captions import Captions, open_captions
from components.metrics.captions import HUMAN
from components.metrics.rows import macro, metric_names
from components.tasks import TASKS
from tests.components.data.flickr_fixtures import tiny_settings, write_flickr

INFO = TASKS["captioning"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Captions:
    folder = tmp_path_factory.mktemp("flickr")
    settings = tiny_settings(write_flickr(folder / "data"), drift=0.2)
    return open_captions(store.prepare(settings, folder / "store", "captions"))


@pytest.mark.parametrize("part", ["validation", "test"])
@pytest.mark.parametrize("name", [*INFO.trivial, *INFO.oracles["flickr8k"]])
def test_every_row_has_every_group(data, name, part):
    rows = trivial_rows(name, data, part)
    assert set(rows["group"].to_pylist()) == set(INFO.groups)
    assert set(metric_names(rows)) == (set(HUMAN) if name == "human" else set(INFO.metrics))
    images = {
        data.image_names[image] for image in np.flatnonzero(data.part == {"validation": 1, "test": 2}[part])
    }
    assert set(rows["user"].to_pylist()) == images


def test_what_is_told_the_style_matches_it(data):
    means = {
        name: macro(trivial_rows(name, data, "validation"), "unseen") for name in ("constant-told", "human")
    }
    constant = macro(trivial_rows("constant-caption", data, "validation"), "unseen")
    images = (data.part == 1).sum()
    assert means["human"]["style_match"] == means["constant-told"]["style_match"] == 1
    assert constant["style_match"] < 0.6 and constant["distinct"] == pytest.approx(1 / images)
    assert means["human"]["content_match"] == 1


def test_the_medoid_shares_most_with_the_others(data):
    texts = ["a dog runs", "a dog sits", "a dog runs home", "two cats", "one bird"]
    chosen = type("Tiny", (), {"caption_text": texts})()
    assert medoid(chosen, np.arange(5)) == 0
    assert medoid(chosen, np.array([3])) == 3


def test_the_nearest_picture_is_itself_where_it_is_known(data):
    training = np.flatnonzero(data.part == 0)
    assert (nearest_pictures(data, training) == training).mean() > 0.95  # some are drawn alike
    nearest = nearest_pictures(data, np.flatnonzero(data.part > 0))
    assert (data.part[nearest] == 0).all()


def test_rows_know_nothing_of_evaluated_captions(data, tmp_path: Path):
    """With other captions for evaluated pictures, constant captions stay the same."""
    root = write_flickr(tmp_path / "data")
    path = root / "results.token"
    lines = [
        line if line.startswith("train") else f"{line.split(chr(9))[0]}\tan elk"
        for line in path.read_text().split("\n")
        if line
    ]
    path.write_text("\n".join(lines))
    other = open_captions(store.prepare(tiny_settings(root, drift=0.2), tmp_path / "store", "captions"))
    texts = []
    for each in (data, other):
        trained = np.flatnonzero(each.part[each.caption_image] == 0)
        texts.append(each.caption_text[medoid(each, trained)])
    assert texts[0] == texts[1]
    assert (other.folder / "caption_styles.arrow").read_bytes() == (
        data.folder / "caption_styles.arrow"
    ).read_bytes()
