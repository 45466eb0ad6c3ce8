"""DJI video subtitles (.SRT beside the .MP4) into a track. Pure.

Three families, told apart by their words and not by the model: `[latitude: …]` brackets,
`GPS(…) BAROMETER:…` lines, and `F/2.8, …, GPS (…), H …m` lines. What no family says for certain is
put nowhere: `abs_alt` and `altitude` are above sea level or the ellipsoid, depending on the model;
the sign of `V.S` is not documented.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from domain.observation import Telemetry
from domain.place import Position
from services.ingest.fields import Unreadable
from services.ingest.track import FILE_LIMIT_BYTES, Flown, Track, track_of

EARLIEST_YEAR = 2010
"""Before it nothing flew that writes these; a clock never set says so."""
BLOCKS_LIMIT = 2_000_000
NUMBER = r"[-+]?\d{1,9}(?:\.\d{1,20})?"
CUE = re.compile(r"(\d{1,3}):(\d\d):(\d\d)[,.](\d{3}) *-->")
DATE = re.compile(
    r"\b(\d{4})[-.](\d{1,2})[-.](\d{1,2}) +(\d{1,2}):(\d\d):(\d\d)(?:[,.](\d{3}))?(?:[,.](\d{3}))?"
)
# The first model that had it wrote "longtitude", and later ones kept it.
LATITUDE = re.compile(rf"\blatitude *: *({NUMBER})")
LONGITUDE = re.compile(rf"\blongt?itude *: *({NUMBER})")
GPS = re.compile(rf"\bGPS *\( *({NUMBER}) *, *({NUMBER}) *(?:, *({NUMBER} *[Mm]?))? *\)")
HEIGHTS = (
    re.compile(rf"\brel_alt *: *({NUMBER})"),
    # Written with a colon it is 0 at take-off and landing; with brackets (Avata) it is not.
    re.compile(rf"\bBAROMETER *: *({NUMBER})"),
    re.compile(rf"\bHb *: *({NUMBER})"),
    re.compile(rf"\bH +({NUMBER})m"),
)
SPEED = re.compile(rf"\bH\.S +({NUMBER})m/s")
BODY = re.compile(rf"\bF\.PRY *\( *{NUMBER}°?, *{NUMBER}°?, *({NUMBER})")
GIMBAL = re.compile(rf"\bG\.PRY *\( *({NUMBER})°?, *{NUMBER}°?, *({NUMBER})")
GIMBAL_PITCH = re.compile(rf"\bgb_pitch *: *({NUMBER})")
GIMBAL_YAW = re.compile(rf"\bgb_yaw *: *({NUMBER})")


@dataclass(frozen=True, slots=True)
class Block:
    number: int
    """Its place in the file, from 1."""
    cue_s: float | None
    text: str


def read(data: bytes, flown: Flown) -> Track:
    """Return the flight a subtitle file tells. Raises Unreadable where it tells none."""
    if len(data) > FILE_LIMIT_BYTES:
        raise Unreadable(f"a file of {len(data)} bytes; the limit is {FILE_LIMIT_BYTES}")
    words = data.decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
    blocks = list(_blocks(words))
    if not blocks:
        raise Unreadable("no subtitle blocks: a DJI .SRT has a number, a time and a text in each")
    if len(blocks) > BLOCKS_LIMIT:
        raise Unreadable(f"{len(blocks)} blocks; the limit is {BLOCKS_LIMIT}")
    latitude_first = _latitude_first(words)
    if DATE.search(words) is not None:
        flown = replace(flown, start=None)
    rows: list[Telemetry] = []
    bad: list[tuple[Block, str]] = []
    for block in blocks:
        try:
            rows.append(_row(block, latitude_first, flown))
        except Unreadable as error:
            bad.append((block, str(error)))
    if not bad:
        return track_of(rows, len(blocks), (), flown.received_at)
    told = f"first bad at block {bad[0][0].number}: {bad[0][1]}"
    if not rows:
        raise Unreadable(f"none of {len(blocks)} blocks could be taken; {told}")
    note = f"{len(rows)} of {len(blocks)} blocks read; {told}"
    return track_of(rows, len(blocks), (note,), flown.received_at)


def _blocks(words: str) -> Iterator[Block]:
    """Yield what stands between blank lines and begins with a number or a time."""
    for i, text in enumerate(re.split(r"\n[ \t]*\n\s*", words.strip()), 1):
        cue = CUE.search(text)
        if cue is None and not re.match(r"\d+ *\n", text):
            continue
        cue_s = None
        if cue is not None:
            hours, minutes, seconds, thousandths = map(int, cue.groups())
            cue_s = hours * 3600 + minutes * 60 + seconds + thousandths / 1000
        yield Block(i, cue_s, text)


def _latitude_first(words: str) -> bool | None:
    """Tell the order within GPS(…): what lies beyond 90° is a longitude; None if both do."""
    firsts, seconds = set[bool](), set[bool]()
    for first, second, _ in GPS.findall(words):
        firsts.add(abs(float(first)) > 90)
        seconds.add(abs(float(second)) > 90)
    if True in firsts:
        return None if True in seconds else False
    if True in seconds:
        return True
    # Where the third is a height in metres (M300, Avata) the latitude comes first; where it is
    # the number of satellites (Mavic Pro, Phantom 4, Mini) the longitude does.
    return any("." in third or third[-1:] in "Mm" for _, _, third in GPS.findall(words) if third)


def _row(block: Block, latitude_first: bool | None, flown: Flown) -> Telemetry:
    text = block.text
    body, gimbal = BODY.search(text), GIMBAL.search(text)
    pitch, yaw = GIMBAL_PITCH.search(text), GIMBAL_YAW.search(text)
    height = next((found for pattern in HEIGHTS if (found := pattern.search(text))), None)
    place = _position(text, latitude_first)
    return replace(
        flown.row(_instant(block, flown), place),
        height_rel_m=_within("height", height, 1, -500, 9000),
        speed_m_s=_within("H.S", SPEED.search(text), 1, 0, 200),
        heading_deg=_turned(_within("F.PRY yaw", body, 1, -360, 360)),
        gimbal_pitch_deg=_within("gimbal pitch", gimbal or pitch, 1, -180, 180),
        gimbal_yaw_deg=_turned(_within("gimbal yaw", gimbal or yaw, 2 if gimbal else 1, -360, 360)),
    )


def _position(text: str, latitude_first: bool | None) -> Position:
    named = LATITUDE.search(text), LONGITUDE.search(text)
    if named[0] is not None and named[1] is not None:
        lat, lon = float(named[0][1]), float(named[1][1])
    elif (pair := GPS.search(text)) is not None:
        if latitude_first is None:
            raise Unreadable("GPS(…) has latitude and longitude in both orders in this file")
        first, second = float(pair[1]), float(pair[2])
        lat, lon = (first, second) if latitude_first else (second, first)
    else:
        raise Unreadable("it tells no position")
    if lat == 0 and lon == 0:
        raise Unreadable("its position is 0, 0: there was no fix")
    if not (-90 <= lat <= 90 and -180 <= lon <= 180):
        raise Unreadable(f"latitude {lat:g}, longitude {lon:g} is no place on Earth")
    return Position(lat, lon)


def _instant(block: Block, flown: Flown) -> datetime:
    told = DATE.search(block.text)
    if told is not None:
        year, month, day, hour, minute, second = (int(part) for part in told.groups()[:6])
        microsecond = int(told[7] or 0) * 1000 + int(told[8] or 0)
        if year < EARLIEST_YEAR:
            raise Unreadable(f"{told[0]!r} is no time of a flight")
        try:
            local = datetime(year, month, day, hour, minute, second, microsecond, tzinfo=flown.zone)
            return local.astimezone(UTC)
        except (ValueError, OverflowError):
            raise Unreadable(f"{told[0]!r} is no time") from None
    if flown.start is None:
        raise Unreadable("it tells no date; if none of the file does, give when it began: --start")
    if block.cue_s is None:
        raise Unreadable("it tells neither date nor time")
    return (flown.start + timedelta(seconds=block.cue_s)).astimezone(UTC)


def _within(
    name: str, found: re.Match[str] | None, group: int, low: float, high: float
) -> float | None:
    if found is None:
        return None
    value = float(found[group])
    if not low <= value <= high:
        raise Unreadable(f"{name} must lie in {low:g}..{high:g}, got {value:g}")
    return value


def _turned(degrees: float | None) -> float | None:
    return None if degrees is None else degrees % 360.0
