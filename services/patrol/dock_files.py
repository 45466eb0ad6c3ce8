"""Files between patrol and its docks: flight areas given out, media told of."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import structlog

from domain.device import Dock
from domain.ids import derive
from runtime.database import going_on
from services.patrol.commander import Commander
from services.patrol.conversation import Conversation
from services.patrol.flight_areas import (
    GET_METHOD,
    LOCATION_METHOD,
    SYNC_METHOD,
    UPDATE_METHOD,
    AreaFile,
    AreaSync,
    area_file,
    due,
    heard,
    told,
)
from services.patrol.media import METHOD as MEDIA_METHOD
from services.patrol.media import media_file
from services.patrol.policy import patience_s

log = structlog.get_logger(__name__)

SOON = timedelta(hours=1)
"""Zones that close within this are in the file already."""


class DockFiles:
    """`area_url` gives the address of a file for docks; None where nobody serves it: then docks
    are told that there are no areas."""

    def __init__(
        self,
        commander: Commander,
        conversation: Conversation,
        area_url: Callable[[str], str] | None,
    ) -> None:
        self._commander, self._conversation = commander, conversation
        self._around, self._area_url = commander.around, area_url
        self._syncs: dict[str, AreaSync] | None = None

    async def run(self) -> None:
        """Tell docks of new areas until cancelled."""
        while self._area_url is not None and going_on():
            await self.tell_docks()
            await self._around.clock.sleep(self._every_s)

    @property
    def _every_s(self) -> float:
        policy, rate = self._around.policy, self._around.clock.rate
        return patience_s(policy.areas_every_s, policy.areas_every_wall_s, rate)

    def file(self) -> AreaFile:
        """Return the file of what is closed now or soon."""
        at = self._around.clock.now()
        airspaces = self._around.ground.district.airspaces
        return area_file([a for a in airspaces if a.active_between(at, at + SOON)])

    async def tell_docks(self) -> None:
        """Tell each idle dock that has not the newest areas; it may be told again in vain."""
        around, file = self._around, self.file()
        await around.store.docks.keep_areas(file)
        syncs = await self._known()
        busy = {f.mission.dock_sn for f in await around.store.open_flights()}
        for dock in self._commander.docks.values():
            sync = syncs.get(dock.sn, AreaSync(dock.sn))
            at = around.clock.now()
            if dock.sn in busy or not self._idle(dock) or not due(sync, file, at, around.policy):
                continue
            sync = told(sync, file, at)
            await self._put(sync)
            tid = derive("tid", "areas", dock.sn, file.checksum, str(sync.tries))
            result = await self._conversation.ask(
                dock.sn, UPDATE_METHOD, {}, tid, tid, self._commander.patience.reply_s
            )
            log.info("told of flight areas", dock=dock.sn, file=file.name, result=result)

    def _idle(self, dock: Dock) -> bool:
        at, commander = self._around.clock.now(), self._commander
        stand = commander.stand(dock).dock
        fresh = stand is not None and (at - stand.heard_at).total_seconds() <= commander.stale_s
        commands = commander.permits.commands(dock.drone_sn)
        return fresh and commands and stand is not None and stand.idle_since is not None

    async def answer(self, method: str, data: dict[str, Any]) -> dict[str, Any] | None:
        """Answer what a dock asks for before its take-off; None to what is not ours."""
        if method != GET_METHOD:
            return None
        files = []
        if self._area_url is not None:
            file = self.file()
            await self._around.store.docks.keep_areas(file)
            files = [
                {
                    "name": file.name,
                    "url": self._area_url(file.name),
                    "checksum": file.checksum,
                    "size": len(file.body),
                }
            ]
        return {"result": 0, "output": {"files": files}}

    async def take(self, dock_sn: str, method: str, data: dict[str, Any]) -> None:
        """Keep what a dock tells of its files."""
        at, store = self._around.clock.now(), self._around.store.docks
        if method == MEDIA_METHOD:
            file = media_file(data, at)
            if file is not None:
                await store.keep_media(file)
        elif method in (SYNC_METHOD, LOCATION_METHOD) and self._ours(dock_sn):
            before = (await self._known()).get(dock_sn, AreaSync(dock_sn))
            now = heard(before, method, data, at)
            if now != before and (method == SYNC_METHOD or self._worth_keeping(before, now, at)):
                await self._put(now)
            if now.status != before.status:
                log.info("flight areas", dock=dock_sn, status=now.status, reason=now.reason)

    def _ours(self, dock_sn: str) -> bool:
        """Each dock's word is kept by the part that commands its drone."""
        dock = self._commander.docks.get(dock_sn)
        return dock is not None and self._commander.permits.commands(dock.drone_sn)

    def _worth_keeping(self, before: AreaSync, now: AreaSync, at: datetime) -> bool:
        """Distances are told every few seconds: kept now and then, and when a border is crossed."""
        inside = [{d.area_id for d in sync.near if d.inside} for sync in (before, now)]
        if inside[0] != inside[1] or before.located_at is None:
            return True
        return (at - before.located_at).total_seconds() >= self._every_s

    async def _known(self) -> dict[str, AreaSync]:
        if self._syncs is None:
            self._syncs = await self._around.store.docks.syncs()
        return self._syncs

    async def _put(self, sync: AreaSync) -> None:
        (await self._known())[sync.dock_sn] = sync
        await self._around.store.docks.put_sync(sync)
