"""Pictures that people upload: bounded before they are decoded, re-encoded, EXIF left behind."""

import io

from PIL import Image, ImageOps, UnidentifiedImageError

PIXELS_LIMIT = 40_000_000
SIDE_LIMIT_PX = 2560
QUALITY = 85
FORMATS = ("JPEG", "PNG", "WEBP")


class BadPicture(ValueError):
    """The upload is not a picture we take; the text says why."""


def reencoded(content: bytes) -> bytes:
    """Return the picture upright as a plain JPEG of at most SIDE_LIMIT_PX a side."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            if picture.width * picture.height > PIXELS_LIMIT:
                raise BadPicture(f"a picture has at most {PIXELS_LIMIT} pixels")
            upright = ImageOps.exif_transpose(picture).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadPicture(f"not a JPEG, PNG or WebP picture: {error}") from error
    upright.thumbnail((SIDE_LIMIT_PX, SIDE_LIMIT_PX))
    sink = io.BytesIO()
    upright.save(sink, "JPEG", quality=QUALITY)
    return sink.getvalue()
