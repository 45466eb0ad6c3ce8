"""Who looked at kept pictures, and at their sealed originals."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class EvidenceViewed:
    """web: who saw a picture and for which purpose code. Stream evidence/<sha256>."""

    KIND: ClassVar[str] = "evidence.viewed"
    SCHEMA: ClassVar[int] = 1
    sha256: str
    purpose: str


@dataclass(frozen=True, slots=True)
class EvidenceUnsealed:
    """gridwing evidence unseal: who opened the original of a picture and for which purpose code.
    Stream evidence/<sha256>."""

    KIND: ClassVar[str] = "evidence.unsealed"
    SCHEMA: ClassVar[int] = 1
    sha256: str
    purpose: str
