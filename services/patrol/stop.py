"""停飞 in two steps: the first call says what it would do and gives a token, the second carries it.

The token needs no store: it is an HMAC over who asks, what, the sky's state it was shown for, and
until when. Pure.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.patrol.flight import TAKE_OFFS, Flight
from services.patrol.refusal import Refusal

CONFIRM_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Effect:
    """What a stop would do now: drones in the air, about to take off, and planned."""

    in_the_air: tuple[str, ...]
    taking_off: tuple[str, ...]
    planned: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Confirm:
    """The first step's answer. Nothing has been done yet."""

    token: str
    until: datetime
    effect: Effect


def effect(flights: list[Flight]) -> Effect:
    """Return what stopping would mean for the open flights."""
    own = [f for f in flights if f.open and f.carrier_id is None]
    flying = [f for f in own if f.airborne()]
    sent = [f for f in own if not f.airborne() and any(s.step in TAKE_OFFS for s in f.steps)]
    rest = [f for f in own if f not in flying and f not in sent]
    return Effect(_drones(flying), _drones(sent), _drones(rest))


def _drones(flights: list[Flight]) -> tuple[str, ...]:
    return tuple(sorted(f.mission.drone_sn for f in flights))


def token(secret: str, what: str, who: str, version: int, until: datetime) -> str:
    """Return the token for `who` doing `what` to the stream at `version`, good until `until`."""
    ends = str(int(until.timestamp() * 1000))
    text = "\n".join((what, who, str(version), ends))
    digest = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    return f"{ends}.{digest[:32]}"


def ask(
    secret: str,
    what: str,
    who: str,
    version: int,
    at: datetime,
    shown: Effect,
    within_s: float = CONFIRM_WITHIN_S,
) -> Confirm:
    """Return the first step's answer, to be confirmed within so many clock seconds."""
    # Whole milliseconds, so that the token says exactly what was told.
    until = at + timedelta(seconds=within_s)
    until = until.replace(microsecond=until.microsecond // 1000 * 1000)
    return Confirm(token(secret, what, who, version, until), until, shown)


def refused(
    secret: str, what: str, who: str, version: int, at: datetime, given: str
) -> Refusal | None:
    """Return why a token does not confirm this, or None when it does."""
    cure = "ask again without a token, then confirm within a minute"
    ends, _, _ = given.partition(".")
    if not ends.isascii() or not ends.isdigit() or len(ends) > 15:
        return Refusal("bad_token", "token", cure)
    until = datetime.fromtimestamp(int(ends) / 1000.0, UTC)
    if not hmac.compare_digest(token(secret, what, who, version, until).encode(), given.encode()):
        return Refusal("bad_token", "token", cure)
    return Refusal("token_expired", "token", cure) if at > until else None
