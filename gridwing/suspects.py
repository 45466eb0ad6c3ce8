"""Pictures of hazards as they were kept, out to be corrected by people, least sure ones first.

A picture is as it lies in the evidence store: blurred, without anything drawn on it. What the
detector found is the label to begin with, save where the incident turned out to be none.
"""

import csv
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np

from domain.codec import instant_text
from domain.events import (
    HazardRaised,
    IncidentClosed,
    IncidentDismissed,
    IncidentFused,
    IncidentReported,
)
from domain.hazard import Detection, Hazard
from domain.incident import CloseOutcome
from models.labelled import CLASSES_FILE
from models.noted import Noted, noted_in
from runtime.evidence import EvidenceStore
from runtime.ledger import Entry

OF_SUSPECTS = (HazardRaised, IncidentReported, IncidentFused, IncidentClosed, IncidentDismissed)
CONFIRMED, FALSE, UNJUDGED = VERDICTS = ("confirmed", "false", "unjudged")
HANDLED = frozenset({CloseOutcome.HANDLED, CloseOutcome.HANDED_OVER})
ANNOTATIONS_FILE, LIST_FILE = "annotations.json", "suspects.csv"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A kept picture of a hazard; `margin` is by how much its surest box passed the threshold."""

    sha256: str
    hazard: Hazard
    verdict: str
    noted: Noted
    margin: float
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class Exported:
    """How many pictures were written, by verdict, and how many could not be."""

    written: Mapping[str, int]
    gone: int
    without_boxes: int


def suspects(
    entries: Iterable[Entry], since: datetime, until: datetime
) -> list[tuple[str, Hazard, str]]:
    """Return (picture, hazard, verdict) of the hazards of a time, from the whole ledger."""
    hazards: list[Hazard] = []
    incident_of: dict[str, str] = {}
    outcomes: dict[str, CloseOutcome] = {}
    for entry in entries:
        event = entry.event
        if isinstance(event, HazardRaised) and since <= event.hazard.last_seen_at < until:
            hazards.append(event.hazard)
        elif isinstance(event, IncidentReported | IncidentFused):
            incident_of[event.cause] = event.incident_id
        elif isinstance(event, IncidentClosed | IncidentDismissed):
            outcomes[event.incident_id] = event.outcome
    found = []
    for hazard in hazards:
        outcome = outcomes.get(incident_of.get(hazard.hazard_id, ""))
        verdict = UNJUDGED if outcome is None else CONFIRMED if outcome in HANDLED else FALSE
        found += [(sha256, hazard, verdict) for sha256 in hazard.evidence]
    return found


def export(
    found: Sequence[tuple[str, Hazard, str]],
    evidence: EvidenceStore,
    classes: Sequence[str],
    thresholds: Mapping[str, float],
    out: Path,
    coco: bool,
    limit: int,
) -> Exported:
    """Write the `limit` least sure pictures into the new folder `out`, in YOLO or COCO form.

    Raises ValueError where the folder is not empty.
    """
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty: give a new folder, corrections are not overwritten")
    kept, gone, without = list[Suspect](), 0, 0
    for sha256, hazard, verdict in found:
        jpeg = evidence.get(sha256)
        noted = None if jpeg is None else noted_in(jpeg)
        if jpeg is None:
            gone += 1
        elif noted is None or not noted.marked:
            without += 1
        else:
            margin = max(b.score - thresholds.get(b.label, 0.0) for b in noted.marked)
            kept.append(Suspect(sha256, hazard, verdict, noted, margin, jpeg))
    kept = sorted(kept, key=lambda s: (s.margin, s.sha256))[:limit]
    _write(kept, classes, out, coco)
    written = {v: sum(s.verdict == v for s in kept) for v in VERDICTS}
    return Exported(written, gone, without)


def _write(kept: Sequence[Suspect], classes: Sequence[str], out: Path, coco: bool) -> None:
    (out / "images").mkdir(parents=True, exist_ok=True)
    pictures = []
    for number, suspect in enumerate(kept, 1):
        name = f"{number:05d}-{suspect.verdict}-{suspect.hazard.kind.value}-{suspect.sha256[:8]}"
        (out / "images" / f"{name}.jpg").write_bytes(suspect.jpeg)
        pictures.append((name, suspect, _size_px(suspect.jpeg)))
    with (out / LIST_FILE).open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("picture", "verdict", "kind", "device", "at", "score", "margin", "sha256"))
        for name, s, _ in pictures:
            at = instant_text(s.hazard.last_seen_at)
            numbers = (f"{s.hazard.score:.3f}", f"{s.margin:.3f}")
            about = (s.verdict, s.hazard.kind.value, s.hazard.device_sn, at)
            rows.writerow((f"{name}.jpg", *about, *numbers, s.sha256))
    if coco:
        text = json.dumps(_coco(pictures, classes), ensure_ascii=False, indent=1)
        (out / ANNOTATIONS_FILE).write_text(text, encoding="utf-8")
    else:
        _write_yolo(pictures, classes, out)


Picture = tuple[str, Suspect, tuple[int, int]]


def _size_px(jpeg: bytes) -> tuple[int, int]:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    return (0, 0) if image is None else (image.shape[1], image.shape[0])


def boxes_to_begin_with(suspect: Suspect, classes: Sequence[str]) -> Iterator[Detection]:
    """Yield what is labelled until somebody corrects it: not what made a false alarm."""
    if suspect.verdict != FALSE:
        yield from (b for b in suspect.noted.marked if b.label in classes)
    yield from (b for b in suspect.noted.others if b.label in classes)


def _write_yolo(pictures: Sequence[Picture], classes: Sequence[str], out: Path) -> None:
    """Write labels/, classes.txt (Label Studio), labels/classes.txt (LabelImg) and data.yaml
    (Ultralytics)."""
    (out / "labels").mkdir()
    for name, suspect, (w, h) in pictures:
        lines = []
        for b in boxes_to_begin_with(suspect, classes):
            x0, x1 = (min(max(x / w, 0.0), 1.0) for x in (b.x0_px, b.x1_px))
            y0, y1 = (min(max(y / h, 0.0), 1.0) for y in (b.y0_px, b.y1_px))
            if x1 > x0 and y1 > y0:
                numbers = (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0
                shares = " ".join(f"{v:.6f}" for v in numbers)
                lines.append(f"{classes.index(b.label)} {shares}\n")
        (out / "labels" / f"{name}.txt").write_text("".join(lines), encoding="utf-8")
    (out / CLASSES_FILE).write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")
    shutil.copyfile(out / CLASSES_FILE, out / "labels" / CLASSES_FILE)
    names = "".join(f"  {i}: {name}\n" for i, name in enumerate(classes))
    text = f"train: images\nval: images\nnames:\n{names}"
    (out / "data.yaml").write_text(text, encoding="utf-8")


def _coco(pictures: Sequence[Picture], classes: Sequence[str]) -> dict[str, object]:
    images, annotations = [], list[dict[str, object]]()
    for number, (name, suspect, (w, h)) in enumerate(pictures, 1):
        images.append({"id": number, "file_name": f"{name}.jpg", "width": w, "height": h})
        for b in boxes_to_begin_with(suspect, classes):
            x0, x1 = (round(min(max(x, 0.0), float(w)), 2) for x in (b.x0_px, b.x1_px))
            y0, y1 = (round(min(max(y, 0.0), float(h)), 2) for y in (b.y0_px, b.y1_px))
            if x1 > x0 and y1 > y0:
                box = [x0, y0, round(x1 - x0, 2), round(y1 - y0, 2)]
                kind = classes.index(b.label) + 1
                annotations.append(
                    {"id": len(annotations) + 1, "image_id": number, "category_id": kind,
                     "bbox": box, "area": round(box[2] * box[3], 1), "iscrowd": 0}
                )  # fmt: skip
    categories = [{"id": i, "name": name} for i, name in enumerate(classes, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}
