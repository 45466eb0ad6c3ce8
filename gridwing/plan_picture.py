"""Pictures of coverage plans: one plan on a sheet, or many small ones."""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
import shapely
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from geo.strip import covered
from gridwing.planned import Planned

_PAPER, _GROUND, _EDGE = "#fbfaf7", "#e9e6dd", "#6b675c"
_STRIP, _TWICE, _CLOSED, _POCKET, _INK = "#7fb7be", "#3c7f88", "#d9694f", "#f2b705", "#2b2b2b"
_LEGS_LIMIT = 4_000


def draw_plan(found: Planned, file: Path, title: str) -> None:
    """Draw area, holes, no-fly areas, strip, path with start and end, and pockets left out."""
    figure = Figure(figsize=(9.0, 9.0), facecolor=_PAPER, layout="constrained")
    axes = figure.add_subplot()
    draw_on(axes, found, 1.0)
    flown, bound_m = found.flown, found.asked.area / found.strip.width_m
    axes.set_title(
        f"{title}\n{flown.length_m / 1000.0:.2f} km · {_clock(flown.time_s)} · "
        f"{math.floor(flown.coverage * 1e5) / 1e3:.3f} % covered · "
        f"{flown.length_m / bound_m:.3f} × area ÷ swath",
        fontsize=11, color=_INK, loc="left", linespacing=1.6,
    )  # fmt: skip
    _scale_bar(axes, found)
    figure.savefig(file, dpi=150)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


def draw_on(axes: Any, found: Planned, thick: float) -> None:
    """Draw a plan on axes of one's own; `thick` scales the lines."""
    seen = covered(found.flown.path, found.strip)
    axes.set_facecolor(_PAPER)
    _fill(axes, found.ground.area, facecolor=_GROUND, edgecolor="none", zorder=1)
    _fill(axes, seen, facecolor=_STRIP, edgecolor="none", alpha=0.55, zorder=2)
    missed = found.asked.difference(seen)
    _fill(axes, missed, facecolor=_POCKET, edgecolor=_POCKET, linewidth=0.6 * thick, zorder=3)
    near = found.no_fly.intersection(found.ground.area.buffer(2.0 * found.strip.width_m))
    _fill(axes, near, facecolor=_CLOSED, edgecolor=_CLOSED, alpha=0.35, hatch="///", zorder=4)
    _fill(axes, found.ground.area, facecolor="none", edgecolor=_EDGE, linewidth=1.1 * thick,
          zorder=5)  # fmt: skip
    _draw_path(axes, found.flown.path, thick)
    axes.set_aspect("equal")
    axes.margins(0.03)
    axes.set_axis_off()


def _draw_path(axes: Any, path: Sequence[tuple[float, float]], thick: float) -> None:
    """The path, its colour running from start to end, so that one can follow it."""
    every = max(1, len(path) // _LEGS_LIMIT)
    points = [*path[:-1:every], path[-1]]
    legs = list(pairwise(points))
    colours = mpl.colormaps["plasma"]([0.05 + 0.75 * i / max(1, len(legs) - 1)
                                       for i in range(len(legs))])  # fmt: skip
    axes.add_collection(
        LineCollection(legs, colors=colours, linewidths=1.5 * thick, capstyle="round", zorder=6)
    )
    size = 46.0 * thick
    axes.scatter(*path[0], s=size, marker="o", color="white", edgecolor=_INK,
                 linewidth=1.3 * thick, zorder=8)  # fmt: skip
    axes.scatter(*path[-1], s=size, marker="s", color=_INK, edgecolor="white",
                 linewidth=1.0 * thick, zorder=8)  # fmt: skip


def _fill(axes: Any, shape: BaseGeometry, **look: Any) -> None:
    rings: list[Outline] = []
    for part in shapely.get_parts(shape):
        if isinstance(part, Polygon) and not part.is_empty:
            whole = shapely.geometry.polygon.orient(part)
            rings += [Outline(r.coords, closed=True) for r in (whole.exterior, *whole.interiors)]
    if rings:
        axes.add_patch(PathPatch(Outline.make_compound_path(*rings), **look))


def _scale_bar(axes: Any, found: Planned) -> None:
    x0, y0, x1, _ = found.ground.area.bounds
    about_m = (x1 - x0) / 5.0
    unit = 10.0 ** math.floor(math.log10(about_m))
    bar_m = max(n * unit for n in (1.0, 2.0, 5.0) if n * unit <= about_m)
    low = y0 - 0.05 * (x1 - x0)
    axes.plot([x0, x0 + bar_m], [low, low], color=_INK, linewidth=2.0, solid_capstyle="butt")
    axes.annotate(
        f"{bar_m:g} m · strip {found.strip.width_m:g} m, {found.strip.ends} ends · ○ start ■ end",
        (x0 + bar_m, low), xytext=(6, 0), textcoords="offset points", va="center", fontsize=9,
        color=_INK,
    )  # fmt: skip


def draw_sheet(plans: Sequence[tuple[str, Planned | None]], file: Path, heading: str) -> None:
    """Draw many plans small, side by side; a refused one is a name without a picture."""
    columns = max(1, math.ceil(math.sqrt(len(plans) * 1.3)))
    rows = max(1, math.ceil(len(plans) / columns))
    figure = Figure(figsize=(columns * 1.7, rows * 1.9 + 0.6), facecolor=_PAPER)
    figure.suptitle(heading, fontsize=14, color=_INK)
    for i, (name, found) in enumerate(plans):
        axes = figure.add_subplot(rows, columns, i + 1)
        axes.set_axis_off()
        if found is not None:
            draw_on(axes, found, 0.4)
        axes.set_title(name[:22], fontsize=6, color=_INK if found is not None else _CLOSED)
    figure.subplots_adjust(0.01, 0.01, 0.99, 1.0 - 0.9 / (rows * 1.9 + 0.6), 0.05, 0.25)
    figure.savefig(file, dpi=110)
