"""Which of the drawn things are labelled, and the boxes of what can be seen of them."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from simulators.heldout.canvas import Canvas, Thing

LONGER_SIDE_LEAST_PX = 12.0
VISIBLE_LEAST = 0.35
CONTRAST_LEAST = 14.0
"""Grey levels (of 255) that a thing must differ from what surrounds it for a person to tell."""
SCATTERED = frozenset(
    {"exposed_rubbish", "floating_debris", "construction_spoil", "smoke", "fire", "flooded_road"}
)


@dataclass(frozen=True)
class Label:
    """A tight box of visible pixels, half-open. `ignore`: too small, hidden or faint to ask for."""

    label: str
    x0_px: float
    y0_px: float
    x1_px: float
    y1_px: float
    ignore: bool


def labelled(canvas: Canvas, image: NDArray[np.uint8]) -> tuple[Label, ...]:
    """Return a label for everything of which anything is seen."""
    made = (_label(canvas, thing, image) for thing in canvas.things)
    return tuple(label for label in made if label is not None)


def _label(canvas: Canvas, thing: Thing, image: NDArray[np.uint8]) -> Label | None:
    # Smoke is seen through: it is where it veils, whoever else is there too.
    seen = thing.alone if thing.label == "smoke" else canvas.owner == thing.number
    rows, columns = np.nonzero(seen)
    if len(rows) < 6:
        return None
    trim = 0.7 if thing.label in SCATTERED else 0.0
    x0, x1 = np.percentile(columns, [trim, 100 - trim])
    y0, y1 = np.percentile(rows, [trim, 100 - trim])
    share = len(rows) / max(int(np.count_nonzero(thing.alone)), 1) * thing.inside
    ignore = (
        max(x1 - x0, y1 - y0) + 1 < LONGER_SIDE_LEAST_PX
        or share < VISIBLE_LEAST
        or _contrast(image, seen, thing.alone)
        < CONTRAST_LEAST * (1.5 if thing.label == "smoke" else 1.0)
    )
    return Label(thing.label, float(x0), float(y0), float(x1 + 1), float(y1 + 1), bool(ignore))


def _contrast(image: NDArray[np.uint8], seen: NDArray[np.bool_], alone: NDArray[np.bool_]) -> float:
    """Return how far a thing's colour and texture differ from a ring about it, in grey levels."""
    rows, columns = np.nonzero(seen)
    pad = int(max(6, 0.25 * max(np.ptp(rows), np.ptp(columns))))
    window = np.s_[
        max(int(rows.min()) - pad, 0) : int(rows.max()) + pad + 1,
        max(int(columns.min()) - pad, 0) : int(columns.max()) + pad + 1,
    ]
    # Every second pixel of a large thing is enough.
    step = 2 if pad > 24 else 1
    own, whole = seen[window][::step, ::step], alone[window][::step, ::step]
    part = image[window][::step, ::step].astype(np.float32)
    reach = np.ones((pad // step, pad // step), np.uint8)
    ring = (cv2.dilate((own | whole).astype(np.uint8), reach) > 0) & ~own & ~whole
    if np.count_nonzero(ring) < 20:
        return 255.0
    inside, outside = part[own], part[ring]
    means = np.abs(inside.mean(0) - outside.mean(0)).max()
    spread = np.abs(inside.std(0) - outside.std(0)).max()
    return float(means + 0.6 * spread)
