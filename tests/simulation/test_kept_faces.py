"""What a stretch of a seeded demo keeps as evidence holds no face that a second detector finds."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from gridwing.demo import EPOCH, DemoOptions
from gridwing.inprocess import Town
from runtime.clock import VirtualLoop
from simulators.district import generate
from tests.core.blazeface import BlazeFace

LIVE_S = 240.0
CAMERAS = 3


def test_no_evidence_picture_of_a_demo_shows_a_face(tmp_path: Path) -> None:
    whole = generate(7)
    dock = whole.docks[0]
    drones = tuple(drone for drone in whole.drones if drone.sn == dock.drone_sn)
    few = replace(whole, docks=(dock,), drones=drones, cameras=whole.cameras[:CAMERAS])
    few = replace(few, responders=whole.responders[:CAMERAS])
    loop = VirtualLoop()
    try:
        town = Town(DemoOptions(tmp_path), few, loop.clock(EPOCH, 1.0), tmp_path)
        loop.run_until_complete(town.run(LIVE_S))
    finally:
        loop.close()
    kept = sorted((tmp_path / "evidence").glob("*/*.jpg"))
    assert kept
    again = BlazeFace()
    for path in kept:
        image = cv2.imread(str(path))
        assert image is not None
        assert again.faces(np.asarray(image, np.uint8)).tolist() == [], path.name
