"""A plan as `gridwing plan` makes it: what is wanted, the ground, and what came of it."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import shapely
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from geo.camera import LENSES, ground_footprint
from geo.coverage import BEST, QUICK, NoSweep, Sweep, own_sky
from geo.coverage import plan as plan_path
from geo.pockets import polygons
from geo.routes import OpenSky
from geo.strip import Strip, coverage_share, waste
from gridwing.plan_input import Ground

REFUSED_EXIT = 2


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of a plan, as the command line gives it."""

    swath_m: float | None
    height_agl_m: float
    camera: str | None
    gimbal_pitch_deg: float
    overlap: float
    ends: str
    wanted: float
    objective: str
    quick: bool
    seed: int


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with what it was planned over."""

    ground: Ground
    asked: Polygon | MultiPolygon
    no_fly: BaseGeometry
    strip: Strip
    flown: Sweep
    seconds: float


def planned(
    ground: Ground,
    no_fly: BaseGeometry,
    wish: Wish,
    say: Callable[[str], None] | None = None,
) -> Planned | NoSweep:
    """Plan over ground already on the plane."""
    strip = strip_of(wish)
    if isinstance(strip, NoSweep):
        return strip
    asked: BaseGeometry = ground.area
    sky = None
    if not no_fly.is_empty:
        asked = shapely.union_all(polygons(asked.difference(no_fly)))
        free = shapely.union_all(polygons(own_sky(ground.area).difference(no_fly)))
        if asked.is_empty or free.is_empty:
            return NoSweep(
                "closed_airspace", "the area lies wholly under --no-fly: nothing is left to cover"
            )
        assert isinstance(free, Polygon | MultiPolygon)
        sky = OpenSky(free)
    assert isinstance(asked, Polygon | MultiPolygon)
    began = time.perf_counter()
    flown = plan_path(
        asked,
        strip,
        sky=sky,
        wanted=wish.wanted,
        objective=wish.objective,
        effort=QUICK if wish.quick else BEST,
        seed=wish.seed,
        say=say,
    )
    seconds = time.perf_counter() - began
    if isinstance(flown, NoSweep):
        return flown
    # Judged once more from the path alone, not by what the planner says of itself.
    share = coverage_share(asked, flown.path, strip)
    if share < wish.wanted:
        # Cut, not rounded: what misses by a hair must not read as what was asked.
        seen = math.floor(share * 1e6) / 1e6
        return NoSweep(
            "not_covered",
            f"the plan covers {seen}, --coverage {wish.wanted:g} was asked: ask for {seen} or less",
        )
    return Planned(ground, asked, no_fly, strip, flown, seconds)


def strip_of(wish: Wish) -> Strip | NoSweep:
    """Return the strip a wish names: --swath, or --camera at --height-agl."""
    if not 2.0 <= wish.height_agl_m <= 120.0:
        return NoSweep(
            "bad_height",
            f"--height-agl must lie in 2..120 m (true height), got {wish.height_agl_m:g}",
        )
    if not 0.0 <= wish.overlap < 1.0:
        return NoSweep("bad_overlap", f"--overlap must lie in 0..1, got {wish.overlap:g}")
    try:
        if wish.swath_m is not None:
            return Strip(wish.swath_m, wish.ends)
        if wish.camera is None:
            return NoSweep("no_swath", "give --swath, or --camera with --height-agl")
        lens = LENSES[wish.camera]
        seen = ground_footprint(lens, wish.height_agl_m, wish.gimbal_pitch_deg)
        # Only what lies as far behind as the near edge counts: true flown either way.
        return Strip(seen.width_m * (1.0 - wish.overlap), wish.ends, -2.0 * seen.near_m)
    except ValueError as error:
        code = "bad_swath" if wish.swath_m is not None else "bad_camera"
        return NoSweep(code, str(error))


def report(found: Planned) -> dict[str, Any]:
    """What a plan comes to, as `--json` prints it."""
    flown, bound_m = found.flown, found.asked.area / found.strip.width_m
    lost = waste(found.asked, flown.path, found.strip)
    return {
        "length_m": round(flown.length_m, 2),
        "time_s": round(flown.time_s, 2),
        "lower_bound_m": round(bound_m, 2),
        "ratio": round(flown.length_m / bound_m, 4),
        # Cut, not rounded: a share never looks larger than it is.
        "coverage": math.floor(flown.coverage * 1e6) / 1e6,
        "swaths": flown.swaths,
        "seconds": round(found.seconds, 3),
        "swath_m": round(found.strip.width_m, 3),
        "waste": {
            "outside": round(lost.outside, 4),
            "turns": round(lost.turns, 4),
            "overlap": round(lost.overlap, 4),
        },
        "no_fly_m2": max(0.0, round(found.ground.area.area - found.asked.area, 1)),
    }
