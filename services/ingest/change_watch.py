"""Pictures held against the last accepted one of their pose: taken, compared, voted on.

The reference pictures are evidence: blurred, named by their hash, on disk before the event that
names them. What is known of them is folded from the ledger.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import cv2
import numpy as np
import structlog

from domain.events import Event, HazardRaised, HazardRenewed
from domain.hazard import Detection
from domain.ids import derive
from domain.observation import ImageBox
from domain.sight import ChangeSeen, ReferenceTaken, SightRule
from models.boxes import Image
from models.change import ChangePolicy, NotComparable, Region, altered, changes
from models.privacy import BlurFailed
from runtime.evidence import EvidenceStore
from services.ingest.sight.ballot import Ballot
from services.ingest.sight.calibrated import Calibrated
from services.ingest.sight.changes import (
    Changed,
    Placing,
    Reference,
    ReferenceBook,
    ReferencePolicy,
    changed_ground,
    keeps,
    pixels,
    shares,
    told_before,
    voted,
    won,
)
from services.ingest.sight.device_eye import Seen
from services.ingest.sight.scene import Scene
from services.ingest.sight.sightings import SightingPolicy
from services.ingest.sight.votes import Candidate

log = structlog.get_logger(__name__)

QUALITY = 90
Told = list[tuple[str, Event]]
Raise = Callable[[Candidate, Seen, tuple[str, ...]], Awaitable[tuple[str, HazardRaised]]]
"""Makes the hazard a candidate has become; the pictures are shown beside its own."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A blurred picture on disk, and what of it is not to be compared."""

    picture: str
    masked: tuple[ImageBox, ...]


@dataclass(slots=True)
class ChangeWatch:
    """Looks at one picture each `spacing_s`, whoever took it; the others cost nothing."""

    scene: Scene
    evidence: EvidenceStore
    run: Callable[[Callable[[], object]], Awaitable[object]]
    blur: Callable[[Image], tuple[Image, int]]
    sighting: SightingPolicy
    policy: ReferencePolicy = field(default_factory=ReferencePolicy)
    pixels: ChangePolicy = field(default_factory=ChangePolicy)
    book: ReferenceBook = field(init=False)

    def __post_init__(self) -> None:
        self.book = ReferenceBook(self.scene.frame, self.policy)

    async def look(
        self,
        seen: Seen,
        rules: Sequence[SightRule],
        calibrated: Calibrated | None,
        ballot: Ballot,
        raise_: Raise,
    ) -> Told:
        """Return what a frame tells: its pose's first picture, or what differs from that."""
        sn, at, flying = seen.frame.device_sn, seen.frame.at, seen.frame.pose is not None
        on = [r for r in rules if r.of_change and r.is_on(at, sn, flying)]
        if not on or not self.book.is_free(at):
            return []
        near = self.book.of_pose(sn, flying, seen.pose)
        due = [r for r in near if self.book.is_due(r, at)]
        if near and not due:
            return []
        if not near and not self.book.wants(sn, flying, seen.pose):
            return []
        self.book.looked(due, at)
        for reference in due:
            regions = await self.run(partial(self._compared, reference, seen))
            if isinstance(regions, tuple):
                place = Placing(
                    seen.pose, (seen.image.shape[1], seen.image.shape[0]), self.scene.frame,
                    self.scene.zones, self.sighting, calibrated,
                )  # fmt: skip
                found = changed_ground(regions, on, place)
                return await self._judged(reference, seen, found, rules, ballot, raise_)
            log.info("not compared", reference=reference.taken.reference_id, why=str(regions))
        if len(due) == len(near) and self.book.wants(sn, flying, seen.pose):
            return await self._taken(seen, flying)
        return []

    def _compared(self, reference: Reference, seen: Seen) -> tuple[Region, ...] | str:
        """Return what differs, or why that cannot be said."""
        kept = self.evidence.get(reference.picture)
        encoded = np.frombuffer(kept or b"", np.uint8)
        old = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if len(encoded) else None
        if old is None:
            return "the reference picture is gone"
        was = np.asarray(old, np.uint8)
        masked = pixels(reference.masked, (was.shape[1], was.shape[0]))
        now = [(b.x0_px, b.y0_px, b.x1_px, b.y1_px) for b in self._named(seen)]
        found = changes(was, seen.image, masked, now, self.pixels)
        return found.reason if isinstance(found, NotComparable) else found

    def _named(self, seen: Seen) -> list[Detection]:
        """Return the boxes of what is no change: what passes, and what has rules of its own."""
        least, other = self.sighting.min_score, self.sighting.default_min_score
        return [
            box
            for box in seen.detections
            if box.label not in self.policy.sought and box.score >= least.get(box.label, other)
        ]

    async def _taken(self, seen: Seen, flying: bool) -> Told:
        kept = await self._keep(seen)
        if kept is None:
            return []
        sn, at = seen.frame.device_sn, seen.frame.at
        reference_id = derive("reference", sn, at.isoformat())
        taken = ReferenceTaken(reference_id, sn, flying, seen.pose, kept.picture, kept.masked, at)
        log.info("reference picture taken", device=sn, reference=reference_id)
        return [(f"reference/{sn}", taken)]

    async def _judged(
        self,
        reference: Reference,
        seen: Seen,
        found: Sequence[Changed],
        rules: Sequence[SightRule],
        ballot: Ballot,
        raise_: Raise,
    ) -> Told:
        at, flying = seen.frame.at, reference.taken.flying
        known = {c: told_before(reference, c.sighting, self.policy) for c in found}
        open_ = [c.sighting for c in found if known[c] is None]
        candidates = voted(reference, open_, at, self.policy)
        if not found and not candidates:
            return []
        told: Told = []
        for change, hazard_id in known.items():
            if hazard_id is not None:
                again = HazardRenewed(hazard_id, at, round(change.sighting.score, 3))
                told.append((f"hazard/{hazard_id}", again))
        for candidate in won(candidates, rules, flying, at):
            standing = ballot.known(candidate.kind, candidate.x_m, candidate.y_m, at)
            if standing is None:
                stream, event = await raise_(candidate, seen, (reference.picture,))
                told.append((stream, event))
                hazard_id = event.hazard.hazard_id
            else:
                hazard_id = standing.hazard_id
            known |= {c: hazard_id for c in found if c.sighting is candidate.looks[-1].sighting}
        kept = None
        if found and (len(told) > 0 or keeps(reference, at, self.policy)):
            kept = await self._keep(seen)
        taken = reference.taken
        event_ = ChangeSeen(
            taken.reference_id, taken.device_sn, at,
            tuple(c.told(hazard_id) for c, hazard_id in known.items()),
            None if kept is None else kept.picture,
            () if kept is None else kept.masked,
        )  # fmt: skip
        return [*told, (f"reference/{taken.device_sn}", event_)]

    async def _keep(self, seen: Seen) -> Kept | None:
        """Blur and keep a picture; None where it cannot be blurred."""
        try:
            made = await self.run(lambda: self._picture(seen))
        except BlurFailed as failure:
            log.error("picture not kept", device=seen.frame.device_sn, why=str(failure))
            return None
        assert isinstance(made, tuple)
        jpeg, masked = made
        return Kept(await self.evidence.put(jpeg), masked)

    def _picture(self, seen: Seen) -> tuple[bytes, tuple[ImageBox, ...]]:
        kept, _ = self.blur(seen.image.copy())
        size_px = (kept.shape[1], kept.shape[0])
        boxes = [(b.x0_px, b.y0_px, b.x1_px, b.y1_px) for b in self._named(seen)]
        masked = shares([*boxes, *altered(seen.image, kept)], size_px)
        jpeg = cv2.imencode(".jpg", kept, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
        return jpeg, masked
