"""One labelled picture from a seed: what stands where, in which light, and what is seen of it."""

from dataclasses import dataclass
from math import cos, sin, tan

import numpy as np
from numpy.typing import NDArray

from simulators.heldout.canvas import Canvas, Thing
from simulators.heldout.decoys import DRY, put_decoy
from simulators.heldout.dumped import put_debris, put_flood, put_rubbish, put_spoil
from simulators.heldout.furniture import put_house, put_lamp, put_tree
from simulators.heldout.ground import lay_ground, surfaces_of
from simulators.heldout.labels import Label, labelled
from simulators.heldout.lens import haze, lens_of, taken
from simulators.heldout.light import HOURS, Light, light_of
from simulators.heldout.palettes import Palette, palette_of
from simulators.heldout.plumes import Plume, put_fire, put_smoke
from simulators.heldout.solids import Ellipsoid, mottled
from simulators.heldout.town import BANK, GRASS, PAVED, PAVEMENT, ROAD, SOIL, WATER, Town, town_of
from simulators.heldout.traffic import put_person, put_vehicle
from simulators.heldout.view import View

F32 = NDArray[np.float32]
HAZARDS = (
    "fire",
    "smoke",
    "exposed_rubbish",
    "flooded_road",
    "floating_debris",
    "construction_spoil",
)
CLASSES = (*HAZARDS, "person", "vehicle")
HIGH_M = 25.0
FIRST_SEED = 20_000
"""Measurements draw from here on; what was looked at while this was written lies below."""
_WHERE = {
    "fire": (PAVED, GRASS, SOIL, PAVEMENT),
    "smoke": (PAVED, GRASS, SOIL),
    "exposed_rubbish": (PAVEMENT, PAVED, BANK, GRASS, SOIL),
    "construction_spoil": (PAVED, SOIL, PAVEMENT, GRASS),
    "flooded_road": (ROAD,),
    "floating_debris": (WATER,),
}


@dataclass(frozen=True)
class Picture:
    image: NDArray[np.uint8]
    """(h, w, 3) BGR."""
    labels: tuple[Label, ...]


@dataclass(frozen=True)
class Spot:
    kind: str
    x: float
    y: float
    size_m: float
    px: tuple[int, int]


def draw(seed: int, recoloured: bool = False, hazards: bool = True) -> Picture:
    """Return the picture of a seed. Its recoloured twin differs in the hazards' colours alone;
    without hazards it is a hard negative: decoys, and people and vehicles as ever."""
    rng = np.random.default_rng([seed, 20, int(hazards)])
    palette = palette_of(seed, recoloured)
    view = _view(rng)
    high = view.height_agl_m > HIGH_M
    weather = str(rng.choice(["clear", "haze", "fog", "rain"], p=[0.6, 0.17, 0.08, 0.15]))
    chances = (
        [0.3, 0.22, 0.22, 0.09, 0.06, 0.11] if not high else [0.38, 0.27, 0.25, 0.05, 0.03, 0.02]
    )
    hour = "overcast" if weather in ("rain", "fog") else str(rng.choice(HOURS, p=chances))
    light = light_of(hour, rng)
    reach = view.height_agl_m / tan(np.radians(min(view.pitch_deg, 89.9)))
    town = town_of(view.height_agl_m, reach, rng)
    canvas = Canvas.blank(view)
    wet = float(rng.uniform(0.5, 1)) if weather == "rain" or rng.random() < 0.12 else 0.0
    kind = lay_ground(canvas, town, surfaces_of(rng, wet))
    spots = _spots(view, kind, rng) if hazards else []
    light = _furnish(canvas, town, kind, spots, light, reach, rng)
    _dump(canvas, town, kind, spots, palette, rng)
    _traffic(canvas, town, kind, spots, rng)
    _decoys(canvas, kind, spots, light, hazards, rng)
    lens = lens_of(hour, weather, high, rng)
    picture = canvas.lit(light)
    haze(picture, canvas.depth, light, lens)
    _burn(canvas, picture, spots, palette, light, rng)
    image = taken(picture, lens, rng)
    return Picture(image, labelled(canvas, image))


def _view(rng: np.random.Generator) -> View:
    high = rng.random() < 0.42
    height_px = int(rng.choice([480, 360]))
    if high:
        straight = rng.random() < 0.72
        pitch = float(rng.uniform(82, 90) if straight else rng.uniform(42, 75))
        return View(
            640,
            height_px,
            float(rng.uniform(35, 120)),
            pitch,
            float(rng.normal(0, 1)),
            float(rng.uniform(52, 80)),
        )
    return View(
        640,
        height_px,
        float(rng.uniform(5, 13)),
        float(rng.uniform(17, 46)),
        float(rng.normal(0, 1.2)),
        float(rng.uniform(55, 88)),
    )


def _spots(view: View, kind: NDArray[np.uint8], rng: np.random.Generator) -> list[Spot]:
    """Choose what happens and where: places spread over the picture, not over the ground."""
    found: list[Spot] = []
    wanted = int(rng.choice([1, 2, 3], p=[0.35, 0.42, 0.23]))
    order = [str(k) for k in rng.permutation(HAZARDS)]
    for name in order + order:
        if len(found) == wanted:
            break
        spot = _spot(name, view, kind, found, rng)
        if spot is not None:
            found.append(spot)
    return found


def _spot(
    name: str, view: View, kind: NDArray[np.uint8], taken_up: list[Spot], rng: np.random.Generator
) -> Spot | None:
    for _ in range(60):
        px = (
            int(rng.uniform(0.1, 0.9) * view.width_px),
            int(rng.uniform(0.12, 0.92) * view.height_px),
        )
        place = view.ground_at(*px)
        if place is None or kind[px[1], px[0]] not in _WHERE[name]:
            continue
        scale = view.px_per_m(*place)
        low, top = {
            "fire": (0.9, 3.4),
            "smoke": (0.5, 2.2),
            "exposed_rubbish": (0.9, 2.6),
            "flooded_road": (6.0, 22.0),
            "floating_debris": (1.0, 4.5),
            "construction_spoil": (1.3, 3.8),
        }[name]
        # At least some 26 pixels across, at most half the picture.
        least = {"smoke": 8.0, "flooded_road": 60.0, "fire": 26.0}.get(name, 20.0) / scale
        most = {"smoke": 60.0, "flooded_road": 420.0, "fire": 150.0}.get(name, 130.0) / scale
        low, top = max(low, least), min(top, most)
        if low >= top:
            low = top = least
            if least > {"smoke": 2.6, "flooded_road": 40.0, "fire": 5.5}.get(name, 5.0):
                continue
        size = float(low * (top / low) ** rng.random())
        apart = all(
            np.hypot(px[0] - s.px[0], px[1] - s.px[1]) > 90 + 0.5 * scale * size for s in taken_up
        )
        if apart:
            return Spot(name, *place, size, px)
    return None


def _furnish(
    canvas: Canvas,
    town: Town,
    kind: NDArray[np.uint8],
    spots: list[Spot],
    light: Light,
    reach: float,
    rng: np.random.Generator,
) -> Light:
    """Put houses, trees, lamps beside roads, none before a spot. Returns the light with lamps."""
    view = canvas.view
    high = view.height_agl_m > HIGH_M
    span = reach + (1.3 * view.height_agl_m if high else 70.0)
    houses = _put_houses(canvas, town, spots, light, span, rng)
    _put_trees(canvas, kind, spots, houses, rng)
    lamps: list[tuple[float, float, float]] = []
    for road in town.roads[:1]:
        for along in np.arange(-span, span, 24.0):
            x, y = road.place(float(along), road.half_m + 0.7)
            if (
                np.hypot(x, y) > 5
                and y > -span
                and len(lamps) < 7
                and np.hypot(x, y - reach) < max(45, reach)
            ):
                lamps.append((x, y, 6.9))
    dark = light.hour in ("dusk", "night")
    shown = Light(**{**light.__dict__, "lamps": tuple(lamps) if dark else ()})
    for x, y, _ in lamps:
        put_lamp(canvas, x, y, town.roads[0].way_rad - 1.5708, shown)
    return shown


def _put_houses(
    canvas: Canvas,
    town: Town,
    spots: list[Spot],
    light: Light,
    span: float,
    rng: np.random.Generator,
) -> list[tuple[float, float, float]]:
    """Put houses along both sides of roads. Returns (x, y, size)."""
    view = canvas.view
    high = view.height_agl_m > HIGH_M
    lit = 0.0 if light.hour in ("noon", "morning", "overcast") else 0.3
    houses: list[tuple[float, float, float]] = []
    for road in town.roads[:2]:
        for along in np.arange(-span, span, 13.0 if not high else 17.0):
            for side in (-1, 1):
                size = (
                    float(rng.uniform(8, 16)),
                    float(rng.uniform(7, 11)),
                    float(rng.choice([3.5, 6.4, 9.5, 12.6, 18.8])),
                )
                x, y = road.place(
                    float(along + rng.uniform(-2, 2)),
                    side * (road.half_m + 5.0 + size[1] / 2 + float(rng.uniform(0, 4))),
                )
                if (
                    rng.random() < 0.3
                    or len(houses) >= 11
                    or not _room(town, houses, x, y, max(size[:2]))
                ):
                    continue
                if _hides(
                    view,
                    spots,
                    (x, y, size[2] / 2),
                    (max(size[:2]) * 0.75, max(size[:2]) * 0.75, size[2] / 2 + 1),
                ):
                    continue
                houses.append((x, y, max(size[:2])))
                put_house(canvas, x, y, road.way_rad, size, lit, rng)
    return houses


def _put_trees(
    canvas: Canvas,
    kind: NDArray[np.uint8],
    spots: list[Spot],
    houses: list[tuple[float, float, float]],
    rng: np.random.Generator,
) -> None:
    view = canvas.view
    trees = 0
    for _ in range(60):
        px = int(rng.integers(0, view.width_px)), int(rng.integers(0, view.height_px))
        place, high_m = view.ground_at(*px), float(rng.uniform(4, 9))
        ok = place is not None and kind[px[1], px[0]] in (GRASS, PAVEMENT, SOIL) and trees < 9
        if not ok or place is None or np.hypot(*place) < 9 or np.hypot(*place) > 160:
            continue
        if any(np.hypot(place[0] - h[0], place[1] - h[1]) < h[2] * 0.7 for h in houses):
            continue
        if _hides(
            view, spots, (*place, high_m * 0.6), (high_m * 0.35, high_m * 0.35, high_m * 0.4)
        ):
            continue
        trees += 1
        put_tree(canvas, *place, high_m, rng)


def _room(
    town: Town, houses: list[tuple[float, float, float]], x: float, y: float, size: float
) -> bool:
    if np.hypot(x, y) < size + 1.5 or town.clear_of_road_m(x, y) < size * 0.55 + 1:
        return False
    return all(np.hypot(x - h[0], y - h[1]) > (size + h[2]) * 0.6 for h in houses)


def _hides(
    view: View,
    spots: list[Spot],
    centre: tuple[float, float, float],
    half: tuple[float, float, float],
) -> bool:
    corners = Ellipsoid(centre, half, mottled((0, 0, 0), (0, 0, 0), 1.0)).corners()
    rect, _ = view.rect(corners)
    if rect is None:
        # Partly behind the camera or out of the picture: only the latter does no harm.
        return float(view.project(corners)[1].max()) > 0.4 and np.hypot(centre[0], centre[1]) < 14
    for spot in spots:
        near = max(14.0, spot.size_m * view.px_per_m(spot.x, spot.y) * 0.6)
        x, y = spot.px
        if rect[0] - near < x < rect[2] + near and rect[1] - near * 0.6 < y < rect[3] + near * 0.6:
            return True
    return False


def _dump(
    canvas: Canvas,
    town: Town,
    kind: NDArray[np.uint8],
    spots: list[Spot],
    palette: Palette,
    rng: np.random.Generator,
) -> None:
    for spot in sorted(spots, key=lambda s: s.kind != "flooded_road"):
        if spot.kind == "flooded_road":
            at = np.full((1, 1), spot.x, np.float32), np.full((1, 1), spot.y, np.float32)
            offs = [road.along_and_off(*at) for road in town.roads]
            nearest = min(range(len(offs)), key=lambda i: abs(float(offs[i][1][0, 0])))
            put_flood(
                canvas,
                town,
                nearest,
                float(offs[nearest][0][0, 0]),
                spot.size_m,
                palette,
                kind,
                rng,
            )
        elif spot.kind == "floating_debris":
            put_debris(canvas, spot.x, spot.y, spot.size_m, 0.0, palette, kind, rng)
        elif spot.kind == "exposed_rubbish":
            put_rubbish(canvas, spot.x, spot.y, spot.size_m, palette, rng)
        elif spot.kind == "construction_spoil":
            put_spoil(canvas, spot.x, spot.y, spot.size_m, palette, rng)
        elif spot.kind == "fire":
            wide = spot.size_m * 0.4
            char = mottled((0.03, 0.03, 0.03), (0.14, 0.14, 0.15), 1.1, 51)
            canvas.put(
                Ellipsoid(
                    (spot.x, spot.y, 0), (wide, wide, 0.3 * wide + 0.1), char, bump=0.8, holes=0.6
                )
            )


def _traffic(
    canvas: Canvas, town: Town, kind: NDArray[np.uint8], spots: list[Spot], rng: np.random.Generator
) -> None:
    view = canvas.view
    high = view.height_agl_m > HIGH_M
    cars: list[tuple[float, float]] = []
    wanted = int(rng.choice([0, 1, 2, 4, 6] if not high else [1, 3, 5, 8, 10]))
    for _ in range(wanted * 12):
        if len(cars) >= wanted:
            break
        place, way = _parked(view, town, kind, rng)
        if place is None or any(np.hypot(place[0] - c[0], place[1] - c[1]) < 8 for c in cars):
            continue
        if np.hypot(*place) < 5 or view.px_per_m(*place) * 4.5 < 10:
            continue
        if any(
            np.hypot(place[0] - s.x, place[1] - s.y) < 3.5 + s.size_m
            for s in spots
            if s.kind != "flooded_road"
        ):
            continue
        if _hides(
            view, [s for s in spots if s.kind != "flooded_road"], (*place, 0.8), (2.5, 2.5, 0.8)
        ):
            continue
        cars.append(place)
        put_vehicle(
            canvas,
            *place,
            way,
            str(
                rng.choice(
                    ["car", "car", "car", "van", "truck", "bus"], p=[0.3, 0.2, 0.2, 0.14, 0.1, 0.06]
                )
            ),
            rng,
        )
    people = int(rng.choice([0, 0, 1, 2, 4] if not high else [0, 0, 0, 2, 3]))
    for _ in range(people * 6):
        if people == 0:
            break
        px = (
            int(rng.uniform(0.05, 0.95) * view.width_px),
            int(rng.uniform(0.15, 0.98) * view.height_px),
        )
        place = view.ground_at(*px)
        if place is None or kind[px[1], px[0]] in (WATER, BANK):
            continue
        if view.px_per_m(*place) * 1.7 < 9 or any(
            np.hypot(place[0] - c[0], place[1] - c[1]) < 3 for c in cars
        ):
            continue
        if _hides(view, spots, (*place, 0.85), (0.3, 0.3, 0.85)) and rng.random() < 0.8:
            continue
        people -= 1
        put_person(canvas, *place, float(rng.uniform(0, 6.28)), rng)


def _parked(
    view: View, town: Town, kind: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[tuple[float, float] | None, float]:
    px = int(rng.uniform(0.02, 0.98) * view.width_px), int(rng.uniform(0.1, 0.98) * view.height_px)
    place = view.ground_at(*px)
    if place is None or kind[px[1], px[0]] not in (ROAD, PAVED):
        return None, 0.0
    at = np.full((1, 1), place[0], np.float32), np.full((1, 1), place[1], np.float32)
    offs = [(abs(float(r.along_and_off(*at)[1][0, 0])), r) for r in town.roads]
    _, road = min(offs, key=lambda o: o[0])
    along, off = (float(v[0, 0]) for v in road.along_and_off(*at))
    if kind[px[1], px[0]] == PAVED:
        if abs(off) > road.half_m + 12:
            return None, 0.0
        return place, road.way_rad + float(rng.choice([0.0, 1.5708])) + float(rng.normal(0, 0.05))
    lane = road.half_m * (0.5 if road.lanes == 2 else float(rng.choice([0.25, 0.75])))
    side = 1.0 if off > 0 else -1.0
    x, y = road.place(along, side * lane)
    return (x, y), road.way_rad + (3.1416 if side > 0 else 0.0) + float(rng.normal(0, 0.03))


def _decoys(
    canvas: Canvas,
    kind: NDArray[np.uint8],
    spots: list[Spot],
    light: Light,
    hazards: bool,
    rng: np.random.Generator,
) -> None:
    view = canvas.view
    wanted = int(rng.integers(0, 3)) if hazards else int(rng.integers(2, 7))
    for _ in range(wanted * 8):
        if wanted == 0:
            break
        px = (
            int(rng.uniform(0.05, 0.95) * view.width_px),
            int(rng.uniform(0.15, 0.95) * view.height_px),
        )
        place = view.ground_at(*px)
        on = kind[px[1], px[0]]
        if place is None or on in (ROAD, BANK) or not 5 < np.hypot(*place) < 130:
            continue
        if _hides(view, spots, (*place, 1.2), (2.2, 2.2, 1.4)):
            continue
        wanted -= 1
        put_decoy(
            canvas,
            "lilies" if on == WATER else str(rng.choice(DRY)),
            *place,
            float(rng.uniform(0, 3.14)),
            light,
            rng,
        )


def _burn(
    canvas: Canvas,
    picture: F32,
    spots: list[Spot],
    palette: Palette,
    light: Light,
    rng: np.random.Generator,
) -> list[Thing]:
    """Lay smoke and flames over the lit picture, the farther first."""
    made: list[Thing] = []
    wind_rad = float(rng.uniform(0, 6.28))
    dark = light.hour in ("dusk", "night")
    for spot in sorted(spots, key=lambda s: -s.y):
        smokes = spot.kind == "smoke" or (spot.kind == "fire" and rng.random() < 0.6)
        if smokes:
            wide = spot.size_m * (0.32 if spot.kind == "fire" else 1.0)
            rise = wide * float(rng.uniform(4, 8)) + 1.5
            wind = rise * float(rng.uniform(0.6, 1.6))
            base = spot.size_m * 0.45 if spot.kind == "fire" else 0.1
            density = float(rng.uniform(0.36, 0.72))
            plume = Plume(
                spot.x,
                spot.y,
                base,
                wide,
                rise,
                wind * cos(wind_rad),
                wind * sin(wind_rad),
                density,
            )
            made.append(put_smoke(canvas, picture, plume, palette.smoke, light, rng))
        if spot.kind == "fire":
            made.append(
                put_fire(
                    canvas,
                    picture,
                    spot.x,
                    spot.y,
                    0.1,
                    spot.size_m,
                    palette.flame,
                    0.8 if dark else 1.0,
                    rng,
                )
            )
    return made
