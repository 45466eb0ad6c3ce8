"""Smoke and flames: particles in the wind, each a torn puff or tongue, over the lit picture."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from simulators.heldout.canvas import Canvas, Thing
from simulators.heldout.light import Light
from simulators.heldout.palettes import Colour
from simulators.heldout.texture import f32, fractal, ramp

F32 = NDArray[np.float32]
PUFF_PX = 96
SEEN_FROM = 0.22
"""Opacity from which a person sees smoke: where its box ends."""


@dataclass(frozen=True)
class Plume:
    """Where smoke rises, how wide it begins, how far it goes; metres."""

    x: float
    y: float
    z: float
    source_m: float
    rise_m: float
    drift_x_m: float
    drift_y_m: float
    density: float


@cache
def _puff(number: int) -> tuple[F32, F32]:
    """Return (opacity, brightness) of a puff: a ball torn by noise, lit from above left."""
    axis = np.linspace(-1, 1, PUFF_PX, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    tile = fractal(1.35, 60 + number)[:PUFF_PX, :PUFF_PX]
    fine = fractal(1.0, 80 + number)[:PUFF_PX, :PUFF_PX]
    radius = np.hypot(x, y) + (tile - 0.5) * 0.95 + (fine - 0.5) * 0.22
    body = np.maximum(0, 1 - radius)
    opacity = ramp(0.0, 0.34, f32(body)) * (1 - ramp(0.72, 0.98, np.hypot(x, y)))
    height = cv2.GaussianBlur(f32(body + 0.25 * (tile - 0.5)), (0, 0), 2.0)
    slope_x, slope_y = np.gradient(height)[1], np.gradient(height)[0]
    bright = np.clip(1 + 5.0 * (-slope_x * 0.6 - slope_y) * 2.2 + 0.35 * (fine - 0.5), 0.35, 1.7)
    return f32(opacity), f32(bright)


def put_smoke(
    canvas: Canvas,
    picture: F32,
    plume: Plume,
    colour: Colour,
    light: Light,
    rng: np.random.Generator,
) -> Thing:
    """Lay smoke over the lit picture, in place."""
    thing = canvas.thing("smoke")
    count = 64
    age = np.sort(rng.beta(1.0, 1.15, count))[::-1].astype(np.float32)
    sway = rng.normal(0, 0.15, (count, 2)).astype(np.float32) * plume.rise_m * age[:, None]
    begun = rng.normal(0, plume.source_m * 0.45, (count, 2)).astype(np.float32)
    x = plume.x + begun[:, 0] + plume.drift_x_m * age**1.4 + sway[:, 0]
    y = plume.y + begun[:, 1] + plume.drift_y_m * age**1.4 + sway[:, 1]
    z = plume.z + plume.rise_m * age**0.8
    radius_m = plume.source_m * 0.7 + plume.rise_m * 0.17 * age + plume.source_m * 0.6 * age
    at, deep = canvas.view.project(f32(np.stack([x, y, z], 1)))
    total = light.ambient + light.sun_colour * light.sun_strength * 0.55
    tone = f32(colour) * total
    clear = np.ones(canvas.depth.shape, np.float32)
    for i in np.argsort(-deep):
        if deep[i] < 1.0:
            continue
        radius = float(radius_m[i] * canvas.view.focal_px / deep[i])
        strength = plume.density * float((1 - 0.8 * age[i]) * rng.uniform(0.7, 1.0))
        warm = f32([0.05, 0.14, 0.3]) * max(0.0, 0.25 - float(age[i])) * 0.8
        _lay(
            canvas,
            picture,
            clear,
            at[i],
            float(deep[i]),
            min(radius, 260.0),
            strength,
            f32((tone + warm) * float(rng.uniform(0.8, 1.2))),
            rng,
        )
    opacity = 1 - clear
    thing.alone |= opacity > SEEN_FROM
    canvas.owner[opacity > 0.6] = thing.number
    return thing


def _lay(
    canvas: Canvas,
    picture: F32,
    clear: F32,
    at: F32,
    deep_m: float,
    radius_px: float,
    strength: float,
    tone: F32,
    rng: np.random.Generator,
) -> None:
    alpha, bright = _puff(int(rng.integers(8)))
    if rng.random() < 0.5:
        alpha, bright = alpha[:, ::-1], bright[:, ::-1]
    side = max(int(2 * radius_px), 3)
    x0, y0 = int(at[0] - radius_px), int(at[1] - radius_px)
    h, w = clear.shape
    left, top, right, low = max(x0, 0), max(y0, 0), min(x0 + side, w), min(y0 + side, h)
    if left >= right or top >= low:
        return
    part = np.s_[top - y0 : low - y0, left - x0 : right - x0]
    a = cv2.resize(np.ascontiguousarray(alpha), (side, side))[part] * np.float32(strength)
    b = cv2.resize(np.ascontiguousarray(bright), (side, side))[part]
    window = np.s_[top:low, left:right]
    a = np.where(
        canvas.depth[window] < deep_m - 1.0 - 0.3 * radius_px * deep_m / canvas.view.focal_px, 0, a
    )
    target = picture[window]
    target += (tone * b[..., None] - target) * a[..., None]
    clear[window] *= 1 - a


@cache
def _tongue(number: int) -> F32:
    """Return heat 0..1 of one flame that licks upwards: broad below, torn above."""
    n = 128
    up = np.linspace(1, 0, n, dtype=np.float32)[:, None]
    across = np.linspace(-1, 1, n, dtype=np.float32)[None, :]
    tile = fractal(1.4, 90 + number)
    rows = np.arange(n)[:, None] * 11 // 20 + 31 * number
    columns = np.arange(n)[None, :]
    torn = tile[rows % 512, columns % 512] - np.float32(0.5)
    lean = torn * 0.9 * up**0.8
    width = 0.62 * (1 - up) ** 0.75 * np.minimum(1, 0.35 + 4 * up) + 0.02
    fine = fractal(1.0, 95)[rows % 512, columns % 512] - np.float32(0.5)
    heat = 1 - np.abs(across + lean) / width - 0.9 * fine * up - 0.25 * up
    return np.asarray(np.clip(heat * 1.5, 0, 1) * ramp(0.0, 0.06, up + 0 * across), np.float32)


def put_fire(
    canvas: Canvas,
    picture: F32,
    x: float,
    y: float,
    z: float,
    size_m: float,
    outer: Colour,
    brightness: float,
    rng: np.random.Generator,
) -> Thing:
    """Lay flames size_m high over the lit picture, in place; their light falls about."""
    thing = canvas.thing("fire")
    view = canvas.view
    heat = np.zeros(canvas.depth.shape, np.float32)
    count = 13
    bases = rng.normal(0, size_m * 0.19, (count, 2))
    lean = rng.normal(0, 0.2, 2) * size_m
    for base in sorted(bases.tolist(), key=lambda b: -b[1]):
        far = float(np.hypot(*base)) / size_m
        tall = size_m * float(rng.uniform(0.55, 1.0)) * max(0.35, 1 - 0.9 * far)
        points = f32(
            [
                [x + base[0], y + base[1], z],
                [x + base[0] + lean[0], y + base[1] + lean[1], z + tall],
            ]
        )
        at, deep = view.project(points)
        if float(deep.min()) < 1:
            continue
        wide = 0.55 * tall * view.focal_px / float(deep[0])
        _lick(
            heat, at[0], at[1], max(wide, 3.0), int(rng.integers(7)), canvas.depth, float(deep[0])
        )
    seen = np.clip(heat, 0, 1.6)
    red = f32(outer) * f32([0.6, 0.55, 1.0])
    ramped = ramp(0.03, 0.35, seen)[..., None]
    colour = red + (f32(outer) * 1.25 - red) * ramp(0.15, 0.55, seen)[..., None]
    core = f32([0.55, 0.92, 1.0]) * 1.35
    colour = colour + (core - colour) * ramp(0.55, 1.25, seen)[..., None]
    halo = cv2.GaussianBlur(cv2.resize(seen, None, fx=0.25, fy=0.25), (0, 0), 7.0)
    halo = cv2.resize(halo, (view.width_px, view.height_px))[..., None]
    # Light on what stands about it, then the glare in the air, then the flame.
    picture += canvas.colour * halo * f32([0.25, 0.6, 1.0]) * 1.6 * brightness
    picture += halo * f32(outer) * 0.10
    picture += (colour * max(brightness, 0.9) - picture) * ramped * 0.93
    flame = seen > 0.12
    thing.alone |= flame
    canvas.owner[flame] = thing.number
    return thing


def _lick(
    heat: F32, base: F32, tip: F32, wide_px: float, number: int, depth: F32, deep_m: float
) -> None:
    """Add one tongue between two pixels; seen from above it is short and round."""
    up = tip - base
    long_px = max(float(np.hypot(*up)), wide_px * 0.8)
    direction = up / (float(np.hypot(*up)) + 1e-6)
    across = f32([-direction[1], direction[0]])
    n = 127.0
    corners = f32(
        [
            base + direction * long_px - across * wide_px,
            base + direction * long_px + across * wide_px,
            base - direction * 0.08 * long_px - across * wide_px,
        ]
    )
    h, w = heat.shape
    low = np.floor(np.minimum(corners.min(0), base - 2 * wide_px))
    high = np.ceil(np.maximum(corners.max(0), base + 2 * wide_px))
    x0, y0 = max(int(low[0]), 0), max(int(low[1]), 0)
    x1, y1 = min(int(high[0]) + 1, w), min(int(high[1]) + 1, h)
    if x0 >= x1 or y0 >= y1:
        return
    matrix = cv2.getAffineTransform(f32([[0, 0], [n, 0], [0, n]]), f32(corners - f32([x0, y0])))
    licked = cv2.warpAffine(_tongue(number), matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_AREA)
    window = np.s_[y0:y1, x0:x1]
    hidden = depth[window] < deep_m - 2.0
    heat[window] += np.where(hidden, 0, licked * 0.75)
