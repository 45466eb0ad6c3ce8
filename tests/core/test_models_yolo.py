"""Backends give the network's numbers, and the YOLO head makes boxes of them."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.hazard import Detection
from models.onnx_graph import Node, onnx_file
from models.runners import BACKENDS, ORT, BackendError, runner
from models.yolo import CANDIDATES_LIMIT, YoloDetector, decoded
from tests.core.tiny_yolo import CLASSES, write_tiny_yolo

HALF = dict.fromkeys(CLASSES, 0.5)
RED_BGR, GREEN_BGR = (0, 0, 255), (0, 255, 0)


@pytest.fixture(params=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> str:
    """Return each backend's name; skips those not installed."""
    name = str(request.param)
    if name != ORT and importlib.util.find_spec("openvino") is None:
        pytest.skip("the extra `openvino` is not installed")
    return name


def _painted(width_px: int, height_px: int) -> np.ndarray:
    """Return a grey picture of 4 × 3 cells, red in the top left one and green in the last."""
    image = np.full((height_px, width_px, 3), 60, np.uint8)
    w, h = width_px // 4, height_px // 3
    image[:h, :w] = RED_BGR
    image[-h:, -w:] = GREEN_BGR
    return image


@pytest.mark.parametrize("scale", [1, 3, 8])
def test_boxes_are_told_in_the_pictures_own_pixels(
    tmp_path: Path, backend: str, scale: int
) -> None:
    network = runner(write_tiny_yolo(tmp_path / "tiny.onnx"), backend)
    found = YoloDetector(network, CLASSES, HALF).detect(_painted(128 * scale, 96 * scale))
    by_label = {box.label: box for box in found}
    assert set(by_label) == {"red", "green"}
    side = 32 * scale
    red, green = by_label["red"], by_label["green"]
    assert (red.x0_px, red.y0_px, red.x1_px, red.y1_px) == pytest.approx((0, 0, side, side))
    assert (green.x0_px, green.y1_px) == pytest.approx((96 * scale, 96 * scale))
    assert red.score == pytest.approx(1.0, abs=0.01)


def test_a_letterboxed_picture_gives_the_boxes_where_they_are(tmp_path: Path) -> None:
    network = runner(write_tiny_yolo(tmp_path / "tiny.onnx"))
    tall = np.full((288, 96, 3), 60, np.uint8)
    tall[96:192] = RED_BGR  # a third of 96 px is 32: the cells of the middle row
    found = YoloDetector(network, CLASSES, dict.fromkeys(CLASSES, 0.45)).detect(tall)
    assert {box.label for box in found} == {"red"}
    assert min(box.y0_px for box in found) == pytest.approx(96)
    assert max(box.y1_px for box in found) == pytest.approx(192)
    assert all(0 <= box.x0_px <= box.x1_px <= 96 for box in found)


def test_the_same_picture_gives_the_same_boxes(tmp_path: Path, backend: str) -> None:
    network = runner(write_tiny_yolo(tmp_path / "tiny.onnx"), backend)
    detector = YoloDetector(network, CLASSES, HALF)
    image = _painted(640, 480)
    assert detector.detect(image) == detector.detect(image)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 600), st.sampled_from([0.05, 0.5, 0.9]))
def test_decoding_keeps_the_surest_above_their_threshold(
    seed: int, places: int, least: float
) -> None:
    rng = np.random.default_rng(seed)
    output = np.zeros((1, 7, places), np.float32)
    output[0, :4] = rng.uniform(1, 300, (4, places))
    output[0, 4:] = rng.uniform(0, 1, (3, places))
    kind, score, corners = decoded(output, np.full(3, least, np.float32))
    surest = output[0, 4:].max(axis=0)
    assert len(score) == min(int((surest >= least).sum()), CANDIDATES_LIMIT)
    assert np.array_equal(score, np.sort(surest[surest >= least])[::-1][: len(score)])
    assert corners.shape == (len(score), 4)
    assert (corners[:, 2:] > corners[:, :2]).all()
    assert len(kind) == len(score)


def test_a_class_below_its_own_threshold_leaves_the_place_to_another() -> None:
    output = np.array([[[50], [50], [10], [10], [0.6], [0.5], [0.1]]], np.float32)
    kind, score, _ = decoded(output, np.array([0.7, 0.4, 0.05], np.float32))
    assert (kind[0], score[0]) == (1, np.float32(0.5))


def test_an_output_of_another_form_is_refused(tmp_path: Path) -> None:
    network = runner(write_tiny_yolo(tmp_path / "tiny.onnx"))
    detector = YoloDetector(network, ("red", "green"), {"red": 0.5, "green": 0.5})
    with pytest.raises(ValueError, match=r"not \(1, 6, n\)"):
        detector.detect(_painted(128, 96))


def test_a_file_that_is_no_network_is_refused(tmp_path: Path, backend: str) -> None:
    path = tmp_path / "text.onnx"
    path.write_text("not a network")
    with pytest.raises(BackendError, match=r"text\.onnx"):
        runner(path, backend)
    with pytest.raises(BackendError, match=r"absent\.onnx"):
        runner(tmp_path / "absent.onnx", backend)


def test_a_network_of_two_inputs_is_refused(tmp_path: Path, backend: str) -> None:
    shape = (2, 2)
    content = onnx_file([Node("Add", ["a", "b"], "c")], {"a": shape, "b": shape}, {"c": shape}, {})
    path = tmp_path / "two.onnx"
    path.write_bytes(content)
    with pytest.raises(BackendError, match="2 inputs"):
        runner(path, backend)


def test_an_unknown_backend_is_refused_with_the_names_there_are(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=ORT):
        runner(tmp_path / "any.onnx", "abacus")


def test_a_picture_without_colours_is_refused(tmp_path: Path) -> None:
    detector = YoloDetector(runner(write_tiny_yolo(tmp_path / "tiny.onnx")), CLASSES, HALF)
    with pytest.raises(ValueError, match="BGR"):
        detector.detect(np.zeros((40, 40), np.uint8))


def test_a_detection_is_plain_numbers(tmp_path: Path) -> None:
    detector = YoloDetector(runner(write_tiny_yolo(tmp_path / "tiny.onnx")), CLASSES, HALF)
    (red, *_) = detector.detect(_painted(128, 96))
    assert isinstance(red, Detection)
    assert all(type(v) is float for v in (red.score, red.x0_px, red.y1_px))
