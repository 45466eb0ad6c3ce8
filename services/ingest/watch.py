"""watch: frames → gate → detections → tracks → sightings → votes → hazards; looks, ground covered.

Frames come in newest-first per device; each is passed over by the gate, or decoded, detected and
judged, before the next is taken. What it concludes goes to the ledger in one transaction; pictures
are blurred before they are kept and are on disk before the event that names them commits.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import radians, tan

import cv2
import structlog

from domain.district import District
from domain.events import (
    CellSeen,
    DeviceAlarmCleared,
    DeviceAlarmRaised,
    Event,
    HazardRaised,
    HazardRenewed,
    LookConcluded,
    LookStarted,
)
from domain.hazard import Detection, Hazard
from domain.ids import derive
from domain.observation import Frame
from domain.sight import (
    CameraCalibrated,
    ChangeSeen,
    ReferenceAccepted,
    ReferenceTaken,
    SightRule,
    SightRuleChanged,
)
from geo.homography import BadCalibration
from geo.locate import Floats, Relief, metres_a_pixel
from models.boxes import Image
from models.detector import Detector
from models.noted import Noted, with_note
from models.privacy import BlurFailed
from runtime.clock import Clock
from runtime.database import going_on
from runtime.evidence import EvidenceFull, EvidenceStore
from runtime.ledger import Entry, Ledger, VersionConflict
from runtime.metrics import CROPS, FRAMES, LOOKS
from runtime.sealing import SealedStore
from services.ingest.change_watch import ChangeWatch
from services.ingest.frame_picture import wrong_with
from services.ingest.sight.ballot import Active, Ballot, BallotPolicy
from services.ingest.sight.calibrated import Calibrated, calibrated
from services.ingest.sight.camera_health import (
    COMPONENT,
    LEVELS,
    CameraFault,
    CameraHealth,
    HealthPolicy,
)
from services.ingest.sight.changes import ReferencePolicy
from services.ingest.sight.device_eye import Asked, DeviceEye, EyePolicy, Seen, Unseen
from services.ingest.sight.looks import Covered, LookPolicy, OpenLook, cover, looked, verdict
from services.ingest.sight.rules import changed, sealing
from services.ingest.sight.scene import Scene, camera_pose
from services.ingest.sight.votes import Candidate
from services.ingest.sources import FrameInbox, Pace

log = structlog.get_logger(__name__)

ACTOR = "watch"
DEVICES_LIMIT = 2000
READ_LIMIT = 500
OFFLINE_WALL_S = 20.0
TEND_EVERY_S, TEND_EVERY_WALL_S = 2.0, 0.3
COMPARED_WALL_S = 20.0
"""A picture is held against its reference no more often: that costs half a second of a core."""
EVIDENCE_QUALITY = 85
COVERING_PITCH_DEG = -60.0


@dataclass(frozen=True, slots=True)
class WatchPolicy:
    """A cell counts as seen when one flight's frames covered `cell_share` of it; a frame shows
    nothing farther from its lens than `view_limit_m`."""

    eye: EyePolicy
    ballot: BallotPolicy = field(default_factory=BallotPolicy)
    look: LookPolicy = field(default_factory=LookPolicy)
    health: HealthPolicy = field(default_factory=HealthPolicy)
    reference: ReferencePolicy = field(default_factory=ReferencePolicy)
    cell_share: float = 0.9
    view_limit_m: float = 150.0


@dataclass(frozen=True, slots=True)
class Eyes:
    """What judges pixels: the detector, and the blurring of what is kept."""

    detector: Detector
    blur: Callable[[Image], tuple[Image, int]]
    executor: Executor | None = None

    async def run(self, job: Callable[[], object]) -> object:
        """Run one job of pixels: in the executor, or inline when the run must repeat exactly."""
        if self.executor is None:
            return job()
        return await asyncio.get_running_loop().run_in_executor(self.executor, job)


def _unrecorded(frame: Frame, image: Image, boxes: Sequence[Detection]) -> None:
    """Record nothing: what a watch without a recorder does with its frames."""


def _identity(candidate: Candidate, sn: str) -> str:
    """Return the same id whenever the same frames are judged, another for each candidate."""
    cause = (candidate.kind.value, sn, candidate.born_at.isoformat())
    return derive("hazard", *cause, *([str(candidate.ordinal)] if candidate.ordinal else []))


def _pixels_a_metre(seen: Seen) -> float:
    """Return how many pixels a metre of ground under the lens is wide."""
    across_m = 2 * seen.pose.height_agl_m * tan(radians(seen.pose.hfov_deg) / 2)
    return float(seen.image.shape[1] / across_m)


@dataclass(slots=True)
class Watch:
    scene: Scene
    eyes: Eyes
    ledger: Ledger
    evidence: EvidenceStore
    clock: Clock
    policy: WatchPolicy
    pace: Pace
    record: Callable[[Frame, Image, Sequence[Detection]], None] = _unrecorded
    sealed: SealedStore | None = None
    ballot: Ballot = field(init=False)
    changes: ChangeWatch = field(init=False)
    looks: dict[str, OpenLook] = field(default_factory=dict)
    covered: dict[str, dict[str, Covered]] = field(default_factory=dict)
    overrides: dict[str, SightRule] = field(default_factory=dict)
    rules: tuple[SightRule, ...] = ()
    calibrated: dict[str, Calibrated] = field(default_factory=dict)
    devices: dict[str, DeviceEye] = field(default_factory=dict)
    health: dict[str, CameraHealth] = field(default_factory=dict)
    position: int = 0
    frames_seen: int = 0

    def __post_init__(self) -> None:
        self.rules = self.policy.eye.sighting.rules
        self.ballot = Ballot(self.policy.ballot)
        spacing_s = max(self.policy.reference.spacing_s, COMPARED_WALL_S * self.clock.rate)
        self.changes = ChangeWatch(
            self.scene, self.evidence, self.eyes.run, self.eyes.blur,
            self.policy.eye.sighting, replace(self.policy.reference, spacing_s=spacing_s),
        )  # fmt: skip

    # --- the ledger: what is already known, which looks are wanted -----------------------------

    async def catch_up(self) -> None:
        """Fold every ledger entry since the last one read."""
        while entries := await self.ledger.read(self.position, READ_LIMIT):
            for entry in entries:
                self._fold(entry)
            self.position = entries[-1].position

    def _fold(self, entry: Entry) -> None:
        event = entry.event
        if isinstance(event, HazardRaised):
            hazard = event.hazard
            x_m, y_m = self._local(hazard)
            self.ballot.stood(
                Active(hazard.hazard_id, hazard.kind, x_m, y_m, hazard.last_seen_at)
            )
        elif isinstance(event, HazardRenewed) and event.hazard_id in self.ballot.active:
            self.ballot.active[event.hazard_id].last_seen_at = event.last_seen_at
        elif isinstance(event, LookStarted):
            target = event.target
            x_m, y_m = self.scene.frame.to_local(target.lat_deg, target.lon_deg)
            self.looks[event.mission_id] = OpenLook(event, float(x_m), float(y_m))
        elif isinstance(event, LookConcluded):
            self.looks.pop(event.mission_id, None)
        elif isinstance(event, SightRuleChanged):
            self._told(event)
        elif isinstance(event, CameraCalibrated):
            self._calibrated(event)
        elif isinstance(event, DeviceAlarmRaised | DeviceAlarmCleared):
            self._fault_told(event)
        elif isinstance(event, ReferenceTaken | ChangeSeen | ReferenceAccepted):
            self.changes.book.fold(event)

    def _fault_told(self, event: DeviceAlarmRaised | DeviceAlarmCleared) -> None:
        """Remember over a restart which faults of cameras were told."""
        if event.component == COMPONENT and event.device_sn in self.scene.cameras:
            standing, fault = self._health(event.device_sn).standing, CameraFault(event.code)
            (standing.add if isinstance(event, DeviceAlarmRaised) else standing.discard)(fault)

    def _told(self, event: SightRuleChanged) -> None:
        """Take a person's rule in place of ours, or ours again."""
        if event.rule is None:
            self.overrides.pop(event.code, None)
        else:
            self.overrides[event.code] = event.rule
        self.rules = changed(self.policy.eye.sighting.rules, self.overrides)

    def _calibrated(self, event: CameraCalibrated) -> None:
        camera = self.scene.cameras.get(event.device_sn)
        self.calibrated.pop(event.device_sn, None)
        if camera is None:
            return
        self._health(event.device_sn).forget_place()
        if not event.points:
            return
        try:
            self.calibrated[event.device_sn] = calibrated(camera, event.points)
        except BadCalibration as error:
            log.warning("calibration not used", device=event.device_sn, why=str(error))

    def _local(self, hazard: Hazard) -> tuple[float, float]:
        x_m, y_m = self.scene.frame.to_local(hazard.position.lat_deg, hazard.position.lon_deg)
        return float(x_m), float(y_m)

    # --- one frame ------------------------------------------------------------------------------

    async def see(self, frame: Frame) -> str | None:
        """Judge one frame, if the gate lets it through. Returns why it was refused, or None."""
        camera = self.scene.cameras.get(frame.device_sn)
        pose = frame.pose if camera is None else camera_pose(camera, frame.at)
        if pose is None:
            return "no pose in the frame and no camera of that name registered"
        if (wrong := wrong_with(frame.jpeg)) is not None:
            return wrong
        eye, asked, detector = self._eye(frame.device_sn), self._asked(frame), self.eyes.detector
        seen = await self.eyes.run(
            lambda: eye.see(frame, pose, asked, detector, self.clock.wall_s)
        )
        if seen is Unseen.GATED:
            FRAMES.labels("gated").inc()
            if camera is not None:
                self._health(camera.sn).came(frame.at)
            return None
        if not isinstance(seen, Seen):
            return str(seen)
        self.frames_seen += 1
        FRAMES.labels("seen").inc()
        LOOKS.labels(seen.look.why.value).inc()
        CROPS.inc(len(seen.look.crops))
        self.record(frame, seen.image, seen.detections)
        events = self._covering(seen) if frame.pose is not None else []
        events += await self._voting(seen, flying=frame.pose is not None)
        events += await self._looking(seen)
        events += self._camera_faults(seen)
        events += await self._changing(seen)
        await self._commit(events)
        return None

    def _asked(self, frame: Frame) -> Asked:
        sn, flying = frame.device_sn, frame.pose is not None
        looked_for = flying and any(x.started.drone_sn == sn for x in self.looks.values())
        return Asked(
            [r for r in self.rules if r.is_on(frame.at, sn, flying)],
            self.calibrated.get(sn),
            looked_for or sn in self.pace.busy,
            () if flying else self.ballot.places(sn),
        )

    def _eye(self, sn: str) -> DeviceEye:
        """Return what is kept of a device; of too many that of the one not seen for longest."""
        eye = self.devices.pop(sn, None)
        if eye is None:
            eye = DeviceEye(self.policy.eye, self.scene)
            if len(self.devices) >= DEVICES_LIMIT:
                del self.devices[next(iter(self.devices))]
        self.devices[sn] = eye
        return eye

    # --- hazards --------------------------------------------------------------------------------

    async def _voting(self, seen: Seen, flying: bool) -> list[tuple[str, Event]]:
        sn, at = seen.frame.device_sn, seen.frame.at
        outcome = self.ballot.judge(
            sn, at, flying, seen.sightings, self._view(seen), self.rules
        )
        (self.pace.busy.add if outcome.open else self.pace.busy.discard)(sn)
        events: list[tuple[str, Event]] = []
        for known, candidate in outcome.renewed:
            again = HazardRenewed(known.hazard_id, at, candidate.best.score)
            events.append((f"hazard/{known.hazard_id}", again))
        events += [await self._raised(candidate, seen) for candidate in outcome.won]
        return events

    def _view(self, seen: Seen) -> Callable[[float, float], bool]:
        return self.scene.in_view(seen.pose, seen.ground, self.policy.view_limit_m)

    async def _changing(self, seen: Seen) -> list[tuple[str, Event]]:
        """Hold a frame against the last accepted picture of its pose, if its camera is well."""
        sn = seen.frame.device_sn
        if sn in self.health and self.health[sn].standing:
            return []
        return await self.changes.look(
            seen, self.rules, self.calibrated.get(sn), self.ballot, self._raised
        )

    async def _raised(
        self, candidate: Candidate, seen: Seen, beside: tuple[str, ...] = ()
    ) -> tuple[str, HazardRaised]:
        hits, best = candidate.hits, candidate.best
        sn = seen.frame.device_sn
        hazard_id = _identity(candidate, sn)
        near = self.scene.cells.near(best.position, best.ellipse.semi_major_m)
        own = self.scene.cells.at(best.position)
        newest = next(s.sighting for s in reversed(hits) if s.sighting is not None)
        evidence = await self._keep(seen, newest.boxes)
        await self._seal(seen, candidate.rule, evidence)
        hazard = Hazard(
            hazard_id=hazard_id,
            kind=candidate.kind,
            position=best.position,
            ellipse=best.ellipse,
            score=max(s.sighting.score for s in hits if s.sighting is not None),
            device_sn=sn,
            first_seen_at=min(candidate.born_at, hits[0].at),
            last_seen_at=hits[-1].at,
            votes=len(hits),
            frames=len(candidate.looks),
            cell_code=own,
            other_cell_codes=tuple(c for c in near if c != own),
            evidence=(*evidence, *beside),
            frame_completed_wall_s=seen.completed_wall_s,
        )
        x_m, y_m = self._local(hazard)
        self.ballot.stood(Active(hazard_id, hazard.kind, x_m, y_m, hazard.last_seen_at))
        log.info("hazard raised", kind=hazard.kind.value, device=sn, cell=own)
        return f"hazard/{hazard_id}", HazardRaised(hazard)

    # --- fixed cameras themselves ---------------------------------------------------------------

    def _camera_faults(self, seen: Seen) -> list[tuple[str, Event]]:
        if seen.glance is None:
            return []
        sn, at = seen.frame.device_sn, seen.frame.at
        raised, cleared = self._health(sn).see(seen.glance, at)
        return self._faults(sn, raised, cleared, at)

    def _health(self, sn: str) -> CameraHealth:
        if sn not in self.health:
            self.health[sn] = CameraHealth(self.policy.health)
        return self.health[sn]

    def _faults(
        self, sn: str, raised: Sequence[CameraFault], cleared: Sequence[CameraFault], at: datetime
    ) -> list[tuple[str, Event]]:
        place = self.scene.cameras[sn].position
        events: list[Event] = [
            DeviceAlarmRaised(sn, fault.value, LEVELS.get(fault, 1), COMPONENT, at, place)
            for fault in raised
        ]
        events += [DeviceAlarmCleared(sn, fault.value, COMPONENT, at) for fault in cleared]
        return [(f"device/{sn}", event) for event in events]

    async def silent_cameras(self, cameras: Collection[str]) -> None:
        """Tell of those of `cameras`, read by this process, of which nothing comes any more."""
        at = self.clock.now()
        patience_s = max(self.policy.health.offline_s, OFFLINE_WALL_S * self.clock.rate)
        for sn in cameras:
            silent = self._health(sn).silent(at, patience_s)
            await self._commit(self._faults(sn, silent, (), at))

    # --- looks and covered ground ---------------------------------------------------------------

    async def _looking(self, seen: Seen) -> list[tuple[str, Event]]:
        events: list[tuple[str, Event]] = []
        view = self._view(seen)
        for mission_id, open_look in list(self.looks.items()):
            own = open_look.started.drone_sn == seen.frame.device_sn
            if not own or not view(open_look.x_m, open_look.y_m):
                continue
            look, best = looked(open_look, seen.sightings, _pixels_a_metre(seen))
            if best is not None or look.frames == self.policy.look.frames:
                boxes = () if best is None else best.boxes
                look = replace(look, evidence=await self._keep(seen, boxes))
            self.looks[mission_id] = look
        events += self._concluded(seen.frame.at)
        return events

    def _concluded(self, at: datetime) -> list[tuple[str, Event]]:
        events: list[tuple[str, Event]] = []
        for mission_id, look in list(self.looks.items()):
            outcome = verdict(look, at, self.policy.look, self.rules)
            if outcome is None:
                continue
            del self.looks[mission_id]
            started = look.started
            concluded = LookConcluded(
                mission_id,
                started.purpose,
                started.incident_id,
                started.hazard_id,
                outcome,
                look.frames,
                look.positive,
                look.evidence,
                at,
            )
            events.append((f"look/{mission_id}", concluded))
            log.info("look concluded", mission=mission_id, outcome=outcome.value)
        return events

    def _covering(self, seen: Seen) -> list[tuple[str, Event]]:
        if seen.ground is None or seen.pose.pitch_deg > COVERING_PITCH_DEG:
            return []
        sn = seen.frame.device_sn
        flight_id = seen.frame.flight_id or sn
        under = self.scene.cells_under(seen.ground)
        before = {c: k for c, k in self.covered.get(sn, {}).items() if k.flight_id == flight_id}
        size_px = (seen.image.shape[1], seen.image.shape[0])

        def sharpness(code: str) -> Floats:
            return metres_a_pixel(seen.pose, self.scene.samples[code], *size_px, self.scene.frame)

        after, done = cover(
            before, flight_id, seen.ground, under, self.policy.cell_share, seen.frame.at, sharpness
        )
        self.covered[sn] = after
        return [
            (f"cell/{code}", self._cell_seen(after[code], sn, share, seen.frame.at))
            for code, share in done
        ]

    def _cell_seen(self, covered: Covered, sn: str, share: float, at: datetime) -> CellSeen:
        code, flight_id = covered.cell_code, covered.flight_id
        whole_share = round(share * self.scene.flyable_share[code], 3)
        worst_m, median_m = covered.worst_m(), covered.median_m()
        return CellSeen(
            code, flight_id, sn, round(share, 3), at, covered.began_at, whole_share,
            None if worst_m is None else round(worst_m, 4),
            None if median_m is None else round(median_m, 4),
        )  # fmt: skip

    # --- keeping --------------------------------------------------------------------------------

    async def _keep(self, seen: Seen, boxes: Sequence[Detection]) -> tuple[str, ...]:
        """Blur and keep the picture, its boxes noted; return its hash, none if it cannot be so.

        What was seen is told all the same: a hazard without a picture is worth more than none.
        """
        try:
            jpeg = await self.eyes.run(lambda: self._picture(seen, boxes))
        except BlurFailed as failure:
            log.error("picture not kept", device=seen.frame.device_sn, why=str(failure))
            return ()
        assert isinstance(jpeg, bytes)
        return (await self.evidence.put(jpeg),)

    def refuse_unsealable(self) -> None:
        """Raise ValueError where a rule asks for sealed originals and there is no key for them."""
        asking = sealing(self.rules)
        if asking and self.sealed is None:
            raise ValueError(
                f"{asking[0]}.sealed_days asks for sealed originals: set GRIDWING_SEAL_KEY "
                "(`gridwing evidence new-key`), or take the field out of the rule"
            )

    async def _seal(self, seen: Seen, code: str, evidence: Sequence[str]) -> None:
        """Keep the original beside its blurred picture where the rule asks for it."""
        days = max((rule.sealed_days for rule in self.rules if rule.code == code), default=0)
        if not days or not evidence:
            return
        if self.sealed is None:
            log.error("original not kept: no GRIDWING_SEAL_KEY", rule=code)
            return
        last_day = (self.clock.now() + timedelta(days=days)).date()
        try:
            await self.sealed.put(seen.frame.jpeg, evidence[0], last_day)
        except EvidenceFull as full:
            log.error("original not kept", rule=code, why=str(full))

    def _picture(self, seen: Seen, boxes: Sequence[Detection]) -> bytes:
        kept, _ = self.eyes.blur(seen.image.copy())
        quality = [cv2.IMWRITE_JPEG_QUALITY, EVIDENCE_QUALITY]
        jpeg = cv2.imencode(".jpg", kept, quality)[1].tobytes()
        policy = self.policy.eye.sighting
        others = tuple(
            box
            for box in seen.detections
            if box not in boxes
            and box.score >= policy.min_score.get(box.label, policy.default_min_score)
        )
        return with_note(jpeg, Noted(tuple(boxes), others))

    async def _commit(self, events: Sequence[tuple[str, Event]]) -> None:
        """Append each event by itself: one that is already known must not hold back another."""
        at = self.clock.now()
        for stream, event in events:
            once = 0 if isinstance(event, HazardRaised | LookConcluded) else None
            try:
                async with self.ledger.transaction() as tx:
                    await tx.append(stream, [event], at=at, actor=ACTOR, expected_version=once)
            except VersionConflict as conflict:
                log.warning("already in the ledger", conflict=str(conflict))

    async def overdue_looks(self) -> None:
        """Conclude looks whose deadline passed though no frame came."""
        await self._commit(self._concluded(self.clock.now()))


async def run(
    watch: Watch,
    inbox: FrameInbox,
    refuse: Callable[[str, str], None],
    cameras: Callable[[], Collection[str]] = tuple,
) -> None:
    """Judge frames as they come until cancelled, reading the ledger between them.

    `cameras` says which this process reads: of them, silence is told.
    """
    await watch.catch_up()
    watch.refuse_unsealable()

    async def tend() -> None:
        while going_on():
            await watch.catch_up()
            await watch.overdue_looks()
            await watch.silent_cameras(cameras())
            await watch.clock.sleep(max(TEND_EVERY_S, TEND_EVERY_WALL_S * watch.clock.rate))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(tend())
        while going_on():
            frame = await inbox.take()
            reason = await watch.see(frame)
            if reason is not None:
                inbox.refused += 1
                refuse(frame.device_sn, reason)


def make_watch(
    district: District,
    eyes: Eyes,
    ledger: Ledger,
    evidence: EvidenceStore,
    clock: Clock,
    policy: WatchPolicy,
    pace: Pace,
    relief: Relief | None = None,
    sealed: SealedStore | None = None,
) -> Watch:
    scene = Scene.of(district, relief)
    return Watch(scene, eyes, ledger, evidence, clock, policy, pace, sealed=sealed)
