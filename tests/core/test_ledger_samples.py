"""Every kind that was ever written can be read for ever: stored samples, one per schema.

Changing what a kind holds means: a new schema number, an upcaster from the old one, a new sample
beside the old. A new field with a default needs none of the three.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from domain.codec import to_plain
from domain.events import KINDS
from runtime.ledger import UPCASTERS, read_event

FOLDER = Path(__file__).parent.parent / "data" / "ledger_samples"
SAMPLES = sorted(FOLDER.glob("*.json"))


def kept(old: Any, new: Any) -> bool:
    """Tell whether everything `old` says still stands in `new`."""
    if isinstance(old, dict):
        return isinstance(new, dict) and all(k in new and kept(v, new[k]) for k, v in old.items())
    if isinstance(old, list):
        return len(old) == len(new) and all(map(kept, old, new))
    return bool(old == new)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_an_old_entry_is_still_read(path: Path) -> None:
    kind, _, schema = path.stem.rpartition(".")
    data = json.loads(path.read_text())
    event = read_event(kind, int(schema), data)
    assert kind == event.KIND
    if int(schema) == event.SCHEMA:
        assert kept(data, to_plain(event))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_sample_of_every_schema(kind: str) -> None:
    wanted = {f"{kind}.{schema}.json" for schema in range(1, KINDS[kind].SCHEMA + 1)}
    assert wanted <= {path.name for path in SAMPLES}


def test_old_schemas_are_lifted(monkeypatch: pytest.MonkeyPatch) -> None:
    lift = {("incident.filed", 0): lambda old: {"incident_id": old["id"]}}
    monkeypatch.setattr("runtime.ledger.UPCASTERS", UPCASTERS | lift)
    assert to_plain(read_event("incident.filed", 0, {"id": "i"})) == {"incident_id": "i"}


@pytest.mark.parametrize(
    ("kind", "schema", "message"),
    [
        ("incident.sung", 1, "unknown event kind"),
        ("incident.filed", 99, "knows up to"),
        ("incident.filed", 0, "nothing lifts"),
        ("incident.filed", 1, "incident_id"),
    ],
)
def test_what_cannot_be_read_says_why(kind: str, schema: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_event(kind, schema, {})
