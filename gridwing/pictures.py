"""Pictures people upload: bounded before they are decoded, blurred, re-encoded without EXIF."""

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

PIXELS_LIMIT = 40_000_000
SIDE_LIMIT_PX = 2560
QUALITY = 85
FORMATS = ("JPEG", "PNG", "WEBP")


Pixels = NDArray[np.uint8]
Blur = Callable[[Pixels], tuple[Pixels, int]]
"""Makes faces and plates of a BGR picture unreadable in place; models.privacy.PictureBlur.blur."""


class BadPicture(ValueError):
    """The upload is not a picture we take; the text says why."""


def fit_to_keep(content: bytes, blur: Blur) -> bytes:
    """Return the picture upright and blurred as a plain JPEG of at most SIDE_LIMIT_PX a side.

    Raises BadPicture, and what `blur` raises: nothing is kept unblurred.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            if picture.width * picture.height > PIXELS_LIMIT:
                raise BadPicture(f"a picture has at most {PIXELS_LIMIT} pixels")
            upright = ImageOps.exif_transpose(picture).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadPicture(f"not a JPEG, PNG or WebP picture: {error}") from error
    upright.thumbnail((SIDE_LIMIT_PX, SIDE_LIMIT_PX))
    pixels, _ = blur(np.ascontiguousarray(np.asarray(upright, np.uint8)[..., ::-1]))
    sink = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels[..., ::-1])).save(sink, "JPEG", quality=QUALITY)
    return sink.getvalue()
