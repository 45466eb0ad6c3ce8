"""Where the light comes from: sun, sky with its clouds, street lamps; by the hour."""

from dataclasses import dataclass
from math import cos, radians, sin

import numpy as np
from numpy.typing import NDArray

from simulators.heldout.texture import f32, fractal, ramp, smooth

F32 = NDArray[np.float32]
HOURS = ("noon", "morning", "overcast", "sunset", "dusk", "night")


@dataclass(frozen=True)
class Light:
    hour: str
    towards_sun: F32
    sun_colour: F32
    sun_strength: float
    ambient: F32
    zenith: F32
    horizon: F32
    clouds: float
    """0 clear, 1 covered."""
    cloud_at_m: float
    shadow_softness_px: float
    lamps: tuple[tuple[float, float, float], ...] = ()
    lamp_colour: tuple[float, float, float] = (0.45, 0.75, 1.0)

    def sky(self, directions: F32, glare: float = 1.0) -> F32:
        """Return the sky's colour along (h, w, 3) unit directions; glare 1 is the sun itself."""
        up = np.clip(directions[..., 2:], 0, 1)
        colour = self.horizon + (self.zenith - self.horizon) * np.sqrt(up)
        toward = (directions @ self.towards_sun)[..., None]
        disc = np.clip(toward, 0, 1)
        colour = colour + self.sun_colour * self.sun_strength * np.float32(glare) * (
            0.25 * _raised(disc, 3) + (2.0 * _raised(disc, 10) if self.clouds < 0.8 else 0.0)
        )
        if self.clouds > 0.02:
            high = np.maximum(directions[..., 2], 0.03)
            x = directions[..., 0] / high + np.float32(self.cloud_at_m)
            y = directions[..., 1] / high
            tile = smooth(fractal(1.7, 4), f32(x), f32(y), 9.0)
            cover = ramp(0.75 - 0.6 * self.clouds, 1.0 - 0.45 * self.clouds, tile)[..., None]
            white = 0.75 * self.ambient + 0.4 * self.sun_colour * self.sun_strength
            colour = colour + (white * (1.25 - 0.4 * cover) - colour) * cover * ramp(0.0, 0.2, up)
        return np.asarray(colour, np.float32)

    def lamp_light(self, places: F32) -> F32:
        """Return what street lamps add at (h, w, 3) places."""
        total = np.zeros(places.shape[:2], np.float32)
        for x, y, z in self.lamps:
            far2 = (places[..., 0] - x) ** 2 + (places[..., 1] - y) ** 2 + (places[..., 2] - z) ** 2
            total += 26.0 / (far2 + 14.0)
        return np.asarray(total[..., None] * np.array(self.lamp_colour, np.float32), np.float32)


def _raised(value: F32, doublings: int) -> F32:
    """Return value ** (2 ** doublings)."""
    for _ in range(doublings):
        value = value * value
    return value


def light_of(hour: str, rng: np.random.Generator) -> Light:
    """Return the light of an hour of HOURS; the sun's place and the clouds at random."""
    altitude = {"noon": 58, "morning": 32, "overcast": 50, "sunset": 7, "dusk": 12, "night": 40}[
        hour
    ]
    altitude_rad = radians(altitude * rng.uniform(0.8, 1.25))
    # At sunset the sun may stand in the picture; otherwise anywhere.
    way = rng.uniform(0.25, 0.75) * np.pi if hour == "sunset" else rng.uniform(0, 2 * np.pi)
    sun = np.array(
        [cos(altitude_rad) * cos(way), cos(altitude_rad) * sin(way), sin(altitude_rad)], np.float32
    )
    table = {
        # sun BGR, strength, ambient BGR, zenith BGR, horizon BGR
        "noon": (
            (0.86, 0.95, 1.0),
            0.95,
            (0.42, 0.37, 0.34),
            (0.78, 0.50, 0.28),
            (0.92, 0.85, 0.75),
        ),
        "morning": (
            (0.70, 0.88, 1.0),
            0.85,
            (0.38, 0.34, 0.33),
            (0.72, 0.52, 0.36),
            (0.85, 0.85, 0.83),
        ),
        "overcast": ((1, 1, 1), 0.10, (0.76, 0.74, 0.72), (0.74, 0.71, 0.69), (0.86, 0.84, 0.82)),
        "sunset": (
            (0.28, 0.55, 1.0),
            0.65,
            (0.33, 0.30, 0.34),
            (0.52, 0.38, 0.34),
            (0.38, 0.60, 0.98),
        ),
        "dusk": ((0.6, 0.5, 0.6), 0.03, (0.22, 0.18, 0.16), (0.30, 0.19, 0.14), (0.36, 0.30, 0.34)),
        "night": ((1, 1, 1), 0.0, (0.052, 0.042, 0.038), (0.035, 0.024, 0.02), (0.07, 0.06, 0.07)),
    }
    colour, strength, ambient, zenith, horizon = table[hour]
    gain = np.float32(rng.uniform(0.85, 1.15))
    clouds = 1.0 if hour == "overcast" else float(rng.choice([0.0, 0.3, 0.55, 0.8]))
    softness = float(rng.uniform(0.6, 1.2)) if hour != "overcast" else 4.0
    return Light(
        hour,
        sun,
        np.array(colour, np.float32),
        strength * (0.6 if clouds > 0.7 else 1.0),
        np.array(ambient, np.float32) * gain,
        np.array(zenith, np.float32),
        np.array(horizon, np.float32),
        clouds,
        float(rng.uniform(0, 40)),
        softness,
    )
