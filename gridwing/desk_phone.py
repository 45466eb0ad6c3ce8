"""A simulated responder's phone without HTTP: the same desk, called directly."""

from collections.abc import Sequence

from domain.district import District
from domain.incident import Incident
from domain.place import Position
from domain.responder import Force, Responder
from runtime.access.accounts import Account, principal_of
from runtime.access.principal import Role
from runtime.evidence import EvidenceStore
from services.alerts.desk import Desk
from simulators.responder import Task

ROLES = {Force.GRID: Role.GRID_WORKER, Force.POLICE_GRID: Role.POLICE_OFFICER}


class DeskPhone:
    """Acts as one responder; answers as the HTTP phone does when the desk says no."""

    def __init__(
        self, desk: Desk, evidence: EvidenceStore, responder: Responder, district: District
    ) -> None:
        role = ROLES.get(responder.force, Role.PROFESSIONAL)
        account = Account(responder.account, role, responder.call_sign, responder.responder_id)
        self._desk, self._evidence = desk, evidence
        self._principal = principal_of(account, district)

    async def tasks(self) -> list[Task]:
        found = await self._desk.tasks(self._principal)
        return [
            Task(
                t.dispatch.dispatch_id,
                t.dispatch.incident_id,
                t.dispatch.state,
                t.incident.kind,
                t.incident.position,
                t.dispatch.offered_at,
            )
            for t in found
        ]

    async def accept(self, dispatch_id: str) -> bool:
        return isinstance(await self._desk.accept(self._principal, dispatch_id), Incident)

    async def refuse(self, dispatch_id: str, reason: str) -> bool:
        done = await self._desk.refuse(self._principal, dispatch_id, reason)
        return isinstance(done, Incident)

    async def arrive(self, dispatch_id: str) -> bool:
        return isinstance(await self._desk.arrive(self._principal, dispatch_id), Incident)

    async def photo(self, jpeg: bytes) -> str | None:
        return await self._evidence.put(jpeg)

    async def hand_back(self, dispatch_id: str, shas: Sequence[str]) -> bool:
        done = await self._desk.hand_back(self._principal, dispatch_id, tuple(shas))
        return isinstance(done, Incident)

    async def duty(self, on: bool) -> bool:
        return await self._desk.duty(self._principal, on) is None

    async def position(self, at: Position) -> bool:
        return await self._desk.position(self._principal, at) is None
