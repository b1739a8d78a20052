"""Flickr folders are read as published, and whatever is broken is counted or said with its place."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.data import flickr, flickr_files, store, subjects
from components.data.captions import split_words
from components.data.splits import TEST, TRAIN, VALIDATION
from components.errors import DataError
from tests.components.data.flickr_fixtures import PARTS, Layout, tiny_settings, write_flickr


@pytest.mark.parametrize("layout", ["flickr8k", "flickr30k", "table"])
def test_plain_layouts_give_the_same_album(tmp_path: Path, layout: Layout):
    album = flickr.read(tiny_settings(write_flickr(tmp_path / layout, layout)))
    reference = flickr.read(tiny_settings(write_flickr(tmp_path / "reference", "flickr8k")))
    assert album.pictures == reference.pictures and np.array_equal(album.pixels, reference.pixels)
    assert album.styles == ("short", "long") and not album.left_out
    parts = [picture.part for picture in album.pictures]
    assert [parts.count(part) for part in (TRAIN, VALIDATION, TEST)] == [*PARTS.values()]
    for picture in album.pictures:
        short, long = (list(map(len, map(str.split, texts))) for texts in picture.captions)
        assert (len(short), len(long)) == (2, 3) and max(short) <= min(long)


def test_styled_captions_divide_the_validation_part(tmp_path):
    album = flickr.read(tiny_settings(write_flickr(tmp_path / "one")))
    assert album.styles == ("factual", "humorous", "romantic")
    assert album.left_out == {"pictures without styled captions": PARTS["test"]}
    parts = np.array([picture.part for picture in album.pictures])
    assert [int((parts == part).sum()) for part in (TRAIN, VALIDATION, TEST)] == [60, 8, 8]
    assert all(picture.name.startswith("validation") == (picture.part != TRAIN) for picture in album.pictures)
    for picture in album.pictures:
        factual, humorous, romantic = picture.captions
        assert (len(factual), len(humorous), len(romantic)) == (5, 1, 1)
        assert humorous[0].startswith(factual[0].lower()[:-2])
    again = flickr.read(tiny_settings(write_flickr(tmp_path / "two")))
    assert again.pictures == album.pictures


def test_pictures_are_cut_square_and_scaled(tmp_path):
    root = write_flickr(tmp_path)
    album = flickr.read(tiny_settings(root, image_size=12))
    assert album.pixels.shape == (76, 12, 12, 3) and album.pixels.dtype == np.uint8
    with Image.open(root / "images" / album.pictures[0].name) as image:
        square = np.asarray(image.convert("RGB"), np.float64)[:, 5:35]
    assert album.pixels[0].mean((0, 1)) == pytest.approx(square.mean((0, 1)), abs=4)


def test_kinds_and_topics_come_from_plain_captions(tmp_path):
    album = flickr.read(tiny_settings(write_flickr(tmp_path)))
    for picture, kind, topic in zip(album.pictures, album.kind, album.topic, strict=True):
        words = set(picture.captions[0][0].lower().split())
        expected = {"dog": "animals", "cat": "animals", "boy": "children", "girl": "children"}
        assert album.kinds[kind] == next((expected[word] for word in words & expected.keys()), "people")
        places = {"snow": "snow", "street": "street", "lake": "water"}
        assert ("", *album.topics)[topic] == next(places[word] for word in words & places.keys())


def test_votes_on_what_a_picture_shows():
    assert subjects.KINDS[subjects.kind_of(["A dog .", "Two men and a dog"])] == "animals"
    assert (
        subjects.KINDS[subjects.kind_of(["A man rides a bike", "a boy on a bike", "the boy rides"])]
        == "children"
    )
    assert subjects.KINDS[subjects.kind_of(["a red wall", "bricks"])] == "other"
    assert subjects.topic_of(["a red wall", "bricks"]) == 0
    assert subjects.TOPICS[subjects.topic_of(["Wet dog", "a dog in a lake", "snow"]) - 1] == "water"


def spoil(root: Path, count: int, change: Callable[[Path], object]) -> list[str]:
    chosen = sorted((root / "images").iterdir())[:count]
    for path in chosen:
        change(path)
    return [path.name for path in chosen]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_missing_and_damaged_pictures_are_counted_up_to_a_limit(tmp_path):
    root = write_flickr(tmp_path)
    whole = flickr.read(tiny_settings(root))
    bad = [*spoil(root, 1, Path.unlink), *spoil(root, 2, truncate)]
    (root / "images" / "validation3.jpg").write_bytes(b"no picture")
    bad.append("validation3.jpg")
    named = [picture.name for picture in whole.pictures]
    used = [name for name in bad if name in named]
    album = flickr.read(tiny_settings(root, damaged=0.1))
    missing, damaged = 1 if bad[0] in named else 0, len(used) - (bad[0] in named)
    expected = {"missing pictures": missing, "damaged pictures": damaged}
    assert {reason: album.left_out.get(reason, 0) for reason in expected} == expected
    assert [picture.name for picture in album.pictures] == [name for name in named if name not in used]
    kept = [place for place, name in enumerate(named) if name not in used]
    assert np.array_equal(album.pixels, whole.pixels[kept])
    with pytest.raises(
        DataError, match=r"of 76 pictures are missing or damaged, .* data.damaged allows \(.*\.jpg: "
    ):
        flickr.read(tiny_settings(root))


def test_a_prepared_folder_says_what_was_left_out(tmp_path):
    root = write_flickr(tmp_path / "flickr")
    (root / "images" / "train7.jpg").unlink()
    truncate(root / "images" / "train8.jpg")
    folder = store.prepare(tiny_settings(root, damaged=0.1), tmp_path / "store", "captions")
    assert store.left_out(folder) == {
        "pictures without styled captions": 10,
        "missing pictures": 1,
        "damaged pictures": 1,
    }
    assert store.left_out(tmp_path) == {}


def test_the_digest_sees_texts_names_and_sizes_but_not_the_place(tmp_path):
    digests = []
    for place in ("a", "b"):
        root = write_flickr(tmp_path / place)
        digests.append(store.data_digest(tiny_settings(root), "captions"))
    assert digests[0] == digests[1]
    truncate(root / "images" / "train0.jpg")
    digests.append(store.data_digest(tiny_settings(root), "captions"))
    (root / "styles.csv").write_text((root / "styles.csv").read_text().replace("aliens", "robots"))
    digests.append(store.data_digest(tiny_settings(root), "captions"))
    assert len(set(digests)) == 3


def line(name: str, number: int, text: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        lines = (root / name).read_text().split("\n")
        lines[number - 1] = text
        (root / name).write_text("\n".join(lines))

    return change


def remove(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


def drop_captions_of(root: Path) -> None:
    path = root / "results.token"
    path.write_text("".join(each for each in path.open() if not each.startswith("train4.jpg")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            line("results.token", 7, "train1.jpg A dog ."),
            r"results.token:7: expected `NAME.jpg#0<TAB>caption`, got 't",
        ),
        (line("results.token", 7, "train1.jpg#x\tA"), r"results.token:7: expected"),
        (
            line("train.txt", 3, "nobody.jpg"),
            r"train.txt:3: the picture 'nobody.jpg' has no caption in results.token",
        ),
        (line("test.txt", 2, "train2.jpg"), r"test.txt:2: the picture 'train2.jpg' is also in train.txt:3"),
        (drop_captions_of, r"train.txt:5: the picture 'train4.jpg' has no caption"),
        (
            line("styles.csv", 4, "train1.jpg,romantik,a dog"),
            r"styles.csv:4: unknown style 'romantik'; expected humorous or romantic; did you mean 'romantic'\?",
        ),
        (
            line("styles.csv", 4, "train1.jpg,romantic"),
            r"styles.csv:4: expected image,style,caption, got 2 values",
        ),
        (
            line("styles.csv", 4, "train1.jpg,romantic,."),
            r"styles.csv:4: expected a caption, got an empty one",
        ),
        (
            line("styles.csv", 4, "x.jpg,romantic,love"),
            r"styles.csv:4: the picture 'x.jpg' has no plain caption",
        ),
        (
            line("styles.csv", 4, '"train1.jpg,romantic,love'),
            r"styles.csv:\d+: not a table divided by commas",
        ),
        (
            line("styles.csv", 1, "picture,style,text"),
            r"styles.csv:1: expected the columns image,style,caption",
        ),
        (
            remove("results.token"),
            r"no file of captions; expected one of results_20130124.token, .*bring-your-own",
        ),
        (
            remove("validation.txt"),
            r"no list of validation pictures; expected validation.txt or .*, or dataset_f",
        ),
        (
            lambda root: (root / "images").rename(root / "pics"),
            r"no folder of pictures; expected one of images, ",
        ),
        (lambda root: (root / "train.txt").write_text(""), r"train.txt:1: the file is empty"),
        (
            lambda root: (root / "results.token").write_bytes(b"a.jpg#0\tdog\nb.jpg#0\tcaf\xe9\n"),
            r"results.token:2: expected utf-8 text, got the byte 0xe9",
        ),
    ],
)
def test_what_is_broken_is_said_with_its_place(
    tmp_path: Path, change: Callable[[Path], object], message: str
):
    root = write_flickr(tmp_path / "flickr")
    change(root)
    with pytest.raises(DataError, match=message):
        store.prepare(tiny_settings(root), tmp_path / "store", "captions")
    assert not (tmp_path / "store").exists()


def test_a_styled_caption_of_two_lines_keeps_its_words_apart(tmp_path):
    root = write_flickr(tmp_path)
    line("styles.csv", 2, '"train0.jpg",humorous,"a dog\nruns fast"')(root)
    styled = flickr_files.read_styles(root / "styles.csv", flickr_files.read_captions(root / "results.token"))
    assert split_words(styled["train0.jpg"]["humorous"][0]) == ["a", "dog", "runs", "fast"]


def test_a_folder_that_is_none(tmp_path):
    (tmp_path / "flickr8k.zip").write_bytes(b"PK\x03\x04 and so on")
    with pytest.raises(DataError, match=r"no such folder; expected a folder with captions and pictures"):
        flickr.files(tiny_settings(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"this is a zip archive, not data; unpack it; expected a folder"):
        flickr.files(tiny_settings(tmp_path / "flickr8k.zip"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"dataset_flickr30k.json:1: not JSON, or cut off"),
        ("[]", r"expected an object with a list 'images'"),
        (
            '{"images": [{"filename": "a.jpg", "split": "dev", "sentences": []}]}',
            r"images\[0\]: expected 'filename', ",
        ),
        ('{"images": [3]}', r"images\[0\]: expected"),
    ],
)
def test_a_broken_partition(tmp_path: Path, text: str, message: str):
    root = write_flickr(tmp_path, "flickr30k")
    (root / "dataset_flickr30k.json").write_text(text)
    with pytest.raises(DataError, match=message):
        flickr.read(tiny_settings(root))


def test_a_partition_holds_the_captions_too(tmp_path):
    root = write_flickr(tmp_path, "flickr30k")
    album = flickr.read(tiny_settings(root))
    (root / "results_20130124.token").unlink()
    assert flickr.read(tiny_settings(root)).pictures == album.pictures


def test_one_caption_is_neither_short_nor_long(tmp_path):
    root = write_flickr(tmp_path, "flickr30k")
    path = root / "results_20130124.token"
    path.write_text(
        "\n".join(each for each in path.read_text().split("\n") if not re.match(r"train4.jpg#[1-4]", each))
    )
    with pytest.raises(
        DataError, match=r"'train4.jpg' of dataset_flickr30k.json has 1 caption; expected at least 2"
    ):
        flickr.read(tiny_settings(root))


def test_pictures_in_no_list_are_counted(tmp_path):
    root = write_flickr(tmp_path, "flickr30k")
    path = root / "dataset_flickr30k.json"
    document = json.loads(path.read_text())
    document["images"] = document["images"][2:]
    path.write_text(json.dumps(document))
    assert flickr.read(tiny_settings(root)).left_out == {"pictures in no list": 2}


@pytest.mark.skipif("ADAPTUNE_DATA" not in os.environ, reason="ADAPTUNE_DATA is not set")
def test_the_published_texts_are_read_whole():
    root = Path(os.environ["ADAPTUNE_DATA"]) / "flickr8k"
    paths = flickr.files(tiny_settings(root))
    captions = flickr_files.read_captions(paths["captions"])
    assert len(captions) == 7500 and sum(map(len, captions.values())) == 37_500
    listed = flickr_files.read_lists(paths, captions)
    parts = [each.part for each in listed.values()]
    assert [parts.count(part) for part in (TRAIN, VALIDATION, TEST)] == [6000, 500, 1000]
    styled = flickr_files.read_styles(paths["styles"], captions)
    assert len(styled) == 6500 and all(set(each) == {"humorous", "romantic"} for each in styled.values())
    kinds = [subjects.kind_of(captions[name]) for name in listed]
    shares = np.bincount(kinds, minlength=len(subjects.KINDS)) / len(kinds)
    assert shares[:-1].min() > 0.1 and shares[-1] < 0.05  # every kind is common, and few pictures are of none
