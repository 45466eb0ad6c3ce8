"""A user's own weights beside ours: taken up, put to use, rolled back, refused."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from gridwing.models_cli import models_group
from models.catalogue import (
    HAZARDS,
    THINGS,
    Catalogue,
    WeightsError,
    card_text,
    digest,
    read_card,
    whole,
)
from models.heads import open_detector
from models.runners import BACKENDS
from runtime.settings import VISION_BACKENDS
from tests.core.tiny_yolo import write_tiny_yolo

CARD = {"task": "hazards", "head": "yolo", "licence": "MIT", "source": "s", "trained_on": "t"}
COLOURS = ("red", "green", "blue")


def _text(weights: Path, **fields: str) -> str:
    head = "".join(f"{k} = {json.dumps(v)}\n" for k, v in (CARD | fields).items())
    return card_text(
        head, digest(weights), COLOURS, {"thresholds": dict.fromkeys(COLOURS, 0.5)}
    )


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_tiny_yolo(tmp_path / "mine.onnx")


@pytest.fixture
def catalogue(tmp_path: Path, weights: Path) -> Catalogue:
    own = Catalogue(tmp_path / "own")
    own.add(weights, _text(weights))
    return own


def test_ours_are_in_use_until_another_is_promoted(catalogue: Catalogue) -> None:
    assert catalogue.in_use() == {HAZARDS, THINGS, "centerface"}
    catalogue.promote("mine")
    assert Catalogue(catalogue.own).promoted("hazards").name == "mine"
    assert catalogue.in_use() == {"mine", THINGS, "centerface"}


def test_rolling_back_goes_the_way_back_step_by_step(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    second = write_tiny_yolo(tmp_path / "second.onnx", 64, 64)
    catalogue.add(second, _text(second))
    for name in ("mine", "second", "second", "mine"):
        catalogue.promote(name)
    assert [catalogue.roll_back("hazards").name for _ in range(3)] == ["second", "mine", HAZARDS]
    with pytest.raises(WeightsError, match="first in use"):
        catalogue.roll_back("hazards")


def test_weights_changed_after_their_card_are_not_put_to_use(catalogue: Catalogue) -> None:
    found = catalogue.card("mine")
    found.path.write_bytes(found.path.read_bytes() + b"\0")
    assert not whole(found)
    with pytest.raises(WeightsError, match="differs from its card"):
        catalogue.promote("mine")
    with pytest.raises(WeightsError, match="differs from its card"):
        open_detector(found)


def test_a_wrong_card_is_refused_and_nothing_is_left(tmp_path: Path, weights: Path) -> None:
    own = Catalogue(tmp_path / "fresh")
    with pytest.raises(WeightsError, match="task is one of"):
        own.add(weights, _text(weights, task="weather"))
    assert not list((tmp_path / "fresh").iterdir())


def test_a_head_nobody_knows_is_refused_by_name(tmp_path: Path, weights: Path) -> None:
    found = Catalogue(tmp_path / "fresh").add(weights, _text(weights, head="unknown"))
    with pytest.raises(WeightsError, match="no detector for the head 'unknown'"):
        open_detector(found)


def test_the_setting_offers_the_backends_there_are() -> None:
    assert set(VISION_BACKENDS[1]) == set(BACKENDS)


def test_a_card_without_a_field_is_refused_by_name(tmp_path: Path, weights: Path) -> None:
    text = _text(weights).replace('licence = "MIT"\n', "")
    with pytest.raises(WeightsError, match="needs licence"):
        Catalogue(tmp_path / "fresh").add(weights, text)


def test_a_name_that_ships_cannot_be_taken(tmp_path: Path) -> None:
    weights = write_tiny_yolo(tmp_path / f"{HAZARDS}.onnx")
    with pytest.raises(WeightsError, match="rename"):
        Catalogue(tmp_path / "own").add(weights, _text(weights))


def test_a_spoilt_record_of_promotions_is_named(catalogue: Catalogue) -> None:
    assert catalogue.own is not None
    (catalogue.own / "promoted.json").write_text("[]")
    with pytest.raises(WeightsError, match=r"promoted\.json"):
        catalogue.promoted("hazards")


def _asked(monkeypatch: pytest.MonkeyPatch, own: Path, *arguments: str) -> Result:
    monkeypatch.setenv("GRIDWING_MODELS_DIR", str(own))
    return CliRunner().invoke(models_group, list(arguments))


def test_a_models_life_on_the_command_line(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    nameless = _asked(monkeypatch, own, "add", str(weights), "--licence", "MIT")
    assert nameless.exit_code == 1
    assert "--classes" in nameless.output
    named = ["--licence", "MIT", "--classes", "red, green,blue"]
    assert _asked(monkeypatch, own, "add", str(weights), *named).exit_code == 0
    picture = tmp_path / "red.png"
    cv2.imwrite(str(picture), np.full((96, 128, 3), (0, 0, 255), np.uint8))
    seen = _asked(monkeypatch, own, "detect", "--model", "mine", "--json", str(picture))
    assert {box["label"] for box in json.loads(seen.stdout)[0]["boxes"]} == {"red"}
    assert _asked(monkeypatch, own, "promote", "mine").exit_code == 0
    rows = {r["model"]: r for r in json.loads(_asked(monkeypatch, own, "check", "--json").stdout)}
    assert (rows["mine"]["promoted"], rows[HAZARDS]["promoted"]) == (True, False)
    assert rows["mine"]["independent"] == {"map50": None, "per_class": {}}
    assert HAZARDS in _asked(monkeypatch, own, "rollback").output
    listed = json.loads(_asked(monkeypatch, own, "list", "--json").stdout)
    assert {r["model"]: r["promoted"] for r in listed}[HAZARDS]


def _labelled(folder: Path) -> Path:
    """Return a YOLO folder of one picture: red in the upper left cell, blue in the lower right."""
    image = np.full((96, 128, 3), 60, np.uint8)
    image[:32, :32], image[-32:, -32:] = (0, 0, 255), (255, 0, 0)
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    cv2.imwrite(str(folder / "images" / "one.png"), image)
    (folder / "labels" / "one.txt").write_text(
        f"0 0.125 {1 / 6} 0.25 {1 / 3}\n2 0.875 {5 / 6} 0.25 {1 / 3}\n"
    )
    (folder / "classes.txt").write_text("\n".join(COLOURS))
    return folder


def test_two_models_are_compared_on_the_same_pictures(
    tmp_path: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write_tiny_yolo(tmp_path / "other.onnx")
    names = ["red", "blue", "green"]
    head = "".join(f"{k} = {json.dumps(v)}\n" for k, v in CARD.items())
    parts = {"thresholds": dict.fromkeys(names, 0.5)}
    catalogue.add(other, card_text(head, digest(other), names, parts))
    assert catalogue.own is not None
    folder = _labelled(tmp_path / "labelled")
    done = _asked(monkeypatch, catalogue.own, "compare", "mine", "other", str(folder), "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["a"]["map50"] == 1.0
    assert told["gained"] == {"red": 0.0, "green": None, "blue": -1.0}
    text = _asked(monkeypatch, catalogue.own, "compare", "mine", "other", str(folder))
    assert "-1.000" in text.stdout


def test_a_model_is_handed_on_with_its_card_and_licence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = _asked(monkeypatch, tmp_path / "own", "export", THINGS, "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    assert whole(read_card(tmp_path / "out" / f"{THINGS}.toml"))
    assert (tmp_path / "out" / "LICENSE-human-models.txt").is_file()


def test_a_file_that_is_no_network_is_not_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tmp_path / "text.onnx"
    text.write_text("hello")
    done = _asked(monkeypatch, tmp_path / "own", "add", str(text), "--classes", "a")
    assert done.exit_code == 1
    assert "text.onnx" in done.output
