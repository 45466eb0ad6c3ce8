"""The weights that ship, what they refuse, and what `gridwing models` prints."""

import io
import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from domain.hazard import Detection, HazardKind
from gridwing.models_cli import models_group
from models.boxes import letterboxed, suppressed
from models.catalogue import HAZARDS, THINGS, WeightsError, card, cards, whole
from models.heads import open_detector
from models.labels import KIND_OF
from models.onnx_centre import HEIGHT_PX, WIDTH_PX
from models.pictures import BadPicture, read_picture
from models.privacy import blur_box
from models.slices import detect_pieces, detect_sliced
from models.together import TwoDetectors
from simulators.render_dataset import CLASSES, sample

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "real"


def test_every_weights_file_is_the_one_its_card_describes() -> None:
    assert {"centerface", HAZARDS, THINGS} <= {c.name for c in cards()}
    for found in cards():
        assert whole(found), found.path.name
        assert found.licence
        assert found.path.parent.name == found.licence.lower()
        assert set(found.thresholds) == set(found.classes)


def test_the_card_has_the_classes_the_renders_are_labelled_with() -> None:
    assert card(HAZARDS).classes == CLASSES
    assert set(KIND_OF) < set(CLASSES)
    assert set(KIND_OF.values()) < set(HazardKind)


def test_an_unknown_model_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(WeightsError, match=HAZARDS):
        card("nothing")


def test_one_picture_gives_the_same_boxes_each_time() -> None:
    image = sample(5).image
    first, second = (open_detector(card(HAZARDS), least=0.05) for _ in range(2))
    assert first.detect(image) == second.detect(image)


def test_boxes_lie_in_the_picture_and_the_surest_comes_first() -> None:
    detector = open_detector(card(HAZARDS), least=0.03)
    for seed in range(6):
        image = sample(seed).image
        found = detector.detect(image)
        scores = [box.score for box in found]
        assert scores == sorted(scores, reverse=True)
        for box in found:
            assert 0 <= box.x0_px <= box.x1_px <= image.shape[1]
            assert 0 <= box.y0_px <= box.y1_px <= image.shape[0]


def test_a_picture_without_colours_is_refused() -> None:
    with pytest.raises(ValueError, match="BGR"):
        open_detector(card(HAZARDS)).detect(np.zeros((40, 40), np.uint8))


@pytest.mark.parametrize("shape", [(360, 640, 3), (640, 360, 3), (20, 900, 3)])
def test_the_whole_picture_fits_the_network(shape: tuple[int, int, int]) -> None:
    canvas, gain, left, top = letterboxed(np.full(shape, 255, np.uint8), WIDTH_PX, HEIGHT_PX)
    assert canvas.shape == (HEIGHT_PX, WIDTH_PX, 3)
    assert left + round(shape[1] * gain) <= WIDTH_PX
    assert top + round(shape[0] * gain) <= HEIGHT_PX


def test_overlapping_boxes_of_a_class_are_one() -> None:
    corners = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [1, 0, 11, 10], [50, 50, 60, 60]], float)
    score, kind = np.array([0.9, 0.8, 0.7, 0.6], np.float32), np.array([0, 0, 1, 0])
    assert suppressed(corners, score, kind, 0.45) == [0, 2, 3]


def test_a_blurred_box_keeps_no_detail() -> None:
    image = np.random.default_rng(1).integers(0, 255, (90, 90, 3), np.uint8)
    before = image.copy()
    blur_box(image, 30, 30, 60, 60)
    assert image[32:58, 32:58].astype(float).std() < before[32:58, 32:58].astype(float).std() / 2
    assert np.array_equal(image[:15], before[:15])


@pytest.fixture
def bad_files(tmp_path: Path) -> dict[str, Path]:
    """Return name → file, one for each way a picture can be no picture."""
    good = cv2.imencode(".jpg", sample(3).image)[1].tobytes()
    files = {"truncated": good[: len(good) // 2], "empty": b"", "text": b"not a picture"}
    paths = {}
    for name, content in files.items():
        paths[name] = tmp_path / f"{name}.jpg"
        paths[name].write_bytes(content)
    paths["tiny"] = tmp_path / "tiny.png"
    PillowImage.new("RGB", (1, 1)).save(paths["tiny"])
    paths["bomb"] = tmp_path / "bomb.png"
    PillowImage.new("1", (30_000, 30_000)).save(paths["bomb"])
    paths["absent"] = tmp_path / "absent.jpg"
    return paths


def test_what_a_picture_may_be_made_of(tmp_path: Path) -> None:
    colours = PillowImage.fromarray(np.full((40, 60, 3), (200, 30, 30), np.uint8))
    colours.convert("CMYK").save(tmp_path / "cmyk.jpg")
    colours.convert("P").save(tmp_path / "palette.png")
    colours.save(tmp_path / "two.mpo", save_all=True, append_images=[colours])
    for name in ("cmyk.jpg", "palette.png", "two.mpo"):
        assert np.abs(read_picture(tmp_path / name)[20, 30].astype(int) - (30, 30, 200)).max() < 40
    clear = colours.convert("RGBA")
    clear.putalpha(0)
    clear.save(tmp_path / "clear.png")
    assert (read_picture(tmp_path / "clear.png") == 114).all()
    values = np.linspace(-1, 1, 2400, dtype=np.float32).reshape(40, 60)
    values[0, 0] = np.nan
    PillowImage.fromarray(values).save(tmp_path / "heights.tif")
    assert read_picture(tmp_path / "heights.tif").max() == 255


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"]),
    at=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.integers(0, 2000),
)
def test_a_spoilt_file_is_read_or_refused(kind: str, at: list[tuple[int, int]], cut: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (24, 30, 3), np.uint8)
    sink = io.BytesIO()
    PillowImage.fromarray(pixels).save(sink, kind)
    content = bytearray(sink.getvalue())
    for place, value in at:
        content[place % len(content)] = value
    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        file.write(content[: len(content) - cut % (len(content) // 2)])
        file.flush()
        try:
            image = read_picture(Path(file.name))
        except BadPicture:
            return
    assert image.dtype == np.uint8
    assert image.shape[2:] == (3,)


@pytest.mark.parametrize("name", ["truncated", "empty", "text", "tiny", "bomb", "absent"])
def test_what_is_no_whole_picture_is_refused(bad_files: dict[str, Path], name: str) -> None:
    with pytest.raises(BadPicture):
        read_picture(bad_files[name])


def test_grey_sixteen_bit_and_turned_pictures_are_read(tmp_path: Path) -> None:
    ramp = np.linspace(0, 60_000, 40 * 30).reshape(30, 40)
    cv2.imwrite(str(tmp_path / "deep.png"), ramp.astype(np.uint16))
    cv2.imwrite(str(tmp_path / "grey.png"), (ramp / 256).astype(np.uint8))
    for name in ("deep.png", "grey.png"):
        image = read_picture(tmp_path / name)
        assert image.shape == (30, 40, 3)
        assert image.max() > 200
    turned = PillowImage.new("RGB", (40, 30))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    assert read_picture(tmp_path / "turned.jpg").shape == (40, 30, 3)


def test_detect_judges_the_good_and_refuses_the_bad(
    bad_files: dict[str, Path], tmp_path: Path
) -> None:
    good = tmp_path / "good.png"
    cv2.imwrite(str(good), sample(3).image)
    arguments = ["detect", str(bad_files["truncated"]), str(good), "--least", "0.05", "--json"]
    arguments += ["--model", HAZARDS]
    done = CliRunner().invoke(models_group, arguments)
    assert done.exit_code == 1
    refused, judged = json.loads(done.stdout)
    assert "picture" in refused["refused"]
    assert {"label", "hazard", "score", "box_px"} == set(judged["boxes"][0])


def test_check_names_licence_and_origin() -> None:
    done = CliRunner().invoke(models_group, ["check", "--json"])
    assert done.exit_code == 0
    hazards = next(row for row in json.loads(done.stdout) if row["model"] == HAZARDS)
    assert hazards["licence"] == "Apache-2.0"
    assert "simulator renders" in hazards["trained_on"]


def test_real_photographs_are_judged_without_a_refusal() -> None:
    folder = REAL / "fire_smoke_cctv"
    if not folder.is_dir():
        pytest.skip(f"no real photographs at {folder}")
    done = CliRunner().invoke(models_group, ["detect", str(folder), "--json"])
    assert done.exit_code == 0
    labels = {box["label"] for row in json.loads(done.stdout) for box in row["boxes"]}
    assert labels <= {"person", "vehicle", "fire", "smoke"}


def test_both_detectors_are_heard_and_nothing_twice() -> None:
    image = np.zeros((300, 300, 3), np.uint8)

    class Things:
        def detect(self, image: np.ndarray) -> list[Detection]:
            return [Detection("vehicle", 0.6, 0, 0, 50, 50)]

    class Hazards:
        def detect(self, image: np.ndarray) -> list[Detection]:
            twice = [Detection("fire", s, 100, 100, 150, 150) for s in (0.8, 0.9)]
            return [*twice, Detection("vehicle", 0.95, 2, 2, 50, 50)]

    boxes = TwoDetectors(Things(), Hazards()).detect(image)
    assert [(b.label, b.score) for b in boxes] == [("fire", 0.9), ("vehicle", 0.6)]


def test_cars_on_a_real_photograph_are_vehicles_and_small_ones_are_found_in_slices() -> None:
    photograph = REAL / "aerial_vehicles_sahi" / "small-vehicles1.jpeg"
    if not photograph.is_file():
        pytest.skip(f"no real photographs at {photograph.parent}")
    image, detector = read_picture(photograph), open_detector(card(THINGS))
    sliced = detect_sliced(detector, image)
    assert {box.label for box in sliced} == {"vehicle"}
    assert len(sliced) >= 2 * len(detector.detect(image)) > 0


class _Corner:
    """Finds the brightest pixel, as a box around it."""

    def detect(self, image: np.ndarray) -> list[Detection]:
        if int(image.max()) < 255:
            return []
        y, x = (int(v) for v in np.argwhere(image[..., 0] == 255)[0])
        return [Detection("dot", 0.9, x - 4, y - 4, x + 4, y + 4)]


@pytest.mark.parametrize(("x", "y"), [(5, 5), (1500, 700), (1990, 1090), (415, 300)])
def test_slices_find_a_thing_once_and_where_it_is(x: int, y: int) -> None:
    image = np.zeros((1100, 2000, 3), np.uint8)
    image[y, x] = 255
    (box,) = detect_sliced(_Corner(), image)
    assert (box.x0_px, box.y0_px) == (x - 4, y - 4)


def test_a_piece_finds_what_the_whole_does_not_show_and_nothing_twice() -> None:
    class Large:
        """Finds bright pixels, in pieces only."""

        def detect(self, image: np.ndarray) -> list[Detection]:
            return _Corner().detect(image) if image.shape[1] < 1000 else []

    image = np.zeros((1080, 1920, 3), np.uint8)
    image[600, 1000] = 255
    pieces = [(900, 500, 1284, 788), (700, 400, 1084, 688), (0, 0, 384, 288)]
    (box,) = detect_pieces(Large(), image, pieces)
    assert (box.x0_px, box.y0_px) == (996, 596)
    assert detect_pieces(Large(), image, [(1002, 500, 1386, 788)]) == []
    assert detect_pieces(Large(), image, []) == []
