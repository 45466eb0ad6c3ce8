"""Tiles that repeat without a seam: fractal noise and Voronoi cells, looked up by metres."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
SIDE_PX = 512
_MASK = SIDE_PX - 1


@cache
def fractal(roughness: float, seed: int) -> F32:
    """Return a tile of 0..1 whose spectrum falls as frequency ** -roughness."""
    rng = np.random.default_rng([515, seed])
    along = np.fft.fftfreq(SIDE_PX)[:, None]
    across = np.fft.rfftfreq(SIDE_PX)[None, :]
    frequency = np.hypot(along, across)
    frequency[0, 0] = 1.0
    spectrum = np.fft.rfft2(rng.standard_normal((SIDE_PX, SIDE_PX))) / frequency**roughness
    spectrum[0, 0] = 0.0
    field = np.fft.irfft2(spectrum, s=(SIDE_PX, SIDE_PX))
    return np.asarray(np.clip(0.5 + field / field.std() * 0.22, 0, 1), np.float32)


@cache
def cells(count: int, seed: int) -> tuple[F32, NDArray[np.int32]]:
    """Return (distance to the nearest point over the mean spacing, which cell) per pixel."""
    rng = np.random.default_rng([616, seed])
    points = rng.integers(0, SIDE_PX, (count, 2))
    board = np.full((2 * SIDE_PX, 2 * SIDE_PX), 255, np.uint8)
    for dy in (0, SIDE_PX):
        for dx in (0, SIDE_PX):
            board[points[:, 0] + dy, points[:, 1] + dx] = 0
    far, owner = cv2.distanceTransformWithLabels(
        board, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    half = SIDE_PX // 2
    window = np.s_[half : half + SIDE_PX, half : half + SIDE_PX]
    # Rolled back so that the tile begins where its points were laid.
    reach = SIDE_PX / np.sqrt(count)
    distance = np.roll(far[window] / reach, (half, half), (0, 1))
    names = np.roll(owner[window].astype(np.int64) * 7919 % 1021, (half, half), (0, 1))
    return np.asarray(distance, np.float32), np.asarray(names, np.int32)


def f32(values: Sequence[Any] | NDArray[Any] | float) -> F32:
    """Return numbers as float32, which everything here is reckoned in."""
    return np.asarray(values, np.float32)


def smooth(tile: F32, x: F32, y: F32, size_m: float) -> F32:
    """Return the tile, stretched over size_m metres, at an array of places; bilinear."""
    u, v = _wrapped(x, size_m), _wrapped(y, size_m)
    return np.asarray(cv2.remap(tile, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP))


def _wrapped(metres: F32, size_m: float) -> F32:
    turns = metres * np.float32(1 / size_m)
    turns -= np.floor(turns)
    turns *= np.float32(SIDE_PX)
    return np.asarray(turns, np.float32)


def nearest(tile: F32, x: F32, y: F32, size_m: float) -> F32:
    """Return the tile at any number of places, without blending: for cells and small solids."""
    gain = np.float32(SIDE_PX / size_m)
    u = np.asarray(x * gain, np.int32) & _MASK
    v = np.asarray(y * gain, np.int32) & _MASK
    return np.asarray(tile[v, u])


def ramp(low: float, high: float, value: F32) -> F32:
    """Return 0 below low, 1 above high, and a smooth way between."""
    t = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)
