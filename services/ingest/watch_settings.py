"""What people tell watch: rules and control points, each a ledger event and its newest state.

A refusal is a BadSetting that names the field and the cure.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.codec import from_plain, to_plain
from domain.device import Camera
from domain.district import District
from domain.sight import CameraCalibrated, ControlPoint, SightRule, SightRuleChanged
from geo.homography import BadCalibration, GroundPlane, fit_ground
from runtime.access import Principal
from runtime.clock import Clock
from runtime.database import Pool
from runtime.ledger import Ledger
from services.ingest.sight.rules import RULES_LIMIT, changed, load_rules, read_rule

RULE, CALIBRATION = "sight-rule", "calibration"


class BadSetting(ValueError):
    """What was told does not fit; the message names the field and the cure."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Who told it last, and when; version 0 is what ships."""

    version: int = 0
    by: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RuleNow:
    rule: SightRule
    ships: bool
    """A rule of this code comes with Gridwing."""
    changed: bool
    told: Setting


class WatchSettings:
    """Reads and writes; who may do so is asked before."""

    def __init__(
        self, ledger: Ledger, pool: Pool, district: District, clock: Clock, sealed: bool = False
    ) -> None:
        """`sealed` says whether originals can be sealed here, since a key is set."""
        self._ledger, self._pool, self._district, self._clock = ledger, pool, district, clock
        self._sealed = sealed

    async def rules(self) -> tuple[RuleNow, ...]:
        """Return every rule as it holds now."""
        told = await self._told(RULE)
        overrides = {
            code: from_plain(SightRule, state) for code, (state, _) in told.items() if state
        }
        shipped = {rule.code for rule in load_rules()}
        return tuple(
            RuleNow(
                rule,
                rule.code in shipped,
                rule.code in overrides,
                told[rule.code][1] if rule.code in told else Setting(),
            )
            for rule in changed(load_rules(), overrides)
        )

    async def put_rule(self, who: Principal, code: str, plain: Mapping[str, Any]) -> int:
        """Set a rule in place of ours, or a new one; return its version. Raises BadSetting."""
        try:
            rule = read_rule(code, plain)
        except ValueError as error:
            raise BadSetting(str(error)) from error
        known = {camera.sn for camera in self._district.cameras}
        unknown = [sn for sn in rule.cameras if sn not in known]
        if unknown:
            raise BadSetting(f"{code}.cameras names {unknown[0]}, which is no camera here")
        if rule.sealed_days and not self._sealed:
            raise BadSetting(f"{code}.sealed_days needs a key: set GRIDWING_SEAL_KEY first")
        held = await self.rules()
        if code not in {now.rule.code for now in held} and len(held) >= RULES_LIMIT:
            raise BadSetting(f"{RULES_LIMIT} rules are the limit: drop one first")
        event = SightRuleChanged(code, rule)
        return await self._write(who, f"{RULE}/{code}", event, to_plain(rule))

    async def drop_rule(self, who: Principal, code: str) -> int:
        """Go back to the rule that ships, or to none. Raises BadSetting."""
        if all(now.rule.code != code or not now.changed for now in await self.rules()):
            raise BadSetting(f"rule {code} was not changed by anybody")
        return await self._write(who, f"{RULE}/{code}", SightRuleChanged(code, None), {})

    async def calibration(self, device_sn: str) -> tuple[tuple[ControlPoint, ...], Setting]:
        """Return a camera's control points, none where it goes by its registered pose."""
        self._camera(device_sn)
        state, told = (await self._told(CALIBRATION)).get(device_sn, ({}, Setting()))
        return from_plain(CameraCalibrated, state).points if state else (), told

    def fit(self, device_sn: str, points: Sequence[ControlPoint]) -> GroundPlane:
        """Return the ground these points give, without keeping them. Raises BadSetting."""
        try:
            return fit_ground(points, self._camera(device_sn).position)
        except BadCalibration as error:
            raise BadSetting(str(error)) from error

    async def calibrate(
        self, who: Principal, device_sn: str, points: Sequence[ControlPoint]
    ) -> int:
        """Keep a camera's control points; none at all goes back to its registered pose."""
        if points:
            self.fit(device_sn, points)
        event = CameraCalibrated(self._camera(device_sn).sn, tuple(points))
        return await self._write(
            who, f"{CALIBRATION}/{device_sn}", event, to_plain(event) if points else {}
        )

    def _camera(self, device_sn: str) -> Camera:
        for camera in self._district.cameras:
            if camera.sn == device_sn:
                return camera
        raise BadSetting(f"{device_sn} is no camera of this district")

    async def _told(self, what: str) -> dict[str, tuple[dict[str, Any], Setting]]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT stream, state, version, by, at FROM watch_setting"
                " WHERE stream LIKE %s ORDER BY stream",
                [f"{what}/%"],
            )
            rows = await cursor.fetchall()
        return {
            stream.partition("/")[2]: (state, Setting(version, by, at))
            for stream, state, version, by, at in rows
        }

    async def _write(
        self,
        who: Principal,
        stream: str,
        event: SightRuleChanged | CameraCalibrated,
        state: dict[str, Any],
    ) -> int:
        at = self._clock.now()
        async with self._ledger.transaction() as tx:
            cursor = await tx.connection.execute(
                "SELECT version FROM watch_setting WHERE stream = %s FOR UPDATE", [stream]
            )
            row = await cursor.fetchone()
            version = 0 if row is None else row[0]
            await tx.append(
                stream, [event], at=at, actor=who.account_id, expected_version=version
            )
            await tx.connection.execute(
                "INSERT INTO watch_setting VALUES (%s, %s, %s, %s, %s) ON CONFLICT (stream)"
                " DO UPDATE SET version = excluded.version, state = excluded.state,"
                " by = excluded.by, at = excluded.at",
                [stream, version + 1, json.dumps(state), who.account_id, at],
            )
        return version + 1
