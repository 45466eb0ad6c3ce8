"""A grid file in the national grid, from import to cells seen from the air."""

from dataclasses import replace
from math import hypot
from pathlib import Path

import geopandas

from domain.district import District
from domain.events import CellSeen, MissionPlanned
from geo.frames import LocalFrame
from geo.importing import read_cells
from geo.shapes import area_to_shape, local_geometry
from gridwing.demo import EPOCH, DemoOptions
from gridwing.inprocess import ENTRIES_LIMIT, Town
from runtime.clock import VirtualLoop
from simulators.district import generate

CELLS = 2
LIVE_S = 1500.0


def imported(tmp_path: Path) -> District:
    """Return the demo's district with one dock, and as its grid the nearest cells, from a file."""
    whole = generate(7)
    dock, frame = whole.docks[0], LocalFrame(whole.origin)
    x_m, y_m = frame.to_local(dock.position.lat_deg, dock.position.lon_deg)

    def apart_m(index: int) -> float:
        middle = local_geometry(whole.cells[index].area, frame).centroid
        return hypot(middle.x - x_m, middle.y - y_m)

    nearest = [whole.cells[i] for i in sorted(range(len(whole.cells)), key=apart_m)[:CELLS]]
    shapes = [area_to_shape(cell.area) for cell in nearest]
    names = {"code": [c.code for c in nearest], "name": [c.name for c in nearest]}
    path = tmp_path / "grid.gpkg"
    geopandas.GeoDataFrame(names, geometry=shapes, crs=4326).to_crs(4547).to_file(path)
    read = read_cells(path, whole.communities)
    assert read.problems == ()
    drones = tuple(d for d in whole.drones if d.sn == dock.drone_sn)
    alone = replace(whole, docks=(dock,), drones=drones, cameras=(), responders=())
    return replace(alone, cells=read.cells)


def test_imported_cells_are_flown_and_seen(tmp_path: Path) -> None:
    district = imported(tmp_path)
    loop = VirtualLoop()
    try:
        town = Town(DemoOptions(tmp_path), district, loop.clock(EPOCH, 1.0), tmp_path)
        loop.run_until_complete(town.run(LIVE_S))
        entries = loop.run_until_complete(town.ledger.read(0, ENTRIES_LIMIT))
    finally:
        loop.close()
    codes = {cell.code for cell in district.cells}
    planned = {
        c
        for e in entries
        if isinstance(e.event, MissionPlanned)
        for c in e.event.mission.cell_codes
    }
    seen = {e.event.cell_code for e in entries if isinstance(e.event, CellSeen)}
    assert planned == codes
    assert seen == codes
