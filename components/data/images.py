"""Pictures from files: JPEG or PNG, decoded, cut to their centre and scaled once."""

import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

VERSION = 2
"""Raised whenever the same file gives other pixels."""

FORMATS = ("JPEG", "PNG")
MOST_PIXELS = 50_000_000
"""Larger pictures are refused before they are decoded: a small file can claim any size."""


class UnusablePicture(ValueError):
    """A file that holds no whole picture; the message says why."""


def decode_picture(file: Path | IO[bytes], size: int, width: int | None = None) -> NDArray[np.uint8]:
    """Return a picture's red, green and blue, [size, size or width, 3]; raise `UnusablePicture` where there is none.

    Transparency is ignored. A truncated file is unusable: half a picture would be trained on as a whole one.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(file, formats=FORMATS) as image:
            wide, high = image.size
            if wide * high > MOST_PIXELS:
                raise UnusablePicture(f"{wide} x {high} pixels; at most {MOST_PIXELS:,} are decoded")
            form = (size if width is None else width, size)
            # A large JPEG is decoded at a fraction of its size.
            image.draft("RGB", (2 * max(form), 2 * max(form)))
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I"):  # 16 bits; converting would clip them
                upright = Image.fromarray((np.asarray(upright) // 256).astype(np.uint8))
            upright = upright.convert("RGB")
            scaled = ImageOps.fit(upright, form, Image.Resampling.LANCZOS)
            return np.asarray(scaled, np.uint8)
    except UnusablePicture:
        raise
    except FileNotFoundError as error:
        raise UnusablePicture("no such file") from error
    except UnidentifiedImageError as error:
        raise UnusablePicture(f"neither {' nor '.join(FORMATS)}, or cut off in its beginning") from error
    except Image.DecompressionBombError as error:
        raise UnusablePicture(f"more than {MOST_PIXELS:,} pixels") from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        raise UnusablePicture(str(error) or type(error).__name__) from error
