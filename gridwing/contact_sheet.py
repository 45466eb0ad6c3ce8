"""One picture a class: what a detector found, missed and made up, cut out in rows."""

from collections.abc import Sequence

import cv2
import numpy as np

from domain.hazard import Detection
from gridwing.detector_measure import EXAMPLES_LIMIT, Example
from models.average_precision import Outcome
from models.boxes import Image

TILE_PX = 160
GAP_PX = 4
HEAD_PX = 22
SHEET_LIMIT_BYTES = 150_000
QUALITIES = (88, 80, 70, 60, 45, 30)
COLOURS = {
    Outcome.RIGHT: (80, 200, 60),
    Outcome.MISSED: (0, 190, 250),
    Outcome.WRONG: (60, 60, 240),
}
"""BGR of a box's frame."""


def contact_sheet(label: str, examples: Sequence[Example]) -> Image:
    """Return a sheet of EXAMPLES_LIMIT columns, one row each for true, missed and false."""
    width = GAP_PX + EXAMPLES_LIMIT * (TILE_PX + GAP_PX)
    row_px = HEAD_PX + TILE_PX + GAP_PX
    sheet = np.full((row_px * len(COLOURS), width, 3), 245, np.uint8)
    for row, outcome in enumerate(COLOURS):
        top = row * row_px
        there = [e for e in examples if e.label == label and e.outcome is outcome]
        title = f"{label}: {outcome}" if there else f"{label}: {outcome}: none"
        cv2.putText(
            sheet, title, (GAP_PX, top + 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (30, 30, 30), 1,
            cv2.LINE_AA,
        )  # fmt: skip
        for column, example in enumerate(there[:EXAMPLES_LIMIT]):
            left = GAP_PX + column * (TILE_PX + GAP_PX)
            tile = _tile(example)
            sheet[top + HEAD_PX : top + HEAD_PX + TILE_PX, left : left + TILE_PX] = tile
    return sheet


def sheet_jpeg(sheet: Image) -> bytes:
    """Return the sheet as the best JPEG of QUALITIES within SHEET_LIMIT_BYTES, else the last."""
    jpeg = b""
    for quality in QUALITIES:
        jpeg = cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(jpeg) <= SHEET_LIMIT_BYTES:
            break
    return jpeg


def _tile(example: Example) -> Image:
    """Cut a square about a box, twice as wide, with the box framed."""
    box = example.box
    side = int(max(box.x1_px - box.x0_px, box.y1_px - box.y0_px, 24) * 2)
    side = min(side, 2 * max(example.image.shape[:2]))
    left = int((box.x0_px + box.x1_px - side) / 2)
    top = int((box.y0_px + box.y1_px - side) / 2)
    pad = side
    h, w = example.image.shape[:2]
    left, top = min(max(left, -pad), w), min(max(top, -pad), h)
    around = cv2.copyMakeBorder(
        example.image, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=(114, 114, 114)
    )
    cut = around[top + pad : top + pad + side, left + pad : left + pad + side]
    small = cv2.resize(cut, (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA)
    tile = np.asarray(small, np.uint8)
    gain = TILE_PX / side
    _framed(tile, box, left, top, gain, COLOURS[example.outcome])
    return tile


def _framed(
    tile: Image, box: Detection, left: int, top: int, gain: float, colour: tuple[int, int, int]
) -> None:
    one = int((box.x0_px - left) * gain), int((box.y0_px - top) * gain)
    other = int((box.x1_px - left) * gain), int((box.y1_px - top) * gain)
    cv2.rectangle(tile, one, other, colour, 2)
