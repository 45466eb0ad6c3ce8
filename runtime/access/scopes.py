"""Whose a ledger entry or a picture is, folded from the ledger itself."""

from domain.events import DispatchOffered, IncidentReported, PersonalDataErased
from domain.evidence import EvidenceUnsealed, EvidenceViewed
from runtime.access.principal import Principal
from runtime.access.rules import Scope, allow
from runtime.ledger import Entry

NOBODY = Scope()


class Scopes:
    """Knows of every incident where it lies, who was sent, and which pictures belong to it."""

    def __init__(self) -> None:
        self._incidents: dict[str, Scope] = {}
        self._pictures: dict[str, set[str]] = {}

    def learn(self, entry: Entry) -> None:
        event = entry.event
        incident_id: str | None = getattr(event, "incident_id", None)
        if incident_id is None:
            return
        if isinstance(event, IncidentReported):
            scope = self._incidents.setdefault(incident_id, Scope())
            scope.cell_code, scope.police_code = event.cell_code, event.police_code
        elif isinstance(event, DispatchOffered):
            scope = self._incidents.setdefault(incident_id, Scope())
            scope.responders.add(event.responder_id)
        for sha256 in getattr(event, "evidence", ()):
            self._pictures.setdefault(sha256, set()).add(incident_id)

    def may_read(self, principal: Principal, entry: Entry) -> bool:
        """Tell whether the principal may read a ledger entry."""
        if isinstance(entry.event, EvidenceUnsealed | EvidenceViewed | PersonalDataErased):
            return allow(principal, "audit.read")
        kind, _, name = entry.stream.partition("/")
        scope = self._incidents.get(name, NOBODY) if kind == "incident" else NOBODY
        return allow(principal, "entry.read", scope)

    def may_see(self, principal: Principal, sha256: str) -> bool:
        """Tell whether the principal may see a picture: in the field only one's own incidents'."""
        incidents = self._pictures.get(sha256, ())
        scopes = [self._incidents.get(incident_id, NOBODY) for incident_id in incidents]
        return any(allow(principal, "evidence.read", scope) for scope in scopes or [NOBODY])
