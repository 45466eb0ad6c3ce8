"""What `gridwing models detect` does with one path: a picture or a video, judged or refused."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from domain.hazard import Detection
from models.boxes import Image
from models.catalogue import Card, Catalogue
from models.heads import open_detector
from models.labels import KIND_OF
from models.pictures import VIDEO_SUFFIXES, BadPicture, read_picture, read_video_frames
from models.slices import SlicedDetector
from models.together import SURE, TwoDetectors

Look = Callable[[Image], Sequence[Detection]]
PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})


def looker(card: Card, backend: str, least: float | None, slices: bool, python: str) -> Look:
    """Return what looks with one model, in slices too if asked. Raises WeightsError."""
    detector = open_detector(card, backend, least=least, python=python)
    return SlicedDetector(detector).detect if slices else detector.detect


def look_of_both(catalogue: Catalogue, backend: str, least: float | None) -> Look:
    """Return people and vehicles by one model in use, sure hazards by the other."""
    things = open_detector(catalogue.promoted("things"), backend, least=least)
    sure = SURE if least is None else least
    hazards = open_detector(catalogue.promoted("hazards"), backend, least=sure)
    return TwoDetectors(things, hazards).detect


def expanded(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the files, and in place of a folder the pictures and videos in it by name."""
    for path in paths:
        if path.is_dir():
            kinds = PICTURE_SUFFIXES | VIDEO_SUFFIXES
            yield from sorted(p for p in path.rglob("*") if p.suffix.lower() in kinds)
        else:
            yield path


def judged(look: Look, path: Path) -> dict[str, Any]:
    """Return {path, boxes} of a picture, {path, frames} of a video, or {path, refused: why}."""
    try:
        if path.suffix.lower() in VIDEO_SUFFIXES:
            frames = read_video_frames(path)
            return {"path": str(path), "frames": [_boxes(look, f) for f in frames]}
        return {"path": str(path), "boxes": _boxes(look, read_picture(path))}
    except BadPicture as error:
        return {"path": str(path), "refused": str(error)}


def _boxes(look: Look, image: Image) -> list[dict[str, Any]]:
    return [
        {
            "label": box.label,
            "hazard": KIND_OF[box.label].value if box.label in KIND_OF else None,
            "score": round(box.score, 3),
            "box_px": [round(v, 1) for v in (box.x0_px, box.y0_px, box.x1_px, box.y1_px)],
        }
        for box in look(image)
    ]


def lines(result: dict[str, Any]) -> Iterator[str]:
    """Yield a result as text for people."""
    yield result["path"]
    if "refused" in result:
        yield f"  refused: {result['refused']}"
    for box in result.get("boxes", [b for f in result.get("frames", []) for b in f]):
        yield f"  {box['label']:18} {box['score']:.2f}  {box['box_px']}"
