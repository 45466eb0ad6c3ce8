"""The compiled search behind the exchange of visits: seeded annealing over a whole timetable.

A timetable is, per drone and sortie, the tasks visited in order, and how long the sortie waits
although it could leave. Every move is timed by the rules of `problem.packed` (battery, charging,
windows, horizon); one that breaks them is taken back. What is minimised is the 16-norm of all
weighted gaps, which is little more than the worst of them and still tells apart plans whose worst
is the same; then, weighing little, their root mean square and the share of the time that is flown.

numba's cache watches only the file a function stands in, so everything compiled here is in it.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geo.strip_counter import compiled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Draws = NDArray[np.uint64]

SORTIES_LIMIT = 24
VISITS_LIMIT = 64
SEEN_LIMIT = 64
_SLACK_S = 1e-6
_SQUARINGS = 4
"""The norm's power is two to this."""
_WAIT_STEP_S = 600.0
_MEAN_WORTH, _FLIGHT_WORTH = 0.05, 0.02
_SORTIE_S = 600.0
"""What a take-off is worth in flight seconds: no flight to a single cell for a little gain."""


class Given(NamedTuple):
    """What does not change. `travel[kind, node, node]` with the homes first; `service[kind, task]`
    is infinite where the type cannot. Per craft: kind, ready, usable, held, turnaround, charge per
    second. `watch[task]` is its row in the watches, -1 for an errand."""

    travel: Floats
    service: Floats
    opens: Floats
    closes: Floats
    kind: Ints
    ready: Floats
    usable: Floats
    held: Floats
    turnaround: Floats
    charge: Floats
    watch: Ints
    task: Ints
    weight: Floats
    age: Floats
    least_gap: Floats
    horizon: float
    visits_limit: int


class Table(NamedTuple):
    """A timetable: `visits[craft, sortie, place]`, how many there are, how long the sortie
    waits, when each visit ends, and (leaves, lands) of each sortie."""

    visits: Ints
    counts: Ints
    wait: Floats
    ends: Floats
    span: Floats


@compiled
def _draw(state: Draws, below: int) -> int:
    """Return a number in 0..below-1 (splitmix64)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return int(np.int64(z >> np.uint64(33)) % below)


@compiled
def _chance(state: Draws) -> float:
    return _draw(state, 1 << 30) / float(1 << 30)


@compiled
def _tenths_up(seconds: float) -> float:
    return math.ceil(seconds * 10.0 - 1e-6) / 10.0


@compiled
def timed(given: Given, table: Table, craft: int) -> bool:
    """Time all sorties of a craft one after the other; tell whether they can be flown so."""
    kind, free, first = given.kind[craft], given.ready[craft], True
    homes = len(given.kind)
    usable, charge = given.usable[craft], given.charge[craft]
    for k in range(SORTIES_LIMIT):
        n = table.counts[craft, k]
        if n == 0:
            continue
        at = free + table.wait[craft, k]
        leaves, node, waited = at, craft, False
        for j in range(n):
            task = table.visits[craft, k, j]
            at += given.travel[kind, node, homes + task]
            if at < given.opens[task]:
                at, waited = given.opens[task], True
            if at > given.closes[task] + _SLACK_S:
                return False
            at += given.service[kind, task]
            table.ends[craft, k, j] = at
            node = homes + task
        lands = at + given.travel[kind, node, craft]
        if not lands <= given.horizon:
            return False
        if waited:
            latest = at
            for j in range(n - 1, -1, -1):
                task = table.visits[craft, k, j]
                latest = min(latest - given.service[kind, task], given.closes[task])
                table.ends[craft, k, j] = latest + given.service[kind, task]
                before = homes + table.visits[craft, k, j - 1] if j else craft
                latest -= given.travel[kind, before, homes + task]
            leaves = max(leaves, latest)
        flown, held = lands - leaves, usable
        if first:
            charged = max(0.0, leaves - given.ready[craft]) / max(1e-9, charge)
            held = max(given.held[craft], min(usable, given.held[craft] + charged))
        if flown > min(usable, held) + _SLACK_S:
            return False
        lacks = max(0.0, usable - (held - flown))
        table.span[craft, k, 0], table.span[craft, k, 1] = leaves, lands
        free = lands + _tenths_up(given.turnaround[craft] + charge * lacks)
        first = False
    return True


@compiled
def cost(
    given: Given, table: Table, scale: float, seen: Floats, many: Ints, share: Floats
) -> float:
    """Return what is minimised, gaps being over `scale`; infinite where a visit comes too soon or
    too often. `share` gets what each watch adds to the norm's sum. `seen` and `many` are room."""
    many[:] = 0
    flight_s, total, squares, gaps = 0.0, 0.0, 0.0, 0
    for craft in range(len(given.kind)):
        for k in range(SORTIES_LIMIT):
            if table.counts[craft, k]:
                flight_s += _SORTIE_S + table.span[craft, k, 1] - table.span[craft, k, 0]
            for j in range(table.counts[craft, k]):
                row = given.watch[table.visits[craft, k, j]]
                if row < 0:
                    continue
                at, place = table.ends[craft, k, j], many[row]
                if place == SEEN_LIMIT:
                    return math.inf
                while place and seen[row, place - 1] > at:
                    seen[row, place] = seen[row, place - 1]
                    place -= 1
                seen[row, place] = at
                many[row] += 1
    for row in range(len(given.weight)):
        before, own = -given.age[row], 0.0
        for place in range(many[row] + 1):
            ends = place == many[row]
            gap = (given.horizon if ends else seen[row, place]) - before
            before += gap
            if not ends and gap < given.least_gap[row]:
                return math.inf
            power = given.weight[row] * max(0.0, gap) / scale
            squares += power * power
            gaps += 1
            for _ in range(_SQUARINGS):
                power *= power
            own += power
        share[row] = own
        total += own
    mean = math.sqrt(squares / gaps)
    flown = flight_s / (given.horizon * len(given.kind))
    return float(total ** (1.0 / 2.0**_SQUARINGS) + _MEAN_WORTH * mean + _FLIGHT_WORTH * flown)


@compiled
def _used(table: Table, craft: int) -> int:
    """Return how many sorties a craft flies; they come first, without a gap."""
    k = 0
    while k < SORTIES_LIMIT and table.counts[craft, k]:
        k += 1
    return k


@compiled
def _put(table: Table, craft: int, k: int, place: int, task: int) -> None:
    n = table.counts[craft, k]
    for j in range(n, place, -1):
        table.visits[craft, k, j] = table.visits[craft, k, j - 1]
    table.visits[craft, k, place] = task
    table.counts[craft, k] = n + 1


@compiled
def _drop(table: Table, craft: int, k: int, place: int) -> int:
    """Take a visit out, and the sortie too where it was the only one."""
    task = table.visits[craft, k, place]
    n = table.counts[craft, k] - 1
    for j in range(place, n):
        table.visits[craft, k, j] = table.visits[craft, k, j + 1]
    table.counts[craft, k] = n
    if n == 0:
        _close_up(table, craft, k)
    return int(task)


@compiled
def _close_up(table: Table, craft: int, k: int) -> None:
    for i in range(k, SORTIES_LIMIT - 1):
        table.visits[craft, i] = table.visits[craft, i + 1]
        table.counts[craft, i] = table.counts[craft, i + 1]
        table.wait[craft, i] = table.wait[craft, i + 1]
    table.counts[craft, SORTIES_LIMIT - 1] = 0
    table.wait[craft, SORTIES_LIMIT - 1] = 0.0


@compiled
def _open_up(table: Table, craft: int, k: int) -> None:
    for i in range(SORTIES_LIMIT - 1, k, -1):
        table.visits[craft, i] = table.visits[craft, i - 1]
        table.counts[craft, i] = table.counts[craft, i - 1]
        table.wait[craft, i] = table.wait[craft, i - 1]
    table.counts[craft, k] = 0
    table.wait[craft, k] = 0.0


@compiled
def _nearest_place(given: Given, table: Table, craft: int, k: int, task: int) -> int:
    """Return where in a sortie a task costs least."""
    kind, homes, n = given.kind[craft], len(given.kind), table.counts[craft, k]
    best, found, node = math.inf, 0, homes + task
    for place in range(n + 1):
        before = homes + table.visits[craft, k, place - 1] if place else craft
        after = homes + table.visits[craft, k, place] if place < n else craft
        more = (
            given.travel[kind, before, node]
            + given.travel[kind, node, after]
            - given.travel[kind, before, after]
        )
        if more < best:
            best, found = more, place
    return found


@compiled
def _neglected(share: Floats, draws: Draws) -> int:
    """Return the most neglected of a few watches drawn."""
    row = _draw(draws, len(share))
    for _ in range(_draw(draws, 12)):
        other = _draw(draws, len(share))
        if share[other] > share[row]:
            row = other
    return row


@compiled
def _see_neglected(
    given: Given, table: Table, share: Floats, craft: int, instead: bool, draws: Draws
) -> bool:
    """Visit what is neglected, in place of another visit of that sortie where `instead`."""
    k = _draw(draws, min(_used(table, craft) + 1, SORTIES_LIMIT))
    if instead and table.counts[craft, k]:
        place = _draw(draws, table.counts[craft, k])
        if given.watch[table.visits[craft, k, place]] < 0:
            return False
        last = table.counts[craft, k] == 1
        _drop(table, craft, k, place)
        if last:
            _open_up(table, craft, k)
    task = given.task[_neglected(share, draws)]
    return _insert(given, table, craft, k, task)


@compiled
def _insert(given: Given, table: Table, craft: int, k: int, task: int) -> bool:
    able = given.service[given.kind[craft], task] < math.inf
    if not able or table.counts[craft, k] >= given.visits_limit:
        return False
    _put(table, craft, k, _nearest_place(given, table, craft, k, task), task)
    return True


@compiled
def _leave_out(given: Given, table: Table, craft: int, k: int, place: int) -> bool:
    if given.watch[table.visits[craft, k, place]] < 0:
        return False
    _drop(table, craft, k, place)
    return True


@compiled
def _wait_anew(table: Table, craft: int, k: int, draws: Draws) -> bool:
    longer = max(0.0, table.wait[craft, k] + _WAIT_STEP_S * (_chance(draws) - 0.5))
    table.wait[craft, k] = longer if _draw(draws, 3) else 0.0
    return True


@compiled
def _turn_round(table: Table, craft: int, k: int, place: int, draws: Draws) -> bool:
    """Fly a stretch of a sortie the other way round."""
    other = _draw(draws, table.counts[craft, k])
    low, high = min(place, other), max(place, other)
    while low < high:
        one = table.visits[craft, k, low]
        table.visits[craft, k, low] = table.visits[craft, k, high]
        table.visits[craft, k, high] = one
        low, high = low + 1, high - 1
    return True


@compiled
def _split(table: Table, craft: int, k: int, place: int) -> bool:
    n, cut = table.counts[craft, k], max(1, place)
    if _used(table, craft) == SORTIES_LIMIT or n < 2:
        return False
    _open_up(table, craft, k + 1)
    for j in range(cut, n):
        table.visits[craft, k + 1, j - cut] = table.visits[craft, k, j]
    table.counts[craft, k + 1], table.counts[craft, k] = n - cut, cut
    return True


@compiled
def _join(given: Given, table: Table, craft: int, k: int) -> bool:
    """Fly a sortie and the one after it as one."""
    if k + 1 >= _used(table, craft):
        return False
    n, more = table.counts[craft, k], table.counts[craft, k + 1]
    if n + more > given.visits_limit:
        return False
    for j in range(more):
        table.visits[craft, k, n + j] = table.visits[craft, k + 1, j]
    table.counts[craft, k] = n + more
    _close_up(table, craft, k + 1)
    return True


@compiled
def _hand_over(
    given: Given, table: Table, craft: int, k: int, place: int, other: int, draws: Draws
) -> bool:
    """Give a visit to another sortie."""
    task = _drop(table, craft, k, place)
    i = _draw(draws, min(_used(table, other) + 1, SORTIES_LIMIT))
    return _insert(given, table, other, i, task)


@compiled
def _swap(table: Table, craft: int, k: int, place: int, other: int, draws: Draws) -> bool:
    i = _draw(draws, _used(table, other))
    j = _draw(draws, table.counts[other, i])
    one, two = table.visits[craft, k, place], table.visits[other, i, j]
    table.visits[craft, k, place], table.visits[other, i, j] = two, one
    return True


@compiled
def _cross(
    given: Given, table: Table, craft: int, k: int, place: int, other: int, draws: Draws
) -> bool:
    """Let the rests of two sorties change places."""
    i = _draw(draws, _used(table, other))
    if craft == other and i == k:
        return False
    j = _draw(draws, table.counts[other, i] + 1)
    mine, theirs = table.counts[craft, k] - place, table.counts[other, i] - j
    longer = max(place + theirs, j + mine)
    if longer > given.visits_limit or place + theirs == 0 or j + mine == 0:
        return False
    for step in range(max(mine, theirs)):
        one, two = table.visits[craft, k, place + step], table.visits[other, i, j + step]
        table.visits[craft, k, place + step], table.visits[other, i, j + step] = two, one
    table.counts[craft, k], table.counts[other, i] = place + theirs, j + mine
    return True


@compiled
def _move(
    given: Given, table: Table, share: Floats, craft: int, other: int, draws: Draws
) -> bool:
    """Change something about one or two crafts; tell whether it may be tried."""
    what, used = _draw(draws, 100), _used(table, craft)
    if what < 45 or used == 0:
        return _see_neglected(given, table, share, craft, what < 30, draws)
    k = _draw(draws, used)
    place = _draw(draws, table.counts[craft, k])
    if what < 50:
        return _leave_out(given, table, craft, k, place)
    if what < 60:
        return _wait_anew(table, craft, k, draws)
    if what < 70:
        return _turn_round(table, craft, k, place, draws)
    if what < 74:
        return _split(table, craft, k, place)
    if what < 76:
        return _join(given, table, craft, k)
    if what < 85:
        return _hand_over(given, table, craft, k, place, other, draws)
    if table.counts[other, 0] == 0:
        return False
    if what < 95:
        return _swap(table, craft, k, place, other, draws)
    return _cross(given, table, craft, k, place, other, draws)


@compiled
def _copy(source: Table, to: Table, craft: int) -> None:
    to.visits[craft] = source.visits[craft]
    to.counts[craft] = source.counts[craft]
    to.wait[craft] = source.wait[craft]
    to.ends[craft] = source.ends[craft]
    to.span[craft] = source.span[craft]


@compiled
def annealed(
    given: Given,
    table: Table,
    spare: Table,
    best: Table,
    steps: int,
    heat: tuple[float, float],
    draws: Draws,
) -> None:
    """Leave the best timetable found in `best`. `table` is where to begin, timed; `heat` is the
    first and last temperature, in shares of the cost it begins with."""
    crafts, watches = len(given.kind), len(given.weight)
    seen = np.empty((watches, SEEN_LIMIT))
    many = np.zeros(watches, np.int64)
    share, fresh = np.zeros(watches), np.zeros(watches)
    scale = cost(given, table, 1.0, seen, many, share)
    now = cost(given, table, scale, seen, many, share)
    least = now
    cooling = math.log(heat[1] / heat[0])
    for craft in range(crafts):
        _copy(table, spare, craft)
        _copy(table, best, craft)
    if not 0.0 < scale < math.inf:
        return
    for step in range(steps):
        craft, other = _draw(draws, crafts), _draw(draws, crafts)
        kept = _move(given, table, share, craft, other, draws)
        if kept:
            kept = timed(given, table, craft) and (craft == other or timed(given, table, other))
        if kept:
            found = cost(given, table, scale, seen, many, fresh)
            warmth = heat[0] * math.exp(cooling * step / steps)
            kept = found <= now or _chance(draws) < math.exp((now - found) / warmth)
        if not kept:
            _copy(spare, table, craft)
            _copy(spare, table, other)
            continue
        _copy(table, spare, craft)
        _copy(table, spare, other)
        now = found
        share[:] = fresh
        if now < least:
            least = now
            for one in range(crafts):
                _copy(table, best, one)
