"""A `.pt` file of one's own, in a process of its own that alone imports Ultralytics.

Its licence (AGPL-3.0), its size and its threads stay out of ours. Opening a `.pt` runs what is
pickled in it: only files of one's own. The process ends with ours, for its input ends then.
"""

import json
import os
import select
import struct
import subprocess
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from domain.hazard import Detection
from models.boxes import Image, checked

WORKER = Path(__file__).with_name("ultralytics_worker.py")
START_LIMIT_S = 120.0
LOOK_LIMIT_S = 60.0
ANSWER_LIMIT_BYTES = 1_000_000
LAST_WORDS_BYTES = 600
ENVIRONMENT = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}


class UltralyticsFailed(RuntimeError):
    """The process could not start, or did not answer; the text says why."""


class UltralyticsProcess:
    """One process for one `.pt` file. `classes` are as the file names them; `cpu_s` is what the
    last look took of the processor."""

    def __init__(self, weights: Path, python: str) -> None:
        """Start it and wait for it. Raises UltralyticsFailed."""
        if not weights.is_file():
            raise UltralyticsFailed(f"{weights} is not there")
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  (closed when the process has ended)
        self._buffer, self.cpu_s = b"", 0.0
        try:
            self._process = subprocess.Popen(
                [python, str(WORKER), str(weights.resolve())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                cwd=tempfile.gettempdir(),
                env=os.environ | ENVIRONMENT,
            )
        except OSError as error:
            self._said.close()
            raise UltralyticsFailed(f"{python} cannot be started: {error}") from error
        self._end = weakref.finalize(self, _end, self._process, self._said)
        try:
            self.classes = tuple(map(str, self._answer(START_LIMIT_S, "classes")["classes"]))
        except UltralyticsFailed:
            self.close()
            raise

    def look(self, image: Image) -> Sequence[Sequence[float]]:
        """Return x0, y0, x1, y1, score and class of every box. Raises UltralyticsFailed."""
        h, w = checked(image).shape[:2]
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(struct.pack("<II", h, w) + image.tobytes())
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise UltralyticsFailed(self._last_words("has ended")) from error
        told = self._answer(LOOK_LIMIT_S, "boxes")
        self.cpu_s = float(told["cpu_s"])
        boxes: Sequence[Sequence[float]] = told["boxes"]
        return boxes

    def _answer(self, limit_s: float, wanted: str) -> Any:
        """Return the next answer, in which `wanted` is told. A process that fails is ended."""
        assert self._process.stdout is not None
        pipe, until = self._process.stdout.fileno(), time.monotonic() + limit_s
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
            read = os.read(pipe, 65536) if ready else b""
            self._buffer += read
            if not read or len(self._buffer) > ANSWER_LIMIT_BYTES:
                self._process.kill()
                self._process.wait()
                what = "has ended" if ready else f"did not answer within {limit_s:g} s"
                raise UltralyticsFailed(self._last_words(what))
        line, _, self._buffer = self._buffer.partition(b"\n")
        told = json.loads(line)
        if wanted not in told:
            raise UltralyticsFailed(f"Ultralytics: {told.get('error', 'an answer of no form')}")
        return told

    def _last_words(self, what: str) -> str:
        size = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, size - LAST_WORDS_BYTES))
        words = self._said.read().decode(errors="replace").strip()
        return f"the Ultralytics process {what} ({self._process.poll()}): {words}"

    def close(self) -> None:
        """End the process and wait until it has. So does the last reference to this, or our end."""
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _end(process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        # What was not yet written cannot be: the process has ended.
        with suppress(BrokenPipeError):
            pipe.close()
    said.close()


class UltralyticsDetector:
    """The process as a detector: boxes of each class from its threshold on."""

    def __init__(
        self,
        process: UltralyticsProcess,
        classes: Sequence[str],
        thresholds: Mapping[str, float],
    ) -> None:
        """`classes` rename the file's own, in its order. ValueError when they are not as many."""
        if len(classes) != len(process.classes):
            raise ValueError(f"{len(classes)} classes for a network of {len(process.classes)}")
        self._process = process
        self._classes = tuple(classes)
        self._least = [thresholds[c] for c in classes]

    def detect(self, image: Image) -> list[Detection]:
        """Return the boxes found, surest first. Raises UltralyticsFailed."""
        found = [
            Detection(self._classes[int(kind)], score, *corners)
            for *corners, score, kind in self._process.look(image)
            if score >= self._least[int(kind)]
        ]
        return sorted(found, key=lambda box: -box.score)
