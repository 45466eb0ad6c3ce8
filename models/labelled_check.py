"""What is wrong with labelled pictures somebody corrected: every fault by its file and line."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from models.labelled import LabelledFolder
from models.pictures import BadPicture, read_picture

FAULTS_LIMIT = 1000
BEYOND_SHARE = 0.002
"""How far a box may reach out of its picture: tools round."""
LEAST_SHARE = 1e-5


@dataclass(frozen=True, slots=True)
class Fault:
    """`line` is 0 where the whole file is meant."""

    file: str
    line: int
    why: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.why}" if self.line else f"{self.file}: {self.why}"


@dataclass(frozen=True, slots=True)
class Checked:
    """`empty` pictures are said to show nothing; `unknown` are classes nobody asks for."""

    pictures: int
    empty: int
    boxes: Counter[str]
    unknown: tuple[str, ...]
    faults: tuple[Fault, ...]


def checked(folder: LabelledFolder, known: Collection[str]) -> Checked:
    """Read every picture and label of a YOLO folder. At most FAULTS_LIMIT faults are told."""
    boxes, faults = Counter[str](), list[Fault]()
    pictures, empty = 0, 0
    named: dict[str, str] = {}
    for path in folder.pictures():
        pictures += 1
        if path.stem in named:
            faults.append(_fault(folder, path, 0, f"its label is also that of {named[path.stem]}"))
        named[path.stem] = path.name
        faults += _unreadable(folder, path)
        label = folder.path / "labels" / f"{path.stem}.txt"
        found = list(_lines(folder, label)) if label.is_file() else []
        boxes.update(kind for kind in found if isinstance(kind, str))
        faults += [fault for fault in found if isinstance(fault, Fault)]
        empty += not found
        if len(faults) >= FAULTS_LIMIT:
            break
    else:
        faults += _alone(folder, named)
    unknown = tuple(name for name in folder.classes if name not in known)
    return Checked(pictures, empty, boxes, unknown, tuple(faults[:FAULTS_LIMIT]))


def _fault(folder: LabelledFolder, path: Path, line: int, why: str) -> Fault:
    return Fault(path.relative_to(folder.path).as_posix(), line, why)


def _unreadable(folder: LabelledFolder, path: Path) -> Iterator[Fault]:
    try:
        read_picture(path)
    except BadPicture as error:
        yield _fault(folder, path, 0, str(error))


def _lines(folder: LabelledFolder, label: Path) -> Iterator[str | Fault]:
    """Yield the class of every good line, the fault of every other."""
    try:
        lines = label.read_text(encoding="utf-8").splitlines()
    except (UnicodeDecodeError, OSError) as error:
        yield _fault(folder, label, 0, f"cannot be read: {error}")
        return
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        why = wrong_with(line, folder.classes)
        if why is None:
            yield folder.classes[int(line.split()[0])]
        else:
            yield _fault(folder, label, number, why)


def wrong_with(line: str, classes: Sequence[str]) -> str | None:
    """Return what is wrong with one line of a label file, None where nothing is."""
    words = line.split()
    if len(words) != 5:
        return f"want `class cx cy w h`, got {len(words)} words (polygons are no boxes)"
    if not words[0].isdecimal():
        return f"its class is {words[0]!r}: want a number, 0 for the first line of classes.txt"
    if int(words[0]) >= len(classes):
        return f"class {words[0]} is unknown: classes.txt has {len(classes)}, 0 to {len(classes)-1}"
    try:
        cx, cy, w, h = (float(word) for word in words[1:])
    except ValueError:
        return "cx cy w h must be numbers"
    if not all(isfinite(v) for v in (cx, cy, w, h)):
        return "cx cy w h must be finite"
    if w < LEAST_SHARE or h < LEAST_SHARE:
        return f"a box of {w:g} × {h:g} of the picture is none"
    sides = cx - w / 2, cy - h / 2, 1 - cx - w / 2, 1 - cy - h / 2
    if min(sides) < -BEYOND_SHARE:
        return "its box reaches out of the picture: cx cy w h are shares of it, 0 to 1"
    return None


def _alone(folder: LabelledFolder, pictures: Collection[str]) -> Iterator[Fault]:
    for label in sorted((folder.path / "labels").glob("*.txt")):
        if label.stem not in pictures and label.name != "classes.txt":
            yield _fault(folder, label, 0, "no picture of that name is in images/")
