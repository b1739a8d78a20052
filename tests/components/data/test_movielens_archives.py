"""Published archives are read as they are: the same data as the folder, checked, and nothing unpacked."""

import hashlib
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from components.data import movielens, store
from components.data.archive import Member
from components.data.interactions import open_interactions
from components.errors import DataError
from tests.components.data.samples import LAYOUTS, write_movielens_25m, write_movielens_latest, zip_folder
from tests.components.data.test_movielens import ROOT, needs_data, settings


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A published archive, alone in its folder."""
    (tmp_path / "download").mkdir()
    return zip_folder(write_movielens_25m(tmp_path / "ml-25m"), tmp_path / "download" / "ml-25m.zip")


def write_md5(archive: Path, text: str = "MD5 ({name}) = {md5}\n") -> Path:
    beside = archive.with_name(f"{archive.name}.md5")
    md5 = hashlib.md5(archive.read_bytes()).hexdigest()
    beside.write_text(text.format(name=archive.name, md5=md5))
    return beside


def spoil(archive: Path, place: int) -> None:
    """Flip a byte."""
    content = bytearray(archive.read_bytes())
    content[place] ^= 0xFF
    archive.write_bytes(content)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_archive_is_the_same_data_as_its_folder(layout, tmp_path):
    folder = LAYOUTS[layout](tmp_path / "ml")
    archive = zip_folder(folder, tmp_path / "ml.zip")
    digest = store.data_digest(settings(folder))
    assert store.data_digest(settings(archive)) == digest
    one, other = (movielens.read(settings(root)) for root in (folder, archive))
    assert (one.item_titles, one.user_ids, one.genres) == (other.item_titles, other.user_ids, other.genres)
    for name in ("user", "item", "value", "timestamp", "profile"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


def test_a_folder_that_holds_just_the_archive_is_read_and_nothing_is_unpacked(archive, tmp_path):
    root = archive.parent
    write_md5(archive)
    (root / "README.html").write_text("about")
    before = sorted(root.iterdir())
    data = open_interactions(store.prepare(settings(root), tmp_path / "store"))
    assert data.digest == store.data_digest(settings(tmp_path / "ml-25m"))
    assert sorted(root.iterdir()) == before
    assert [path.name for path in (tmp_path / "store").iterdir()] == [data.digest]


def test_how_the_archive_is_packed_does_not_matter(archive, tmp_path):
    flat = tmp_path / "flat.zip"
    with zipfile.ZipFile(flat, "w") as file:
        for path in (tmp_path / "ml-25m").iterdir():
            file.write(path, path.name)
        file.writestr("__MACOSX/ml-25m/ratings.csv", "not this")
    assert store.data_digest(settings(flat)) == store.data_digest(settings(archive))


@pytest.mark.parametrize(
    "text",
    ["MD5 ({name}) = {md5}\n", "{md5}  {name}\n", "{md5} *{name}", "{md5}"],
    ids=["bsd", "gnu", "binary", "bare"],
)
def test_a_published_checksum_is_compared(archive, text):
    beside = write_md5(archive, text)
    digest = store.data_digest(settings(archive))
    beside.write_text(beside.read_text().upper())
    assert store.data_digest(settings(archive)) == digest
    spoil(archive, -1)
    with pytest.raises(DataError, match=r"ml-25m\.zip: its MD5 is \w{32}, and ml-25m\.zip\.md5 says \w{32}"):
        store.data_digest(settings(archive))


def test_a_checksum_file_without_a_checksum_is_refused(archive):
    beside = archive.with_name("ml-25m.zip.md5")
    beside.write_text("<html>Not found</html>")
    with pytest.raises(DataError, match=r"ml-25m\.zip\.md5:1: expected an MD5 of 32 .*got '<html>"):
        store.data_digest(settings(archive))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_cut_off_archive_is_refused(archive, share):
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * share)])
    size = archive.stat().st_size
    with pytest.raises(
        DataError, match=rf"ml-25m\.zip: the archive is cut off after {size:,} bytes: .*download it again"
    ):
        store.data_digest(settings(archive))


def _first_byte_of(archive: Path, name: str) -> int:
    with zipfile.ZipFile(archive) as file:
        info = file.getinfo(name)
    return info.header_offset + 30 + len(name)


@pytest.mark.parametrize("read", [store.data_digest, movielens.read], ids=["digest", "read"])
@pytest.mark.parametrize("place", range(0, 100, 7))
def test_a_damaged_byte_of_what_is_used_is_found(archive, place, read):
    spoil(archive, _first_byte_of(archive, "ml-25m/ratings.csv") + place)
    with pytest.raises(
        DataError, match=r"ml-25m\.zip/ml-25m/ratings\.csv: the archive is damaged here .*again$"
    ):
        read(settings(archive))


def test_a_stored_file_whose_content_changed_fails_its_own_checksum(tmp_path):
    write_movielens_latest(tmp_path / "ml")
    with zipfile.ZipFile(tmp_path / "ml.zip", "w", zipfile.ZIP_STORED) as file:
        for path in (tmp_path / "ml").iterdir():
            file.write(path, f"ml/{path.name}")
    content = (tmp_path / "ml.zip").read_bytes()
    (tmp_path / "ml.zip").write_bytes(content.replace(b"881250011", b"881250012", 1))
    for read in (store.data_digest, movielens.read):
        with pytest.raises(
            DataError, match=r"ml\.zip/ml/ratings\.csv: the archive is damaged here \(Bad CRC-32"
        ):
            read(settings(tmp_path / "ml.zip"))


def test_damage_far_inside_a_long_file_is_found_while_it_is_parsed(archive, tmp_path):
    """The first bytes, which are looked at before, are whole."""
    rows = "".join(f"{1 + n},{1 + n % 5},4.5,{10**9 + n}\n" for n in range(100_000))
    path = tmp_path / "ml-25m" / "ratings.csv"
    path.write_text(f"userId,movieId,rating,timestamp\n{rows}")
    zip_folder(path.parent, archive)
    with zipfile.ZipFile(archive) as file:
        spoil(
            archive,
            _first_byte_of(archive, "ml-25m/ratings.csv")
            + file.getinfo("ml-25m/ratings.csv").compress_size // 2,
        )
    assert "ratings.csv" in movielens.files(settings(archive))
    with pytest.raises(DataError, match=r"ratings\.csv: the archive is damaged here"):
        movielens.read(settings(archive))


def test_an_error_inside_an_archive_has_its_line(archive, tmp_path):
    root = tmp_path / "ml-25m"
    (root / "ratings.csv").write_text((root / "ratings.csv").read_text() + "1,2,7,881250000\n")
    zip_folder(root, archive)
    with pytest.raises(
        DataError, match=r"ml-25m\.zip/ml-25m/ratings\.csv:32: expected a rating from 0\.5 to 5, got 7"
    ):
        movielens.read(settings(archive))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html>", "web page"),
        (b"", "empty"),
        (bytes(100), "zero bytes"),
        (b"Rar!", "expected a zip archive"),
    ],
)
def test_what_is_no_archive_is_refused(archive, content, said):
    archive.write_bytes(content)
    with pytest.raises(DataError, match=rf"ml-25m\.zip: .*{said}"):
        store.data_digest(settings(archive))


def test_a_file_that_is_not_named_as_an_archive_is_refused(tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text("userId\n")
    with pytest.raises(DataError, match=r"this is a file; data\.root must be the folder, or the zip archive"):
        store.data_digest(settings(path))


def test_an_archive_that_lacks_a_file_names_it(archive, tmp_path):
    (tmp_path / "ml-25m" / "movies.csv").unlink()
    zip_folder(tmp_path / "ml-25m", archive)
    with pytest.raises(
        DataError, match=r"ml-25m\.zip/movies\.csv: no such file; expected ratings\.csv, movies\.csv"
    ):
        store.data_digest(settings(archive))


def test_an_archive_of_something_else_says_what_it_holds(archive):
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("photos/one.jpg", b"x")
    with pytest.raises(DataError, match=r"expected u\.data, .* in it, got photos/one\.jpg"):
        store.data_digest(settings(archive))


def test_several_folders_or_archives_are_ambiguous(archive, tmp_path):
    shutil.copyfile(archive, archive.with_name("ml-32m.zip"))
    with pytest.raises(
        DataError, match=r"several archives \(ml-25m\.zip, ml-32m\.zip\): set data\.root to the one"
    ):
        store.data_digest(settings(archive.parent))
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("other/ratings.dat", "1::1::5::1\n")
    with pytest.raises(DataError, match=r"in several folders \(ml-25m, other\)"):
        store.data_digest(settings(archive))


def test_an_archive_in_place_of_the_folder_is_pointed_to(archive):
    with pytest.raises(DataError, match=r"ml-25m: no such folder, .*: set data\.root to .*/ml-25m\.zip$"):
        store.data_digest(settings(archive.with_suffix("")))


def test_an_encrypted_archive_is_refused(archive):
    content = bytearray(archive.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    with pytest.raises(DataError, match="this file is encrypted"):
        store.data_digest(settings(archive))


def test_a_member_outlives_the_archive_that_it_was_opened_from(archive):
    with Member(archive, "ml-25m/movies.csv").open() as file:
        assert file.readline() == b"movieId,title,genres\n"
    assert str(Member(archive, "ml-25m/movies.csv")) == f"{archive}/ml-25m/movies.csv"


@needs_data
def test_the_real_100k_zipped_is_the_same_data(tmp_path):
    archive = tmp_path / "ml-100k.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in ROOT.glob("u.*"):
            file.write(path, f"ml-100k/{path.name}")
    assert store.data_digest(settings(archive)) == store.data_digest(settings(ROOT))
    assert np.array_equal(
        movielens.read(settings(archive)).timestamp, movielens.read(settings(ROOT)).timestamp
    )
