"""`gridwing bench`: measures that compare within one run. Ratios and CPU, never the clock alone."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import click
from shapely.geometry import Polygon, shape

from geo.coverage import NoSweep, coverage_share, sweep
from gridwing.cli import fail

POLYGONS = Path(__file__).resolve().parent.parent / "benchmarks" / "coverage.geojson"
INGEST_WAYS = (
    "raw_copy", "broker_counter", "paho_counter", "single", "packed", "mq_bridge"
)  # fmt: skip
PEER_LEAST = 0.99
"""The peer was not asked for a share: a path of its that covers this much counts beside ours."""


@click.group()
def bench() -> None:
    """Benchmarks: what ours does beside a peer or a bound."""


@bench.command()
@click.option("--only", multiple=True, help="Polygons whose name begins so; may be given again.")
@click.option("--coverage", "wanted", default=0.999, show_default=True, help="Share to cover.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def coverage(only: tuple[str, ...], wanted: float, as_json: bool) -> None:
    """Plan 25 polygons; path length over area ÷ swath, beside Fields2Cover's shortest path.

    The covered share is worked out anew from each path. Ends with exit 1 when a plan covers less
    than --coverage.
    """
    features = json.loads(POLYGONS.read_text(encoding="utf-8"))["features"]
    names = [f["properties"]["name"] for f in features]
    chosen = [f for f in features if not only or f["properties"]["name"].startswith(only)]
    if not chosen:
        fail(f"--only names no polygon: there are {', '.join(names)}", 2)
    rows = []
    for feature in chosen:
        rows.append(_row(feature, wanted))
        click.echo(_line(rows[-1]), err=True)
    told = _summary(rows)
    click.echo(json.dumps({"polygons": rows, **told}) if as_json else _closing(told))
    if told["below"]:
        raise SystemExit(1)


def _row(feature: dict[str, Any], wanted: float) -> dict[str, Any]:
    area, given = shape(feature["geometry"]), feature["properties"]
    assert isinstance(area, Polygon)
    width_m = given["swath_m"]
    bound_m = area.area / width_m
    began = time.process_time()
    found = sweep(area, width_m, wanted=wanted)
    cpu_s = time.process_time() - began
    peers = [p for p in given["fields2cover"].values() if p["coverage"] >= PEER_LEAST]
    peer = min(peers, key=lambda p: float(p["length_m"]), default=None)
    row = {"name": given["name"], "cpu_s": round(cpu_s, 2), "refused": None}
    row["peer_ratio"] = None if peer is None else round(peer["length_m"] / bound_m, 4)
    row["peer_coverage"] = None if peer is None else peer["coverage"]
    if isinstance(found, NoSweep):
        return row | {"refused": found.code, "ratio": None, "coverage": 0.0, "below": True}
    share = coverage_share(area, found.path, width_m)
    ratio = round(found.length_m / bound_m, 4)
    return row | {"ratio": ratio, "coverage": round(share, 5), "below": share < wanted}


def _line(row: dict[str, Any]) -> str:
    peer = "no path that covers as much" if row["peer_ratio"] is None else row["peer_ratio"]
    return (
        f"{row['name']:12} ratio {row['ratio']}  covered {row['coverage']:.5f}  "
        f"cpu {row['cpu_s']:.2f} s  Fields2Cover {peer}"
    )


def _summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    both = [r for r in rows if r["ratio"] is not None and r["peer_ratio"] is not None]
    return {
        "ratio_mean": _mean([r["ratio"] for r in rows if r["ratio"] is not None]),
        "beside_peer": len(both),
        "shorter_than_peer": sum(r["ratio"] < r["peer_ratio"] for r in both),
        "ratio_mean_beside_peer": _mean([r["ratio"] for r in both]),
        "peer_ratio_mean": _mean([r["peer_ratio"] for r in both]),
        "below": [r["name"] for r in rows if r["below"]],
        "cpu_s": round(sum(r["cpu_s"] for r in rows), 1),
    }


def _mean(values: Sequence[float]) -> float | None:
    return round(fmean(values), 4) if values else None


def _closing(told: dict[str, Any]) -> str:
    return "\n".join(f"{name:24} {value}" for name, value in told.items())


@bench.command()
@click.option(
    "--only", multiple=True, type=click.Choice(INGEST_WAYS),
    help="Measure only these; may be given again.",
)  # fmt: skip
@click.option("--rounds", type=click.IntRange(1, 50), default=5, show_default=True)
@click.option(
    "--scale", type=click.FloatRange(0.01, 10), default=1.0, show_default=True,
    help="Of the 100,000 single and 20,000 packed messages a round.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def ingest(only: tuple[str, ...], rounds: int, scale: float, as_json: bool) -> None:
    """Ingest beside a raw COPY, a counting subscriber and mq-bridge, on private servers.

    Medians of interleaved rounds. CPU is of the client and its database backends.
    """
    from gridwing.ingest_bench import PartEnded, run
    from gridwing.premises import SetupError

    try:
        told = run(only, rounds, scale, lambda line: click.echo(line, err=True))
    except (SetupError, TimeoutError, PartEnded) as error:
        fail(str(error))
        return
    click.echo(json.dumps(told) if as_json else json.dumps(told, indent=2))


@bench.command()
@click.option(
    "--rows", type=click.IntRange(30_000, 1_000_000_000), default=20_000_000, show_default=True,
    help="Of telemetry, at least; 100,000,000 take 35 GB and half an hour.",
)  # fmt: skip
@click.option(
    "--questions", type=click.IntRange(2, 10_000), default=200, show_default=True,
    help="Asked of each kind.",
)  # fmt: skip
@click.option("--keep", is_flag=True, help="Keep the filled database, and take one kept before.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def queries(rows: int, questions: int, keep: bool, as_json: bool) -> None:
    """Tracks by device and by area, with their plans, on a private database filled for it.

    The same questions are asked of a tenth of the rows, and without the index they use.
    """
    from gridwing.premises import SetupError
    from gridwing.query_bench import NoRoom, run

    try:
        told = run(rows, questions, keep, lambda line: click.echo(line, err=True))
    except (SetupError, NoRoom) as error:
        fail(str(error))
        return
    click.echo(json.dumps(told) if as_json else json.dumps(told, indent=2, ensure_ascii=False))
