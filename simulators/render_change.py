"""Pairs of pictures of one place: before, and after with something built, or with nothing but
other light, a slightly other pose, shadows, cars and people."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from simulators.render import (
    Background,
    DrawnBox,
    Image,
    Item,
    Light,
    View,
    render,
    render_background,
)
from simulators.render_dataset import Town, picked_spot, pole_or_drone

LOOKS = 6
"""Pictures taken after the first, each at another time."""
LEAST_PX, LEAST_VISIBLE = 14.0, 0.5
"""A structure that shows less is not asked for: the pair is drawn anew."""
TRIES = 40
BUILT_M = (5.0, 12.0)
PASSING = {"vehicle": (4.2, 5.2), "person": (1.6, 1.8), "puddle": (1.0, 3.0)}


@dataclass(frozen=True, slots=True)
class Look:
    """One picture, its pose (local metres), and where what was built and what passes show."""

    image: Image
    view: View
    built: DrawnBox | None
    passing: tuple[DrawnBox, ...]


@dataclass(frozen=True, slots=True)
class ChangeCase:
    """A first picture and later ones; `built` is what stands in the later ones only."""

    before: Look
    after: tuple[Look, ...]
    built: Item | None
    flying: bool


def change_case(seed: int, towns: tuple[Town, ...], built: bool) -> ChangeCase:
    """Return a place before and after; the same seed gives the same pictures."""
    rng = np.random.default_rng(seed)
    for _ in range(TRIES):
        town = towns[rng.integers(len(towns))]
        view, flying = pole_or_drone(rng, town)
        texture = int(rng.integers(1 << 30))
        item = _structure(rng, view) if built else None
        if built and (item is None or not _shows(item, view, town, texture)):
            continue
        before = _look(rng, view, town, texture, None)
        after = tuple(
            _look(rng, _again(rng, view, flying), town, texture, item) for _ in range(LOOKS)
        )
        return ChangeCase(before, after, item, flying)
    raise ValueError(f"seed {seed}: nowhere a structure would show in {TRIES} places")


def _structure(rng: np.random.Generator, view: View) -> Item | None:
    spot = picked_spot(rng, view)
    if spot is None:
        return None
    size_m, turn = rng.uniform(*BUILT_M), rng.uniform(0, 360)
    return Item("illegal_structure", *spot, size_m, turn, int(rng.integers(1 << 30)))


def _shows(item: Item, view: View, town: Town, texture: int) -> bool:
    background = render_background(view, town.ground, texture)
    _, boxes = render(view, [item], background, Light(), 0.0, 0)
    return any(
        min(box.x1 - box.x0, box.y1 - box.y0) >= LEAST_PX and box.visible_share >= LEAST_VISIBLE
        for box in boxes
    )


def _again(rng: np.random.Generator, view: View, flying: bool) -> View:
    """Return the pose of another look: a pole sways, an aircraft comes back within metres."""
    if not flying:
        yaw_deg, pitch_deg = rng.normal(0, 0.25, 2)
        return replace(view, yaw_deg=view.yaw_deg + yaw_deg, pitch_deg=view.pitch_deg + pitch_deg)
    east_m, north_m, up_m = rng.normal(0, 1.2, 3)
    yaw_deg, pitch_deg, roll_deg = rng.normal(0, (1.5, 0.7, 0.7))
    return replace(
        view,
        x_m=view.x_m + east_m,
        y_m=view.y_m + north_m,
        height_agl_m=view.height_agl_m + up_m,
        yaw_deg=view.yaw_deg + yaw_deg,
        pitch_deg=view.pitch_deg + pitch_deg,
        roll_deg=view.roll_deg + roll_deg,
    )


def _look(
    rng: np.random.Generator, view: View, town: Town, texture: int, built: Item | None
) -> Look:
    background = render_background(view, town.ground, texture)
    items = [] if built is None else [built]
    for kind, sizes_m in PASSING.items():
        for _ in range(int(rng.integers(0, 4))):
            spot = picked_spot(rng, view)
            if spot is not None:
                turn, looks = rng.uniform(0, 360), int(rng.integers(1 << 30))
                items.append(Item(kind, *spot, rng.uniform(*sizes_m), turn, looks))
    light = Light(rng.uniform(0.35, 1.0), rng.uniform(0.03, 0.3), 0.3 * (rng.random() < 0.15))
    image, boxes = render(view, items, background, light, 0.0, int(rng.integers(1 << 30)))
    image = _shaded(rng, image, background, view)
    passing = tuple(b for b in boxes if b.kind in ("vehicle", "person"))
    own = next((b for b in boxes if b.kind == "illegal_structure"), None)
    return Look(_sensed(rng, image), view, own, passing)


def _shaded(
    rng: np.random.Generator, image: Image, background: Background, view: View
) -> Image:
    """Lay shadows of what stands out of sight on the ground: soft-edged, bluer than the light."""
    h, w = image.shape[:2]
    shade = np.zeros((h, w), np.float32)
    for _ in range(int(rng.integers(0, 4))):
        centre = np.array([rng.uniform(0, w), rng.uniform(0.2 * h, h)])
        angles = np.sort(rng.uniform(0, 2 * np.pi, 5))
        reach = rng.uniform(0.05, 0.25) * w
        ring = centre + reach * np.column_stack([np.cos(angles), 0.6 * np.sin(angles)])
        cv2.fillPoly(shade, [np.round(ring).astype(np.int32)], 1.0, cv2.LINE_AA)
    softness = max(0.6, view.width_px / 640 * rng.uniform(0.6, 2.0))
    shade = np.asarray(cv2.GaussianBlur(shade, (0, 0), softness), np.float32)
    depth = rng.uniform(0.3, 0.55) * np.array([0.9, 1.0, 1.05])
    darker = image * (1.0 - shade[..., None] * depth)
    return np.clip(darker, 0, 255).astype(np.uint8)


def _sensed(rng: np.random.Generator, image: Image) -> Image:
    """Add exposure, white balance, noise of the sensor and JPEG."""
    gains = rng.uniform(0.85, 1.15) * rng.normal(1.0, 0.03, 3)
    noisy = image * gains + rng.normal(0, rng.uniform(1.0, 4.0), image.shape)
    exposed = np.clip(noisy, 0, 255).astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 92))]
    packed = cv2.imencode(".jpg", exposed, quality)[1]
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
