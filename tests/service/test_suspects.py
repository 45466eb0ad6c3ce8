"""Hazards of a time, read from the real ledger for people to correct their pictures."""

import asyncio
from datetime import timedelta
from pathlib import Path

from click.testing import CliRunner

from domain.events import HazardRaised
from domain.hazard import Detection
from gridwing.cluster import DatabaseUrls
from gridwing.models_labelled_cli import suspects
from models.labelled import open_labelled
from models.noted import Noted, with_note
from runtime.database import open_pool
from runtime.evidence import EvidenceStore
from runtime.ledger import PostgresLedger, sequence_step
from tests.core.test_suspects import AT, hazard, picture


async def _told(url: str, folder: Path) -> None:
    box = Detection("fire", 0.7, 20.0, 30.0, 60.0, 90.0)
    sha256 = EvidenceStore(folder / "evidence").put_now(with_note(picture(90), Noted((box,))))
    async with open_pool(url, 1) as pool:
        ledger = PostgresLedger(pool)
        for number in (0, 90):
            one = HazardRaised(hazard(number, sha256, 0.7))
            async with ledger.transaction() as tx:
                await tx.append(
                    f"hazard/h{number}", [one], at=AT + timedelta(minutes=number), actor="watch",
                    expected_version=0,
                )  # fmt: skip
        await sequence_step(pool)


async def test_only_the_time_asked_for_is_given_out(
    database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    await _told(database_urls.service, tmp_path)
    out = tmp_path / "out"
    env = {"DATABASE_URL": database_urls.service, "GRIDWING_DATA_DIR": str(tmp_path)}
    asked = ["--from", "2026-11-23T00:00:00", "--to", "2026-11-23T01:00:00", "--out", str(out)]
    run = CliRunner().invoke
    result = await asyncio.to_thread(run, suspects, asked, env=env)
    assert result.exit_code == 0, result.output
    (one,) = open_labelled(out).pictures()
    assert one.name.startswith("00001-unjudged-fire-")
    label = (out / "labels" / f"{one.stem}.txt").read_text()
    assert label == "0 0.250000 0.500000 0.250000 0.500000\n"
