"""Labelled pictures: YOLO folders read, COCO turned into them, wrong ones refused by name."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.labelled import from_coco, open_labelled


def write_folder(path: Path, label: str = "0 0.5 0.5 0.5 0.25\n") -> Path:
    for name in ("images", "labels"):
        (path / name).mkdir(parents=True)
    cv2.imwrite(str(path / "images" / "one.jpg"), np.full((40, 80, 3), 90, np.uint8))
    cv2.imwrite(str(path / "images" / "two.png"), np.full((40, 80, 3), 90, np.uint8))
    (path / "labels" / "one.txt").write_text(label)
    (path / "classes.txt").write_text("fire\nsmoke\n")
    return path


def test_a_yolo_folder_is_read(tmp_path: Path) -> None:
    folder = open_labelled(write_folder(tmp_path / "a"))
    assert folder.classes == ("fire", "smoke")
    (one, boxes), (_, none) = folder.read()
    assert one.shape == (40, 80, 3)
    assert [(b.label, b.x0_px, b.y0_px, b.x1_px, b.y1_px) for b in boxes] == [
        ("fire", 20.0, 15.0, 60.0, 25.0)
    ]
    assert none == []


@pytest.mark.parametrize("line", ["0 0.5 0.5 0.5", "7 0.5 0.5 0.1 0.1", "fire 0.5 0.5 0.1 0.1"])
def test_a_wrong_line_is_named(tmp_path: Path, line: str) -> None:
    folder = open_labelled(write_folder(tmp_path / "a", f"0 0.5 0.5 0.5 0.25\n{line}\n"))
    with pytest.raises(ValueError, match=r"one\.txt:2"):
        list(folder.read())


def test_a_folder_without_pictures_or_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="images/"):
        open_labelled(tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(ValueError, match=r"classes\.txt"):
        open_labelled(tmp_path)
    assert open_labelled(tmp_path, ("fire",)).classes == ("fire",)
    (tmp_path / "classes.txt").write_text("fire\nfire\n")
    with pytest.raises(ValueError, match="each once"):
        open_labelled(tmp_path)


def coco(**changes: object) -> str:
    data = {
        "categories": [{"id": 7, "name": "fire"}, {"id": 9, "name": "smoke"}],
        "images": [{"id": 3, "file_name": "one.jpg", "width": 80, "height": 40}],
        "annotations": [
            {"image_id": 3, "category_id": 9, "bbox": [20, 15, 40, 10]},
            {"image_id": 3, "category_id": 7, "bbox": [0, 0, 9, 9], "iscrowd": 1},
        ],
    }
    return json.dumps(data | changes)


def test_coco_becomes_a_yolo_folder(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "a")
    (tmp_path / "found.json").write_text(coco())
    folder = from_coco(tmp_path / "found.json", source / "images", tmp_path / "b")
    ((_, (box,)),) = folder.read()
    assert (box.label, box.x0_px, box.y1_px) == ("smoke", 20.0, 25.0)


@pytest.mark.parametrize(
    "text",
    ["{", "[]", coco(images=None), coco(annotations=[{"image_id": 4, "category_id": 9}])],
)
def test_what_is_no_coco_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "found.json").write_text(text)
    with pytest.raises(ValueError, match=r"found\.json: not COCO"):
        from_coco(tmp_path / "found.json", tmp_path, tmp_path / "b")


def test_a_picture_named_and_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "found.json").write_text(coco())
    with pytest.raises(ValueError, match=r"one\.jpg: named in found\.json"):
        from_coco(tmp_path / "found.json", tmp_path, tmp_path / "b")
