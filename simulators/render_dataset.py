"""Labelled pictures by the thousand: scenes drawn at random over every look the renderer has."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from geo.frames import LocalFrame
from geo.shapes import local_geometry
from simulators.district import generate
from simulators.render import (
    DrawnBox,
    Ground,
    GroundShape,
    Image,
    Item,
    Light,
    Palette,
    View,
    render,
    render_background,
)

CLASSES = (
    "fire",
    "smoke",
    "exposed_rubbish",
    "flooded_road",
    "floating_debris",
    "illegal_structure",
    "person",
    "vehicle",
)
SIZES_M = {
    "fire": (1.2, 6.0),
    "smoke": (4.0, 15.0),
    "exposed_rubbish": (2.5, 7.0),
    "flooded_road": (6.0, 20.0),
    "floating_debris": (4.0, 14.0),
    "illegal_structure": (5.0, 12.0),
    "person": (1.5, 1.85),
    "vehicle": (3.9, 8.5),
    "puddle": (1.0, 4.0),
    "lamp": (0.6, 2.5),
}
LEAST_BOX_PX = 7
LEAST_VISIBLE = 0.35
POLE_REACH_M = 80.0


@dataclass(frozen=True, slots=True)
class Sample:
    image: Image
    boxes: tuple[DrawnBox, ...]


def sample(seed: int) -> Sample:
    """Return one labelled picture; the same seed gives the same picture."""
    rng = np.random.default_rng(seed)
    view = _pole(rng) if rng.random() < 0.5 else _drone(rng)
    background = render_background(view, _ground(rng), int(rng.integers(1 << 30)), _palette(rng))
    items = _items(rng, view)
    night = float(rng.random() < 0.15) * rng.uniform(0.3, 0.9)
    light = Light(rng.uniform(0.25, 1.0), rng.uniform(0, 0.8) ** 2, _sometimes(rng, 0.2), night)
    image, boxes = render(view, items, background, light, rng.uniform(0, 60), seed)
    return Sample(_lens(image, rng), _labelled(boxes))


def _labelled(boxes: Sequence[DrawnBox]) -> tuple[DrawnBox, ...]:
    """Return the boxes of our classes that show enough to be learnt from."""
    return tuple(
        box
        for box in boxes
        if box.kind in CLASSES
        and max(box.x1 - box.x0, box.y1 - box.y0) >= LEAST_BOX_PX
        and box.visible_share >= LEAST_VISIBLE
    )


def _sometimes(rng: np.random.Generator, chance: float) -> float:
    return rng.uniform(0.1, 1.0) if rng.random() < chance else 0.0


def _pole(rng: np.random.Generator) -> View:
    return View(
        0.0,
        0.0,
        rng.uniform(5.5, 13.0),
        rng.uniform(0, 360),
        rng.uniform(-34, -11),
        rng.normal(0, 1.0),
        rng.uniform(52, 95),
        640,
        360 if rng.random() < 0.7 else 480,
    )


def _drone(rng: np.random.Generator) -> View:
    pitch_deg = -90.0 if rng.random() < 0.5 else rng.uniform(-90, -38)
    return View(
        0.0,
        0.0,
        rng.uniform(35, 120),
        rng.uniform(0, 360),
        pitch_deg,
        rng.normal(0, 1.5),
        rng.uniform(58, 74),
        640,
        480,
    )


def _palette(rng: np.random.Generator) -> Palette:
    base = Palette().colours
    gain = rng.uniform(0.55, 1.45)
    cast = rng.normal(0, 12, 3)
    colours = {}
    for kind, colour in base.items():
        b, g, r = np.clip(np.asarray(colour) * gain * rng.uniform(0.75, 1.3) + cast, 8, 240)
        colours[kind] = (int(b), int(g), int(r))
    return Palette(colours)


def _rectangle(x: float, y: float, w: float, h: float) -> np.ndarray:
    return np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], float)


def _ground(rng: np.random.Generator) -> Ground:
    """Return blocks between roads, some built on, with a river now and then."""
    turn = rng.uniform(0, np.pi / 2)
    rotate = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    shift = rng.uniform(-60, 60, 2)
    block_m, road_m = rng.uniform(60, 140), rng.uniform(6, 16)
    reach_m = 320.0
    shapes: list[tuple[str, np.ndarray, float]] = []
    steps = np.arange(-reach_m, reach_m, block_m)
    for s in steps:
        shapes.append(("road", _rectangle(-reach_m, s, 2 * reach_m, road_m), 0.0))
        shapes.append(("road", _rectangle(s, -reach_m, road_m, 2 * reach_m), 0.0))
    if rng.random() < 0.5:
        x, width_m = rng.uniform(-60, 60), rng.uniform(14, 60)
        shapes.append(("river", _rectangle(x, -reach_m, width_m, 2 * reach_m), 0.0))
    density = rng.uniform(0.1, 0.8)
    for x in steps:
        for y in steps:
            w, h = rng.uniform(0.2, 0.55, 2) * block_m
            at = (x + road_m + rng.uniform(2, 12), y + road_m + rng.uniform(2, 12))
            near_lens = abs(at[0] + shift[0]) < 45 and abs(at[1] + shift[1]) < 45
            if rng.random() < density and not near_lens:
                shapes.append(("building", _rectangle(*at, w, h), rng.uniform(3, 26)))
            else:
                kind = ("green", "plaza", "fire_lane")[rng.integers(3)]
                shapes.append((kind, _rectangle(*at, w, h), 0.0))
    return Ground(
        tuple(GroundShape(kind, (ring + shift) @ rotate, high) for kind, ring, high in shapes)
    )


def _items(rng: np.random.Generator, view: View) -> list[Item]:
    kinds: list[str] = []
    if rng.random() < 0.88:
        hazards = CLASSES[:6]
        kinds += [hazards[i] for i in rng.integers(len(hazards), size=int(rng.integers(2, 7)))]
    kinds += ["vehicle"] * int(rng.integers(0, 4)) + ["person"] * int(rng.integers(0, 3))
    kinds += ["puddle"] * int(rng.integers(0, 3)) + ["lamp"] * int(rng.integers(0, 3))
    items = [_item(rng, view, kind) for kind in kinds]
    if rng.random() < 0.12:
        items += _gathering(rng, view)
    return [item for item in items if item is not None]


def _spot(rng: np.random.Generator, view: View) -> tuple[float, float] | None:
    """Return a ground point in the picture, or None when the pixel drawn looks too far."""
    u, v = rng.uniform(0.03, 0.97) * view.width_px, rng.uniform(0.1, 0.98) * view.height_px
    ray = view.pinhole().rays(u, v)
    if ray[2] > -0.02:
        return None
    x_m, y_m = ray[:2] * view.height_agl_m / -ray[2]
    reach_m = POLE_REACH_M if view.height_agl_m < 20 else 260.0
    return (float(x_m), float(y_m)) if float(np.hypot(x_m, y_m)) < reach_m else None


def _item(rng: np.random.Generator, view: View, kind: str) -> Item | None:
    spot = _spot(rng, view)
    if spot is None:
        return None
    size_m = rng.uniform(*SIZES_M[kind])
    growth = rng.uniform(0.3, 1.0)
    return Item(kind, *spot, size_m, rng.uniform(0, 360), int(rng.integers(1 << 30)), growth)


def _gathering(rng: np.random.Generator, view: View) -> list[Item | None]:
    spot = _spot(rng, view)
    if spot is None:
        return []
    spread_m = rng.uniform(2, 7)
    return [
        Item(
            "person",
            spot[0] + rng.normal(0, spread_m),
            spot[1] + rng.normal(0, spread_m),
            rng.uniform(*SIZES_M["person"]),
            0.0,
            int(rng.integers(1 << 30)),
        )
        for _ in range(int(rng.integers(8, 24)))
    ]


def _lens(image: Image, rng: np.random.Generator) -> Image:
    """Blur and compress as a lens and a JPEG encoder do."""
    if rng.random() < 0.35:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.3)), np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(45, 95))]
    packed = cv2.imencode(".jpg", image, quality)[1]
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)


TOWN_SEEDS = (11, 12, 13)
"""Districts to learn from; the demo's own seed is not among them."""
TOWN_SIZES_M = {
    "fire": (2.5, 6.0),
    "smoke": (5.0, 12.0),
    "exposed_rubbish": (3.0, 6.0),
    "flooded_road": (8.0, 14.0),
    "floating_debris": (4.0, 8.0),
    "illegal_structure": (5.0, 9.0),
    "vehicle": (4.2, 5.2),
    "person": (1.6, 1.8),
    "puddle": (1.0, 3.0),
    "lamp": (0.6, 1.5),
}


@dataclass(frozen=True)
class Town:
    """One simulated district as the renderer draws it, with the poles its cameras stand on."""

    ground: Ground
    poles: tuple[View, ...]
    half_m: float


def towns() -> tuple[Town, ...]:
    """Return the districts samples are drawn in."""
    made = []
    for seed in TOWN_SEEDS:
        district = generate(seed)
        frame = LocalFrame(district.origin)
        shapes = []
        for zone in district.zones:
            for polygon in local_geometry(zone.area, frame).geoms:
                ring = np.asarray(polygon.exterior.coords)[:, :2]
                shapes.append(GroundShape(zone.kind.value, ring, zone.height_m))
        poles = tuple(
            View(
                *frame.to_local(c.position.lat_deg, c.position.lon_deg),
                c.height_agl_m,
                c.yaw_deg,
                c.pitch_deg,
                0.0,
                c.hfov_deg,
                c.width_px,
                c.height_px,
            )
            for c in district.cameras
        )
        made.append(Town(Ground(tuple(shapes)), poles, 1700.0))
    return tuple(made)


def sample_in_town(seed: int, choices: tuple[Town, ...], hazards: bool = True) -> Sample:
    """Return one labelled picture as a pole or a drone of a simulated district gives it.

    Without `hazards` it holds only what must raise no alarm: cars, persons, puddles, lamps.
    """
    rng = np.random.default_rng(seed)
    town = choices[rng.integers(len(choices))]
    view, _ = pole_or_drone(rng, town)
    background = render_background(view, town.ground, int(rng.integers(1 << 30)))
    kinds = [CLASSES[i] for i in rng.integers(6, size=int(rng.integers(1, 5)))] if hazards else []
    kinds += ["vehicle"] * int(rng.integers(0, 4)) + ["person"] * int(rng.integers(0, 3))
    kinds += ["puddle"] * int(rng.integers(0, 2)) + ["lamp"] * int(rng.integers(0, 2))
    items = []
    for kind in kinds:
        place = picked_spot(rng, view)
        if place is not None:
            size_m = rng.uniform(*TOWN_SIZES_M[kind])
            turn, looks = rng.uniform(0, 360), int(rng.integers(1 << 30))
            items.append(Item(kind, *place, size_m, turn, looks, rng.uniform(0.5, 1.0)))
    if rng.random() < 0.15:
        items += _shifted(_gathering(rng, view), view)
    light = Light(rng.uniform(0.5, 1.0), rng.uniform(0.05, 0.16), 0.3 * _sometimes(rng, 0.2), 0.0)
    image, boxes = render(view, items, background, light, rng.uniform(0, 60), seed)
    return Sample(_lens(image, rng), _labelled(boxes))


def pole_or_drone(rng: np.random.Generator, town: Town) -> tuple[View, bool]:
    """Return a view of a town, and whether it is a drone's."""
    if rng.random() < 0.5:
        return town.poles[rng.integers(len(town.poles))], False
    x_m, y_m = rng.uniform(-town.half_m, town.half_m, 2)
    pitch_deg = -90.0 if rng.random() < 0.65 else rng.uniform(-90, -50)
    height_m = 90.0 + rng.normal(0, 3) if rng.random() < 0.7 else rng.uniform(50, 100)
    yaw_deg, roll_deg = rng.uniform(0, 360), rng.normal(0, 0.5)
    return View(x_m, y_m, height_m, yaw_deg, pitch_deg, roll_deg, 66.0, 640, 480), True


def picked_spot(rng: np.random.Generator, view: View) -> tuple[float, float] | None:
    """Return a place on the ground in the picture (local metres), None where it looks too far."""
    spot = _spot(rng, view)
    return None if spot is None else (view.x_m + spot[0], view.y_m + spot[1])


def _shifted(items: Sequence[Item | None], view: View) -> list[Item]:
    """Move items given relative to the lens to where the lens is."""
    return [
        replace(item, x_m=item.x_m + view.x_m, y_m=item.y_m + view.y_m)
        for item in items
        if item is not None
    ]
