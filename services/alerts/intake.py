"""One report comes in: it is fused into the incident it belongs to, or opens one."""

from dataclasses import dataclass

from domain.hazard import Severity
from domain.incident import Incident
from runtime.ledger import Transaction
from services.alerts.commands import Fuse, Open, Refused
from services.alerts.fusion import Sighting
from services.alerts.journal import Journal


@dataclass(frozen=True, slots=True)
class News:
    """A sighting with what an incident of its own would be called.

    `frame_wall_s`: wall second of the frame that completed the vote; None for other sources.
    """

    sighting: Sighting
    cause: str
    incident_id: str
    severity: Severity
    evidence: tuple[str, ...]
    cell_code: str | None
    frame_wall_s: float | None = None


async def fuse_or_open(
    journal: Journal, tx: Transaction, news: News, actor: str
) -> Incident | Refused:
    """Take the news into an open incident or a new one, as `actor`; holds the opening lock."""
    await journal.store.enter(tx)
    match = await journal.match(tx, news.sighting)
    if match is None:
        return await open_new(journal, tx, news, actor)
    incident = await journal.store.incident(tx, match.incident_id)
    fuse = Fuse(
        news.cause,
        round(match.distance_m, 1),
        round(match.apart_s, 1),
        round(match.score, 3),
        news.evidence,
    )
    return await journal.act(tx, incident, fuse, actor)


async def open_new(journal: Journal, tx: Transaction, news: News, actor: str) -> Incident | Refused:
    sighting = news.sighting
    if news.frame_wall_s is not None:
        await journal.store.await_dispatch(tx, news.incident_id, news.frame_wall_s)
    command = Open(
        incident_id=news.incident_id,
        kind=sighting.kind,
        severity=news.severity,
        position=sighting.position,
        cell_code=news.cell_code,
        police_code=journal.ground.police.at(sighting.position),
        source=sighting.source,
        cause=news.cause,
        evidence=news.evidence,
        ellipse=sighting.ellipse,
    )
    there = await journal.store.incident(tx, news.incident_id)
    return await journal.act(tx, there, command, actor)
