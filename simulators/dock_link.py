"""A dock on the wire: first contact, then its machine's words out and the server's commands in."""

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import md5, sha256
from pathlib import Path
from typing import Any

import structlog

from domain.device import Drone
from simulators.dock import AREAS, DockMachine
from simulators.dock_commands import answer
from simulators.dock_memory import Said
from simulators.flight_areas import read_areas
from simulators.gateway import Gateway, Outgoing
from simulators.osd import MODELS, model_key
from simulators.reply import Reply
from simulators.saved_state import save
from simulators.shutter import Shutter
from simulators.sortie import RESOURCE
from simulators.wayline import read_kmz

log = structlog.get_logger(__name__)

Fetch = Callable[[str], Awaitable[bytes]]
SAVE_EVERY_WALL_S = 2.0
NOT_UNDERSTOOD, NOT_DOWNLOADED, CHECKSUM_DIFFERS = 1, 3, 12
"""Reasons of flight_areas_sync_progress."""


class FetchError(Exception):
    """The wayline file could not be had; the dock fails the flight and says so."""


class DockLink:
    """`fetch(url)` returns a file's bytes or raises FetchError."""

    def __init__(
        self,
        machine: DockMachine,
        gateway: Gateway,
        fetch: Fetch,
        shutter: Shutter,
        memory: Path,
        tick_s: float,
    ) -> None:
        self.machine, self.gateway, self.fetch = machine, gateway, fetch
        self.shutter, self.memory, self.tick_s = shutter, memory, tick_s
        self._saved_wall_s = 0.0

    async def run(self) -> None:
        """Speak until cancelled."""
        ready = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.gateway.listen(self._serve, ready))
            await ready.wait()
            await self.first_contact()
            self.machine.skip_to(self.gateway.clock.now())
            while True:
                await self._turn(tasks)
                await self.gateway.clock.sleep(self.tick_s)

    async def first_contact(self) -> None:
        """Ask for the configuration, see to the binding, tell the topology."""
        dock = self.machine.dock
        ask = self.gateway.ask
        while await ask("config", {"config_type": "json", "config_scope": "product"}) is None:
            log.info("no configuration yet", dock=dock.sn)
        devices = [{"sn": dock.sn}, {"sn": self.machine.drone.sn}]
        bound = await ask("airport_bind_status", {"devices": devices})
        if bound is not None and not _all_bound(bound):
            await self._bind()
        await self.gateway.announce(topology(self.machine.drone))

    async def _bind(self) -> None:
        dock, drone = self.machine.dock, self.machine.drone
        code = {"device_binding_code": dock.sn, "organization_id": "gridwing"}
        await self.gateway.ask("airport_organization_get", code)
        model = model_key(drone.model)
        binds = [
            {**code, "sn": dock.sn, "device_callsign": dock.name, "device_model_key": "3-2-0"},
            {**code, "sn": drone.sn, "device_callsign": drone.name, "device_model_key": model},
        ]
        await self.gateway.ask("airport_organization_bind", {"bind_devices": binds})

    async def _turn(self, tasks: asyncio.TaskGroup) -> None:
        said = self.machine.advance(self.gateway.clock.now())
        outgoing: list[Outgoing] = self.gateway.overdue()
        for one in said:
            if one.kind == "osd":
                outgoing.append(self.gateway.properties(one.sn, one.data, one.at))
            elif one.kind == "drc":
                outgoing.append(self.gateway.pose(one.data, one.at))
            elif one.kind == "event":
                outgoing.append(self.gateway.event(one.method, one.data, one.at))
            elif one.kind == "ask":
                tasks.create_task(self._ask(one))
            elif one.flying is not None:
                self.shutter.release(self.machine.drone, one.flying, one.at, one.flight_id, tasks)
        self._remember()
        await self.gateway.send(outgoing)

    def _remember(self) -> None:
        now_s = self.gateway.clock.wall_s()
        if self.machine.dirty or now_s - self._saved_wall_s >= SAVE_EVERY_WALL_S:
            save(self.memory, self.machine.state)
            self.machine.dirty = False
            self._saved_wall_s = now_s

    def _serve(self, method: str, data: dict[str, Any]) -> Reply:
        reply = answer(self.machine, method, data, self.gateway.clock.now())
        log.info("service", dock=self.machine.dock.sn, method=method, result=reply.result)
        # Remembered before the reply goes out: what was agreed to is never agreed to twice.
        self._remember()
        return reply

    async def _ask(self, said: Said) -> None:
        reply = await self.gateway.ask(said.method, said.data)
        if said.method != RESOURCE:
            if reply is not None and said.method == AREAS:
                await self._take_areas(reply)
            if reply is not None:
                self.machine.answered(said.method, None)
            return
        flight_id = str(said.data["flight_id"])
        try:
            wayline = None if reply is None else read_kmz(await self._file(reply))
        except (FetchError, ValueError) as error:
            log.warning("wayline refused", flight=flight_id, error=str(error))
            wayline = None
        self.machine.supply(flight_id, wayline)

    async def _take_areas(self, reply: dict[str, Any]) -> None:
        """Take the flight areas the server has, unless they are here already."""
        output = reply.get("output")
        files = output.get("files") if isinstance(output, dict) else None
        if not isinstance(files, list) or not files or not isinstance(files[0], dict):
            self.machine.keep_areas("", ())
            return
        machine, name = self.machine, str(files[0].get("name", ""))
        checksum = str(files[0].get("checksum", ""))
        if checksum != machine.state.area_checksum:
            machine.tell_areas("synchronizing", 0, name, checksum)
            try:
                body = await self.fetch(str(files[0]["url"]))
                if sha256(body).hexdigest() != checksum:
                    machine.tell_areas("fail", CHECKSUM_DIFFERS, name, checksum)
                    return
                machine.keep_areas(checksum, read_areas(body))
            except (FetchError, KeyError) as error:
                log.warning("no flight areas", dock=machine.dock.sn, error=str(error))
                machine.tell_areas("fail", NOT_DOWNLOADED, name, checksum)
                return
            except ValueError as error:
                log.warning("flight areas refused", dock=machine.dock.sn, error=str(error))
                machine.tell_areas("fail", NOT_UNDERSTOOD, name, checksum)
                return
        machine.tell_areas("synchronized", 0, name, checksum)

    async def _file(self, reply: dict[str, Any]) -> bytes:
        output = reply.get("output")
        file = output.get("file") if isinstance(output, dict) else None
        if reply.get("result") != 0 or not isinstance(file, dict):
            raise FetchError(f"the server gave no file: result {reply.get('result')}")
        kmz = await self.fetch(str(file["url"]))
        # MD5 is what the vendor's protocol calls a fingerprint; it guards against mix-ups only.
        found = md5(kmz, usedforsecurity=False).hexdigest()
        if found != str(file.get("fingerprint", "")).lower():
            raise FetchError(f"fingerprint is {found}, promised {file.get('fingerprint')}")
        return kmz


def topology(drone: Drone | None, gateway: tuple[str, int, int] = ("3", 2, 0)) -> dict[str, Any]:
    """Return an `update_topo` body; without an aircraft it says that the aircraft is offline."""
    domain, kind, sub_kind = gateway
    return {
        **_product(domain, kind, sub_kind),
        "sub_devices": [] if drone is None else [_aircraft(drone)],
    }


def _aircraft(drone: Drone) -> dict[str, Any]:
    kind, sub_kind, _ = MODELS[drone.model]
    return {"sn": drone.sn, "index": "A", **_product("0", kind, sub_kind)}


def _product(domain: str, kind: int, sub_kind: int) -> dict[str, Any]:
    return {
        "domain": domain,
        "type": kind,
        "sub_type": sub_kind,
        "device_secret": "",
        "nonce": "",
        "thing_version": "1.1.2",
    }


def _all_bound(reply: dict[str, Any]) -> bool:
    output = reply.get("output")
    rows = output.get("bind_status") if isinstance(output, dict) else None
    if not isinstance(rows, list) or not rows:
        return False
    return all(isinstance(r, dict) and r.get("is_device_bind_organization") for r in rows)
