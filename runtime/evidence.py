"""Evidence: pictures named by their content's SHA-256, on disk before the row that names them.

A crash between the file and the commit leaves an orphan, which `sweep` removes once it is old
enough that no transaction can still be about to name it.
"""

import asyncio
import hashlib
import os
import re
import tempfile
from collections.abc import Collection
from pathlib import Path

SHA256 = re.compile(r"[0-9a-f]{64}")
PICTURE_LIMIT_BYTES = 8 * 1024 * 1024
QUOTA_BYTES = 20 * 1024**3


class EvidenceFull(Exception):
    """The quota is used up; older evidence has to be deleted by its retention first."""


class EvidenceStore:
    """Files under `folder`, two levels deep. Never overwrites: equal content is one file."""

    def __init__(self, folder: Path, quota_bytes: int = QUOTA_BYTES) -> None:
        self.folder = folder
        self.quota_bytes = quota_bytes
        self._used_bytes = -1

    async def put(self, content: bytes) -> str:
        """Keep a picture and return its hash once it is durable on disk.

        Raises ValueError beyond PICTURE_LIMIT_BYTES, EvidenceFull beyond the quota.
        """
        return await asyncio.to_thread(self.put_now, content)

    def put_now(self, content: bytes) -> str:
        """The same without a thread, for runs that must repeat exactly."""
        if len(content) > PICTURE_LIMIT_BYTES:
            raise ValueError(f"picture of {len(content)} bytes; the limit is {PICTURE_LIMIT_BYTES}")
        sha256 = hashlib.sha256(content).hexdigest()
        path = self.path(sha256)
        if path.exists():
            return sha256
        if self._used_bytes < 0:
            self._used_bytes = sum(f.stat().st_size for f in self.folder.glob("*/*.jpg"))
        if self._used_bytes + len(content) > self.quota_bytes:
            raise EvidenceFull(f"{self.folder} holds {self._used_bytes} bytes of evidence")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, content)
        self._used_bytes += len(content)
        return sha256

    def get(self, sha256: str) -> bytes | None:
        """Return the picture, or None when it is not kept here."""
        try:
            return self.path(sha256).read_bytes()
        except FileNotFoundError:
            return None

    def path(self, sha256: str) -> Path:
        if not SHA256.fullmatch(sha256):
            raise ValueError("an evidence name is 64 hexadecimal digits")
        return self.folder / sha256[:2] / f"{sha256}.jpg"

    def sweep(self, named: Collection[str], now_s: float, min_age_s: float = 3600.0) -> int:
        """Delete files older than `min_age_s` that no row names; return how many."""
        removed = 0
        for path in self.folder.glob("*/*.jpg"):
            if path.stem not in named and now_s - path.stat().st_mtime > min_age_s:
                path.unlink()
                removed += 1
        self._used_bytes = -1
        return removed


class InlineEvidenceStore(EvidenceStore):
    """The same files, written in the caller's turn: in a virtual loop threads have no place."""

    async def put(self, content: bytes) -> str:
        return self.put_now(content)


def write_durably(path: Path, content: bytes) -> None:
    """Write a file that is whole on disk, name and all, or not there."""
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
