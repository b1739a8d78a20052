"""Posters are decoded once; damaged and unknown ones are counted, and too many of them are an error."""

import numpy as np
import pytest
from PIL import Image

from components.data.posters import check_folder, read_posters
from components.errors import DataError
from tests.components.data.samples import write_posters

IDS = [str(number) for number in range(1, 11)]


def truncate(path):
    path.write_bytes(path.read_bytes()[:-200])


def test_png_and_other_sizes_will_do_and_other_files_are_no_posters(tmp_path):
    folder = write_posters(tmp_path, 1)
    Image.new("RGB", (500, 500), (250, 0, 0)).save(folder / "3.PNG")
    Image.new("L", (5, 9), 77).save(folder / "4.jpeg")
    for name in ("README.txt", ".2.jpg", "2.gif", "Thumbs.db"):
        (folder / name).write_bytes(b"whatever")
    check_folder(folder)
    pixels, present, counts = read_posters(folder, IDS, damaged=0)
    assert (np.flatnonzero(present) == [0, 2, 3]).all() and counts == {}
    assert (pixels[2] == np.array([250, 0, 0])[:, None, None]).all()
    assert np.abs(pixels[3].astype(int) - 77).max() <= 2 and not pixels[~present].any()


def test_a_poster_is_cut_to_its_centre_where_it_has_another_proportion(tmp_path):
    folder = tmp_path / "posters"
    folder.mkdir()
    wide = Image.new("RGB", (120, 60), (0, 0, 255))
    wide.paste((255, 0, 0), (40, 0, 80, 60))
    wide.save(folder / "1.png")
    pixels, _, _ = read_posters(folder, IDS, damaged=0)
    assert (pixels[0, :, :, 3:-3] == np.array([255, 0, 0])[:, None, None]).all()
    assert pixels[0, 0].min() > 200


def test_damaged_and_unknown_posters_are_counted_up_to_the_share_that_may_be(tmp_path):
    folder = write_posters(tmp_path, 1, 2, 3, 4, 5, 6, 7, 77)
    truncate(folder / "2.jpg")
    (folder / "5.jpg").write_bytes(b"")
    pixels, present, counts = read_posters(folder, IDS, damaged=0.4)
    assert np.flatnonzero(~present).tolist() == [1, 4, 7, 8, 9] and not pixels[1].any()
    assert counts == {"posters of unknown items": 1, "damaged posters": 2}
    with pytest.raises(DataError) as caught:
        read_posters(folder, IDS, damaged=0.3)
    assert str(caught.value).startswith(
        f"{folder}: 3 of 8 posters are damaged or of unknown items, more than the share 0.3 that data.damaged allows "
        "(2.jpg: "
    )
    for part in ("5.jpg: neither JPEG nor PNG", "77.jpg: no such item", "raise data.damaged"):
        assert part in str(caught.value)


def test_no_poster_of_any_item_is_refused_whatever_share_is_allowed(tmp_path):
    folder = write_posters(tmp_path, 77)
    with pytest.raises(
        DataError, match=r"posters: no poster of any of the 10 items \(77\.jpg: no such item\)"
    ):
        read_posters(folder, IDS, damaged=1)


def test_two_posters_of_an_item_are_refused(tmp_path):
    folder = write_posters(tmp_path, 1)
    Image.new("RGB", (2, 3)).save(folder / "1.png")
    with pytest.raises(
        DataError, match=r"posters/1\.png: 1\.jpg is of the same item; expected one picture each"
    ):
        read_posters(folder, IDS, damaged=1)


def test_a_folder_without_pictures_and_a_file_in_its_place_are_refused(tmp_path):
    (tmp_path / "posters").mkdir()
    (tmp_path / "posters" / "1.gif").write_bytes(b"GIF89a")
    with pytest.raises(DataError, match=r"posters: no picture in it; `data\.posters` reads"):
        check_folder(tmp_path / "posters")
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(DataError, match=r"file: this is a file; `data\.posters` reads"):
        check_folder(tmp_path / "file")
