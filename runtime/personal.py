"""Free text and personal data beside the ledger: salted, named by reference, erasable.

The ledger holds only `ref` = SHA-256(salt ‖ canonical JSON). Deleting body and salt leaves a
number that tells nothing, and chain and refold still verify.
"""

import hashlib
import secrets
from datetime import datetime
from typing import Any

from psycopg.types.json import Json

from domain.codec import canonical
from domain.events import PersonalDataErased
from runtime.ledger import Transaction

SALT_BYTES = 16


def reference(salt: bytes, body: Any) -> str:
    return hashlib.sha256(salt + canonical(body).encode()).hexdigest()


async def keep(tx: Transaction, subject: str, body: Any) -> str:
    """Store a body about `subject` and return its reference."""
    salt = secrets.token_bytes(SALT_BYTES)
    ref = reference(salt, body)
    await tx.connection.execute(
        "INSERT INTO personal VALUES (%s, %s, %s, %s)", [ref, subject, salt, Json(body)]
    )
    return ref


async def erase(tx: Transaction, subject: str, *, at: datetime, actor: str) -> int:
    """Delete every body about `subject` and say so in the ledger; return how many."""
    cursor = await tx.connection.execute(
        "DELETE FROM personal WHERE subject = %s RETURNING ref", [subject]
    )
    refs = [str(row[0]) for row in await cursor.fetchall()]
    for ref in refs:
        event = PersonalDataErased(ref)
        await tx.append(f"erasure/{ref}", [event], at=at, actor=actor)
    return len(refs)
