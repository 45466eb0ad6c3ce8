"""What the alerts part has come to, in figures. Quantiles are nearest-rank."""

from collections.abc import Sequence
from typing import Any

from services.alerts.store import AlertStore


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return the value below which `share` of an ascending sequence lies; None when empty."""
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)


async def measures(store: AlertStore) -> dict[str, Any]:
    """Return counts, and wall seconds from the frame that completed a vote to its dispatch."""
    figures = await store.figures()
    latency = sorted(figures.frame_to_dispatch_s)
    return {
        "incidents": figures.incidents,
        "dispatches": figures.dispatches,
        "closed": figures.closed,
        "verified_by_flight": figures.verified_by_flight,
        "frame_to_dispatch_s": {
            "p50": quantile(latency, 0.5),
            "p95": quantile(latency, 0.95),
            "count": len(latency),
        },
    }
