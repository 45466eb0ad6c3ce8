"""`gridwing models measure` on every set: what it prints, writes and passes over."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from gridwing.labelled_sets import REAL, labelled_sets
from gridwing.models_cli import models_group
from simulators.heldout.scene import CLASSES


def measured(*asked: str) -> dict[str, dict[str, object]]:
    done = CliRunner().invoke(models_group, ["measure", "--json", *asked])
    assert done.exit_code == 0, done.output
    return {each["set"]: each for each in json.loads(done.stdout)["sets"]}


def test_each_drawn_set_has_figures_of_every_class(tmp_path: Path) -> None:
    drawn = ("heldout", "recoloured", "negatives", "renders")
    sets = [word for name in drawn for word in ("--set", name)]
    told = measured("--pictures", "3", *sets, "--sheet", str(tmp_path))
    assert set(told) == set(drawn)
    for figures in told.values():
        assert figures["pictures"] == 3
        assert set(figures["per_class"]) == set(CLASSES)  # type: ignore[call-overload]
    sheets = list(tmp_path.glob("heldout-*.jpg"))
    assert sheets
    assert all(cv2.imread(str(path)) is not None for path in sheets)


def test_photographs_that_are_not_there_are_passed_over_with_a_word(tmp_path: Path) -> None:
    asked = ["measure", "--set", "real", "--real", str(tmp_path), "--json"]
    done = CliRunner().invoke(models_group, asked)
    assert done.exit_code == 0
    assert "--real" in done.stderr
    assert json.loads(done.stdout)["sets"] == []


def test_a_folder_of_photographs_is_judged_on_its_own_classes(tmp_path: Path) -> None:
    folder = tmp_path / "garbage_street"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    cv2.imwrite(str(folder / "images" / "one.jpg"), np.full((100, 200, 3), 90, np.uint8))
    lines = "0 0.5 0.5 0.2 0.4\n1 0.1 0.1 0.1 0.1\n2 0.8 0.5 0.1 0.2\n"
    (folder / "labels" / "one.txt").write_text(lines)
    (found,) = labelled_sets("real", 10, tmp_path)
    (picture,) = found.pictures
    assert found.classes == ("exposed_rubbish",)
    assert [(t.box.label, t.ignore) for t in picture.true] == [
        ("exposed_rubbish", False),
        ("exposed_rubbish", True),
    ]
    box = picture.true[0].box
    corners = (box.x0_px, box.y0_px, box.x1_px, box.y1_px)
    assert corners == pytest.approx((80, 30, 120, 70))


@pytest.mark.skipif(not REAL.is_dir(), reason="the shared photographs are not beside this tree")
def test_real_photographs_are_measured_where_they_are() -> None:
    told = measured("--pictures", "4", "--set", "real")
    assert set(told["real/fire_smoke_cctv"]["per_class"]) == {"fire", "smoke"}  # type: ignore[call-overload]


def test_a_file_without_a_card_is_refused_with_the_cure(tmp_path: Path) -> None:
    done = CliRunner().invoke(models_group, ["measure", "--model", str(tmp_path / "mine.onnx")])
    assert done.exit_code == 1
    assert "models add" in done.output
