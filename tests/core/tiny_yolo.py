"""A YOLO-shaped network without training: each 32 px cell says how red, green and blue it is."""

from pathlib import Path

import numpy as np

from models.onnx_graph import Node, onnx_file

CELL_PX = 32
CLASSES = ("red", "green", "blue")


def write_tiny_yolo(path: Path, width_px: int = 128, height_px: int = 96) -> Path:
    """Write the network; a cell's box is the cell, its chances are the means of its colours."""
    rows, columns = height_px // CELL_PX, width_px // CELL_PX
    kernel = np.zeros((7, 3, CELL_PX, CELL_PX), np.float32)
    for colour in range(3):
        kernel[4 + colour, colour] = 1 / CELL_PX**2
    place = np.zeros((1, 7, rows, columns), np.float32)
    place[0, 0] = (np.arange(columns) + 0.5) * CELL_PX
    place[0, 1] = ((np.arange(rows) + 0.5) * CELL_PX)[:, None]
    place[0, 2:4] = CELL_PX
    nodes = [
        Node("Conv", ["images", "kernel"], "cells", {"strides": [CELL_PX, CELL_PX]}),
        Node("Add", ["cells", "place"], "placed"),
        Node("Reshape", ["placed", "form"], "output0"),
    ]
    form = np.array([1, 7, rows * columns], np.int64)
    content = onnx_file(
        nodes,
        {"images": (1, 3, height_px, width_px)},
        {"output0": (1, 7, rows * columns)},
        {"kernel": kernel, "place": place, "form": form},
    )
    path.write_bytes(content)
    return path
