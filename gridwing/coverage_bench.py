"""Coverage of 25 frozen polygons beside Fields2Cover's paths over them, through the planner that
`gridwing plan` uses. Lengths and shares by exact union; both sides' times by one flight model."""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, median
from typing import Any

from shapely.geometry import MultiPolygon, Polygon, shape

from geo.coverage import BEST, LENGTH, QUICK, TIME, Effort, NoSweep, Strip, Sweep, plan
from geo.routes import FlightModel, flight_time_s
from geo.strip import FOOTPRINT, coverage_share

POLYGONS = Path(__file__).resolve().parent.parent / "benchmarks" / "coverage.geojson"
WANTED = 0.999
ROWS_LEAST = 0.95
"""Fields2Cover was not asked for a share: its rows that cover this much are compared."""
_WHOLE = 0.999995
"""What a share of five decimals that reads 1.0 says at least."""
_PROCESSES = 2


def names() -> list[str]:
    """Return the names of the frozen polygons."""
    return [f["properties"]["name"] for f in _features()]


def run(only: Sequence[str], quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure the polygons whose name begins as one of `only` (all where empty).

    `quick` searches every plan briefly. Returns {"coverage": [...], "summary": {...}}.
    """
    chosen = [
        f for f in _features() if not only or f["properties"]["name"].startswith(tuple(only))
    ]
    rows: list[dict[str, Any]] = []
    # Spawned, so that no thread of a caller is copied.
    with ProcessPoolExecutor(_PROCESSES, mp_context=get_context("spawn")) as pool:
        for told in pool.map(_measure, chosen, [quick] * len(chosen)):
            rows.append(told)
            say(_line(told))
    public = [{k: v for k, v in row.items() if not k.startswith("_")} for row in rows]
    return {"coverage": public, "summary": _summary(rows)}


def _features() -> list[dict[str, Any]]:
    features: list[dict[str, Any]] = json.loads(POLYGONS.read_text(encoding="utf-8"))["features"]
    return features


def _measure(feature: dict[str, Any], quick: bool) -> dict[str, Any]:
    area, given = shape(feature["geometry"]), feature["properties"]
    assert isinstance(area, Polygon | MultiPolygon)
    strip, bound_m = Strip(given["swath_m"]), area.area / given["swath_m"]
    effort = QUICK if quick else BEST
    short = _timed(area, strip, WANTED, LENGTH, effort)
    fast = _timed(area, strip, WANTED, TIME, effort)
    brief = _timed(area, strip, WANTED, LENGTH, QUICK)
    footprint = _timed(area, Strip(given["swath_m"], FOOTPRINT), WANTED, LENGTH, effort)
    rows = {k: r for k, r in given["fields2cover"].items() if r["coverage"] >= ROWS_LEAST}
    peer_s, peer = min((flight_time_s(r["path"], FlightModel()), k) for k, r in rows.items())
    shortest = min(rows, key=lambda k: float(rows[k]["length_m"]))
    beside = _beside(area, strip, rows, effort)
    same = _timed(area, strip, min(rows[peer]["coverage"], _WHOLE), TIME, effort)
    return {
        "name": given["name"],
        "flat": _ratio(short, bound_m) | {"time_s": _or_none(fast, "time_s", 1), **_took(short)},
        "footprint": _ratio(footprint, bound_m),
        "vs_f2c": beside,
        "_quick": _ratio(brief, bound_m) | _took(brief),
        "_beside_shortest": next(b["ours_over_f2c"] for b in beside if b["row"] == shortest),
        "_time_same": _share_of(same, peer_s),
        "_time_full": _share_of(fast, peer_s),
        "_covered": [f[0].coverage for f in (short, fast, footprint) if isinstance(f[0], Sweep)],
    }


Timed = tuple[Sweep | NoSweep, float]


def _timed(
    area: Polygon | MultiPolygon, strip: Strip, wanted: float, objective: str, effort: Effort
) -> Timed:
    began = time.perf_counter()
    found = plan(area, strip, wanted=wanted, objective=objective, effort=effort)
    seconds = time.perf_counter() - began
    if isinstance(found, Sweep):
        share = coverage_share(area, found.path, strip)
        assert share >= wanted, f"a plan of {share} left the planner, {wanted} was asked"
    return found, seconds


def _ratio(timed: Timed, bound_m: float) -> dict[str, Any]:
    found = timed[0]
    if isinstance(found, NoSweep):
        return {"ratio": None, "coverage": 0.0}
    return {"ratio": round(found.length_m / bound_m, 4), "coverage": round(found.coverage, 6)}


def _took(timed: Timed) -> dict[str, float]:
    return {"seconds": round(timed[1], 2)}


def _or_none(timed: Timed, field: str, digits: int) -> float | None:
    return round(getattr(timed[0], field), digits) if isinstance(timed[0], Sweep) else None


def _share_of(timed: Timed, peer_s: float) -> float | None:
    return round(timed[0].time_s / peer_s, 4) if isinstance(timed[0], Sweep) else None


def _beside(
    area: Polygon | MultiPolygon, strip: Strip, rows: dict[str, Any], effort: Effort
) -> list[dict[str, Any]]:
    """Ours asked for each row's own coverage; rows of the same coverage are planned once."""
    lengths: dict[float, float | None] = {}
    told = []
    for name, row in rows.items():
        wanted = min(row["coverage"], _WHOLE)
        if wanted not in lengths:
            found = plan(area, strip, wanted=wanted, objective=LENGTH, effort=effort)
            lengths[wanted] = found.length_m if isinstance(found, Sweep) else None
        ours_m = lengths[wanted]
        over = None if ours_m is None else round(ours_m / row["length_m"], 4)
        told.append({"row": name, "coverage": row["coverage"], "ours_over_f2c": over})
    return told


def _summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    flat = [r["flat"] for r in rows if r["flat"]["ratio"] is not None]
    beside = [v["ours_over_f2c"] for r in rows for v in r["vs_f2c"]]
    best = [r["_beside_shortest"] for r in rows if r["_beside_shortest"] is not None]
    return {
        "solved": len(flat),
        "of": len(rows),
        "mean_ratio_flat": _mean([f["ratio"] for f in flat]),
        "mean_ratio_footprint": _mean([r["footprint"]["ratio"] for r in rows]),
        "min_coverage": min((c for r in rows for c in r["_covered"]), default=None),
        "f2c_rows_not_longer": sum(b is not None and b <= 1.0 for b in beside),
        "f2c_rows": len(beside),
        "f2c_median": round(median(best), 4) if best else None,
        "f2c_time_same_coverage": _mean([r["_time_same"] for r in rows]),
        "f2c_time_full_coverage": _mean([r["_time_full"] for r in rows]),
        "median_seconds": round(median(r["flat"]["seconds"] for r in rows), 2) if rows else None,
        "quick_mean_ratio": _mean([r["_quick"]["ratio"] for r in rows]),
        "quick_median_seconds": (
            round(median(r["_quick"]["seconds"] for r in rows), 2) if rows else None
        ),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    given = [v for v in values if v is not None]
    return round(fmean(given), 4) if given else None


def _line(row: dict[str, Any]) -> str:
    flat, beside = row["flat"], [v["ours_over_f2c"] for v in row["vs_f2c"]]
    longest = max((b for b in beside if b is not None), default=None)
    missed = beside.count(None)
    return (
        f"{row['name']:12} flat {flat['ratio']} in {flat['seconds']} s, footprint "
        f"{row['footprint']['ratio']}, quick {row['_quick']['ratio']}; beside Fields2Cover: "
        f"length at most {longest}, {missed} rows not reached, "
        f"time {row['_time_same']} ({row['_time_full']} at {WANTED})"
    )
