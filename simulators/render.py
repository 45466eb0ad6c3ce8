"""Pictures of the simulated district: ground, buildings, light, and what stands on it.

A background is drawn once for a view and kept by the caller; items are composited over it. The
projection is geo.camera's pinhole, so a box's ground contact inverts through geo.locate.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from geo.camera import Pinhole
from simulators.render_items import Sketch, sketch

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]

NEAR_M = 0.5
FAR_M = 900.0
TEXTURE_PX = 512
TEXTURE_M_PER_PX = 0.25
TILES_AT_ONCE = 4
STEEP = 0.2
VISIBLE_ALPHA = 0.18


@dataclass(frozen=True, slots=True)
class View:
    """Where the lens is (local metres, height above ground) and how it looks."""

    x_m: float
    y_m: float
    height_agl_m: float
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    hfov_deg: float
    width_px: int
    height_px: int

    def pinhole(self) -> Pinhole:
        return Pinhole(
            self.yaw_deg,
            self.pitch_deg,
            self.roll_deg,
            self.hfov_deg,
            self.width_px,
            self.height_px,
        )


@dataclass(frozen=True, slots=True)
class Item:
    """Something on the ground. `kind` is a HazardKind value, person, vehicle, puddle, or lamp.

    `growth` 0..1 scales fire and smoke; `seed` fixes its looks for good.
    """

    kind: str
    x_m: float
    y_m: float
    size_m: float
    heading_deg: float
    seed: int
    growth: float = 1.0


@dataclass(frozen=True, slots=True)
class Light:
    sun: float = 0.8
    haze: float = 0.1
    rain: float = 0.0
    night: float = 0.0


@dataclass(frozen=True, slots=True)
class GroundShape:
    """One polygon of the ground: kind, exterior ring (n, 2) in local metres, height of walls."""

    kind: str
    ring: Floats
    height_m: float = 0.0


@dataclass(frozen=True)
class Ground:
    shapes: tuple[GroundShape, ...]

    @cached_property
    def _circles(self) -> Floats:
        """Return (n, 3): centre and radius of each shape."""
        rows = []
        for shape in self.shapes:
            centre = (shape.ring.min(0) + shape.ring.max(0)) / 2
            rows.append([*centre, float(np.hypot(*(shape.ring - centre).T).max())])
        return np.asarray(rows, float).reshape(-1, 3)

    def near(self, x_m: float, y_m: float, reach_m: float) -> list[GroundShape]:
        """Return the shapes that come within `reach_m` of a point, in their order."""
        x, y, radius = self._circles.T
        hits = np.hypot(x - x_m, y - y_m) <= reach_m + radius
        return [self.shapes[i] for i in np.flatnonzero(hits)]


@dataclass(frozen=True, slots=True)
class Background:
    """The empty scene, and how far each pixel's wall is (FAR_M where it is open ground)."""

    image: Image
    wall_m: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class DrawnBox:
    kind: str
    x0: float
    y0: float
    x1: float
    y1: float
    item_index: int
    visible_share: float


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours (BGR) of the ground; one per dataset variant or district."""

    colours: dict[str, tuple[int, int, int]] = field(
        default_factory=lambda: {
            "earth": (96, 112, 118),
            "green": (62, 104, 78),
            "road": (92, 90, 88),
            "river": (110, 96, 70),
            "fire_lane": (100, 104, 112),
            "plaza": (138, 144, 150),
            "building": (128, 130, 136),
        }
    )


ORDER = ("green", "plaza", "river", "road", "fire_lane")


def render_background(
    view: View, ground: Ground, seed: int, palette: Palette | None = None
) -> Background:
    """Draw ground, buildings and sky as seen from `view`. `seed` fixes textures and roofs."""
    pinhole, colours = view.pinhole(), (palette or Palette()).colours
    rng = np.random.default_rng(seed)
    image = np.empty((view.height_px, view.width_px, 3), np.uint8)
    whole = (0, 0, view.width_px, view.height_px)
    cv2.rectangle(image, whole, _vary(colours["earth"], rng, 14), cv2.FILLED)
    near = ground.near(view.x_m, view.y_m, _reach_m(view))
    flat = sorted(
        (s for s in near if s.height_m <= 0 and s.kind in ORDER), key=lambda s: ORDER.index(s.kind)
    )
    for shape in flat:
        ring = _project(view, pinhole, np.column_stack([shape.ring, np.zeros(len(shape.ring))]))
        if ring is not None:
            cv2.fillPoly(image, [ring], _vary(colours[shape.kind], rng, 6), cv2.LINE_AA, 3)
    _texture(image, view, pinhole, seed)
    wall_m = np.full(image.shape[:2], FAR_M, np.float32)
    tall = [s for s in near if s.height_m > 0]
    _buildings(image, wall_m, view, pinhole, tall, colours)
    _sky(image, view, pinhole, wall_m, rng)
    return Background(image, wall_m)


def _vary(
    colour: tuple[int, int, int], rng: np.random.Generator, spread: float
) -> tuple[int, int, int]:
    shift = rng.normal(0, spread) + rng.normal(0, spread / 3, 3)
    b, g, r = np.clip(np.asarray(colour) + shift, 0, 255)
    return int(b), int(g), int(r)


def _project(view: View, pinhole: Pinhole, corners: Floats) -> NDArray[np.int32] | None:
    """Return fixed-point pixels (3 fractional bits) of a polygon (n, 3) clipped to the frustum."""
    seen = (corners - (view.x_m, view.y_m, view.height_agl_m)) @ pinhole.axes().T
    return _clipped(view, pinhole, seen, _frustum(view, pinhole))


def _clipped(
    view: View, pinhole: Pinhole, seen: Floats, planes: Floats
) -> NDArray[np.int32] | None:
    """Return fixed-point pixels of a polygon (n, 3) in camera axes, None when all is outside."""
    inside = seen @ planes[:, :3].T >= planes[:, 3]
    if not inside.any(0).all():
        return None
    if not inside.all():
        for plane in planes[~inside.all(0)]:
            seen = _clip(seen, plane)
            if len(seen) < 3:
                return None
    pixels = seen[:, :2] / seen[:, 2:] * pinhole.focal_px
    pixels += (view.width_px / 2, view.height_px / 2)
    return (pixels * 8).astype(np.int32)


def _frustum(view: View, pinhole: Pinhole) -> Floats:
    """Return planes (a, b, c, d) with a·x + b·y + c·z ≥ d inside; a picture's width beyond it."""
    kx, ky = view.width_px / pinhole.focal_px, view.height_px / pinhole.focal_px
    return np.array(
        [[0, 0, 1, NEAR_M], [1, 0, kx, 0], [-1, 0, kx, 0], [0, 1, ky, 0], [0, -1, ky, 0]], float
    )


def _clip(seen: Floats, plane: Floats) -> Floats:
    """Cut a polygon (n, 3) in camera axes by one plane (Sutherland and Hodgman 1974)."""
    if not len(seen):
        return seen
    side = seen @ plane[:3] - plane[3]
    kept: list[Floats] = []
    for i in range(len(seen)):
        a, b, da, db = seen[i - 1], seen[i], side[i - 1], side[i]
        if (da >= 0) != (db >= 0):
            kept.append(a + da / (da - db) * (b - a))
        if db >= 0:
            kept.append(b)
    return np.asarray(kept).reshape(-1, 3)


TEXTURES = 8
"""How many different grains there are; a seed picks one."""


@lru_cache(TEXTURES)
def _noise_tile(texture: int) -> NDArray[np.uint8]:
    """Return a tiling grey texture around 128."""
    rng = np.random.default_rng(texture)
    tile = np.zeros((TEXTURE_PX, TEXTURE_PX), np.float32)
    for step, weight in ((4, 0.25), (16, 0.35), (64, 0.4), (128, 0.5)):
        coarse = rng.normal(0, 1, (TEXTURE_PX // step, TEXTURE_PX // step)).astype(np.float32)
        wrapped = np.pad(coarse, 1, mode="wrap")
        side = TEXTURE_PX + 2 * step
        fine = cv2.resize(wrapped, (side, side), interpolation=cv2.INTER_CUBIC)
        tile += weight * fine[step:-step, step:-step]
    tile += 0.35 * rng.normal(0, 1, tile.shape).astype(np.float32)
    return np.clip(128 + 16 * tile, 0, 255).astype(np.uint8)


@lru_cache(TEXTURES)
def _noise_sheet(texture: int) -> NDArray[np.uint8]:
    """Return enough tiles side by side that a picture of a few needs no wrapping round."""
    return np.tile(_noise_tile(texture), (TILES_AT_ONCE + 1, TILES_AT_ONCE + 1))


def _texture(image: Image, view: View, pinhole: Pinhole, seed: int) -> None:
    """Multiply the ground by a noise texture that lies on it in world coordinates."""
    h, w = image.shape[:2]
    texture = seed % TEXTURES
    grain = _grain_below(view, pinhole, texture, (w, h))
    if grain is None:
        grain = _grain_ahead(view, pinhole, texture, (w, h))
    cv2.multiply(image, cv2.merge([grain, grain, grain]), image, scale=1 / 128)


def _texture_at(view: View, rays: Floats) -> NDArray[np.float32]:
    """Return texture coordinates (…, 2) of where rays meet the ground."""
    scale = view.height_agl_m / -np.minimum(rays[..., 2], -1e-3)
    places = (view.x_m, view.y_m) + rays[..., :2] * scale[..., None]
    return np.asarray(places / TEXTURE_M_PER_PX, np.float32)


def _grain_below(
    view: View, pinhole: Pinhole, texture: int, size: tuple[int, int]
) -> NDArray[np.uint8] | None:
    """Return the texture as a picture of one flat piece; None where it shows too far."""
    w, h = size
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    rays = pinhole.rays(corners[:, 0], corners[:, 1])
    if rays[:, 2].max() > -STEEP:
        return None
    places = _texture_at(view, rays)
    places -= TEXTURE_PX * np.floor(places.min(0) / TEXTURE_PX)
    if places.max() >= TILES_AT_ONCE * TEXTURE_PX:
        return None
    onto = cv2.getPerspectiveTransform(corners, places)
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpPerspective(_noise_sheet(texture), onto, size, flags=how), np.uint8)


def _grain_ahead(
    view: View, pinhole: Pinhole, texture: int, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return the texture up to the horizon, its coordinates worked out for every fourth pixel."""
    w, h = size
    u, v = np.meshgrid(np.arange(0, w, 4), np.arange(0, h, 4))
    fine = cv2.resize(_texture_at(view, pinhole.rays(u, v)), size)
    x, y = np.mod(fine[..., 0], TEXTURE_PX), np.mod(fine[..., 1], TEXTURE_PX)
    grain = cv2.remap(_noise_tile(texture), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(grain, np.uint8)


def _buildings(
    image: Image,
    wall_m: NDArray[np.float32],
    view: View,
    pinhole: Pinhole,
    tall: Sequence[GroundShape],
    colours: dict[str, tuple[int, int, int]],
) -> None:
    eye = np.array([view.x_m, view.y_m])
    axes, planes = pinhole.axes().T, _frustum(view, pinhole)
    for shape in sorted(tall, key=lambda s: -float(np.hypot(*(s.ring.mean(0) - eye)))):
        ring = shape.ring[:-1] if np.allclose(shape.ring[0], shape.ring[-1]) else shape.ring
        n, away = len(ring), ring - eye
        seen = np.empty((2 * n, 3))
        seen[:n, :2] = seen[n:, :2] = away
        seen[:n, 2], seen[n:, 2] = -view.height_agl_m, shape.height_m - view.height_agl_m
        seen = seen @ axes
        if not (seen @ planes[:, :3].T >= planes[:, 3]).any(0).all():
            continue
        looks = np.random.default_rng(abs(hash((round(shape.ring[0, 0]), round(shape.ring[0, 1])))))
        colour = np.asarray(_vary(colours["building"], looks, 26))
        near_m = np.hypot(away[:, 0], away[:, 1])
        facing = _facing(away)
        for i in np.flatnonzero(facing >= 0):
            j = (i + 1) % n
            fixed = _clipped(view, pinhole, seen[[i, j, n + j, n + i]], planes)
            shade = colour * (0.55 + 0.35 * facing[i])
            _face(image, wall_m, fixed, shade, min(near_m[i], near_m[j]))
        roof_colour = _vary(
            ((70, 82, 150), (120, 120, 124), (150, 140, 120))[looks.integers(3)], looks, 18
        )
        if view.height_agl_m > shape.height_m:
            fixed = _clipped(view, pinhole, seen[n:], planes)
            _face(image, wall_m, fixed, np.asarray(roof_colour, float), near_m.min())


def _facing(away: Floats) -> Floats:
    """Return for each wall of a ring (n, 2) seen from the origin how squarely it faces there.

    The cosine between wall and sight; -1 for walls that face away, which the others hide.
    """
    after = np.roll(away, -1, axis=0)
    middle, along = (away + after) / 2, after - away
    normal = np.column_stack([along[:, 1], -along[:, 0]])
    anticlockwise = (away[:, 0] * after[:, 1] - away[:, 1] * after[:, 0]).sum() > 0
    towards = -(normal * middle).sum(1) * (1.0 if anticlockwise else -1.0)
    lengths = np.hypot(*normal.T) * np.hypot(*middle.T) + 1e-6
    return np.where(towards > 0, np.abs(towards) / lengths, -1.0)


def _face(
    image: Image,
    wall_m: NDArray[np.float32],
    fixed: NDArray[np.int32] | None,
    colour: Floats,
    distance_m: float,
) -> None:
    if fixed is None:
        return
    b, g, r = np.clip(colour, 0, 255)
    cv2.fillPoly(image, [fixed], (int(b), int(g), int(r)), cv2.LINE_AA, 3)
    cv2.fillPoly(wall_m, [fixed], float(distance_m), cv2.LINE_8, 3)


def _reach_m(view: View) -> float:
    """How far from the lens ground is worth drawing: all of a nadir picture, FAR_M obliquely."""
    steep = view.pitch_deg - view.hfov_deg / 2 < -90 and view.pitch_deg + view.hfov_deg / 2 < -30
    return 2.2 * view.height_agl_m if steep else FAR_M


def _sky(
    image: Image,
    view: View,
    pinhole: Pinhole,
    wall_m: NDArray[np.float32],
    rng: np.random.Generator,
) -> None:
    """Paint rows whose rays never meet the ground; a level camera's rows suffice."""
    rows = np.arange(view.height_px)
    rays = pinhole.rays(np.full_like(rows, view.width_px // 2), rows)
    above = (rays[:, 2] > -0.004)[:, None] & (wall_m >= FAR_M)
    if above.any():
        sky = np.asarray(_vary((205, 190, 172), rng, 16))
        image[above] = sky


def render(
    view: View,
    items: Sequence[Item],
    background: Background,
    light: Light,
    at_s: float,
    seed: int,
) -> tuple[Image, list[DrawnBox]]:
    """Draw `items` over the background under `light`; return the picture (BGR) and their boxes.

    Far items first. A box bounds what can be seen; `visible_share` is how much of the item that is.
    """
    pinhole = view.pinhole()
    image = background.image.copy()
    placed: list[tuple[float, int]] = sorted(
        ((float(np.hypot(it.x_m - view.x_m, it.y_m - view.y_m)), i) for i, it in enumerate(items)),
        reverse=True,
    )
    boxes = []
    for distance_m, i in placed:
        box = _draw(image, background, view, pinhole, items[i], i, distance_m, at_s)
        if box is not None:
            boxes.append(box)
    _weather(image, background, light, seed)
    return image, sorted(boxes, key=lambda box: box.item_index)


def _draw(
    image: Image,
    background: Background,
    view: View,
    pinhole: Pinhole,
    item: Item,
    index: int,
    distance_m: float,
    at_s: float,
) -> DrawnBox | None:
    drawn = sketch(item, view, pinhole, at_s)
    if drawn is None:
        return None
    x0, y0 = drawn.x0_px, drawn.y0_px
    h, w = drawn.alpha.shape
    left, top = max(0, x0), max(0, y0)
    right, bottom = min(view.width_px, x0 + w), min(view.height_px, y0 + h)
    if right - left < 2 or bottom - top < 2:
        return None
    part = (slice(top - y0, bottom - y0), slice(left - x0, right - x0))
    open_ = background.wall_m[top:bottom, left:right] > distance_m - item.size_m
    alpha = drawn.alpha[part] * open_
    patch = image[top:bottom, left:right]
    blend = alpha[..., None]
    patch[:] = np.clip(patch * (1 - blend) + drawn.colour[part] * blend, 0, 255).astype(np.uint8)
    seen = alpha > VISIBLE_ALPHA
    whole = int((drawn.alpha > VISIBLE_ALPHA).sum())
    if whole == 0 or not seen.any():
        return None
    ys, xs = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    return DrawnBox(
        item.kind,
        float(left + xs[0]),
        float(top + ys[0]),
        float(left + xs[-1] + 1),
        float(top + ys[-1] + 1),
        index,
        float(seen.sum() / whole),
    )


def _weather(image: Image, background: Background, light: Light, seed: int) -> None:
    gain = (0.55 + 0.55 * light.sun) * (1 - 0.72 * light.night)
    fog = 205.0 * (1 - 0.8 * light.night)
    keep = 1 - 0.55 * light.haze
    table = np.clip(np.arange(256) * gain * keep + fog * (1 - keep), 0, 255).astype(np.uint8)
    cv2.LUT(image, table, image)
    rng = np.random.default_rng(seed)
    h, w = image.shape[:2]
    if light.rain > 0.05:
        streaks = np.zeros((h, w), np.uint8)
        for _ in range(int(260 * light.rain)):
            x, y = int(rng.integers(w)), int(rng.integers(h))
            length = int(rng.integers(6, 18))
            cv2.line(streaks, (x, y), (x - length // 4, y + length), int(rng.integers(40, 100)), 1)
        cv2.add(image, cv2.merge([streaks] * 3), image)
    grain = _noise_tile(0)
    oy, ox = int(rng.integers(TEXTURE_PX)), int(rng.integers(TEXTURE_PX))
    repeats = (1 + -(-h // TEXTURE_PX), 1 + -(-w // TEXTURE_PX))
    noise = np.tile(grain, repeats)[oy : oy + h, ox : ox + w]
    strength = 0.10 + 0.25 * light.night
    shade = cv2.addWeighted(noise, strength, noise, 0, 128 * (1 - strength))
    cv2.multiply(image, cv2.merge([shade] * 3), image, scale=1 / 128)


__all__ = [
    "Background",
    "DrawnBox",
    "Ground",
    "GroundShape",
    "Image",
    "Item",
    "Light",
    "Palette",
    "Sketch",
    "View",
    "render",
    "render_background",
]
