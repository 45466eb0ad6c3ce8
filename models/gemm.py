"""What a processor could do at best: a product of matrices on the backend that runs a network.

A convolution network is mostly products of matrices, so its work over its time, beside that of one
large product in the same run, says how much of the processor it uses.
"""

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from models.onnx_graph import Node, onnx_file
from models.runners import Runner, runner

SIDE = 1024
SEED = 7


def product(backend: str) -> Runner:
    """Return a product of two SIDE × SIDE matrices, one constant, on a backend."""
    numbers = np.random.default_rng(SEED).uniform(-1, 1, (SIDE, SIDE)).astype(np.float32)
    shape = (SIDE, SIDE)
    nodes = [Node("MatMul", ["a", "b"], "c")]
    content = onnx_file(nodes, {"a": shape}, {"c": shape}, {"b": numbers})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "product.onnx"
        path.write_bytes(content)
        return runner(path, backend)


def product_gflop_per_s(runs: Runner, times: int = 5) -> float:
    """Return 10⁹ operations per CPU second, the best of some runs."""
    numbers = np.random.default_rng(SEED).uniform(-1, 1, (SIDE, SIDE)).astype(np.float32)
    return 2 * SIDE**3 / min(cpu_s(runs, numbers) for _ in range(times)) / 1e9


def cpu_s(runs: Runner, blob: Any) -> float:
    """Return the CPU seconds of one run, all threads of this process together."""
    began = time.process_time()
    runs.run(blob)
    return time.process_time() - began


def gflop_of(path: Path, shape: tuple[int, ...]) -> float:
    """Return the work of one run in 10⁹ operations: convolutions and products of matrices.

    A multiplication with its addition counts as two. ONNX Runtime is asked for the shapes, by its
    profile of one run without fusing anything.
    """
    import onnxruntime  # noqa: PLC0415  (as in models/runners.py)

    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        session.run(None, {session.get_inputs()[0].name: np.zeros(shape, np.float32)})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return sum(_operations(event.get("args", {})) for event in events) / 1e9


def _operations(told: Mapping[str, Any]) -> float:
    kind = told.get("op_name")
    if kind not in ("Conv", "ConvTranspose", "MatMul", "Gemm"):
        return 0.0
    given = [next(iter(each.values())) for each in told["input_type_shape"]]
    made = next(iter(told["output_type_shape"][0].values()))
    if kind == "ConvTranspose":
        return 2.0 * float(np.prod(given[0])) * float(np.prod(given[1][1:]))
    inner = np.prod(given[1][1:]) if kind == "Conv" else given[0][-1]
    return 2.0 * float(np.prod(made)) * float(inner)
