"""The labelled pictures a detector is measured on, by the name of their set."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from domain.hazard import Detection
from models.average_precision import TrueBox
from models.boxes import Image
from models.labelled import open_labelled
from models.pictures import read_picture
from simulators.heldout.scene import CLASSES, FIRST_SEED, Picture, draw
from simulators.render_dataset import sample, sample_in_town, towns

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "real"
RENDERS_FIRST_SEED = 900_000
"""Beyond every seed that is learnt from or chosen with (gridwing/hazard_figures.py)."""


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    name: str
    image: Image
    true: tuple[TrueBox, ...]


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """`classes` are all its labels speak of; boxes of others cannot be judged on it."""

    name: str
    classes: tuple[str, ...]
    pictures: Iterator[LabelledPicture]


class SetAbsent(LookupError):
    """The pictures are not on this machine; the text says where they were looked for."""


REAL_FOLDERS: Mapping[str, Mapping[int, str]] = {
    "fire_smoke_cctv": {0: "fire", 2: "smoke"},
    "garbage_street": {0: "exposed_rubbish"},
}
"""Folder -> number in its label files -> our class; other numbers (a bin, "default") are none."""
SPARED: Mapping[str, Mapping[int, str]] = {"garbage_street": {2: "exposed_rubbish"}}
"""An overflowing bin is rubbish to some: whoever says so is neither right nor wrong."""


def labelled_sets(name: str, pictures: int, real: Path) -> list[LabelledSet]:
    """Return heldout, recoloured, negatives, renders or real; real is one set a folder.

    The folder `real` holds the folders of REAL_FOLDERS, each with images/ and labels/ (YOLO txt).
    Raises SetAbsent when there is none.
    """
    if name == "real":
        return _real(real, pictures)
    seeds = range(FIRST_SEED, FIRST_SEED + pictures)
    if name == "renders":
        return [LabelledSet(name, CLASSES, _renders(pictures))]
    return [LabelledSet(name, CLASSES, (_heldout(seed, _DRAWN[name](seed)) for seed in seeds))]


_DRAWN: Mapping[str, Callable[[int], Picture]] = {
    "heldout": draw,
    "recoloured": partial(draw, recoloured=True),
    "negatives": partial(draw, hazards=False),
}


def of_folder(path: Path) -> LabelledSet:
    """Return the labelled pictures somebody has in YOLO form. Raises ValueError."""
    labelled = open_labelled(path)

    def pictures() -> Iterator[LabelledPicture]:
        for file, (image, boxes) in zip(labelled.pictures(), labelled.read(), strict=True):
            yield LabelledPicture(file.name, image, tuple(TrueBox(box) for box in boxes))

    return LabelledSet(path.name, labelled.classes, pictures())


def _heldout(seed: int, picture: Picture) -> LabelledPicture:
    true = (
        TrueBox(Detection(b.label, 1.0, b.x0_px, b.y0_px, b.x1_px, b.y1_px), b.ignore)
        for b in picture.labels
    )
    return LabelledPicture(str(seed), picture.image, tuple(true))


def _renders(pictures: int) -> Iterator[LabelledPicture]:
    """Yield made-up scenes and districts of the renderer that is learnt from, turn by turn."""
    choices = towns()
    for seed in range(RENDERS_FIRST_SEED, RENDERS_FIRST_SEED + pictures):
        made = sample(seed) if seed % 2 else sample_in_town(seed, choices)
        true = (TrueBox(Detection(b.kind, 1.0, b.x0, b.y0, b.x1, b.y1)) for b in made.boxes)
        kept = tuple(t for t in true if t.box.label in CLASSES)
        yield LabelledPicture(str(seed), made.image, kept)


def _real(folder: Path, pictures: int) -> list[LabelledSet]:
    there = [name for name in REAL_FOLDERS if (folder / name / "labels").is_dir()]
    if not there:
        raise SetAbsent(f"no labelled photographs in {folder}: name their folder with --real")
    return [
        LabelledSet(
            f"real/{name}",
            tuple(REAL_FOLDERS[name].values()),
            _photographs(folder / name, REAL_FOLDERS[name], SPARED.get(name, {}), pictures),
        )
        for name in there
    ]


def _photographs(
    folder: Path, classes: Mapping[int, str], spared: Mapping[int, str], pictures: int
) -> Iterator[LabelledPicture]:
    for path in sorted((folder / "images").glob("*.jpg"))[:pictures]:
        yield _photograph(path, classes, spared)


def _photograph(
    path: Path, classes: Mapping[int, str], spared: Mapping[int, str]
) -> LabelledPicture:
    """Read one picture and its YOLO lines: class, centre and size as shares of the picture."""
    image = read_picture(path)
    h, w = image.shape[:2]
    label = path.parent.parent / "labels" / f"{path.stem}.txt"
    true: list[TrueBox] = []
    for line in label.read_text().splitlines() if label.is_file() else ():
        number, *numbers = line.split()
        named = classes.get(int(number)) or spared.get(int(number))
        if named is not None:
            x, y, wide, high = (float(v) for v in numbers[:4])
            corners = (x - wide / 2) * w, (y - high / 2) * h, (x + wide / 2) * w, (y + high / 2) * h
            true.append(TrueBox(Detection(named, 1.0, *corners), int(number) in spared))
    return LabelledPicture(path.stem, image, tuple(true))
