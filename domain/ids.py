"""Identifiers derived from their cause, so that doing a thing twice names it once."""

from hashlib import blake2b


def derive(kind: str, *cause: str) -> str:
    """Return `kind-xxxxxxxxxxxxxxxx`, 16 hex digits of BLAKE2b over the cause's parts."""
    digest = blake2b(digest_size=8)
    for part in cause:
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part.encode())
    return f"{kind}-{digest.hexdigest()}"
