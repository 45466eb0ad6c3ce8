"""Originals only the private key opens, kept for their days and no longer."""

from datetime import date
from pathlib import Path

import pytest

from runtime.evidence import EvidenceFull
from runtime.sealing import SealedStore, SealError, forget_sealed, new_key, seal, unseal

ORIGINAL = b"\xff\xd8 a face \xff\xd9"
NAME = "5" * 64


def test_the_private_key_opens_what_the_public_one_sealed() -> None:
    private, public = new_key()
    sealed = seal(ORIGINAL, public)
    assert ORIGINAL not in sealed
    assert seal(ORIGINAL, public) != sealed
    assert unseal(sealed, private) == ORIGINAL


def test_nothing_else_opens_it() -> None:
    private, public = new_key()
    sealed = seal(ORIGINAL, public)
    for key in (public, new_key()[0]):
        with pytest.raises(SealError, match="another key"):
            unseal(sealed, key)
    with pytest.raises(SealError, match="damaged"):
        unseal(sealed[:-1] + bytes([sealed[-1] ^ 1]), private)
    with pytest.raises(SealError, match="no sealed original"):
        unseal(ORIGINAL, private)


@pytest.mark.parametrize("key", ["", "0" * 63, "G" * 64, "0" * 64 + "\n"])
def test_a_key_is_64_hexadecimal_digits(key: str, tmp_path: Path) -> None:
    with pytest.raises(SealError, match="64 hexadecimal"):
        SealedStore(tmp_path, key)


async def test_an_original_goes_when_its_last_day_is_over(tmp_path: Path) -> None:
    private, public = new_key()
    store = SealedStore(tmp_path, public)
    path = await store.put(ORIGINAL, NAME, date(2026, 3, 1))
    assert await store.put(ORIGINAL, NAME, date(2026, 3, 1)) == path
    other = await store.put(ORIGINAL, NAME, date(2026, 3, 2))
    (tmp_path / "another").mkdir()
    assert forget_sealed(tmp_path, date(2026, 3, 1)) == 0
    assert unseal(path.read_bytes(), private) == ORIGINAL
    assert forget_sealed(tmp_path, date(2026, 3, 2)) == 1
    assert (path.exists(), other.exists(), (tmp_path / "another").exists()) == (False, True, True)


async def test_the_quota_holds_and_is_counted_anew_when_days_went(tmp_path: Path) -> None:
    store = SealedStore(tmp_path, new_key()[1], quota_bytes=150)
    await store.put(ORIGINAL, NAME, date(2026, 3, 1))
    with pytest.raises(EvidenceFull):
        await store.put(ORIGINAL, "6" * 64, date(2026, 3, 2))
    forget_sealed(tmp_path, date(2026, 3, 2))
    assert (await store.put(ORIGINAL, "6" * 64, date(2026, 3, 2))).exists()


async def test_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="64 hexadecimal"):
        await SealedStore(tmp_path, new_key()[1]).put(ORIGINAL, "../x", date(2026, 3, 1))
