"""`gridwing bench vision`: detectors on each backend beside the processor's bound, and the way of a
frame to a hazard.

CPU time of this process, medians of interleaved rounds on one thread: other work on the machine
lengthens the wall's time, and this by far less.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from gridwing import frames_bench, placing_bench
from gridwing.frames_bench import FULL_HD, bench_pictures, spent_s
from models.boxes import Image
from models.catalogue import Card, Catalogue
from models.detector import Detector
from models.gemm import cpu_s, gflop_of, product, product_gflop_per_s
from models.heads import open_detector, open_runner
from models.runners import BACKENDS, BackendError, Runner
from models.ultralytics_process import UltralyticsFailed, UltralyticsProcess

Say = Callable[[str], None]
SECTIONS = ("backends", "stages", "idle", "hazards", "placing")
WARMING = 2


@dataclass(slots=True)
class Contender:
    """One model on one backend."""

    card: Card
    backend: str
    detector: Detector
    runner: Runner
    blob: Any
    gflop: float
    whole_s: list[float]
    network_s: list[float]


def run(only: Sequence[str], own: Path, python: str, rounds: int, say: Say) -> dict[str, Any]:
    """Return the wanted sections (all without `only`). Raises WeightsError."""
    catalogue = Catalogue(own)
    hazards = catalogue.promoted("hazards")
    chosen = only or SECTIONS
    told: dict[str, Any] = {}
    pictures = bench_pictures(FULL_HD)
    if "backends" in chosen:
        told |= _backends([hazards, catalogue.promoted("things")], pictures, rounds, say)
        told["ultralytics"] = _ultralytics(hazards, pictures, python, rounds, say)
    if "stages" in chosen:
        told["stages_ms"] = frames_bench.stages_ms(pictures, rounds)
    if "idle" in chosen:
        told |= asyncio.run(frames_bench.idle_streams(hazards))
    if "hazards" in chosen:
        say("frames to hazards")
        told["frame_to_hazard_s"] = asyncio.run(frames_bench.frame_to_hazard_s(hazards))
    if "placing" in chosen:
        say("points placed on the ground")
        told["placing"] = placing_bench.run()
    return told


def _backends(
    cards: Sequence[Card], pictures: Sequence[Image], rounds: int, say: Say
) -> dict[str, Any]:
    products: dict[str, Runner] = {}
    for backend in BACKENDS:
        try:
            products[backend] = product(backend)
        except BackendError as error:
            say(f"{backend} is left out: {error}")
    contenders = [_contender(c, backend) for c in cards for backend in products]
    bound = dict.fromkeys(products, 0.0)
    for i in range(rounds):
        for backend, runner in products.items():
            bound[backend] = max(bound[backend], product_gflop_per_s(runner, 2))
        for each in contenders:
            picture = pictures[i % len(pictures)]
            each.whole_s.append(spent_s(partial(each.detector.detect, picture)))
            each.network_s.append(cpu_s(each.runner, each.blob))
    rows = [_row(each, bound[each.backend]) for each in contenders]
    for row in rows:
        say(f"{row['name']:14} {row['model']:20} {row['ms_per_frame']} ms")
    return {"backends": rows}


def _contender(card: Card, backend: str) -> Contender:
    runner = open_runner(card, backend)
    shape = tuple(d or 1 for d in runner.input_shape)
    blob = np.random.default_rng(0).uniform(0, 1, shape).astype(np.float32)
    detector = open_detector(card, backend)
    gflop = gflop_of(card.path, shape)
    runner.run(blob)
    return Contender(card, backend, detector, runner, blob, gflop, [], [])


def _row(each: Contender, bound: float) -> dict[str, Any]:
    whole_s, network_s = median(each.whole_s), median(each.network_s)
    return {
        "name": each.backend,
        "model": each.card.name,
        "ms_per_frame": round(1000 * whole_s, 2),
        "frames_per_s_per_core": round(1 / whole_s, 1),
        "gemm_share": round(each.gflop / network_s / bound, 3),
        "network_ms": round(1000 * network_s, 2),
        "overhead_share": round(max(0.0, 1 - network_s / whole_s), 3),
        "gflop": round(each.gflop, 3),
        "gemm_gflop_per_s": round(bound, 1),
    }


def _ultralytics(
    card: Card, pictures: Sequence[Image], python: str, rounds: int, say: Say
) -> dict[str, Any] | None:
    """Return what `ultralytics.predict` takes for the same file and pictures, where there is one.

    CPU of its process while it predicts, on one thread, without what bringing the picture costs.
    """
    if card.head != "yolo":
        say(f"ultralytics is left out: {card.name} is no YOLO network")
        return None
    try:
        with UltralyticsProcess(card.path, python) as process:
            spent = []
            for i in range(rounds + WARMING):
                process.look(pictures[i % len(pictures)])
                spent.append(process.cpu_s)
    except UltralyticsFailed as error:
        say(f"ultralytics is left out: {error}")
        return None
    return {"model": card.name, "ms_per_frame": round(1000 * median(spent[WARMING:]), 2)}
