"""Backends: numbers in, numbers out, for one ONNX file on the processor.

What the numbers mean is a head's business (models/yolo.py, models/onnx_nanodet.py). ONNX Runtime is
always there. OpenVINO (extra `openvino`) multiplies in bfloat16 where the processor can (AMX,
AVX-512 BF16), which is two to three times faster and changes scores in their third digit.
"""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Shape = tuple[int | None, ...]
"""None where the file leaves a dimension open."""
ORT = "onnxruntime"
OPENVINO = "openvino"
OPENVINO_F32 = "openvino-f32"


class BackendError(RuntimeError):
    """A backend is not installed, or cannot read a weights file; the text names the cure."""


class Runner(Protocol):
    @property
    def input_shape(self) -> Shape: ...

    def run(self, blob: Floats) -> list[Floats]:
        """Return every output, in the file's order, for the file's one input."""
        ...


class OnnxRuntime:
    """Repeats exactly with one thread. May be run from several threads at once."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        """Raises BackendError for a file that is no ONNX model of one input."""
        import onnxruntime  # noqa: PLC0415  (half a second that listing cards need not wait for)

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_mem_pattern = False  # it remembers one for each size of input
        # Its exceptions share no type but Exception.
        state = onnxruntime.capi.onnxruntime_pybind11_state
        refusals = (
            state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf,
            state.NoSuchFile, state.NotImplemented,
        )  # fmt: skip
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except refusals as error:
            raise BackendError(f"{path.name} is no ONNX model that can be run: {error}") from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise BackendError(f"{path.name} has {len(inputs)} inputs; a detector has one")
        self._input: str = inputs[0].name
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.input_shape: Shape = tuple(d if isinstance(d, int) else None for d in inputs[0].shape)
        self._how = onnxruntime.RunOptions()
        if None in self.input_shape[1:]:
            # What one size of picture needed is of no use to the next, and would be kept for ever.
            self._how.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def run(self, blob: Floats) -> list[Floats]:
        outputs = self._session.run(None, {self._input: blob}, self._how)
        return [np.asarray(a, np.float32) for a in outputs]


class OpenVino:
    """In bfloat16 where the processor has it, unless `exact`. One request a calling thread."""

    def __init__(self, path: Path, threads: int = 1, exact: bool = False) -> None:
        """Raises BackendError when OpenVINO is not installed or cannot read the file."""
        try:
            import openvino  # noqa: PLC0415  (optional, and a second to load)
        except ModuleNotFoundError as error:
            raise BackendError(
                "openvino is not installed: .venv/bin/python -m pip install '.[openvino]'"
            ) from error
        core = openvino.Core()
        fast = not exact and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "bf16" if fast else "f32",
        }
        try:
            self._model = core.compile_model(str(path), "CPU", settings)
        except RuntimeError as error:
            raise BackendError(f"OpenVINO cannot read {path.name}: {error}") from error
        if len(self._model.inputs) != 1:
            raise BackendError(f"{path.name} has {len(self._model.inputs)} inputs; one is wanted")
        dimensions = self._model.inputs[0].get_partial_shape()
        self.input_shape: Shape = tuple(
            d.get_length() if d.is_static else None for d in dimensions
        )
        self._of_thread = threading.local()

    def run(self, blob: Floats) -> list[Floats]:
        request: Any = getattr(self._of_thread, "request", None)
        if request is None:
            request = self._of_thread.request = self._model.create_infer_request()
        outputs = request.infer([blob], share_inputs=True)
        return [np.array(outputs[i], np.float32) for i in range(len(self._model.outputs))]


BACKENDS: Mapping[str, Callable[[Path, int], Runner]] = {
    ORT: OnnxRuntime,
    OPENVINO: OpenVino,
    OPENVINO_F32: lambda path, threads: OpenVino(path, threads, exact=True),
}


def runner(path: Path, backend: str = ORT, threads: int = 1) -> Runner:
    """Return the weights in `path`, ready to run. Raises BackendError."""
    if backend not in BACKENDS:
        raise BackendError(f"no backend {backend!r}; there are {', '.join(BACKENDS)}")
    return BACKENDS[backend](path, threads)
