"""Is this sighting of a happening we know already? Space, time and kind, explained. Pure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from domain.hazard import HazardKind
from domain.incident import Incident
from domain.place import ErrorEllipse, Position
from geo.frames import LocalFrame
from services.alerts.life import is_open
from services.alerts.rules import Rules

PER_SIGMA = math.sqrt(-2.0 * math.log(0.05))
"""A 95 % ellipse of a two-dimensional normal lies this many σ out (χ², 2 degrees of freedom)."""
FUSES_AT = 0.1
"""Least score that fuses: about 2.1 σ apart for the same kind at the same time."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One report. `ellipse` None: nobody measured the error, `extent_m` of the kind stands in.

    `source` is the device, or `person`; a device's fault fuses only with faults of that device.
    """

    kind: HazardKind
    position: Position
    ellipse: ErrorEllipse | None
    at: datetime
    source: str


@dataclass(frozen=True, slots=True)
class Match:
    """Why a sighting was taken for an incident: the score is the product of three likelihoods."""

    incident_id: str
    score: float
    distance_m: float
    sigma_m: float
    apart_s: float
    space: float
    time: float
    kind: float


def likeness(sighting: Sighting, incident: Incident, frame: LocalFrame, rules: Rules) -> Match:
    """Score 0..1 how likely both are one happening.

    space = exp(−½ (d/σ)²), σ² = σ₁² + σ₂² + extent², with σ₁, σ₂ the two error ellipses along the
    line between the points; time = exp(−apart / memory); kind = 1, or how readily one kind shows
    itself as the other, or 0.
    """
    x_m, y_m = frame.to_local(sighting.position.lat_deg, sighting.position.lon_deg)
    x0_m, y0_m = frame.to_local(incident.position.lat_deg, incident.position.lon_deg)
    east_m, north_m = float(x_m) - float(x0_m), float(y_m) - float(y0_m)
    distance_m = math.hypot(east_m, north_m)
    bearing_deg = math.degrees(math.atan2(east_m, north_m))
    rule = rules.kinds[incident.kind]
    sigma_m = math.sqrt(
        sigma_towards(sighting.ellipse, bearing_deg) ** 2
        + sigma_towards(incident.ellipse, bearing_deg) ** 2
        + rule.extent_m**2
    )
    last_at = incident.last_seen_at or incident.opened_at
    apart_s = abs((sighting.at - last_at).total_seconds())
    space = math.exp(-0.5 * (distance_m / sigma_m) ** 2)
    time = math.exp(-apart_s / rule.memory_s)
    kind = _kinship(sighting, incident, rules)
    score = space * time * kind
    return Match(incident.incident_id, score, distance_m, sigma_m, apart_s, space, time, kind)


def same_happening(
    sighting: Sighting, incidents: Iterable[Incident], frame: LocalFrame, rules: Rules
) -> Match | None:
    """Return the best open incident this sighting belongs to, or None: a new happening."""
    matches = [likeness(sighting, i, frame, rules) for i in incidents if is_open(i)]
    best = max(matches, key=lambda m: (m.score, m.incident_id), default=None)
    return best if best is not None and best.score >= FUSES_AT else None


def reach_m(sighting: Sighting, rules: Rules, sigma_limit_m: float = 60.0) -> float:
    """Return how far an incident can lie and still fuse; stores look no farther."""
    own_m = 0.0 if sighting.ellipse is None else sighting.ellipse.semi_major_m / PER_SIGMA
    extent_m = max(rule.extent_m for rule in rules.kinds.values())
    sigma_m = math.sqrt(min(own_m, sigma_limit_m) ** 2 + sigma_limit_m**2 + extent_m**2)
    return sigma_m * math.sqrt(-2.0 * math.log(FUSES_AT))


def sigma_towards(ellipse: ErrorEllipse | None, bearing_deg: float) -> float:
    """Return one σ in metres of the ellipse in a direction (radius there over 2.45)."""
    if ellipse is None:
        return 0.0
    angle = math.radians(bearing_deg - ellipse.bearing_deg)
    a_m, b_m = max(ellipse.semi_major_m, 1e-6), max(ellipse.semi_minor_m, 1e-6)
    radius_m = a_m * b_m / math.hypot(b_m * math.cos(angle), a_m * math.sin(angle))
    return radius_m / PER_SIGMA


def _kinship(sighting: Sighting, incident: Incident, rules: Rules) -> float:
    if sighting.kind is HazardKind.DEVICE_FAULT:
        same_device = incident.kind is sighting.kind and incident.source == sighting.source
        return 1.0 if same_device else 0.0
    if sighting.kind is incident.kind:
        return 1.0
    return rules.kinds[incident.kind].renders_as.get(sighting.kind, 0.0)
