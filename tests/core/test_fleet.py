"""The fleet's plan: routes in slots, the independent judge, the bound, and repairs."""

import math
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from geo.routes import FlightModel, OpenSky, Point
from services.patrol.fleet.idleness import Watch, lower_bound, worst
from services.patrol.fleet.judge import Aircraft, Closed, Rules, judge
from services.patrol.fleet.problem import Craft, Fleet, Handling, Task, packed, timing
from services.patrol.fleet.release import released, sorties
from services.patrol.fleet.repair import Docked, repaired
from services.patrol.fleet.rota import RotaPolicy, plan_rota, seen_s
from services.patrol.fleet.routing import Effort, Plan, cost, route
from services.patrol.fleet.slots import Stretch, even_slots, stretched
from services.patrol.fleet.timetable import PlannedSortie, Timetable
from services.patrol.fleet.ways import Ways

MODEL = FlightModel(12.0, 2.5, 2.0)
EFFORT = Effort(iterations=60)
HOLE = box(900.0, 900.0, 1100.0, 1100.0)
AT = datetime(2026, 3, 1, tzinfo=UTC)


def ways() -> Ways:
    free = box(-500.0, -500.0, 4500.0, 4500.0).difference(HOLE)
    return Ways(OpenSky(free))  # type: ignore[arg-type]


WAYS = ways()


def craft(number: int, home: Point, **change: float) -> Craft:
    made = Craft(f"DRONE{number}", f"DOCK{number}", home, 0, 900.0, 0.0, None, 60.0, 1.5)
    return replace(made, **change)  # type: ignore[arg-type]


def aircraft(one: Craft) -> Aircraft:
    """The same drone told apart: 1200 s endurance, 25 % reserve, 900 s of them to use."""
    charge = 100.0 / 1200.0 / one.charge_s_per_s
    return Aircraft(
        one.drone_sn, one.dock_sn, one.home, 12.0, 2.5, 2.0, 1200.0, 25.0, 0.0,
        one.turnaround_s, charge, one.ready_s,
    )  # fmt: skip


def fleet(
    places: list[Point], crafts: tuple[Craft, ...], horizon_s: float = 5400.0, **task: float
) -> Fleet:
    tasks = tuple(
        Task(f"t{i}", (Handling((p,), 40.0),), 500.0, **task)  # type: ignore[arg-type]
        for i, p in enumerate(places)
    )
    nodes = [c.home for c in crafts] + places
    return Fleet(tasks, crafts, (MODEL,), (WAYS.seconds(nodes, nodes, MODEL),), horizon_s)


GRID = [(400.0 * x, 400.0 * y) for x in range(1, 5) for y in range(1, 5)]
TWO = (craft(1, (0.0, 0.0)), craft(2, (2000.0, 0.0)))
RULES = Rules((Closed("NF", HOLE, 0.0, 120.0),))


def planned(one: Fleet, seed: int = 1) -> list[PlannedSortie]:
    return sorties(one, route(one, EFFORT, seed), WAYS.way, (60.0, 80.0))


# Routes


def test_every_task_within_reach_is_visited_once() -> None:
    found = planned(fleet(GRID, TWO))
    assert sorted(v.task_id for s in found for v in s.visits) == sorted(f"t{i}" for i in range(16))


def test_one_seed_gives_one_plan_and_later_rounds_make_it_no_worse() -> None:
    one = fleet(GRID, TWO, closes_s=2500.0)
    assert route(one, EFFORT, 3) == route(one, EFFORT, 3)
    assert cost(one, route(one, EFFORT, 3)) <= cost(one, route(one, EFFORT.share(0.5), 3, rounds=0))


def test_a_type_that_cannot_do_a_task_does_not() -> None:
    one = fleet(GRID, TWO)
    unable = replace(one.tasks[5], handlings=(None,))
    one = replace(one, tasks=(*one.tasks[:5], unable, *one.tasks[6:]))
    assert all(v.task_id != "t5" for s in planned(one) for v in s.visits)


def test_a_sortie_leaves_as_late_as_its_windows_allow() -> None:
    one = fleet([(1200.0, 0.0)], TWO[:1], opens_s=1000.0, closes_s=1100.0)
    flown = timing(one, 0, [0], 0.0)
    assert flown is not None
    assert flown.visits_s == (1000.0,)
    assert flown.flown_s < 300.0
    assert timing(one, 0, [0], 2000.0) is None


def test_a_low_drone_charges_before_a_long_sortie() -> None:
    low = craft(1, (0.0, 0.0), held_s=300.0)
    first, second = even_slots(fleet(GRID, (low,)))[:2]
    assert first.usable_s == 300.0
    assert second.opens_s == pytest.approx(300.0 + 60.0 + 1.5 * 900.0)


@pytest.mark.parametrize("how", list(Stretch))
def test_moved_slots_hold_the_same_sorties(how: Stretch) -> None:
    one = fleet(GRID, TWO)
    plan = route(one, EFFORT, 1, rounds=0)
    slots, routes = stretched(one, plan.slots, plan.routes, how)
    assert sorted(r for r in routes if r) == sorted(r for r in plan.routes if r)
    assert all(t is not None for t, r in zip(packed(one, slots, routes), routes, strict=True) if r)


def test_effort_is_told_in_one_unit() -> None:
    for wrong in ({}, {"iterations": 3, "seconds": 1.0}):
        with pytest.raises(ValueError, match="give one of them"):
            Effort(**wrong)  # type: ignore[arg-type]


def test_nobody_to_fly_is_an_empty_plan() -> None:
    assert route(fleet(GRID, ()), EFFORT, 1) == Plan((), ())


# The judge


def one_sortie() -> PlannedSortie:
    first = planned(fleet(GRID[:3], TWO[:1]))[0]
    return first.delayed(-first.leaves_s)


def codes(*sorties_: PlannedSortie, crafts: tuple[Craft, ...] = TWO) -> set[str]:
    return {v.code for v in judge(sorties_, [aircraft(c) for c in crafts], RULES).violations}


def test_what_the_planner_makes_the_judge_lets_go() -> None:
    kept, verdict = released(planned(fleet(GRID, TWO)), [aircraft(c) for c in TWO], RULES)
    assert verdict.violations == ()
    assert len(kept) >= 2
    assert min(f.battery_after_pct for f in verdict.flown) >= 25.0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"drone_sn": "DRONE9"}, "unknown_drone"),
        ({"dock_sn": "DOCK2"}, "dock_occupied"),
        ({"height_agl_m": 130.0}, "too_high"),
        ({"lands_s": 1.0}, "late_landing"),
        ({"ways": ()}, "broken_path"),
    ],
)
def test_each_rule_is_seen_broken(change: dict[str, object], code: str) -> None:
    assert code in codes(replace(one_sortie(), **change))  # type: ignore[arg-type]


def test_a_late_visit_a_hole_crossed_and_a_reserve_eaten_are_seen() -> None:
    good = one_sortie()
    visit = good.visits[0]
    late = replace(good, visits=(replace(visit, closes_s=1.0), *good.visits[1:]))
    assert codes(late) == {"window_missed"}
    through = replace(
        good, visits=(), ways=(((0.0, 0.0), (2000.0, 2000.0), (0.0, 0.0)),), lands_s=5000.0
    )
    assert codes(through) == {"closed_airspace"}
    hover = replace(good, visits=(replace(visit, hold_s=900.0), *good.visits[1:]), lands_s=5000.0)
    assert codes(hover) == {"below_reserve"}


def test_two_sorties_of_a_drone_need_their_charge_between() -> None:
    good = one_sortie()
    again = good.delayed(good.lands_s + 30.0)
    assert codes(good, again) == {"dock_occupied"}
    before = replace(good, ways=good.ways)
    assert codes(before, good.delayed(good.lands_s + 2000.0)) == set()
    assert "not_ready" in codes(good, crafts=(craft(1, (0.0, 0.0), ready_s=500.0), TWO[1]))


def test_two_drones_that_meet_are_seen_and_one_waits() -> None:
    a = replace(one_sortie(), visits=(), ways=(((0.0, 0.0), (2000.0, 0.0), (0.0, 0.0)),))
    b = replace(
        a, drone_sn="DRONE2", dock_sn="DOCK2", ways=(((2000.0, 0.0), (0.0, 0.0), (2000.0, 0.0)),)
    )
    a, b = replace(a, lands_s=400.0), replace(b, lands_s=400.0)
    assert codes(a, b) == {"too_near"}
    assert codes(a, replace(b, height_agl_m=a.height_agl_m + 10.0)) == set()
    kept, verdict = released([a, b], [aircraft(c) for c in TWO], RULES)
    assert verdict.violations == ()
    assert len(kept) <= 2


def test_a_climb_through_the_height_of_one_that_passes_is_seen() -> None:
    a = replace(one_sortie(), visits=(), ways=(((0.0, 0.0), (2000.0, 0.0), (0.0, 0.0)),))
    a = replace(a, lands_s=400.0)
    way = ((2000.0, 0.0), (2000.0, 90.0), (2000.0, 0.0))
    b = replace(a, drone_sn="DRONE2", dock_sn="DOCK2", ways=(way,))
    climbing = [replace(aircraft(c), climb_and_land_s=60.0) for c in TWO]

    def met(other: PlannedSortie, by_m: float) -> set[str]:
        other = replace(other, height_agl_m=a.height_agl_m + by_m)
        return {v.code for v in judge([a, other], climbing, RULES).violations}

    leaves_below_it = b.delayed(2000.0 / 12.0 + 10.0)
    assert met(leaves_below_it, 15.0) == {"too_near"}
    assert met(leaves_below_it, -15.0) == set()
    assert met(b.delayed(1000.0), 15.0) == set()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    count=st.integers(1, 18),
    drones=st.integers(1, 4),
    usable=st.floats(60.0, 900.0),
    window=st.floats(100.0, 5400.0),
)
def test_random_fleets_give_plans_the_judge_lets_go(
    seed: int, count: int, drones: int, usable: float, window: float
) -> None:
    rng = np.random.default_rng(seed)
    places = [(float(x), float(y)) for x, y in rng.uniform(0.0, 4000.0, (count, 2))]
    crafts = tuple(
        craft(i, (float(x), float(y)), usable_s=round(usable, 1), ready_s=float(i))
        for i, (x, y) in enumerate(rng.uniform(0.0, 800.0, (drones, 2)))
    )
    opens = round(float(rng.uniform(0.0, 5400.0 - window)), 1)
    one = fleet(places, crafts, opens_s=opens, closes_s=round(opens + window, 1))
    kept, verdict = released(planned(one, seed), [aircraft(c) for c in crafts], RULES)
    assert verdict.violations == ()
    assert len(verdict.flown) == len(kept)
    visited = [task for f in verdict.flown for task, _ in f.visited]
    assert len(visited) == len(set(visited))


# Idleness


def watches(count: int, age_s: float = 0.0) -> list[Watch]:
    return [Watch(i, (1 + i % 3) / 3600.0, age_s) for i in range(count)]


def test_the_worst_gap_counts_from_before_and_to_the_end() -> None:
    watch = [Watch(0, 0.001, 500.0)]
    assert worst(watch, {0: [1000.0]}, 2000.0) == pytest.approx(1.5)
    assert worst(watch, {}, 2000.0) == pytest.approx(2.5)
    assert worst(watch, {0: [100.0, 400.0]}, 2000.0) == pytest.approx(1.6)


def test_the_rota_is_never_below_the_bound_and_not_far_above() -> None:
    one = fleet(GRID, TWO, horizon_s=7200.0)
    found = plan_rota(one, watches(16), 1, RotaPolicy())
    assert found.lower_bound <= found.worst <= 3.0 * found.lower_bound
    assert found.worst == worst(watches(16), seen_s(one, found.plan), one.horizon_s)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(1, 10), age=st.floats(0.0, 4000.0))
def test_no_plan_beats_the_bound(seed: int, count: int, age: float) -> None:
    rng = np.random.default_rng(seed)
    places = [(float(x), float(y)) for x, y in rng.uniform(0.0, 3000.0, (count, 2))]
    one = fleet(places, TWO[:1], horizon_s=4000.0)
    found = plan_rota(one, watches(count, age), seed, RotaPolicy((1.0, 2.0), iterations=30))
    assert found.worst >= found.lower_bound - 1e-6


def test_exchanges_make_a_rota_no_worse_and_repeat_exactly() -> None:
    one = fleet(GRID, TWO, horizon_s=7200.0)
    before = plan_rota(one, watches(16), 1, RotaPolicy(exchanges=0))
    found = plan_rota(one, watches(16), 1, RotaPolicy(exchanges=2000))
    assert found.worst < before.worst
    assert found == plan_rota(one, watches(16), 1, RotaPolicy(exchanges=2000))


@settings(max_examples=60, deadline=None)
@example(seed=223, count=4, held=649.0403182584661, least_gap=1298.038147636761, opens=2624.05)
@example(seed=554, count=2, held=343.13442320955085, least_gap=671.2735863308985, opens=2695.76)
@example(seed=40, count=1, held=290.58650952050175, least_gap=1287.0, opens=61.94)
@given(
    seed=st.integers(0, 1000),
    count=st.integers(1, 10),
    held=st.floats(100.0, 900.0),
    least_gap=st.floats(0.0, 1500.0),
    opens=st.floats(0.0, 3000.0),
)
def test_exchanged_rotas_are_flown_as_they_were_timed(
    seed: int, count: int, held: float, least_gap: float, opens: float
) -> None:
    rng = np.random.default_rng(seed)
    places = [(float(x), float(y)) for x, y in rng.uniform(0.0, 3000.0, (count + 3, 2))]
    crafts = (craft(1, (0.0, 0.0), held_s=round(held, 1)), TWO[1])
    one = fleet(places, crafts, horizon_s=6000.0)
    hours = {"opens_s": round(opens, 1), "closes_s": round(opens + 900.0, 1)}
    errands = [replace(t, **hours) for t in one.tasks[count:]]  # type: ignore[arg-type]
    one = replace(one, tasks=(*one.tasks[:count], *errands))
    asked = [replace(w, least_gap_s=least_gap) for w in watches(count)]
    policy = RotaPolicy((1.5,), iterations=30, exchanges=500)
    plain = plan_rota(one, asked, seed, replace(policy, exchanges=0))
    found = plan_rota(one, asked, seed, policy)
    assert found.lower_bound - 1e-6 <= found.worst <= plain.worst
    seen = seen_s(one, found.plan)
    assert sum(map(len, seen.values())) == sum(map(len, found.plan.routes))
    errand = set(range(count, count + 3))
    assert errand & set(seen) == errand & set(seen_s(one, plain.plan))
    for plan in (plain.plan, found.plan):
        for times in (sorted(seen_s(one, plan).get(w.task, ())) for w in asked):
            assert all(b - a >= least_gap - 1e-6 for a, b in pairwise(times))


def test_more_drones_lower_the_bound() -> None:
    alone, both = fleet(GRID, TWO[:1], horizon_s=9000.0), fleet(GRID, TWO, horizon_s=9000.0)
    assert lower_bound(both, watches(16)) < lower_bound(alone, watches(16))


# Repair


def docked() -> dict[str, Docked]:
    return {c.drone_sn: Docked(c, aircraft(c), MODEL) for c in TWO}


def table(horizon_s: float = 5400.0) -> Timetable:
    one = fleet(GRID[:6], TWO, horizon_s, opens_s=600.0)
    return Timetable(AT, horizon_s, tuple(planned(one)), 0.0, 0.0)


def test_a_drone_sent_off_flies_its_own_sorties_later() -> None:
    before = table()
    sn = before.sorties[0].drone_sn
    mended = repaired(
        before, docked(), WAYS, RULES, drone_sn=sn, now_s=0.0, busy_s=700.0, released=()
    )
    own = [s for s in mended.timetable.sorties if s.drone_sn == sn]
    assert min(s.leaves_s for s in own) >= 700.0 + 60.0 + 1.5 * 700.0 - 1.0


def test_what_a_diverted_patrol_leaves_is_taken_up_by_others() -> None:
    before = table()
    sn, other = before.sorties[0].drone_sn, {s.drone_sn for s in before.sorties}
    loose = replace(before.sorties[0].visits[0], task_id="loose", closes_s=math.inf)
    mended = repaired(
        before, docked(), WAYS, RULES, drone_sn=sn, now_s=0.0, busy_s=300.0, released=(loose,)
    )
    assert [task for task, _ in mended.moved] == ["loose"]
    assert {by for _, by in mended.moved} <= other
    for one in TWO:
        own = [s for s in mended.timetable.sorties if s.drone_sn == one.drone_sn]
        assert not judge(own, [aircraft(one)], RULES).violations


def test_what_finds_no_place_is_named() -> None:
    before = table()
    far = replace(before.sorties[0].visits[0], task_id="far", path=((4400.0, 4400.0),))
    mended = repaired(
        before, docked(), WAYS, RULES, drone_sn="DRONE1", now_s=5000.0, busy_s=300.0,
        released=(far,),
    )  # fmt: skip
    assert mended.dropped == ("far",)
    assert "far" in mended.timetable.unserved
