"""Pictures on disk: named by content, durable before they are named, swept when nobody does."""

import hashlib
import io
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from domain.events import DispatchHandedBack
from domain.evidence import EvidenceViewed
from gridwing.cluster import DatabaseUrls
from gridwing.evidence_sweep import ORPHAN_AGE_S, sweep_once
from gridwing.pictures import PIXELS_LIMIT, BadPicture, Pixels, fit_to_keep
from models.privacy import BlurFailed
from runtime.database import open_pool
from runtime.evidence import (
    PICTURE_LIMIT_BYTES,
    EvidenceFull,
    EvidenceStore,
    InlineEvidenceStore,
)
from runtime.ledger import PostgresLedger

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
NOW_S = AT.timestamp()


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("kind", [EvidenceStore, InlineEvidenceStore])
async def test_a_picture_is_named_by_its_content(kind: type[EvidenceStore], tmp_path: Path) -> None:
    store = kind(tmp_path)
    sha256 = await store.put(b"picture")
    assert sha256 == hashlib.sha256(b"picture").hexdigest()
    assert await store.put(b"picture") == sha256
    assert store.get(sha256) == b"picture"
    assert files(tmp_path) == [f"{sha256}.jpg"]


def test_what_is_not_kept_is_none(tmp_path: Path) -> None:
    assert EvidenceStore(tmp_path).get("0" * 64) is None


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_a_name_is_64_hexadecimal_digits(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="64 hexadecimal"):
        EvidenceStore(tmp_path).get(name)


async def test_limits_hold(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path, quota_bytes=100)
    with pytest.raises(ValueError, match="limit"):
        await store.put(bytes(PICTURE_LIMIT_BYTES + 1))
    first = await store.put(bytes(80))
    with pytest.raises(EvidenceFull):
        await store.put(bytes(81))
    assert await store.put(bytes(80)) == first


async def test_only_old_pictures_that_no_row_names_are_swept(
    database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    store = EvidenceStore(tmp_path)
    handed, viewed, orphan, young = [await store.put(name) for name in (b"1", b"2", b"3", b"4")]
    for sha256 in (handed, viewed, orphan):
        old_s = NOW_S - ORPHAN_AGE_S - 1
        os.utime(store.path(sha256), (old_s, old_s))
    os.utime(store.path(young), (NOW_S, NOW_S))
    async with open_pool(database_urls.service) as pool:
        async with PostgresLedger(pool).transaction() as tx:
            back = DispatchHandedBack("i", "d", (handed,))
            await tx.append("incident/i", [back], at=AT, actor="r")
            seen = EvidenceViewed(viewed, "review")
            await tx.append(f"evidence/{viewed}", [seen], at=AT, actor="a")
        assert await sweep_once(pool, store, NOW_S) == 1
    assert [store.get(s) is None for s in (handed, viewed, orphan, young)] == [
        False, False, True, False,
    ]  # fmt: skip


def png_of(width: int, height: int) -> bytes:
    """Return a PNG whose header promises that many pixels."""
    sink = io.BytesIO()
    Image.new("1", (width, height)).save(sink, "PNG")
    return sink.getvalue()


def test_a_pixel_flood_is_refused_before_it_is_decoded() -> None:
    side = int(PIXELS_LIMIT**0.5) + 10
    flood = png_of(side, side)
    assert len(flood) < 100_000
    with pytest.raises(BadPicture, match="pixels"):
        fit_to_keep(flood, lambda pixels: (pixels, 0))


def test_an_upload_that_cannot_be_blurred_is_not_kept() -> None:
    sink = io.BytesIO()
    Image.new("RGB", (64, 48)).save(sink, "JPEG")

    def broken(pixels: Pixels) -> tuple[Pixels, int]:
        raise BlurFailed("the network could not run")

    with pytest.raises(BlurFailed):
        fit_to_keep(sink.getvalue(), broken)


def test_an_upload_is_kept_as_the_blur_leaves_it() -> None:
    sink = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 30)).save(sink, "PNG")

    def green(pixels: Pixels) -> tuple[Pixels, int]:
        assert tuple(pixels[0, 0]) == (30, 30, 200)  # BGR, as networks here take it
        pixels[:] = (0, 255, 0)
        return pixels, 1

    kept = Image.open(io.BytesIO(fit_to_keep(sink.getvalue(), green)))
    assert kept.size == (64, 48)
    red, bright, blue = np.asarray(kept)[20, 30]
    assert bright > 240
    assert max(red, blue) < 20
