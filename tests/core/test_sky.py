"""What stands over the district, and whether it lets a flight take off: values only."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from shapely.geometry import box

from domain.clearance import ApplicationKind, ApplicationState, FlightApplication
from domain.command import ControlReleased, ControlTaken, GroundStopLifted, GroundStopOrdered
from domain.events import (
    AirspaceAnnounced,
    AirspaceWithdrawn,
    ApplicationDecided,
    ApplicationFiled,
    ApplicationWithdrawn,
    Event,
    TakeOffConfirmed,
)
from domain.mission import Mission, MissionPurpose, Wayline, Waypoint
from domain.place import Airspace, AirspaceKind
from geo.shapes import local_to_area
from geo.terrain import FlatTerrain
from services.patrol.departure import Other, flown_path, reasons, timed
from services.patrol.plan import PatrolGround
from services.patrol.policy import PatrolPolicy
from services.patrol.refusal import Refusal
from services.patrol.sky.application_form import form_csv, form_html, form_rows
from services.patrol.sky.applications import confirmed, deadlines, decided, file
from services.patrol.sky.notice import notice
from services.patrol.sky.rules import RULES, load_sky_rules, read_sky_rules
from services.patrol.sky.standing import (
    Clearance,
    SkyNow,
    SkyRow,
    Zone,
    evolve,
    sky_now,
    state_type,
)
from services.patrol.stop import CONFIRM_WITHIN_S, Effect, ask, refused
from tests.core.patrol_scene import EPOCH, FRAME, district

LAW = load_sky_rules()
POLICY = PatrolPolicy()
DISTRICT = district(docks=2)
GROUND = PatrolGround(DISTRICT, POLICY)
DOCK, DRONE = DISTRICT.docks[0], DISTRICT.drones[0]
OPEN = sky_now((), DISTRICT.approvals, EPOCH)
NOON = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
"""12:00 at the authority."""


def mission(*xs: float, height_m: float = 90.0) -> Mission:
    points = tuple(Waypoint(FRAME.to_position(x, 0.0), height_m, 12.0) for x in xs or (0.0, 400.0))
    return Mission(
        "m1", MissionPurpose.PATROL, DOCK.sn, DRONE.sn, EPOCH, ("c",), Wayline(points, 700.0, 60.0)
    )


def codes(sky: SkyNow, at: datetime = EPOCH, flown: Mission | None = None) -> list[str]:
    found = reasons(GROUND, flown or mission(), DRONE, DOCK, sky, (), at)
    assert all(r.field and r.cure for r in found)
    return [r.code for r in found]


def application(
    kind: ApplicationKind = ApplicationKind.DAILY, starts: datetime = NOON, hours: float = 8.0
) -> FlightApplication:
    return FlightApplication(
        "a1", kind, (DRONE.sn,), starts, starts + timedelta(hours=hours), 120.0
    )


def clearance(state: ApplicationState = ApplicationState.APPROVED) -> Clearance:
    return Clearance(application(), state, EPOCH, "op-1", "ZS-1")


def zone(start: datetime, end: datetime, x0: float = 150.0, x1: float = 250.0) -> Airspace:
    area = local_to_area(box(x0, -50.0, x1, 50.0), FRAME)
    return Airspace(
        "TZ1", "赛事", AirspaceKind.TEMPORARY, area, 0.0, 120.0, valid_from=start, valid_to=end
    )


def after(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


# Rules


def test_every_rule_has_its_clause_and_bad_rules_are_refused() -> None:
    text = RULES.read_text()
    assert LAW.height.ceiling_agl_m == 120.0
    assert LAW.ceiling_agl_m("M3TD") == 120.0
    assert LAW.ceiling_agl_m("something new") == 50.0
    with pytest.raises(ValueError, match=r"recall\.new_zone"):
        read_sky_rules(text.replace('new_zone = "return_home"', 'new_zone = "panic"'))
    with pytest.raises(ValueError, match="ceiling_agl_m"):
        read_sky_rules(text.replace("ceiling_agl_m = 120.0\n", 'ceiling_agl_m = "high"\n', 1))
    with pytest.raises(ValueError, match="classes"):
        read_sky_rules(text.replace('M30 = "light"', 'M30 = "huge"'))


# The gate


def test_a_standing_approval_opens_the_sky() -> None:
    assert codes(OPEN) == []


def test_without_an_approval_nothing_flies() -> None:
    assert codes(SkyNow()) == ["no_approval"]
    filed = replace(OPEN, clearances=(clearance(ApplicationState.FILED),))
    assert codes(filed, NOON) == ["no_approval"]


def test_an_approval_has_its_own_drone_time_height_and_ground() -> None:
    given = replace(clearance().application, confirmation_needed=False)
    fits = replace(clearance(), application=given)

    def with_(**change: object) -> SkyNow:
        asked = replace(given, **change)  # type: ignore[arg-type]
        return SkyNow(clearances=(replace(fits, application=asked),))

    assert codes(with_(), NOON) == []
    assert codes(with_(drone_sns=("DRONE2",)), NOON) == ["no_approval"]
    assert codes(with_(starts_at=NOON + timedelta(seconds=1)), NOON) == ["no_approval"]
    assert codes(with_(ends_at=NOON + timedelta(seconds=60)), NOON) == ["no_approval"]
    assert codes(with_(ceiling_agl_m=80.0), NOON) == ["no_approval"]
    here = local_to_area(box(-300.0, -300.0, 500.0, 300.0), FRAME)
    assert codes(with_(area=here), NOON) == []
    small = local_to_area(box(-300.0, -300.0, 300.0, 300.0), FRAME)
    assert codes(with_(area=small), NOON) == ["no_approval"]
    # A long-term approval is flown under by plans filed day by day.
    by_day = with_(kind=ApplicationKind.LONG_TERM, confirmation_needed=True)
    assert codes(by_day, NOON) == ["no_approval"]


def test_a_take_off_is_confirmed_for_its_moment() -> None:
    sky = SkyNow(clearances=(clearance(),))
    assert codes(sky, NOON) == ["not_confirmed"]
    said = confirmed(clearance(), NOON, NOON + timedelta(hours=1), EPOCH, LAW)
    assert isinstance(said, TakeOffConfirmed)
    given = evolve(clearance(), said, "chief", EPOCH)
    assert isinstance(given, Clearance)
    assert codes(SkyNow(clearances=(given,)), NOON) == []
    assert codes(SkyNow(clearances=(given,)), NOON + timedelta(hours=1)) == ["not_confirmed"]


def test_a_ground_stop_and_a_person_in_control_hold_a_drone_down() -> None:
    rows = (
        SkyRow("ground_stop/d", 1, evolve(None, GroundStopOrdered(True, "safety"), "op-1", EPOCH)),
        SkyRow(f"control/{DRONE.sn}", 1, evolve(None, ControlTaken(DRONE.sn, "x"), "op-2", EPOCH)),
    )
    sky = sky_now(rows, DISTRICT.approvals, EPOCH)
    assert codes(sky) == ["ground_stop", "person_in_control"]


@pytest.mark.parametrize(
    ("start_s", "end_s", "expected"),
    [
        (-600.0, 600.0, ["temporary"]),
        (60.0, 600.0, ["temporary"]),  # closes while the flight lasts
        (3600.0, 7200.0, []),  # closes after it
        (-600.0, 0.0, []),  # has just opened again
    ],
)
def test_a_zone_counts_while_it_is_closed(
    start_s: float, end_s: float, expected: list[str]
) -> None:
    sky = replace(OPEN, announced=(Zone(zone(after(start_s), after(end_s)), EPOCH, "op-1"),))
    assert codes(sky) == expected


def test_a_zone_beside_the_path_keeps_its_margin() -> None:
    beside = zone(after(-60.0), after(600.0), 420.0, 500.0)
    assert codes(replace(OPEN, announced=(Zone(beside, EPOCH, "op-1"),))) == []
    near = zone(after(-60.0), after(600.0), 410.0, 500.0)
    assert codes(replace(OPEN, announced=(Zone(near, EPOCH, "op-1"),))) == ["temporary"]


def test_true_height_counts_from_the_ground_not_from_the_dock() -> None:
    assert codes(OPEN, flown=mission(height_m=121.0)) == ["too_high", "no_approval"]
    on_a_roof = PatrolGround(DISTRICT, POLICY, FlatTerrain(DOCK.height_ellipsoid_m - 31.0))
    found = reasons(on_a_roof, mission(), DRONE, DOCK, OPEN, (), EPOCH)
    assert [r.code for r in found] == ["too_high"]
    assert on_a_roof.height_rel_m(DOCK, (0.0, 0.0), 90.0) == 59.0


def test_at_night_the_rule_decides() -> None:
    night = replace(LAW.night, allowed=False)
    dark = PatrolGround(DISTRICT, replace(POLICY, rules=replace(LAW, night=night)))
    late = EPOCH.replace(hour=14)  # 22:00 there
    found = reasons(dark, mission(), DRONE, DOCK, OPEN, (), late)
    assert [r.code for r in found] == ["night"]
    assert reasons(dark, mission(), DRONE, DOCK, OPEN, (), EPOCH) == ()


def test_another_flight_on_the_same_way_is_waited_for() -> None:
    path = flown_path(GROUND, mission(), DOCK)
    same = Other("m2", timed(path, 0.0, 180.0))
    found = reasons(GROUND, mission(), DRONE, DOCK, OPEN, (same,), EPOCH)
    assert [r.code for r in found] == ["separation"]
    hover = Other("m2", timed([path[1]], 0.0, 180.0))
    assert [r.code for r in reasons(GROUND, mission(), DRONE, DOCK, OPEN, (hover,), EPOCH)] == [
        "separation"
    ]
    higher = Other("m2", timed([(x, y, z + 11.0) for x, y, z in path], 0.0, 180.0))
    assert reasons(GROUND, mission(), DRONE, DOCK, OPEN, (higher,), EPOCH) == ()
    x, y, z = path[0]
    below = Other("m2", timed([(x, y, z - 20.0)], 0.0, 180.0))
    assert [r.code for r in reasons(GROUND, mission(), DRONE, DOCK, OPEN, (below,), EPOCH)] == [
        "separation"
    ]


# What stands


@pytest.mark.parametrize(
    ("stream", "begin", "end"),
    [
        ("ground_stop/d", GroundStopOrdered(False, "safety"), GroundStopLifted("clear")),
        ("control/D1", ControlTaken("D1", "safety"), ControlReleased("D1", "clear")),
        ("airspace/TZ1", AirspaceAnnounced(zone(NOON, after(9e4))), AirspaceWithdrawn("TZ1", "x")),
    ],
)
def test_what_begins_ends(stream: str, begin: Event, end: Event) -> None:
    stands = evolve(None, begin, "op-1", EPOCH)
    assert isinstance(stands, state_type(stream))
    assert evolve(stands, end, "op-1", EPOCH) is None


def test_a_zone_and_an_approval_run_out_by_themselves() -> None:
    announced = Zone(zone(EPOCH, NOON), EPOCH, "op-1")
    rows = (SkyRow("airspace/TZ1", 1, announced), SkyRow("application/a1", 2, clearance()))
    assert sky_now(rows, (), EPOCH).zones != ()
    later = NOON + timedelta(hours=9)
    assert sky_now(rows, (), later) == SkyNow(controls={})


@pytest.mark.parametrize(
    ("given_s", "emergency", "late"),
    [
        (86_400.0, False, False),
        (86_399.0, False, True),
        (1800.0, False, True),
        (1800.0, True, False),
        (1799.0, True, True),
        (-60.0, True, True),
    ],
)
def test_a_zone_announced_late_says_what_that_means(
    given_s: float, emergency: bool, late: bool
) -> None:
    closed = Zone(zone(after(given_s), after(90_000.0)), EPOCH, "op-1", emergency)
    told = notice(closed, LAW.temporary)
    assert (told.given_s, told.late) == (given_s, late)
    assert told.due_s == (1800.0 if emergency else 86_400.0)
    assert bool(told.means) is late
    assert ("called home" in told.means) is (given_s < 1800.0)


def test_an_emergencys_notice_is_longer_than_any_patrol() -> None:
    """So what a zone with that much notice closes is empty by then, as its notice says."""
    flown_s = POLICY.sortie_limit_s * POLICY.time_margin + POLICY.climb_and_land_s
    assert flown_s + POLICY.plan_stale_s < LAW.temporary.emergency_lead_s


# Applications


@pytest.mark.parametrize(
    ("kind", "starts", "apply_by", "report_by"),
    [
        ("daily", "2026-03-03T00:05+08:00", "2026-03-02T12:00+08:00", "2026-03-02T23:05+08:00"),
        ("daily", "2026-03-03T23:55+08:00", "2026-03-02T12:00+08:00", "2026-03-03T22:55+08:00"),
        ("daily", "2026-03-02T17:00+00:00", "2026-03-02T12:00+08:00", "2026-03-03T00:00+08:00"),
        ("emergency", "2026-03-03T10:00+08:00", "2026-03-03T09:30+08:00", "2026-03-03T09:30+08:00"),
    ],
)
def test_deadlines_are_by_the_authoritys_clock(
    kind: str, starts: str, apply_by: str, report_by: str
) -> None:
    asked = application(ApplicationKind(kind), datetime.fromisoformat(starts))
    due = deadlines(asked, LAW)
    assert due.apply_by == datetime.fromisoformat(apply_by)
    assert due.report_by == datetime.fromisoformat(report_by)


TOMORROW = NOON + timedelta(days=1)


@pytest.mark.parametrize(
    ("change", "at", "code", "field"),
    [
        ({}, NOON, None, ""),
        ({}, NOON + timedelta(seconds=1), "too_late", "starts_at"),
        ({"kind": ApplicationKind.EMERGENCY}, TOMORROW - timedelta(minutes=30), None, ""),
        (
            {"kind": ApplicationKind.EMERGENCY},
            TOMORROW - timedelta(minutes=29),
            "too_late",
            "starts_at",
        ),
        ({"drone_sns": ("X",)}, NOON, "unknown_drone", "drone_sns"),
        ({"ceiling_agl_m": 121.0}, NOON, "too_high", "ceiling_agl_m"),
        ({"ends_at": TOMORROW + timedelta(days=2)}, NOON, "too_long", "ends_at"),
        (
            {"kind": ApplicationKind.LONG_TERM, "ends_at": TOMORROW + timedelta(days=300)},
            NOON,
            None,
            "",
        ),
        ({}, TOMORROW + timedelta(days=1), "over", "ends_at"),
    ],
)
def test_an_application_is_filed_in_time_or_refused(
    change: dict[str, object], at: datetime, code: str | None, field: str
) -> None:
    asked = replace(application(starts=TOMORROW), **change)  # type: ignore[arg-type]
    said = file(asked, DISTRICT, at, LAW)
    if code is None:
        assert said == ApplicationFiled(asked)
    else:
        assert isinstance(said, Refusal)
        assert (said.code, said.field) == (code, field)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"drone_sns": ()}, "drone_sns"),
        ({"ends_at": NOON}, "ends_at"),
        ({"ceiling_agl_m": 0.0}, "ceiling_agl_m"),
    ],
)
def test_bad_applications_name_the_field(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(application(), **change)  # type: ignore[arg-type]


def test_an_application_goes_its_way() -> None:
    filed = evolve(None, ApplicationFiled(application()), "op-1", EPOCH)
    assert isinstance(filed, Clearance)
    for bad in (decided(filed, True, " "), confirmed(filed, NOON, TOMORROW, EPOCH, LAW)):
        assert isinstance(bad, Refusal)
    said = decided(filed, True, "ZS-1")
    assert isinstance(said, ApplicationDecided)
    approved = evolve(filed, said, "chief", EPOCH)
    assert isinstance(approved, Clearance)
    assert (approved.state, approved.number) == (ApplicationState.APPROVED, "ZS-1")
    assert isinstance(decided(approved, False, ""), Refusal)
    hour = timedelta(hours=1)
    for from_at, until_at, at in (
        (NOON, NOON, EPOCH),
        (NOON - hour, NOON, EPOCH),
        (NOON, NOON + hour, NOON - timedelta(minutes=59)),
    ):
        assert isinstance(confirmed(approved, from_at, until_at, at, LAW), Refusal)
    gone = evolve(approved, ApplicationWithdrawn("a1", "other"), "op-1", EPOCH)
    assert isinstance(gone, Clearance)
    assert gone.state is ApplicationState.WITHDRAWN


def test_the_form_has_every_field_of_article_27_and_runs_nothing() -> None:
    asked = replace(
        clearance(), number="=cmd|' /C calc'!A0", application=replace(application(), nature="<b>")
    )
    rows = form_rows(asked, DISTRICT, [mission()], LAW)
    clauses = ["一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "十一", "十二", "十三"]
    assert {r.number for r in rows} - {""} == {f"({clause})" for clause in clauses}
    table = form_csv(rows)
    assert table.startswith("\ufeff条款,项目,内容\r\n")
    page = form_html(rows)
    assert "&lt;b&gt;" in page
    assert "<script" not in page
    assert "2026年03月01日 12:00 至 2026年03月01日 20:00" in page
    bare = form_csv([replace(rows[0], value="=1+1")])
    assert "'=1+1" in bare


# Two steps


def test_a_token_confirms_one_thing_by_one_person_for_a_minute() -> None:
    shown = ask("s3cret", "stop", "op-1", 4, EPOCH, Effect((), (), ()))

    def says(
        what: str = "stop", who: str = "op-1", version: int = 4, later_s: float = 1.0
    ) -> str | None:
        wrong = refused("s3cret", what, who, version, after(later_s), shown.token)
        return wrong.code if wrong else None

    assert says() is None
    assert says(what="all_home") == says(who="op-2") == says(version=5) == "bad_token"
    assert says(later_s=CONFIRM_WITHIN_S + 1.0) == "token_expired"
    for nonsense in ("", ".", "999999999999999999999.aa", "١٢.aa", "1.钥匙"):
        wrong = refused("s3cret", "stop", "op-1", 4, EPOCH, nonsense)
        assert wrong is not None
        assert wrong.code == "bad_token"
