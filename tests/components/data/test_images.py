"""Pictures are decoded alike from files and uploads, and what is no whole picture is refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from components.data.images import MOST_PIXELS, UnusablePicture, decode_picture


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def halves(width: int, height: int) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (width, height), (255, 0, 0))
    image.paste((0, 0, 255), (width // 2, 0, width, height))
    return image


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_central_square_is_scaled(kind, tmp_path):
    data = encoded(halves(80, 40), kind)
    pixels = decode_picture(io.BytesIO(data), 10)
    assert pixels.shape == (10, 10, 3) and pixels.dtype == np.uint8
    assert (pixels[:, :3] > [200, 0, 0]).any() and pixels[:, :3, 2].max() < 60 < 200 < pixels[:, 7:, 2].min()
    (tmp_path / "picture").write_bytes(data)
    assert np.array_equal(decode_picture(tmp_path / "picture", 10), pixels)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK", "I;16"])
def test_every_mode_becomes_red_green_and_blue(mode):
    image = Image.new("RGB", (12, 12), "white")
    image.paste("black", (6, 0, 12, 12))
    image = image.convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 128)  # grey where it was white
    pixels = decode_picture(io.BytesIO(encoded(image, "JPEG" if mode == "CMYK" else "PNG")), 6)
    assert pixels.shape == (6, 6, 3)
    light = 127 if mode == "I;16" else 255
    assert np.abs(pixels[:, :2].astype(int) - light).max() < 12 and pixels[:, 4:].max() < 12


def test_a_turned_picture_is_set_upright():
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180 degrees
    pixels = decode_picture(io.BytesIO(encoded(halves(20, 20), "JPEG", exif=exif)), 4)
    assert pixels[:, 0, 2].min() > 200 and pixels[:, 3, 0].min() > 200


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_half_a_picture_is_none(kind):
    generator = np.random.default_rng(0)
    data = encoded(Image.fromarray(generator.integers(0, 255, (64, 64, 3), np.uint8)), kind)
    for share in (0.0, 0.1, 0.5, 0.9):
        with pytest.raises(UnusablePicture):
            decode_picture(io.BytesIO(data[: int(len(data) * share)]), 8)


def test_other_files_are_refused(tmp_path):
    gif = encoded(halves(8, 8), "GIF")
    for data in (
        b"",
        b"no picture",
        b"<html>",
        gif,
        b"\xff\xd8\xff\xe0" + bytes(30),
        b"\x89PNG\r\n\x1a\n" + bytes(50),
    ):
        with pytest.raises(UnusablePicture, match=r"\w"):
            decode_picture(io.BytesIO(data), 8)
    with pytest.raises(UnusablePicture, match="no such file"):
        decode_picture(tmp_path / "nothing.jpg", 8)


def png(width: int, height: int) -> bytes:
    """A small file that claims to be of this size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b""))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(8000, 8000), (30_000, 30_000), (2**31 - 1, 2**31 - 1)])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_not_decoded(size):
    with pytest.raises(UnusablePicture, match=f"{MOST_PIXELS:,}|size|pixels"):
        decode_picture(io.BytesIO(png(*size)), 8)


WHOLE = {kind: encoded(halves(16, 16), kind) for kind in ("JPEG", "PNG")}


@given(
    kind=st.sampled_from(sorted(WHOLE)),
    place=st.integers(0, 400),
    value=st.integers(0, 255),
    cut=st.integers(1, 800),
)
@example(kind="PNG", place=20, value=255, cut=800)
def test_a_damaged_file_gives_pixels_or_the_error(kind, place, value, cut):
    data = bytearray(WHOLE[kind][:cut])
    data[place % len(data)] = value
    try:
        pixels = decode_picture(io.BytesIO(bytes(data)), 8)
    except UnusablePicture:
        return
    assert pixels.shape == (8, 8, 3)
