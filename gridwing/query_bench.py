"""How fast past telemetry is read when there is much of it, and whether that depends on how much.

A database of its own on the private cluster is filled through the production COPY; the production
reads are asked random questions, each once to warm and once to be measured. The same questions are
asked with nine tenths of the days away and without the index they use: DETACH and DROP INDEX in a
transaction that is rolled back.
"""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median, quantiles
from textwrap import shorten
from typing import Any

import psycopg
from shapely.geometry import box

from domain.place import Area
from geo.cells import CellIndex
from geo.shapes import shape_to_area
from gridwing.cluster import Cluster, DatabaseUrls, ensure_cluster
from gridwing.flown_days import DAYS, Fleet, copy_in, fill, starts
from gridwing.supervisor import process_cpu_s
from runtime.clock import wall_clock
from runtime.database import migrate
from runtime.registry import save
from services.ingest.whereabouts import (
    PAGE_LIMIT_ROWS,
    SLICE,
    Connection,
    Page,
    Query,
    area_query,
    ground_of,
    seen_in,
    track,
    track_query,
)
from simulators.district import generate

ROOT = Path(__file__).resolve().parent.parent
KEPT = "bench_queries"
ROW_BYTES = 400
ROOM_BYTES = 15 << 30
"""Left free on the disk, whatever is asked."""
COMPARED = 60
WITHOUT = 5
PLANS = 11
TENTH_DAYS = DAYS // 10
WRITE_BLOCKS = 10
WRITE_ROUNDS = 3
SEED = 11
CLAUSE_CHARS = 120
SIZES = """
SELECT 'heap', sum(pg_relation_size(inhrelid)) FROM pg_inherits
WHERE inhparent = 'telemetry'::regclass
UNION ALL
SELECT inhparent::regclass::text, sum(pg_relation_size(inhrelid)) FROM pg_inherits
WHERE inhparent IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'telemetry'::regclass)
GROUP BY 1
"""
Say = Callable[[str], None]


class NoRoom(RuntimeError):
    """The disk has not the room."""


@dataclass(frozen=True, slots=True)
class Question:
    """A device's track, or who was in an area; since..until."""

    subject: str | Area
    since: datetime
    until: datetime

    async def ask(self, connection: Connection, by_time: bool = False) -> Page:
        """Return the first page of the answer; an area's `by_time`, where no index by cell is."""
        if isinstance(self.subject, str):
            return await track(connection, self.subject, self.since, self.until)
        return await seen_in(connection, self.subject, self.since, self.until, by_time=by_time)

    async def first_query(self, connection: Connection) -> Query:
        """Return the (first) query that `ask` sends."""
        rows = PAGE_LIMIT_ROWS + 1
        if isinstance(self.subject, str):
            return track_query(self.subject, self.since, self.until, rows)
        ground = await ground_of(connection, self.subject, self.since)
        until = min(self.until, self.since + SLICE)
        return area_query(ground, self.since, until, rows)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of question: how to make one in given days, and the index it lives on."""

    name: str
    make: Callable[[Random, int], Question]
    index: str


def kinds(fleet: Fleet) -> list[Kind]:
    def tracked(hours: int) -> Callable[[Random, int], Question]:
        def make(rng: Random, days: int) -> Question:
            device, day = rng.randrange(len(fleet.names)), rng.randrange(days)
            since = starts(day)
            if hours == 1:
                since += timedelta(hours=rng.choice(fleet.hours(device, day)))
            return Question(fleet.names[device], since, since + timedelta(hours=hours))

        return make

    def square(side_deg: float, length: timedelta) -> Callable[[Random, int], Question]:
        def make(rng: Random, days: int) -> Question:
            since = starts(rng.randrange(days)) + timedelta(hours=rng.randrange(23))
            if length >= timedelta(days=1):
                since = starts(rng.randrange(days))
            return Question(_square(fleet.cells, rng, side_deg), since, since + length)

        return make

    hour, cell, at = timedelta(hours=1), "telemetry_cell", "telemetry_at"
    return [
        Kind("track_hour", tracked(1), "telemetry_once"),
        Kind("track_day", tracked(24), "telemetry_once"),
        Kind("area_200m_hour", square(0.002, hour), cell),
        Kind("area_200m_day", square(0.002, timedelta(days=1)), cell),
        Kind("area_1km_hour", square(0.01, hour), cell),
        Kind("area_by_time_10min", square(0.03, timedelta(minutes=10)), at),
    ]


def _square(cells: CellIndex, rng: Random, side_deg: float) -> Area:
    """Return a square of the grid's extent; a small one has its middle in a cell."""
    assert cells.bounds is not None
    west, south, east, north = cells.bounds
    while True:
        lon, lat = rng.uniform(west, east - side_deg), rng.uniform(south, north - side_deg)
        if cells.assign([lat + side_deg / 2], [lon + side_deg / 2])[0] is not None:
            return shape_to_area(box(lon, lat, lon + side_deg, lat + side_deg))


@contextmanager
def filled(rows: int, keep: bool, say: Say) -> Iterator[tuple[DatabaseUrls, Fleet, dict[str, Any]]]:
    """Give a database with at least so many rows, and how it was filled.

    Raises NoRoom. With `keep` the database stays, and one kept with as many rows is taken again.
    """
    district = generate(7)
    fleet = Fleet.over(district, rows)
    with ensure_cluster(ROOT) as cluster:
        name = KEPT if keep else f"bench_{os.getpid()}"
        urls = cluster.urls(name)
        told = _fill_of(urls) if name in cluster.databases() else None
        if told is not None and told["rows"] >= rows:
            migrate(urls.owner)
            say(f"taking the {told['rows']:,} rows kept in {name}")
            yield urls, fleet, told | {"kept": True}
            return
        cluster.drop_database(name)
        _room(cluster, rows * ROW_BYTES)
        cluster.create_database(name)
        try:
            migrate(urls.owner)
            with psycopg.connect(urls.owner) as connection:
                save(connection, district, wall_clock().now())
            yield urls, fleet, _fill(cluster, urls, fleet, say)
        finally:
            if not keep:
                cluster.drop_database(name)


def _fill_of(urls: DatabaseUrls) -> dict[str, Any] | None:
    with psycopg.connect(urls.owner) as connection:
        try:
            row = connection.execute("SELECT rows, seconds FROM bench_fill").fetchone()
        except psycopg.errors.UndefinedTable:
            return None
    return None if row is None else _filling(*row)


def _filling(rows: int, seconds: float) -> dict[str, Any]:
    return {"rows": rows, "seconds": round(seconds), "rows_per_s": round(rows / seconds)}


def _room(cluster: Cluster, need: int) -> None:
    free = shutil.disk_usage(cluster.folder).free
    if free - need < ROOM_BYTES:
        raise NoRoom(
            f"{free >> 30} GB are free beside {cluster.folder}; {need >> 30} GB and"
            f" {ROOM_BYTES >> 30} GB to spare are needed: ask for fewer --rows"
        )


def _fill(cluster: Cluster, urls: DatabaseUrls, fleet: Fleet, say: Say) -> dict[str, Any]:
    began = time.monotonic()

    def told(days: int, rows: int) -> None:
        say(f"day {days} of {DAYS}: {rows:,} rows, {rows / (time.monotonic() - began):,.0f}/s")
        _room(cluster, 0)

    rows = fill(urls, fleet, told)
    seconds = time.monotonic() - began
    with psycopg.connect(urls.owner) as connection:
        connection.execute("CREATE TABLE bench_fill (rows bigint, seconds float8)")
        connection.execute("INSERT INTO bench_fill VALUES (%s, %s)", [rows, seconds])
    return _filling(rows, seconds) | {"kept": False}


def run(rows: int, questions: int, keep: bool, say: Say) -> dict[str, Any]:
    """Fill, ask, compare; return the document."""
    with filled(rows, keep, say) as (urls, fleet, told):
        queries = asyncio.run(_queries(urls, fleet, questions, say))
        with psycopg.connect(urls.owner) as connection:
            sizes = connection.execute(SIZES).fetchall()
        each = {name: round(float(size) / told["rows"], 1) for name, size in sizes}
        say(f"bytes a row: {each}")
        write = _write_cost(urls, fleet, say)
    shape = {"devices": len(fleet.names), "days": DAYS, "period_s": round(fleet.period_s, 3)}
    return {"rows": told["rows"], **shape, "fill": told, "bytes_per_row": each,
            "queries": queries, "write": write}  # fmt: skip


async def _queries(urls: DatabaseUrls, fleet: Fleet, questions: int, say: Say) -> dict[str, Any]:
    told = {}
    options = "-c jit=off"
    async with (
        await psycopg.AsyncConnection.connect(
            urls.service, options=options, autocommit=True
        ) as service,
        await psycopg.AsyncConnection.connect(urls.owner, options=options) as owner,
    ):
        for kind in kinds(fleet):
            rng = Random(f"{SEED} {kind.name}")
            asked = [kind.make(rng, DAYS) for _ in range(questions)]
            told[kind.name] = await _answers(service, asked)
            told[kind.name] |= await _plans(service, asked[:PLANS])
            early = [kind.make(rng, TENTH_DAYS) for _ in range(min(COMPARED, questions))]
            told[kind.name] |= await _compared(owner, early, kind.index)
            say(f"{kind.name}: {_line(told[kind.name])}")
    return told


def _line(one: dict[str, Any]) -> str:
    return (
        f"p50 {one['p50_ms']} ms (server {one['server_p50_ms']}) p95 {one['p95_ms']} ms,"
        f" {one['rows_p50']} rows,"
        f" {one['buffers_p50']} buffers; of a tenth of the rows ×{one['full_vs_tenth']},"
        f" without {one['index']} ×{one['without_index_vs_with']}"
    )


async def _answers(connection: Connection, asked: Sequence[Question]) -> dict[str, Any]:
    first, warm, rows = [], [], []
    for question in asked:
        first.append((await _timed(connection, question))[0])
        ms, page = await _timed(connection, question)
        warm.append(ms)
        rows.append(len(page.points))
    cuts = quantiles(warm, n=20, method="inclusive")
    return {
        "asked": len(asked),
        "p50_ms": round(median(warm), 2),
        "p95_ms": round(cuts[18], 2),
        "first_p50_ms": round(median(first), 2),
        "rows_p50": round(median(rows)),
    }


async def _timed(
    connection: Connection, question: Question, by_time: bool = False
) -> tuple[float, Page]:
    began = time.perf_counter()
    page = await question.ask(connection, by_time)
    return 1000 * (time.perf_counter() - began), page


async def _median_ms(
    connection: Connection, asked: Sequence[Question], by_time: bool = False
) -> float:
    """Ask each twice; return the median of the second."""
    for question in asked:
        await question.ask(connection, by_time)
    return median([(await _timed(connection, question, by_time))[0] for question in asked])


async def _compared(owner: Connection, early: Sequence[Question], index: str) -> dict[str, Any]:
    """Ask questions of the first tenth of the days: of all rows, of a tenth, without the index."""
    full_ms = await _median_ms(owner, early)
    few_ms = await _median_ms(owner, early[:WITHOUT])
    await owner.rollback()
    days = [f"telemetry_{starts(day):%Y%m%d}" for day in range(TENTH_DAYS, DAYS)]
    async with _undone(owner, *(f"ALTER TABLE telemetry DETACH PARTITION {d}" for d in days)):
        tenth_ms = await _median_ms(owner, early)
    dropped = f"DROP INDEX {index}"
    if index == "telemetry_once":
        dropped = "ALTER TABLE telemetry DROP CONSTRAINT telemetry_once"
    async with _undone(owner, dropped):
        without_ms = await _median_ms(owner, early[:WITHOUT], by_time=True)
    return {
        "full_ms": round(full_ms, 2),
        "tenth_ms": round(tenth_ms, 2),
        "full_vs_tenth": round(full_ms / tenth_ms, 2),
        "index": index,
        "without_index_ms": round(without_ms, 2),
        "without_index_vs_with": round(without_ms / few_ms, 1),
    }


@asynccontextmanager
async def _undone(owner: Connection, *commands: str) -> AsyncIterator[None]:
    """Change the schema for as long as the body runs."""
    try:
        for command in commands:
            await owner.execute(command.encode())
        yield
    finally:
        await owner.rollback()
        await owner.execute("DEALLOCATE ALL")
        await owner.commit()


async def _plans(connection: Connection, asked: Sequence[Question]) -> dict[str, Any]:
    """Return the server's own time and the buffers touched, medians, and the plan of the latter."""
    found: list[tuple[int, list[str]]] = []
    spent_ms: list[float] = []
    for question in asked:
        query = await question.first_query(connection)
        cursor = psycopg.AsyncClientCursor(connection)
        explain = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON)" + query.text
        row = await (await cursor.execute(explain.encode(), query.values)).fetchone()
        assert row is not None
        whole = row[0][0]
        plan = whole["Plan"]
        spent_ms.append(whole["Planning Time"] + whole["Execution Time"])
        found.append((plan["Shared Hit Blocks"] + plan["Shared Read Blocks"], outline(plan)))
    found.sort(key=lambda one: one[0])
    buffers, plan = found[len(found) // 2]
    return {"server_p50_ms": round(median(spent_ms), 2), "buffers_p50": buffers, "plan": plan}


def outline(plan: dict[str, Any], depth: int = 0) -> list[str]:
    """Return a plan's nodes as indented lines; what was never executed is left out."""
    if plan["Actual Loops"] == 0:
        return []
    words = [plan["Node Type"]]
    if "Index Name" in plan:
        words.append(f"using {plan['Index Name']}")
    if "Relation Name" in plan:
        words.append(f"on {plan['Relation Name']}")
    words.append(f"({plan['Actual Rows']:g} rows × {plan['Actual Loops']},")
    words.append(f"{plan['Shared Hit Blocks'] + plan['Shared Read Blocks']} buffers)")
    clauses = ("Index Cond", "Recheck Cond", "Sort Key", "Filter", "Rows Removed by Filter")
    words += [
        f"{name}: {shorten(str(plan[name]), CLAUSE_CHARS, placeholder='…')}"
        for name in clauses
        if name in plan
    ]
    below = [line for child in plan.get("Plans", ()) for line in outline(child, depth + 1)]
    return ["  " * depth + " ".join(words), *below]


def _write_cost(urls: DatabaseUrls, fleet: Fleet, say: Say) -> dict[str, Any]:
    """COPY the same rows into a new day with every index and without (cell_code, at), in turns."""
    blocks = []
    for columns in fleet.blocks(DAYS):
        blocks.append((len(columns), columns.copy_rows()))
        if len(blocks) == WRITE_BLOCKS:
            break
    rows = sum(count for count, _ in blocks)
    spent: dict[str, list[tuple[float, float]]] = {"all_indexes": [], "without_cell_index": []}
    for _ in range(WRITE_ROUNDS):
        for name, took in spent.items():
            with psycopg.connect(urls.owner) as connection:
                connection.execute("SELECT telemetry_day(%s)", [starts(DAYS).date()])
                if name == "without_cell_index":
                    connection.execute("DROP INDEX telemetry_cell")
                pid = connection.info.backend_pid
                cpu_s, began = process_cpu_s(pid), time.monotonic()
                for _, encoded in blocks:
                    copy_in(connection, encoded)
                took.append((time.monotonic() - began, process_cpu_s(pid) - cpu_s))
                connection.rollback()
    told: dict[str, Any] = {"rows": rows}
    for name, took in spent.items():
        told[name] = {
            "rows_per_s": round(rows / median(wall_s for wall_s, _ in took)),
            "backend_cpu_us_per_row": round(1e6 * median(cpu_s for _, cpu_s in took) / rows, 2),
        }
    with_us, without_us = (told[name]["backend_cpu_us_per_row"] for name in spent)
    # A few rows take less than the 10 ms in which the kernel counts CPU.
    told["cpu_with_vs_without"] = round(with_us / without_us, 2) if without_us else None
    say(f"write: {told}")
    return told
