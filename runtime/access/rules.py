"""allow(principal, action, object): one table, one question, no other place decides. Pure."""

from dataclasses import dataclass, field

from domain.incident import Incident
from domain.responder import Dispatch, Responder
from runtime.access.principal import FIELD_ROLES, Principal, Role

DESK = frozenset({Role.OPERATOR, Role.DISPATCHER, Role.ADMINISTRATOR})
SUPERVISORS = frozenset({Role.DISPATCHER, Role.ADMINISTRATOR})
WATCHERS = DESK | {Role.ENGINEER, Role.AUDITOR}
EVERYBODY = frozenset(Role)

ACTIONS: dict[str, frozenset[Role]] = {
    "district.read": EVERYBODY,
    "device.read": EVERYBODY,
    "entry.read": EVERYBODY,
    "audit.read": frozenset({Role.AUDITOR, Role.ADMINISTRATOR}),
    "incident.read": EVERYBODY,
    "incident.report": EVERYBODY - {Role.AUDITOR},
    "incident.acknowledge": DESK,
    "incident.dispatch": DESK,
    "incident.verify": DESK | FIELD_ROLES,
    "incident.close": DESK,
    "incident.dismiss": DESK,
    "dispatch.act": FIELD_ROLES,
    "task.read": FIELD_ROLES,
    "duty.set": FIELD_ROLES,
    "position.set": FIELD_ROLES,
    "responder.read": DESK,
    "evidence.read": EVERYBODY,
    "evidence.write": EVERYBODY - {Role.AUDITOR},
    "original.read": frozenset({Role.AUDITOR, Role.ADMINISTRATOR}),
    "mission.read": WATCHERS,
    "mission.command": DESK,
    "sky.read": WATCHERS,
    "flight.stop": DESK | {Role.ENGINEER},
    "flight.lift": SUPERVISORS,
    "drone.control": DESK,
    "airspace.announce": DESK,
    "application.file": DESK,
    "application.decide": SUPERVISORS,
    "track.read": WATCHERS,
    "watch.read": WATCHERS,
    "watch.write": SUPERVISORS | {Role.ENGINEER},
}


@dataclass(slots=True)
class Scope:
    """Whose something is: the areas it lies in and the responders sent to it."""

    cell_code: str | None = None
    police_code: str | None = None
    responders: set[str] = field(default_factory=set)


def allow(principal: Principal, action: str, thing: object = None) -> bool:
    """Tell whether the principal may do `action` to `thing`. Unknown actions are refused."""
    if principal.role not in ACTIONS.get(action, frozenset()):
        return False
    if not principal.in_the_field:
        return True
    if isinstance(thing, Incident):
        sent = {d.responder_id for d in thing.dispatches}
        return _own(principal, Scope(thing.cell_code, thing.police_code, sent))
    if isinstance(thing, Scope):
        return _own(principal, thing)
    if isinstance(thing, Dispatch):
        return thing.responder_id == principal.responder_id
    if isinstance(thing, Responder):
        return thing.responder_id == principal.responder_id
    return True


def _own(principal: Principal, scope: Scope) -> bool:
    """In the field one sees what lies in one's own area, and what one was sent to."""
    return (
        scope.cell_code in principal.cells
        or scope.police_code in principal.police
        or principal.responder_id in scope.responders
    )
