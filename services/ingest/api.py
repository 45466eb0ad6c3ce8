"""Where every device is now, for the screens."""

from typing import Any

from services.ingest.store import Latest

SHOWN = (
    "position",
    "heading_deg",
    "height_agl_m",
    "height_rel_m",
    "battery_pct",
    "phase",
    "speed_m_s",
)


def shown(state: Latest) -> dict[str, Any]:
    """Return a device's newest state as the screens read it; absent fields are null."""
    base = {"device_sn": state.device_sn, "kind": state.kind, "at": state.at.isoformat()}
    return base | {name: state.fields.get(name) for name in SHOWN}
