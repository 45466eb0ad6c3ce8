"""Sortie slots: PyVRP knows no battery that is charged between trips, so each sortie a drone might
fly is a vehicle of its own, with its own hours, and slots are moved between searches."""

from collections.abc import Sequence
from enum import StrEnum

from services.patrol.fleet.problem import Fleet, Routes, Slot, Timing, packed

SLOTS_PER_CRAFT_LIMIT = 24


class Stretch(StrEnum):
    """Which sorties get the idle time between them: earlier ones, later ones, or in turn."""

    LATER_END = "later_end"
    EARLIER_START = "earlier_start"
    EVEN = "even"
    ODD = "odd"


def even_slots(fleet: Fleet) -> tuple[Slot, ...]:
    """Return back-to-back slots of a whole battery each, from each craft's readiness on."""
    found = []
    for index, craft in enumerate(fleet.crafts):
        opens, usable = craft.ready_s, craft.usable_at_s(craft.ready_s)
        held: float | None = craft.held_at_s(craft.ready_s)
        for _ in range(SLOTS_PER_CRAFT_LIMIT):
            if opens >= fleet.horizon_s or usable <= 0.0:
                break
            found.append(Slot(index, opens, min(opens + usable, fleet.horizon_s), usable))
            opens += usable + craft.recharge_s(usable, held)
            usable, held = craft.usable_s, None
    return tuple(found)


def stretched(
    fleet: Fleet, slots: Sequence[Slot], routes: Routes, how: Stretch
) -> tuple[tuple[Slot, ...], Routes]:
    """Return slots that hold the same sorties and share out the idle time between them anew, and
    the routes in their order; a slot that became free at the end of a craft's day is added."""
    timings = packed(fleet, slots, routes)
    new_slots: list[Slot] = []
    new_routes: list[tuple[int, ...]] = []
    for index, craft in enumerate(fleet.crafts):
        flown = [
            (timing, routes[i])
            for i, timing in enumerate(timings)
            if slots[i].craft == index and timing is not None
        ]
        flown.sort(key=lambda item: item[0].leaves_s)
        spans = [timing for timing, _ in flown]
        for place, (timing, route) in enumerate(flown):
            usable = craft.usable_at_s(timing.leaves_s) if place == 0 else craft.usable_s
            new_slots.append(_slot(fleet, index, spans, place, usable, how))
            new_routes.append(route)
        last = spans[-1] if spans else None
        free = craft.ready_s if last is None else last.lands_s + craft.recharge_s(last.flown_s)
        usable = craft.usable_s if spans else craft.usable_at_s(free)
        if free < fleet.horizon_s and usable > 0.0 and how is not Stretch.LATER_END:
            new_slots.append(Slot(index, free, fleet.horizon_s, usable))
            new_routes.append(())
    return tuple(new_slots), tuple(new_routes)


def _slot(
    fleet: Fleet, index: int, spans: Sequence[Timing], place: int, usable: float, how: Stretch
) -> Slot:
    craft, own = fleet.crafts[index], spans[place]
    opens, closes = own.leaves_s, own.lands_s
    moves = how is Stretch.EARLIER_START or (how, place % 2) in (
        (Stretch.EVEN, 0),
        (Stretch.ODD, 1),
    )
    if moves and (place or craft.held_at_s(craft.ready_s) >= craft.usable_s):
        before = spans[place - 1] if place else None
        opens = (
            craft.ready_s if before is None else before.lands_s + craft.recharge_s(before.flown_s)
        )
    if how is Stretch.LATER_END or (moves and how is not Stretch.EARLIER_START):
        # Landing at c needs c + turnaround + charge·(c - opens) <= the next departure.
        if place + 1 < len(spans):
            rest = spans[place + 1].leaves_s - craft.turnaround_s
            closes = max(closes, (rest + craft.charge_s_per_s * opens) / (1 + craft.charge_s_per_s))
        else:
            closes = fleet.horizon_s
    return Slot(index, opens, min(closes, fleet.horizon_s), usable)
