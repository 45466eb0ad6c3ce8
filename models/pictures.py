"""Reading a picture file that may be anything: bounded, upright, three channels."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageOps, UnidentifiedImageError

Image = NDArray[np.uint8]
PIXELS_LIMIT = 60_000_000
LEAST_SIDE_PX = 16
VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv"})


class BadPicture(ValueError):
    """The file is no picture we can judge; the text says why."""


def read_picture(path: Path) -> Image:
    """Return (h, w, 3) BGR, turned upright by its EXIF. Raises BadPicture."""
    try:
        with PillowImage.open(path) as opened:
            if opened.width * opened.height > PIXELS_LIMIT:
                raise BadPicture(f"{opened.width}×{opened.height} is over {PIXELS_LIMIT} pixels")
            if min(opened.size) < LEAST_SIDE_PX:
                raise BadPicture(f"{opened.width}×{opened.height} is too small to judge")
            upright = ImageOps.exif_transpose(opened)
            if upright.mode.startswith(("I", "F")):
                upright = _eight_bits(upright)
            pixels = np.asarray(upright.convert("RGB"), np.uint8)
    except FileNotFoundError as error:
        raise BadPicture("no such file") from error
    except (
        UnidentifiedImageError,
        OSError,
        SyntaxError,
        PillowImage.DecompressionBombError,
    ) as error:
        raise BadPicture(f"not a whole picture: {error}") from error
    return np.ascontiguousarray(pixels[..., ::-1])


def _eight_bits(picture: PillowImage.Image) -> PillowImage.Image:
    """Return a 16-bit or float picture stretched to 0..255."""
    values = np.asarray(picture, np.float64)
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) * (255.0 / max(high - low, 1e-9))
    return PillowImage.fromarray(scaled.astype(np.uint8))


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
