"""What air and camera do to the picture: haze, rain, exposure, blur, noise, writing, JPEG."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from simulators.heldout.light import Light
from simulators.heldout.texture import f32, fractal

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Lens:
    sight_m: float
    """Where haze has taken 63 % of a thing's light."""
    rain: float
    exposure: float
    tint: tuple[float, float, float]
    blur_px: float
    motion_px: float
    motion_rad: float
    noise: float
    quality: int
    written: bool
    contrast: float


def lens_of(hour: str, weather: str, high: bool, rng: np.random.Generator) -> Lens:
    """Return a camera and its air; `weather` is clear, haze, fog or rain."""
    sight = {"clear": 4000.0, "haze": 420.0, "fog": 130.0, "rain": 300.0}[weather]
    sight *= float(rng.uniform(0.7, 1.4)) * (2.2 if high else 1.0)
    gain = {
        "noon": 1.0,
        "morning": 1.0,
        "overcast": 1.05,
        "sunset": 1.15,
        "dusk": 1.7,
        "night": 1.9,
    }[hour]
    red, blue = rng.normal(1, 0.05, 2)
    dark = hour in ("dusk", "night")
    return Lens(
        sight, float(rng.uniform(0.4, 1.0)) if weather == "rain" else 0.0,
        gain * float(rng.uniform(0.85, 1.2)), (float(blue), 1.0, float(red)),
        float(rng.choice([0.0, 0.5, 0.7, 1.0])),
        float(rng.choice([0, 0, 0, 0, 3.0, 5.0])), float(rng.uniform(0, np.pi)),
        float(rng.uniform(0.003, 0.012)) * (2.2 if dark else 1.0),
        int(rng.integers(45, 96)), bool(not high and rng.random() < 0.35),
        float(rng.uniform(0.9, 1.15)),
    )  # fmt: skip


def haze(picture: F32, depth: F32, light: Light, lens: Lens) -> None:
    """Mix distant things with the air's colour, in place."""
    far = np.minimum(depth, 3000)
    air = (1 - np.exp(-far / np.float32(lens.sight_m)))[..., None]
    colour = light.horizon * 0.6 + light.ambient * 0.8
    picture += (colour - picture) * air * 0.96


def taken(picture: F32, lens: Lens, rng: np.random.Generator) -> U8:
    """Return the picture (linear, BGR) as the camera would have stored it."""
    h, w = picture.shape[:2]
    shown = np.maximum(picture, 0) * np.float32(lens.exposure) * f32(lens.tint)
    small = cv2.resize(np.maximum(shown - 0.9, 0), (w // 4, h // 4), interpolation=cv2.INTER_AREA)
    shown += cv2.resize(cv2.GaussianBlur(small, (0, 0), 4.0), (w, h)) * 0.5
    shown = shown * (1 + 0.12 * shown) / (1 + 0.35 * shown)
    shown = f32(cv2.pow(np.clip(shown, 0, 1), 1 / 1.35))
    shown = np.clip((shown - 0.45) * lens.contrast + 0.47, 0, 1)
    if lens.rain:
        shown = _rained(shown, lens.rain, rng)
    if lens.motion_px:
        shown = _shaken(shown, lens.motion_px, lens.motion_rad)
    if lens.blur_px:
        shown = f32(cv2.GaussianBlur(shown, (0, 0), lens.blur_px))
    grain = rng.standard_normal((h, w, 1), np.float32) * np.float32(lens.noise)
    tinted = rng.standard_normal((h // 2, w // 2, 3), np.float32) * np.float32(lens.noise)
    shown = shown + grain + cv2.resize(tinted, (w, h))
    image = np.asarray(np.clip(shown * 255, 0, 255), np.uint8)
    if lens.written:
        month, day = rng.integers(1, 13), rng.integers(1, 29)
        hour, minute, second = rng.integers(24), rng.integers(60), rng.integers(60)
        text = f"2026-{month:02d}-{day:02d} {hour:02d}:{minute:02d}:{second:02d}"
        cv2.putText(
            image, text, (12, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (235, 235, 235), 1, cv2.LINE_AA
        )
    _, stored = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, lens.quality])
    return np.asarray(cv2.imdecode(stored, cv2.IMREAD_COLOR), np.uint8)


def _rained(shown: F32, amount: float, rng: np.random.Generator) -> F32:
    h, w = shown.shape[:2]
    streaks = np.zeros((h, w), np.float32)
    slant = float(rng.normal(0, 3))
    for x, y, long in zip(
        rng.integers(0, w, int(260 * amount)),
        rng.integers(0, h, int(260 * amount)),
        rng.integers(8, 26, int(260 * amount)),
        strict=True,
    ):
        end = int(x + slant * long / 12), int(y + long)
        cv2.line(streaks, (int(x), int(y)), end, float(rng.uniform(0.08, 0.25)), 1, cv2.LINE_AA)
    veil = (
        fractal(1.6, 70)[:h, :w] if h <= 512 and w <= 512 else cv2.resize(fractal(1.6, 70), (w, h))
    )
    return np.asarray(
        shown * (1 - streaks[..., None])
        + streaks[..., None] * 0.85
        + (veil[..., None] - 0.5) * 0.05,
        np.float32,
    )


def _shaken(shown: F32, long_px: float, way_rad: float) -> F32:
    side = int(long_px) | 1
    kernel = np.zeros((side, side), np.float32)
    c = side // 2
    dx, dy = round(c * float(np.cos(way_rad))), round(c * float(np.sin(way_rad)))
    cv2.line(kernel, (c - dx, c - dy), (c + dx, c + dy), 1.0, 1)
    return np.asarray(cv2.filter2D(shown, -1, kernel / kernel.sum()), np.float32)
