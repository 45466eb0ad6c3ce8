"""How long it takes from one place to another round closed airspace; worked out once per pair."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import shapely

from geo.routes import FlightModel, OpenSky, Point, flight_time_s

_PAIRS_LIMIT = 4_000_000
_BORDER_M = 1e-5
"""The border of closed airspace may be followed."""


class Ways:
    """Legs over open ground. Straight ones are told by their length, others keep their way."""

    def __init__(self, sky: OpenSky) -> None:
        self._sky = sky
        self._inside = sky.free.buffer(_BORDER_M, join_style="mitre")
        shapely.prepare(self._inside)
        # None: straight. An empty way: there is none.
        self._bent: dict[tuple[Point, Point], tuple[Point, ...] | None] = {}

    def way(self, a: Point, b: Point) -> tuple[Point, ...] | None:
        """Return the shortest open way from `a` to `b`, both included, or None."""
        if (a, b) in self._bent:
            found = self._bent[a, b]
            return (a, b) if found is None else found or None
        if self._inside.covers(shapely.LineString([a, b])):
            return (a, b)
        return tuple(self._sky.way(a, b) or ()) or None

    def seconds(
        self, starts: Sequence[Point], ends: Sequence[Point], model: FlightModel
    ) -> npt.NDArray[np.float64]:
        """Return the flight time of every leg, rest to rest, in whole tenths; inf where there is
        no way."""
        self._learn(starts, ends)
        a, b = np.asarray(starts, float), np.asarray(ends, float)
        found = straight_s(np.hypot(*(a[:, None] - b[None]).transpose(2, 0, 1)), model)
        for i, start in enumerate(starts):
            for j, end in enumerate(ends):
                bent = self._bent[start, end]
                if bent is not None:
                    found[i, j] = flight_time_s(bent, model) if bent else np.inf
        return np.ceil(found * 10.0 - 1e-6) / 10.0

    def _learn(self, starts: Sequence[Point], ends: Sequence[Point]) -> None:
        pairs = [(a, b) for a in starts for b in ends if (a, b) not in self._bent]
        if not pairs:
            return
        if len(self._bent) + len(pairs) > _PAIRS_LIMIT:
            self._bent.clear()
            pairs = [(a, b) for a in starts for b in ends]
        legs = shapely.linestrings(np.asarray(pairs))
        clear = np.asarray(shapely.covers(self._inside, legs))
        for pair, straight in zip(pairs, clear, strict=True):
            self._bent[pair] = None if straight else tuple(self._sky.way(*pair) or ())


def straight_s(
    length_m: npt.NDArray[np.float64], model: FlightModel
) -> npt.NDArray[np.float64]:
    """Return the seconds of straight legs from rest to rest."""
    top, accel = model.cruise_m_s, model.accel_m_s2
    short = 2.0 * np.sqrt(length_m / accel)
    return np.where(length_m < top * top / accel, short, length_m / top + top / accel)
