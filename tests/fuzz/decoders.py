"""Coverage-guided fuzzing of everything that reads a device's bytes (`make fuzz`).

The first byte chooses the topic, the rest is the payload. Whatever comes, it is heard or refused;
what was heard can be stored and shown as JSON. libFuzzer's own options follow: -runs=100000,
-max_total_time=300, a folder that keeps the corpus. It starts from the fixtures in tests/data.
"""

import json
import random
import sys
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["services.ingest", "domain"]):
    from domain.codec import to_plain
    from runtime.bus import Message
    from runtime.clock import wall_clock
    from runtime.ledger_memory import MemoryLedger
    from runtime.mqtt_packets import BadPacket, Reader
    from services.ingest.frames import decode_frame
    from services.ingest.keep import Keeper
    from services.ingest.newest import newest
    from services.ingest.store_memory import MemoryIngestStore
    from simulators.district import generate

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
DATA = Path(__file__).resolve().parent.parent / "data"
DISTRICT = generate(7)
DOCK, DRONE = DISTRICT.docks[0].sn, DISTRICT.docks[0].drone_sn
CAMERA = DISTRICT.cameras[0].sn
TOPICS = (
    f"thing/product/{DRONE}/osd", f"thing/product/{DOCK}/osd", f"thing/product/{DOCK}/state",
    f"thing/product/{DOCK}/events", f"thing/product/{DOCK}/requests",
    f"thing/product/{DOCK}/drc/up", f"sys/product/{DOCK}/status", f"gridwing/telemetry/{DRONE}",
    "frigate/reviews", "frigate/events", "frigate/a/b/snapshot",
    f"onvif/{CAMERA}/onvif-ej/RuleEngine/Motion", f"onvif/{CAMERA}/onvif-mj/VideoAnalytics/a/b",
)  # fmt: skip
KEEPER = Keeper(MemoryLedger(), MemoryIngestStore(), DISTRICT, wall_clock())


HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**31, 2**63, 10**40, 1e308, -0.0, 0.5, "", "x" * 300, "\x00",
    "\ud800", "-1", "1e400", [], {}, [[]], {"a": 1}, [None] * 3, 1795401600123, 91, 181,
)  # fmt: skip
"""Values put in place of a field's own: JSON that is well formed and wrong."""


def mutate(data: bytes, limit: int, seed: int) -> bytes:
    """Put a hostile value somewhere into a JSON payload, or let libFuzzer change bytes."""
    dice = random.Random(seed)
    try:
        value = json.loads(data[1:])
    except (ValueError, RecursionError):
        value = None
    if value is None or dice.random() < 0.3:
        mutated: bytes = atheris.Mutate(data, limit)
        return mutated
    for _ in range(dice.randint(1, 3)):
        value = _changed(value, dice)
    return (data[:1] + json.dumps(value).encode())[:limit]


def _changed(value: Any, dice: random.Random) -> Any:
    """Return a value with one thing in it replaced, taken away or said twice."""
    if isinstance(value, dict) and value and dice.random() < 0.9:
        key = dice.choice(list(value))
        kept = {k: v for k, v in value.items() if k != key}
        if dice.random() < 0.1:
            return kept
        return kept | {key: _changed(value[key], dice)}
    if isinstance(value, list) and value and dice.random() < 0.9:
        at = dice.randrange(len(value))
        if dice.random() < 0.2:
            return [*value, value[at]]
        return [*value[:at], _changed(value[at], dice), *value[at + 1 :]]
    return dice.choice(HOSTILE)


def one(data: bytes) -> None:
    """Read one input as a message, as MQTT packets, and as a frame."""
    if not data:
        return
    topic, payload = TOPICS[data[0] % len(TOPICS)], data[1:]
    batch = KEEPER.read([Message(topic, payload)], AT)
    for refusal in batch.refusals:
        assert refusal.reason
        refusal.reason.encode()
    for observation in batch.others:
        json.dumps(to_plain(observation), allow_nan=False).encode()
    if batch.columns is not None:
        batch.columns.copy_rows()
        for state in newest([batch.columns]).values():
            json.dumps(state.fields, allow_nan=False).encode()
    with suppress(BadPacket):
        Reader().feed(payload)
    with suppress(ValueError):
        decode_frame(f"gridwing/frame/{DRONE}", payload)


def corpus(folder: Path) -> None:
    """Lay the fixtures down as inputs, each under every topic of its vendor."""
    for path in sorted(DATA.glob("[dfo]*/**/*.json")):
        vendor = path.relative_to(DATA).parts[0]
        word = {"dji": "product", "frigate": "frigate", "onvif": "onvif"}.get(vendor, "gridwing")
        for number, topic in enumerate(TOPICS):
            if word in topic:
                (folder / f"{number}-{path.stem}").write_bytes(bytes([number]) + path.read_bytes())
    sample = b'[{"at":1795401600123,"latitude":22.5,"longitude":113.3,"phase":"idle"}]'
    (folder / "sample").write_bytes(bytes([7]) + sample)


def main(arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="gridwing-fuzz-") as folder:
        corpus(Path(folder))
        atheris.Setup([*arguments, folder], one, custom_mutator=mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
