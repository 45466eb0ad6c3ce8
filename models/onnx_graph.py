"""Writing small ONNX files without the onnx package: a product of matrices to measure, a tiny
detector to try a backend with.

Protocol buffers by hand; field numbers are those of onnx/onnx.proto (IR version 8, opset 17).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

IR_VERSION = 8
OPSET = 17
VARINT, BYTES = 0, 2
FLOAT_TYPE, INT64_TYPE = 1, 7
INTS_ATTRIBUTE = 7


@dataclass(frozen=True, slots=True)
class Node:
    """One operator. Attributes are lists of whole numbers, which is all these graphs need."""

    kind: str
    inputs: Sequence[str]
    output: str
    attributes: Mapping[str, Sequence[int]] = field(default_factory=dict)


def onnx_file(
    nodes: Sequence[Node],
    given: Mapping[str, Sequence[int]],
    told: Mapping[str, Sequence[int]],
    weights: Mapping[str, NDArray[np.float32] | NDArray[np.int64]],
) -> bytes:
    """Return a model: float inputs `given` and outputs `told` by their shapes, and constants."""
    graph = b"".join(_part(1, _node(node)) for node in nodes) + _part(2, b"graph")
    graph += b"".join(_part(5, _tensor(name, array)) for name, array in weights.items())
    graph += b"".join(_part(11, _value(name, shape)) for name, shape in given.items())
    graph += b"".join(_part(12, _value(name, shape)) for name, shape in told.items())
    return _number(1, IR_VERSION) + _part(7, graph) + _part(8, _part(1, b"") + _number(2, OPSET))


def _node(node: Node) -> bytes:
    body = b"".join(_part(1, name.encode()) for name in node.inputs)
    body += _part(2, node.output.encode()) + _part(4, node.kind.encode())
    for name, values in node.attributes.items():
        numbers = b"".join(_number(8, v) for v in values)
        body += _part(5, _part(1, name.encode()) + numbers + _number(20, INTS_ATTRIBUTE))
    return body


def _tensor(name: str, array: NDArray[np.float32] | NDArray[np.int64]) -> bytes:
    """Raises ValueError for anything but float32 and int64."""
    kinds = {np.dtype(np.float32): FLOAT_TYPE, np.dtype(np.int64): INT64_TYPE}
    if array.dtype not in kinds:
        raise ValueError(f"{name}: float32 or int64, not {array.dtype}")
    dimensions = b"".join(_number(1, d) for d in array.shape)
    content = np.ascontiguousarray(array).tobytes()
    return dimensions + _number(2, kinds[array.dtype]) + _part(8, name.encode()) + _part(9, content)


def _value(name: str, shape: Sequence[int]) -> bytes:
    dimensions = b"".join(_part(1, _number(1, d)) for d in shape)
    tensor = _number(1, FLOAT_TYPE) + _part(2, dimensions)
    return _part(1, name.encode()) + _part(2, _part(1, tensor))


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3 | VARINT) + _varint(value)


def _part(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])
