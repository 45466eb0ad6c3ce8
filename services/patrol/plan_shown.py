"""A plan as people read it: who flies what when, what is left out and why, and the key sites. Pure.

Times are clock times; places are WGS-84 degrees.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from domain.codec import instant_text, to_plain
from services.patrol.fleet.timetable import PlannedSortie, Timetable
from services.patrol.plan import PatrolGround
from services.patrol.sites import SiteRules, open_point, rule_of


def shown(
    table: Timetable,
    ground: PatrolGround,
    rules: SiteRules,
    visited: Mapping[str, datetime],
    in_air: Collection[str] = (),
) -> dict[str, Any]:
    """Return a timetable for the screens: sorties by dock, with visits, and every key site with
    its last and next visit. `visited` and `in_air` are the sites hovered over, and being flown to.
    """
    docks: dict[str, list[dict[str, Any]]] = {}
    for sortie in sorted(table.sorties, key=lambda s: (s.dock_sn, s.leaves_s)):
        docks.setdefault(sortie.dock_sn, []).append(_sortie(table, sortie))
    return {
        "made_at": instant_text(table.made_at),
        "horizon_s": table.horizon_s,
        "worst_idleness": round(table.worst_idleness, 3),
        "lower_bound": round(table.lower_bound, 3),
        "docks": [{"dock_sn": sn, "sorties": sorties} for sn, sorties in docks.items()],
        "unserved": list(table.unserved),
        "left_out": to_plain(table.left_out),
        "sites": _sites(table, ground, rules, visited, in_air),
    }


def _at(table: Timetable, after_s: float) -> str:
    return instant_text(table.made_at + timedelta(seconds=after_s))


def _sortie(table: Timetable, sortie: PlannedSortie) -> dict[str, Any]:
    return {
        "drone_sn": sortie.drone_sn,
        "leaves_at": _at(table, sortie.leaves_s),
        "lands_at": _at(table, sortie.lands_s),
        "height_agl_m": sortie.height_agl_m,
        "cell_codes": list(sortie.cell_codes),
        "site_codes": [v.task_id for v in sortie.visits if v.cell_code is None],
        "visits": [
            {
                "task_id": v.task_id,
                "cell_code": v.cell_code,
                "starts_at": _at(table, v.starts_s),
                "ends_at": _at(table, v.ends_s),
            }
            for v in sortie.visits
        ],
        "theme": to_plain(sortie.theme),
    }


def _sites(
    table: Timetable,
    ground: PatrolGround,
    rules: SiteRules,
    visited: Mapping[str, datetime],
    in_air: Collection[str],
) -> list[dict[str, Any]]:
    """Return the sites that are visited at all. `why` says why no visit is planned: `in_air`,
    `not_due`, `closed_airspace`, a code of `left_out`, or `later`, where no drone has time."""
    planned: dict[str, tuple[float, str]] = {}
    for sortie in table.sorties:
        for visit in sortie.visits if sortie.theme is None else ():
            if visit.cell_code is None:
                before = planned.get(visit.task_id, (visit.starts_s, sortie.drone_sn))
                planned[visit.task_id] = min(before, (visit.starts_s, sortie.drone_sn))
    out = {o.task_id: o.code for o in table.left_out}
    found = []
    for site in ground.district.sites:
        rule = rule_of(rules, site)
        if rule.revisit_s <= 0.0:
            continue
        last, coming = visited.get(site.code), planned.get(site.code)
        due = table.made_at if last is None else last + timedelta(seconds=rule.revisit_s)
        why = None
        if coming is None:
            why = out.get(site.code)
            if site.code in in_air:
                why = "in_air"
            elif open_point(ground, site) is None:
                why = "closed_airspace"
            elif why is None:
                why = "later" if site.code in table.unserved else "not_due"
        found.append(
            {
                "site_code": site.code,
                "name": site.name,
                "kind": site.kind.value,
                "position": to_plain(site.position),
                "revisit_s": rule.revisit_s,
                "visited_at": to_plain(last),
                "due_at": instant_text(due),
                "next_visit_at": None if coming is None else _at(table, coming[0]),
                "drone_sn": None if coming is None else coming[1],
                "why": why,
            }
        )
    return found
