"""Other rules put to recorded days: what they would have raised, and what became of it.

What was raised then is in the ledger with how it ended. A would-be hazard is held against the
incident of its kind nearest in place and time: confirmed where that one was handled or handed over,
false where it was dismissed or closed as a false alarm or unfounded, else unjudged.
"""

import json
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from mcap.exceptions import McapError
from mcap.reader import NonSeekingReader
from zstandard import ZstdError

from domain.codec import from_plain, instant_text
from domain.district import District
from domain.events import IncidentClosed, IncidentDismissed, IncidentReported
from domain.hazard import Detection, HazardKind
from domain.incident import CloseOutcome
from domain.observation import FramePose
from domain.sight import CameraCalibrated, SightRule
from geo.frames import LocalFrame
from runtime.ledger import Entry
from services.ingest.sight.calibrated import Calibrated, calibrated
from services.ingest.sight.dry_run import SeenThen, WouldRaise, dry_run
from services.ingest.sight.scene import Scene
from services.ingest.watch import WatchPolicy

RECORD_LIMIT_BYTES = 64 * 1024 * 1024
CUT = (McapError, EOFError, struct.error, ValueError, ZstdError)
SUFFIXES = ("*.det.mcap", "*.cam.mcap", "*.det.mcap.part", "*.cam.mcap.part")
NEAR_M, NEAR_S = 40.0, 1800.0
OF_THE_PAST = (IncidentReported, IncidentClosed, IncidentDismissed, CameraCalibrated)
CONFIRMED = frozenset({CloseOutcome.HANDLED, CloseOutcome.HANDED_OVER})


@dataclass(frozen=True, slots=True)
class Ended:
    """An incident that was, and how it ended: None while it is open."""

    incident_id: str
    kind: HazardKind
    x_m: float
    y_m: float
    at: datetime
    outcome: CloseOutcome | None


@dataclass(frozen=True, slots=True)
class Verdicts:
    frames: int
    raised: tuple[tuple[WouldRaise, str], ...]
    """Each with confirmed, false or unjudged."""
    missed: tuple[Ended, ...]
    """Confirmed incidents of the rules' kinds, from watch, that these rules would not have seen."""


def recorded(folder: Path, since: datetime, until: datetime) -> list[SeenThen]:
    """Return the recorded frames of a time, in order. A file cut by a crash gives what it has."""
    found: list[SeenThen] = []
    for pattern in SUFFIXES:
        for path in sorted(folder.glob(pattern)):
            found += [seen for seen in _frames(path) if since <= seen.at < until]
    return sorted(found, key=lambda seen: (seen.at, seen.device_sn))


def _frames(path: Path) -> Iterator[SeenThen]:
    with path.open("rb") as stream:
        reader = NonSeekingReader(stream, record_size_limit=RECORD_LIMIT_BYTES)
        try:
            for _, channel, message in reader.iter_messages(log_time_order=False):
                if channel.topic.endswith("/det"):
                    yield _seen(channel.topic.split("/")[2], json.loads(message.data))
        except CUT:
            return


def _seen(device_sn: str, plain: dict[str, Any]) -> SeenThen:
    pose = plain.get("pose")
    width_px, height_px = plain.get("size_px") or (640, 480)
    return SeenThen(
        datetime.fromisoformat(plain["at"]),
        device_sn,
        (int(width_px), int(height_px)),
        None if pose is None else from_plain(FramePose, pose),
        tuple(from_plain(Detection, box) for box in plain["boxes"]),
    )


def ended(entries: Iterable[Entry], district: District) -> list[Ended]:
    """Return the incidents devices told of, with how each ended."""
    frame = LocalFrame(district.origin)
    found: dict[str, Ended] = {}
    for entry in entries:
        event = entry.event
        if isinstance(event, IncidentReported) and event.source != "person":
            x_m, y_m = frame.to_local(event.position.lat_deg, event.position.lon_deg)
            one = Ended(event.incident_id, event.kind, x_m, y_m, entry.at, None)
            found[event.incident_id] = one
        elif isinstance(event, IncidentClosed | IncidentDismissed):
            one_before = found.get(event.incident_id)
            if one_before is not None:
                fields = {f: getattr(one_before, f) for f in Ended.__dataclass_fields__}
                found[event.incident_id] = Ended(**fields | {"outcome": event.outcome})
    return list(found.values())


def by_control_points(entries: Iterable[Entry], district: District) -> dict[str, Calibrated]:
    """Return the cameras that go by control points, by those told last.

    Raises BadCalibration where some were kept that fit no plane.
    """
    told = {e.event.device_sn: e.event for e in entries if isinstance(e.event, CameraCalibrated)}
    return {
        camera.sn: calibrated(camera, told[camera.sn].points)
        for camera in district.cameras
        if camera.sn in told and told[camera.sn].points
    }


def judged(
    frames: Sequence[SeenThen],
    rules: Sequence[SightRule],
    district: District,
    policy: WatchPolicy,
    by_points: Mapping[str, Calibrated],
    incidents: Sequence[Ended],
    since: datetime,
    until: datetime,
) -> Verdicts:
    """Put `rules` to frames and hold what they raise against what became of it then.

    `policy` is that of the model in use, `by_points` the cameras' control points as they are now.
    """
    scene, eye = Scene.of(district), policy.eye
    raised = dry_run(
        frames,
        rules,
        scene,
        eye.sighting,
        eye.follow,
        policy.ballot,
        policy.view_limit_m,
        by_points,
    )
    verdicts, met = [], set[str]()
    for one in raised:
        near = _nearest(one, incidents)
        if near is not None:
            met.add(near.incident_id)
        verdicts.append((one, _verdict(near)))
    kinds = {rule.kind for rule in rules}
    missed = tuple(
        i
        for i in incidents
        if i.kind in kinds
        and i.outcome in CONFIRMED
        and i.incident_id not in met
        and since <= i.at < until
    )
    return Verdicts(len(frames), tuple(verdicts), missed)


def _nearest(one: WouldRaise, incidents: Sequence[Ended]) -> Ended | None:
    limit = timedelta(seconds=NEAR_S)
    near = [
        (((i.x_m - one.sighting.x_m) ** 2 + (i.y_m - one.sighting.y_m) ** 2) ** 0.5, i.at, i)
        for i in incidents
        if i.kind is one.sighting.kind and abs(i.at - one.at) <= limit
    ]
    near = [found for found in near if found[0] <= NEAR_M]
    return min(near, key=lambda found: found[:2])[2] if near else None


def _verdict(near: Ended | None) -> str:
    if near is None or near.outcome is None:
        return "unjudged"
    return "confirmed" if near.outcome in CONFIRMED else "false"


def summary(verdicts: Verdicts) -> dict[str, Any]:
    """Return what is printed: counts by rule, and every hazard with its verdict."""
    by_rule: dict[str, Counter[str]] = {}
    for one, verdict in verdicts.raised:
        by_rule.setdefault(one.rule, Counter())[verdict] += 1
    return {
        "frames": verdicts.frames,
        "would_raise": len(verdicts.raised),
        "rules": {
            rule: {"would_raise": sum(counts.values()), **counts}
            for rule, counts in sorted(by_rule.items())
        },
        "missed": [
            {"incident_id": i.incident_id, "kind": i.kind.value, "at": instant_text(i.at)}
            for i in verdicts.missed
        ],
        "hazards": [
            {
                "rule": one.rule,
                "device_sn": one.device_sn,
                "first_at": instant_text(one.first_at),
                "at": instant_text(one.at),
                "lat_deg": one.sighting.position.lat_deg,
                "lon_deg": one.sighting.position.lon_deg,
                "votes": one.votes,
                "verdict": verdict,
            }
            for one, verdict in verdicts.raised
        ],
    }
