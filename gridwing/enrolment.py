"""A device's own account at the broker: a hashed password, and only its own topics. Pure texts.

mosquitto reads both files again on SIGHUP. A dock or remote control speaks for its aircraft too,
under the aircraft's serial; nothing else may speak for another.
"""

import base64
import hashlib
from collections.abc import Sequence

from domain.device import DeviceKind
from services.ingest.devices import Devices

ITERATIONS = 101
SALT_BYTES = 12
"""mosquitto 2's own: `$7$`, PBKDF2 of SHA-512."""
GATEWAY_SAYS = (
    "thing/product/{}/osd",
    "thing/product/{}/state",
    "thing/product/{}/services_reply",
    "thing/product/{}/events",
    "thing/product/{}/requests",
    "thing/product/{}/property/set_reply",
    "thing/product/{}/drc/up",
    "sys/product/{}/status",
)
AIRCRAFT_SAYS = ("thing/product/{}/osd", "thing/product/{}/state")
GATEWAY_HEARS = (
    "thing/product/{}/services",
    "thing/product/{}/events_reply",
    "thing/product/{}/requests_reply",
    "thing/product/{}/property/set",
    "thing/product/{}/drc/down",
    "sys/product/{}/status_reply",
)
PROGRAMMED_SAYS = ("gridwing/telemetry/{}", "gridwing/frame/{}")
CAMERA_SAYS = ("onvif/{}/onvif-ej/#", "onvif/{}/onvif-mj/#", "gridwing/frame/{}")


def topics(sn: str, devices: Devices) -> tuple[list[str], list[str]]:
    """Return (what the device may say, what it may hear). Raises KeyError for a stranger."""
    kind = devices.kinds[sn]
    if kind is DeviceKind.CAMERA:
        return [each.format(sn) for each in CAMERA_SAYS], []
    if kind is DeviceKind.DRONE:
        return [each.format(sn) for each in PROGRAMMED_SAYS], []
    says = [each.format(sn) for each in GATEWAY_SAYS]
    if (drone := devices.drone_of.get(sn)) is not None:
        says += [each.format(drone) for each in (*AIRCRAFT_SAYS, *PROGRAMMED_SAYS)]
    return says, [each.format(sn) for each in GATEWAY_HEARS]


def password_line(account: str, password: str, salt: bytes) -> str:
    """Return the account's line of mosquitto's password file."""
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    coded = [base64.b64encode(part).decode() for part in (salt, digest)]
    return f"{account}:$7${ITERATIONS}${coded[0]}${coded[1]}"


def with_password(text: str, account: str, line: str | None) -> str:
    """Return a password file with one account's line set, or taken away where it is None."""
    kept = [old for old in text.splitlines() if old.partition(":")[0] != account]
    return _lines([*kept, line] if line is not None else kept)


def with_topics(text: str, account: str, says: Sequence[str], hears: Sequence[str]) -> str:
    """Return an access file in which the account's block is this; without topics it has none."""
    kept, ours = [], False
    for line in text.splitlines():
        if line.startswith("user "):
            ours = line == f"user {account}"
        if not ours:
            kept.append(line)
    while kept and not kept[-1]:
        kept.pop()
    block = [f"topic write {each}" for each in says] + [f"topic read {each}" for each in hears]
    return _lines([*kept, "", f"user {account}", *block] if block else kept)


def _lines(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
