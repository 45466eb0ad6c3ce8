"""Sealed originals: pictures as they came, that only whoever has the private key can open.

Sealed boxes of libsodium (an ephemeral Curve25519 key, XSalsa20-Poly1305): the server holds the
public key only and cannot open what it wrote. A file lies in the folder of the last day it is kept,
so that retention is the deletion of folders.
"""

import asyncio
import re
import shutil
from datetime import date
from pathlib import Path

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from runtime.evidence import SHA256, EvidenceFull, write_durably

MARK = b"gridwing sealed 1\n"
KEY_HEX = re.compile(r"[0-9a-f]{64}")
SUFFIX = ".sealed"
QUOTA_BYTES = 20 * 1024**3


class SealError(ValueError):
    """A key or a sealed file that does not fit; the text says which."""


def new_key() -> tuple[str, str]:
    """Return a private key and its public key, each as 64 hexadecimal digits."""
    private = PrivateKey.generate()
    return bytes(private).hex(), bytes(private.public_key).hex()


def seal(original: bytes, public_hex: str) -> bytes:
    """Return the original so that only the private key opens it. Raises SealError."""
    return MARK + SealedBox(PublicKey(_key(public_hex))).encrypt(original)


def unseal(sealed: bytes, private_hex: str) -> bytes:
    """Return the original. Raises SealError where file or key are not what they should be."""
    if not sealed.startswith(MARK):
        raise SealError("this is no sealed original")
    try:
        return SealedBox(PrivateKey(_key(private_hex))).decrypt(sealed[len(MARK) :])
    except CryptoError as error:
        raise SealError("the file is damaged, or sealed for another key") from error


def _key(text: str) -> bytes:
    if not KEY_HEX.fullmatch(text):
        raise SealError("a key is 64 hexadecimal digits, as `gridwing evidence new-key` makes it")
    return bytes.fromhex(text)


class SealedStore:
    """Originals under `folder`, each under its last day and the name of its blurred picture."""

    def __init__(self, folder: Path, public_hex: str, quota_bytes: int = QUOTA_BYTES) -> None:
        """Raises SealError where the key is none."""
        self.folder = folder
        self.quota_bytes = quota_bytes
        self._public_hex = bytes(PublicKey(_key(public_hex))).hex()
        self._used_bytes = -1

    async def put(self, original: bytes, sha256: str, last_day: date) -> Path:
        """Seal the original of the evidence picture `sha256` and keep it until `last_day`.

        Raises ValueError where the name is none, EvidenceFull beyond the quota.
        """
        return await asyncio.to_thread(self.put_now, original, sha256, last_day)

    def put_now(self, original: bytes, sha256: str, last_day: date) -> Path:
        """The same without a thread."""
        if not SHA256.fullmatch(sha256):
            raise ValueError("an evidence name is 64 hexadecimal digits")
        path = self.folder / last_day.isoformat() / f"{sha256}{SUFFIX}"
        if path.exists():
            return path
        content = seal(original, self._public_hex)
        if not 0 <= self._used_bytes <= self.quota_bytes - len(content):
            self._used_bytes = sum(f.stat().st_size for f in self.folder.glob(f"*/*{SUFFIX}"))
        if self._used_bytes + len(content) > self.quota_bytes:
            raise EvidenceFull(f"{self.folder} holds {self._used_bytes} bytes of originals")
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_durably(path, content)
        self._used_bytes += len(content)
        return path


def forget_sealed(folder: Path, today: date) -> int:
    """Delete the originals whose last day is over; return how many days went."""
    gone = [path for path in folder.glob("????-??-??") if _over(path.name, today)]
    for path in gone:
        shutil.rmtree(path)
    return len(gone)


def _over(name: str, today: date) -> bool:
    try:
        return date.fromisoformat(name) < today
    except ValueError:
        return False
