"""Reading a picture file that may be anything: bounded, upright, three channels."""

import struct
import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageOps, UnidentifiedImageError

from models.boxes import PAD_GREY, Image

# A JPEG of several pictures (MPO, as drones write) opens as JPEG.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
PIXELS_LIMIT = 60_000_000
LEAST_SIDE_PX = 16
VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv"})


class BadPicture(ValueError):
    """The file is no picture we can judge; the text says why."""


def read_picture(path: Path) -> Image:
    """Return (h, w, 3) BGR, turned upright by its EXIF, what is transparent grey.

    Raises BadPicture. Size and format are read from the header before anything is decoded.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures and odd headers; what is too large is refused here.
            warnings.simplefilter("ignore")
            with PillowImage.open(path, formats=FORMATS) as opened:
                if opened.width * opened.height > PIXELS_LIMIT:
                    raise BadPicture(f"{_size(opened)} is over {PIXELS_LIMIT} pixels")
                if min(opened.size) < LEAST_SIDE_PX:
                    raise BadPicture(f"{_size(opened)} is too small to judge")
                pixels = np.asarray(_plain(ImageOps.exif_transpose(opened)), np.uint8)
    except FileNotFoundError as error:
        raise BadPicture("no such file") from error
    except UnidentifiedImageError as error:
        raise BadPicture(f"none of {', '.join(FORMATS)}") from error
    except PillowImage.DecompressionBombError as error:
        raise BadPicture(f"over {PIXELS_LIMIT} pixels: {error}") from error
    except (OSError, SyntaxError, ValueError, TypeError, OverflowError, struct.error) as error:
        if isinstance(error, BadPicture):
            raise
        raise BadPicture(f"not a whole picture: {error}") from error
    return np.ascontiguousarray(pixels[..., ::-1])


def _size(opened: PillowImage.Image) -> str:
    return f"{opened.width}×{opened.height}"


def _plain(upright: PillowImage.Image) -> PillowImage.Image:
    """Return three channels of eight bits, whatever the picture is made of."""
    if upright.mode.startswith(("I", "F")):
        return _eight_bits(upright).convert("RGB")
    if upright.has_transparency_data:
        ground = PillowImage.new("RGBA", upright.size, (PAD_GREY, PAD_GREY, PAD_GREY, 255))
        return PillowImage.alpha_composite(ground, upright.convert("RGBA")).convert("RGB")
    return upright.convert("RGB")


def _eight_bits(picture: PillowImage.Image) -> PillowImage.Image:
    """Return a 16-bit or float picture stretched to 0..255; what is no number is black."""
    values = np.asarray(picture, np.float32)
    known = np.isfinite(values)
    if not known.any():
        raise BadPicture("no pixel is a number")
    low, high = float(values[known].min()), float(values[known].max())
    scaled = np.where(known, values - low, 0.0) * (255.0 / max(high - low, 1e-9))
    return PillowImage.fromarray(scaled.round().astype(np.uint8))


def read_video_frames(path: Path, every_s: float = 1.0, limit: int = 30) -> list[Image]:
    """Return one picture each `every_s` seconds of a video. Raises BadPicture."""
    capture = cv2.VideoCapture(str(path))
    try:
        rate = capture.get(cv2.CAP_PROP_FPS) or 25.0
        step, i = max(1, round(rate * every_s)), 0
        frames: list[Image] = []
        while len(frames) < limit and capture.grab():
            if i % step == 0:
                good, image = capture.retrieve()
                if good:
                    frames.append(np.asarray(image, np.uint8))
            i += 1
    finally:
        capture.release()
    if not frames:
        raise BadPicture("no picture in this video can be read")
    return frames
