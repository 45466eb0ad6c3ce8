"""Days of telemetry as a fleet would have told it: made from a seed, stored by the production COPY.

Every device flies one hour in eight, so that at any time one in eight is in the air. Rows of all
devices alternate as they would arrive; each has its cell, its key and every field.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from domain.device import DeviceKind
from domain.district import District
from domain.observation import FlightPhase
from geo.cells import CellIndex, CellRaster
from gridwing.cluster import DatabaseUrls
from services.ingest.columns import PHASES, REALS, Columns, instant, microseconds
from services.ingest.store import COPY_TELEMETRY

DEVICES = 500
DAYS = 20
FIRST_DAY = date(2026, 11, 1)
ONE_IN = 8
"""A device is in the air in every eighth hour."""
HOURS_A_DAY = 24 // ONE_IN
COPY_ROWS = 50_000
WRITERS = 2
SEED = 7
REACH_DEG = 0.004
ROUND_S = 400.0
"""A device goes round its home once in so long, at about 6 m/s."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fleet:
    """DEVICES devices with their homes in the district, each telling `samples` an hour."""

    names: tuple[str, ...]
    home_lat_deg: Floats
    home_lon_deg: Floats
    samples: int
    cells: CellIndex

    @classmethod
    def over(cls, district: District, rows: int) -> "Fleet":
        """Return the fleet that tells at least `rows` rows in DAYS days."""
        rng = np.random.default_rng(SEED)
        cells = CellIndex(district.cells)
        assert cells.bounds is not None
        west, south, east, north = cells.bounds
        return cls(
            tuple(f"TRACK{i:09d}" for i in range(DEVICES)),
            rng.uniform(south, north, DEVICES),
            rng.uniform(west, east, DEVICES),
            -(-rows // (DEVICES * HOURS_A_DAY * DAYS)),
            cells,
        )

    @property
    def period_s(self) -> float:
        return 3600 / self.samples

    def hours(self, device: int, day: int) -> list[int]:
        """Return the hours of a day, both counted from 0, in which a device is in the air."""
        return [hour for hour in range(24) if _up(device, day, hour)]

    def blocks(self, day: int) -> Iterator[Columns]:
        """Give a day's rows in the order of their times, at most COPY_ROWS at once."""
        raster = CellRaster(self.cells)
        for hour in range(24):
            up = np.flatnonzero([_up(i, day, hour) for i in range(DEVICES)])
            each = COPY_ROWS // up.size
            for first in range(0, self.samples, each):
                number = np.arange(first, min(first + each, self.samples))
                yield self._block(day, hour, up, number, raster)

    def _block(
        self, day: int, hour: int, up: NDArray[np.int64], number: NDArray[np.int64],
        raster: CellRaster,
    ) -> Columns:  # fmt: skip
        device = np.tile(up, number.size)
        # Devices tell one after another within a period.
        turn = np.tile(np.arange(up.size) / up.size, number.size)
        since_s = (np.repeat(number, up.size) + turn) * self.period_s
        begin_us = microseconds(starts(day)) + hour * 3_600_000_000
        at_us = begin_us + (since_s * 1e6).astype(np.int64)
        angle = 2 * np.pi * (since_s / ROUND_S + device / DEVICES)
        lat_deg = self.home_lat_deg[device] + REACH_DEG * np.sin(angle)
        lon_deg = self.home_lon_deg[device] + REACH_DEG * np.cos(angle * 0.9)
        height_m = 80 + 20 * np.sin(angle / 3)
        reals: dict[str, Floats] = {
            "height_ellipsoid_m": height_m + 12,
            "height_rel_m": height_m,
            "height_agl_m": height_m + 1,
            "heading_deg": np.degrees(angle) % 360,
            "speed_m_s": 6 + np.sin(angle * 5),
            "climb_m_s": np.cos(angle / 3),
            "battery_pct": np.round(100 - since_s / 60),
        }
        columns = Columns(
            list(self.names), [DeviceKind.DRONE] * DEVICES, device, at_us,
            np.zeros(device.size, np.int64), instant(int(at_us[-1])) + timedelta(seconds=0.3),
            lat_deg, lon_deg, np.stack([reals[name] for name in REALS]),
            np.full(device.size, PHASES.index(FlightPhase.ON_TASK), np.int8),
            np.zeros(device.size, np.int16), (), np.full(device.size, -1),
        )  # fmt: skip
        columns.key = columns.content_keys()
        columns.cell_codes, columns.cell = raster.assign(lat_deg, lon_deg)
        return columns


def _up(device: int, day: int, hour: int) -> bool:
    return (7 * device + 5 * day + hour) % ONE_IN == 0


def starts(day: int) -> datetime:
    """Return when a day counted from 0 begins."""
    return datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC) + timedelta(day)


def fill(urls: DatabaseUrls, fleet: Fleet, told: Callable[[int, int], None]) -> int:
    """Store all DAYS days, WRITERS at a time; `told` (days done, rows) after each. Return rows.

    Each finished day is vacuumed and analysed, as autovacuum does in its own time.
    """
    rows = done = 0
    with ThreadPoolExecutor(WRITERS) as writers:
        for stored in writers.map(lambda day: _fill_day(urls, fleet, day), range(DAYS)):
            rows, done = rows + stored, done + 1
            told(done, rows)
    return rows


def _fill_day(urls: DatabaseUrls, fleet: Fleet, day: int) -> int:
    rows = 0
    with psycopg.connect(urls.service) as connection:
        connection.execute("SELECT telemetry_day(%s)", [starts(day).date()])
        connection.commit()
        for columns in fleet.blocks(day):
            copy_in(connection, columns.copy_rows())
            connection.commit()
            rows += len(columns)
    with psycopg.connect(urls.owner, autocommit=True) as owner:
        owner.execute(f"VACUUM (ANALYZE) telemetry_{starts(day):%Y%m%d}".encode())
    return rows


def copy_in(connection: psycopg.Connection[Any], encoded: bytes) -> None:
    with connection.cursor() as cursor, cursor.copy(COPY_TELEMETRY) as copy:
        copy.write(encoded)
