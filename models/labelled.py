"""Labelled pictures on disk: YOLO folders read, COCO files turned into them.

A YOLO folder holds images/, labels/ with a `class cx cy w h` a line in shares of the picture, and
classes.txt with a name a line (docs.ultralytics.com/datasets/detect). A picture without a label
file shows nothing of interest.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from domain.hazard import Detection
from models.boxes import Image
from models.pictures import read_picture

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
CLASSES_FILE = "classes.txt"
CLASSES_LIMIT = 1000
Labelled = tuple[Image, list[Detection]]


@dataclass(frozen=True, slots=True)
class LabelledFolder:
    path: Path
    classes: tuple[str, ...]

    def pictures(self) -> Iterator[Path]:
        """Yield the picture files, by name."""
        for path in sorted((self.path / "images").iterdir()):
            if path.suffix.lower() in PICTURE_SUFFIXES:
                yield path

    def read(self) -> Iterator[Labelled]:
        """Yield (picture, true boxes). Raises BadPicture, and ValueError naming a wrong line."""
        for path in self.pictures():
            image = read_picture(path)
            label = self.path / "labels" / f"{path.stem}.txt"
            h, w = image.shape[:2]
            lines = label.read_text(encoding="utf-8").splitlines() if label.is_file() else []
            yield image, [self._box(label, i, line, w, h) for i, line in enumerate(lines, 1)]

    def _box(self, label: Path, number: int, line: str, w: int, h: int) -> Detection:
        words = line.split()
        try:
            kind = self.classes[int(words[0])]
            cx, cy, bw, bh = (float(v) for v in words[1:])
        except (ValueError, IndexError) as error:
            raise ValueError(f"{label}:{number}: want `class cx cy w h`, got {line!r}") from error
        x0, y0 = (cx - bw / 2) * w, (cy - bh / 2) * h
        return Detection(kind, 1.0, x0, y0, x0 + bw * w, y0 + bh * h)


def open_labelled(path: Path, classes: Sequence[str] = ()) -> LabelledFolder:
    """Return a YOLO folder; `classes` where it has no classes.txt. Raises ValueError."""
    if not (path / "images").is_dir():
        raise ValueError(f"{path}: a labelled folder has images/ and labels/")
    file = path / CLASSES_FILE
    names = tuple(classes)
    if file.is_file():
        lines = file.read_text(encoding="utf-8").splitlines()
        names = tuple(line.strip() for line in lines if line.strip())
    if not 0 < len(names) <= CLASSES_LIMIT or len(set(names)) != len(names):
        raise ValueError(f"{file}: a name a line, each once, up to {CLASSES_LIMIT}")
    return LabelledFolder(path, names)


def from_coco(annotations: Path, images: Path, out: Path) -> LabelledFolder:
    """Copy COCO detection data (cocodataset.org/#format-data) into a YOLO folder at `out`.

    Crowd regions are left out. Raises ValueError naming what is missing in the file.
    """
    try:
        data = json.loads(annotations.read_text(encoding="utf-8"))
        categories = {int(c["id"]): str(c["name"]) for c in data["categories"]}
        pictures = {int(p["id"]): p for p in data["images"]}
        boxes = _boxes_by_picture(data["annotations"], list(categories), pictures)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{annotations}: not COCO detection data: {error!r}") from error
    for name in ("images", "labels"):
        (out / name).mkdir(parents=True, exist_ok=True)
    (out / CLASSES_FILE).write_text("".join(f"{n}\n" for n in categories.values()), "utf-8")
    for number, picture in pictures.items():
        source = images / Path(str(picture["file_name"])).name
        if not source.is_file():
            raise ValueError(f"{source}: named in {annotations.name}, but not there")
        target = out / "images" / f"{number:012d}{source.suffix.lower()}"
        shutil.copyfile(source, target)
        label = out / "labels" / f"{number:012d}.txt"
        label.write_text("".join(boxes.get(number, [])), encoding="utf-8")
    return open_labelled(out)


def _boxes_by_picture(
    annotations: Sequence[Any], order: Sequence[int], pictures: dict[int, Any]
) -> dict[int, list[str]]:
    lines: dict[int, list[str]] = {}
    for each in annotations:
        if each.get("iscrowd"):
            continue
        number = int(each["image_id"])
        w, h = float(pictures[number]["width"]), float(pictures[number]["height"])
        x, y, bw, bh = (float(v) for v in each["bbox"])
        kind = order.index(int(each["category_id"]))
        numbers = ((x + bw / 2) / w, (y + bh / 2) / h, bw / w, bh / h)
        lines.setdefault(number, []).append(f"{kind} {' '.join(f'{v:.6f}' for v in numbers)}\n")
    return lines
