"""Pretrained encoders: what they see is computed once, and whatever is no encoder is refused in words."""

import logging

import numpy as np
import pytest
import torch

from components.config import FlickrSettings
from components.data import flickr, store
from components.data.captions import open_captions
from components.data.images import decode_picture
from components.data.regions import PretrainedEncoder
from components.errors import DataError
from tests.components.data.encoders import SIZE, Patches, Regions, Vector, write_encoder
from tests.components.data.flickr_fixtures import tiny_settings, write_flickr


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_flickr(tmp_path_factory.mktemp("flickr"))


@pytest.fixture(scope="module")
def settings(root, tmp_path_factory) -> FlickrSettings:
    return tiny_settings(root, encoder=write_encoder(tmp_path_factory.mktemp("encoder") / "patches.pt2"))


def test_grids_regions_and_vectors_are_all_read(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
    grid, regions, vector = (
        PretrainedEncoder(write_encoder(tmp_path / f"{kind.__name__}.pt2", kind()))
        for kind in (Patches, Regions, Vector)
    )
    assert grid.size == SIZE and grid(picture).shape == (4, 9) and vector(picture).shape == (1, 36)
    assert torch.equal(grid(picture), regions(picture))
    corner = picture[: SIZE // 2, : SIZE // 2].mean((0, 1)) / 255
    assert grid(picture)[0, :3].tolist() == pytest.approx(corner.tolist(), abs=1e-3)


def test_features_are_computed_once_and_stored_with_the_encoder(settings, tmp_path, monkeypatch):
    folder = store.prepare(settings, tmp_path, form="captions")
    data = open_captions(folder)
    assert data.regions is not None and data.regions.shape == (len(data.image_names), 4, 9)
    assert not data.regions.flags.writeable and data.pixels.shape[1] == settings.image_size
    encoder = PretrainedEncoder(data.encoder)
    for image in (0, len(data.image_names) - 1):
        pixels = decode_picture(flickr.files(settings)["pictures"] / data.image_names[image], SIZE)
        assert np.array_equal(data.regions[image], encoder(pixels).numpy())
    monkeypatch.setattr("components.data.flickr.read", lambda settings: pytest.fail("was read again"))
    assert store.prepare(settings, tmp_path, form="captions") == folder


def test_the_digest_follows_the_encoder_but_not_its_place(settings, root, tmp_path):
    elsewhere = tmp_path / "elsewhere.pt2"
    elsewhere.write_bytes(settings.encoder.read_bytes())
    other = write_encoder(tmp_path / "other.pt2", Patches(grid=3))
    digests = [
        store.data_digest(tiny_settings(root, encoder=encoder), "captions")
        for encoder in (settings.encoder, elsewhere, other, None)
    ]
    assert digests[0] == digests[1] and len(set(digests)) == 3


class Two(torch.nn.Module):
    def forward(self, one, two):
        return one + two


class Pair(torch.nn.Module):
    def forward(self, picture):
        return picture.mean((2, 3)), picture


class Broken(torch.nn.Module):
    def forward(self, picture):
        return picture.mean((2, 3)) / 0


def test_nothing_but_the_message_is_written_of_a_file_that_torch_cannot_read(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("torch.export"), "handlers", [caplog.handler])
    table, weights = tmp_path / "table.csv", tmp_path / "weights.pt2"
    table.write_text("item,vector\n")
    torch.save({"weight": torch.zeros(3)}, weights)
    for path, reason in ((table, "not a zip file"), (weights, "an error when deserializing")):
        with pytest.raises(DataError, match=f"no exported program .*{reason}") as refused:
            PretrainedEncoder(path)
        assert not caplog.records and "warnings above" not in str(refused.value)


def test_what_is_no_encoder_is_refused_in_words(root, tmp_path):
    picture = np.zeros((SIZE, SIZE, 3), np.uint8)
    path = tmp_path / "encoder.pt2"
    with pytest.raises(DataError, match=r"no such file; `data\.encoder`"):
        store.data_digest(tiny_settings(root, encoder=path), "captions")
    path.write_bytes(b"weights")
    with pytest.raises(DataError, match="no exported program"):
        PretrainedEncoder(path)
    for shape in ((1, 3, 8, 12), (1, 1, 8, 8)):
        with pytest.raises(DataError, match=r"takes \(1, .*expected one picture"):
            PretrainedEncoder(write_encoder(path, Patches(), *shape))
    example = torch.zeros(1, 3, SIZE, SIZE)
    torch.export.save(torch.export.export(Two(), (example, example)), path)
    with pytest.raises(DataError, match="expected one picture"):
        PretrainedEncoder(path)
    with pytest.raises(DataError, match=r"gives tuple; expected \(1, R, D\)"):
        PretrainedEncoder(write_encoder(path, Pair()))(picture)
    with pytest.raises(DataError, match="not finite"):
        PretrainedEncoder(write_encoder(path, Broken()))(picture)
