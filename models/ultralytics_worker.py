"""The other end of models/ultralytics_process.py: run as a file by an interpreter that has
Ultralytics (AGPL-3.0). It imports nothing of ours, and ends when its input does.

Told: eight bytes a picture (height, width), then its BGR bytes. Tells: lines of JSON.
"""

import json
import os
import struct
import sys
import time
from typing import Any, BinaryIO

LEAST = 0.01
BOXES_LIMIT = 300


def main(weights: str) -> None:
    # What Ultralytics prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        import torch  # noqa: PLC0415
        from ultralytics import YOLO  # noqa: PLC0415
    except ImportError as error:
        _tell(answers, {"error": f"{error}; the extra `train` has it"})
        return
    torch.set_num_threads(1)
    if weights.endswith(".onnx"):
        _one_thread()
    # What a spoilt file raises here ends the process; its last words are told.
    model = YOLO(weights, task="detect")
    names = [model.names[i] for i in range(len(model.names))]
    _tell(answers, {"classes": names})
    while picture := _picture(sys.stdin.buffer):
        began = time.process_time()
        boxes = _look(model, *picture)
        _tell(answers, {"boxes": boxes, "cpu_s": time.process_time() - began})


def _one_thread() -> None:
    """Let ONNX Runtime take one thread, too: Ultralytics leaves it its own choice, and threads that
    wait for each other take a core each."""
    import onnxruntime  # noqa: PLC0415

    create, one = onnxruntime.InferenceSession, onnxruntime.SessionOptions()
    one.intra_op_num_threads = 1

    def session(path: str, options: Any = None, **more: Any) -> Any:
        return create(path, options or one, **more)

    onnxruntime.InferenceSession = session


def _picture(source: BinaryIO) -> tuple[int, int, bytes] | None:
    head = source.read(8)
    if len(head) < 8:
        return None
    h, w = struct.unpack("<II", head)
    pixels = source.read(h * w * 3)
    return (h, w, pixels) if len(pixels) == h * w * 3 else None


def _look(model: Any, h: int, w: int, pixels: bytes) -> list[list[float]]:
    import numpy as np  # noqa: PLC0415

    image = np.frombuffer(pixels, np.uint8).reshape(h, w, 3).copy()
    (found,) = model.predict(image, conf=LEAST, max_det=BOXES_LIMIT, device="cpu", verbose=False)
    boxes = found.boxes
    return [
        [*map(float, corners), float(score), int(kind)]
        for corners, score, kind in zip(boxes.xyxy, boxes.conf, boxes.cls, strict=True)
    ]


def _tell(answers: BinaryIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
