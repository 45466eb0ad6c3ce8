"""`gridwing track import` on the real database: stored once, told what was wrong, state kept."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from domain.device import DeviceKind
from domain.observation import Telemetry
from domain.place import Position
from gridwing.cluster import DatabaseUrls
from gridwing.track_cli import track
from runtime.clock import Clock, wall_clock
from runtime.database import open_pool
from runtime.ledger import PostgresLedger
from services.ingest.keep import Batch, Keeper
from services.ingest.store import PostgresIngestStore
from services.ingest.track import history
from services.ingest.whereabouts import track as where_it_was
from simulators.district import generate
from tests.service.ingest_town import register

ROOT = Path(__file__).resolve().parent.parent.parent
REAL = ROOT.parent / "shared/data/real"
DISTRICT = generate(7)
DOCK, DRONE = DISTRICT.docks[0].sn, DISTRICT.docks[0].drone_sn
DOCKED = DISTRICT.docks[0].position
HOME = Position(round(DOCKED.lat_deg, 6), round(DOCKED.lon_deg, 6))
FLOWN_AT = datetime(2025, 5, 1, 1, 30, tzinfo=UTC)
NEWER = datetime(2026, 11, 23, 8, tzinfo=UTC)


def run(urls: DatabaseUrls, *words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(track, ["import", *words], env={"DATABASE_URL": urls.service})
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, done.stdout, done.stderr


def subtitles(count: int, broken: int = 0) -> str:
    """A flight of so many seconds along the dock's parallel, the last blocks without a place."""
    blocks = []
    for i in range(count):
        where = f"[latitude: {HOME.lat_deg}] [longitude: {HOME.lon_deg + i * 1e-4:.6f}]"
        told = "" if i >= count - broken else f"{where} [rel_alt: {i}.0 abs_alt: 70.9]"
        blocks.append(f"{i + 1}\n00:00:{i:02d},000 --> 00:00:{i + 1:02d},000\n"
                      f"2025-05-01 09:30:{i:02d}.000\n{told}\n")  # fmt: skip
    return "\n".join(blocks)


def newer_state() -> Telemetry:
    return Telemetry(DRONE, DeviceKind.DRONE, NEWER, 1, NEWER, Position(1.0, 2.0), height_rel_m=5.0)


async def test_a_track_is_stored_once_and_leaves_a_newer_state_alone(
    database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    await asyncio.to_thread(register, database_urls, DISTRICT, NEWER)
    file, drawn = tmp_path / "DJI_0001.SRT", tmp_path / "track.geojson"
    file.write_text(subtitles(30, broken=3))
    clock = Clock(NEWER, wall_clock().wall_s())
    async with open_pool(database_urls.service) as pool:
        store = PostgresIngestStore(pool)
        keeper = Keeper(PostgresLedger(pool), store, DISTRICT, clock)
        await keeper.keep(Batch(NEWER, columns=history([newer_state()])))

        async def imported(*more: str) -> dict[str, Any]:
            code, out, err = await asyncio.to_thread(
                run, database_urls, str(file), "--device", DRONE, "--json", *more
            )
            assert code == 0, err
            told: dict[str, Any] = json.loads(out)
            return told

        told = await imported("--geojson", str(drawn))
        (only,) = told["files"]
        assert (told["stored"], only["found"], only["read"], only["rows"]) == (27, 30, 27, 27)
        assert only["from"] == FLOWN_AT.isoformat()
        assert only["notes"] == [
            "27 of 30 blocks read; first bad at block 28: it tells no position"
        ]
        assert (await imported())["stored"] == 0, "a second import has nothing new"

        async with pool.connection() as connection:
            until = FLOWN_AT + timedelta(minutes=1)
            kept = (await where_it_was(connection, DRONE, FLOWN_AT, until, 100)).points
        assert len(kept) == 27
        assert (kept[0].position, kept[3].height_rel_m) == (HOME, 3.0)
        assert kept[0].cell_code is not None, "it flew over a registered cell"
        async with pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT DISTINCT tableoid::regclass::text, flags FROM telemetry WHERE at < %s",
                [NEWER],
            )
            assert await cursor.fetchall() == [("telemetry_default", 0)]
        ((state,), _) = await store.latest()
        assert (state.at, state.fields["height_rel_m"]) == (NEWER, 5.0)
        assert state.fields["position"] == {"lat_deg": 1.0, "lon_deg": 2.0}
    (feature,) = json.loads(await asyncio.to_thread(drawn.read_text))["features"]
    assert feature["geometry"]["type"] == "LineString"
    assert feature["geometry"]["coordinates"][0] == [HOME.lon_deg, HOME.lat_deg]
    assert len(feature["properties"]["times"]) == 27


def test_one_bad_file_is_named_and_the_others_are_kept(
    database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    register(database_urls, DISTRICT, NEWER)
    good, bad = tmp_path / "good.SRT", tmp_path / "bad.SRT"
    good.write_text(subtitles(3))
    bad.write_text("no subtitles\n")
    code, out, err = run(database_urls, str(bad), str(good), "--device", DRONE)
    assert code == 1
    assert "bad.SRT: no subtitle blocks" in err
    assert "good.SRT: 3 of 3 read, 3 rows" in out
    assert "3 rows stored" in out


def test_what_cannot_be_is_told_with_its_cure(database_urls: DatabaseUrls, tmp_path: Path) -> None:
    register(database_urls, DISTRICT, NEWER)
    file = tmp_path / "a.SRT"
    file.write_text(subtitles(3))
    for words, told in (
        (["--device", "NOBODY"], "NOBODY is not registered"),
        (["--device", DOCK], "only drones fly"),
        (["--device", DRONE, "--timezone", "Mars/Base"], "no such zone"),
        (["--device", DRONE, "--start", "yesterday"], "write it like"),
    ):
        code, out, err = run(database_urls, str(file), *words)
        assert (code > 0, out) == (True, "")
        assert told in err


@pytest.mark.skipif(not REAL.is_dir(), reason="the shared real recordings are not beside this tree")
def test_every_real_recording_is_kept_or_refused_by_name(database_urls: DatabaseUrls) -> None:
    register(database_urls, DISTRICT, NEWER)
    suffixes = (".srt", ".ulg")
    files = [str(p) for p in sorted(REAL.glob("[df]*/*")) if p.suffix.lower() in suffixes]
    assert len(files) == 12
    code, out, err = run(database_urls, *files, "--device", DRONE, "--json")
    told = json.loads(out)
    refused = {one["file"]: one["refused"] for one in told["files"] if "refused" in one}
    assert (code, set(refused)) == (1, {"mavic_air.SRT", "mavic_mini.SRT", "p4p_sample.SRT"})
    assert all(name in err for name in refused)
    # mavic_pro.SRT and old_format.SRT say the same of one flight in two spellings.
    rows = {one["file"]: one.get("rows", 0) for one in told["files"]}
    assert sum(rows.values()) - told["stored"] == pytest.approx(rows["old_format.SRT"], abs=1)
    assert json.loads(run(database_urls, *files, "--device", DRONE, "--json")[1])["stored"] == 0
