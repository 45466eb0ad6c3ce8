"""Who is asking."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    OPERATOR = "operator"
    DISPATCHER = "dispatcher"
    GRID_WORKER = "grid_worker"
    POLICE_OFFICER = "police_officer"
    PROFESSIONAL = "professional"
    ENGINEER = "engineer"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


FIELD_ROLES = frozenset({Role.GRID_WORKER, Role.POLICE_OFFICER, Role.PROFESSIONAL})


@dataclass(frozen=True, slots=True)
class Principal:
    """An account with what it may see: `cells` and `police` are a field role's own areas."""

    account_id: str
    role: Role
    display: str = ""
    responder_id: str | None = None
    cells: frozenset[str] = frozenset()
    police: frozenset[str] = frozenset()

    @property
    def in_the_field(self) -> bool:
        return self.role in FIELD_ROLES
