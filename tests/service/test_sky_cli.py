"""`gridwing sky` against a real database: what a duty officer types."""

import json
from pathlib import Path

import numpy as np
import psycopg
import pytest
import rasterio
from click.testing import CliRunner, Result
from rasterio.transform import Affine

from domain.place import Airspace
from geo.shapes import area_geometry, feature
from gridwing.cli import main
from gridwing.cluster import DatabaseUrls
from runtime.access.accounts import Account, password_hash, save_accounts
from runtime.access.principal import Role
from runtime.registry import load_now, save
from tests.core.patrol_scene import EPOCH, district, no_fly

DISTRICT = district()


@pytest.fixture
def typed(database_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    with psycopg.connect(database_urls.owner) as connection:
        save(connection, DISTRICT, EPOCH)
        hashed = password_hash("a-long-password")
        accounts = [
            Account("duty", Role.OPERATOR, "", None),
            Account("chief", Role.DISPATCHER, "", None),
        ]
        save_accounts(connection, [(account, hashed) for account in accounts])
    monkeypatch.setenv("DATABASE_URL", database_urls.service)
    monkeypatch.setenv("DATABASE_APP_URL", database_urls.app)
    return CliRunner()


def sky(typed: CliRunner, *words: str, answer: str = "") -> Result:
    return typed.invoke(main, ["sky", *words], input=answer)


def test_a_stop_is_asked_twice_and_lifted_by_who_may(typed: CliRunner) -> None:
    stop = ("stop", "--all-home", "--reason", "weather", "--by", "duty")
    assert sky(typed, *stop, answer="n\n").exit_code == 1
    assert json.loads(sky(typed, "show").stdout)["ground_stop"] is None
    done = sky(typed, *stop, "--note", "雷暴", answer="y\n")
    assert done.exit_code == 0, done.output
    assert "in the air: 0" in done.stderr
    assert json.loads(sky(typed, "show", "--by", "duty").stdout)["ground_stop"]["by"] == "duty"
    lift = ("lift", "--reason", "clear", "--by")
    refused = sky(typed, *lift, "duty")
    assert refused.exit_code == 2
    assert "not_allowed: role" in refused.stderr
    assert sky(typed, *lift, "chief").exit_code == 0
    nobody = sky(typed, *lift, "nobody")
    assert (nobody.exit_code, "no such account" in nobody.stderr) == (1, True)


def test_a_drone_is_taken_and_given_back(typed: CliRunner) -> None:
    for word in ("take", "release"):
        assert sky(typed, word, "DRONE1", "--reason", "technical", "--by", "duty").exit_code == 0
    missing = sky(typed, "order", "m9", "pause", "--reason", "safety", "--by", "duty")
    assert "unknown_mission" in missing.stderr


def test_a_zone_is_announced_from_a_file(typed: CliRunner, tmp_path: Path) -> None:
    area: Airspace = no_fly(0.0, 0.0, 100.0, 100.0)
    file = tmp_path / "zone.geojson"
    body = {"type": "FeatureCollection", "features": [feature(area_geometry(area.area), {})]}
    file.write_text(json.dumps(body))
    named = ("--code", "TZ7", "--name", "赛事", "--ceiling-m", "120", "--by", "duty")
    times = ("--from", "2099-01-01T09:00+08:00", "--to", "2099-01-01T12:00+08:00")
    told = sky(typed, "announce", str(file), *named, *times)
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["notice"]["late"] is False
    again = sky(typed, "announce", str(file), *named, *times)
    assert "known: code" in again.stderr
    zoneless = sky(typed, "announce", str(file), *named, "--from", "2099-01-01T09:00", *times[2:])
    assert "say the zone" in zoneless.stderr
    file.write_text("{}")
    assert "zone.geojson" in sky(typed, "announce", str(file), *named, *times).stderr
    assert sky(typed, "withdraw", "TZ7", "--reason", "authority", "--by", "duty").exit_code == 0


def test_an_application_from_filing_to_paper(typed: CliRunner, tmp_path: Path) -> None:
    times = ("--from", "2099-01-02T09:00+08:00", "--to", "2099-01-02T17:00+08:00")
    filed = sky(typed, "file", "--kind", "daily", "--drone", "DRONE1", *times, "--by", "duty")
    assert filed.exit_code == 0, filed.output
    name = json.loads(filed.stdout)["stream"].removeprefix("application/")
    said = sky(typed, "decide", name, "--approved", "--number", "ZS-9", "--by", "chief")
    assert said.exit_code == 0, said.output
    assert sky(typed, "confirm", name, *times, "--by", "chief").exit_code == 0
    for suffix in ("html", "csv"):
        out = tmp_path / f"form.{suffix}"
        assert sky(typed, "form", name, "--out", str(out), "--by", "duty").exit_code == 0
        assert "ZS-9" in out.read_text("utf-8")
    wrong = sky(typed, "form", name, "--out", str(tmp_path / "form.pdf"), "--by", "duty")
    assert wrong.exit_code == 2


def test_a_terrain_model_is_checked_before_it_is_named(typed: CliRunner, tmp_path: Path) -> None:
    path = tmp_path / "dem.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=1, dtype="float32", crs="EPSG:32649",
        width=200, height=200,
        transform=Affine(30.0, 0.0, 739000.0, 0.0, -30.0, 2497000.0),
    ) as raster:  # fmt: skip
        raster.write(np.full((200, 200), 6.0, "float32"), 1)
    told = sky(typed, "terrain", str(path), "--geoid-m", "-6")
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["docks_above_ground_m"] == {"DOCK1": 20.0}
    path.write_text("no raster")
    assert "cannot be read" in sky(typed, "terrain", str(path)).stderr


def test_districts_stored_before_heights_had_a_reference_are_read(
    database_urls: DatabaseUrls,
) -> None:
    closed = no_fly(0.0, 0.0, 100.0, 100.0)
    with psycopg.connect(database_urls.owner) as connection:
        save(connection, district(airspaces=(closed,)), EPOCH)
        connection.execute(
            "UPDATE registry SET district = replace(replace(district::text, '\"floor_m\"',"
            " '\"floor_agl_m\"'), '\"ceiling_m\"', '\"ceiling_agl_m\"')::json"
        )
        assert load_now(connection).airspaces == (closed,)
