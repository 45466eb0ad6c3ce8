"""The compiled moves of the search: what a path may be changed into, and what that changes.

A move is (kind, three indices) with up to eight new vertices: SPLICE puts k new vertices in place
of those from i up to j; REVERSE turns the stretch i..j; CARRY puts the stretch i..j between k and
k + 1, turned or not. `sizes` and `lists` tell which segments (0 old, 1 new) and discs (2 old, 3
new) a move changes.
"""

import math

import numpy as np

from geo.strip_counter import WIDE, Counts, Draws, Floats, Ints, Marks, Rows, uncounted

PATH_LIMIT = 4000
"""Vertices a path may grow to."""
LISTED = 16
_DRAWN = 4
SPLICE, REVERSE, CARRY, CARRY_TURNED = 0, 1, 2, 3


@uncounted
def uniform(rng: Draws) -> float:
    """Draw from [0, 1): xorshift64* (Vigna 2016)."""
    x = rng[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    rng[0] = x
    return float((x * np.uint64(2685821657736338717)) >> np.uint64(11)) / 9007199254740992.0


@uncounted
def _below(rng: Draws, limit: int) -> int:
    return min(int(uniform(rng) * limit), limit - 1)


@uncounted
def _spread(rng: Draws, widest: float) -> float:
    """Draw a signed step, log-uniform in size over seven octaves below `widest`."""
    size = widest * 2.0 ** (-7.0 * uniform(rng))
    return float(size * (2.0 * uniform(rng) - 1.0))


@uncounted
def _segment_list(lists: Floats, which: int, sizes: Ints, a: Floats, b: Floats) -> None:
    at = sizes[which]
    lists[which, at, 0], lists[which, at, 1] = a[0], a[1]
    lists[which, at, 2], lists[which, at, 3] = b[0], b[1]
    sizes[which] = at + 1


@uncounted
def _disc_list(lists: Floats, which: int, sizes: Ints, a: Floats) -> None:
    at = sizes[which]
    lists[which, at, 0], lists[which, at, 1] = a[0], a[1]
    sizes[which] = at + 1


@uncounted
def _list_splice(
    path: Floats, size: int, lo: int, hi: int, fresh: Floats, k: int, lists: Floats, sizes: Ints
) -> None:
    for s in range(max(lo - 1, 0), min(hi, size - 1)):
        _segment_list(lists, 0, sizes, path[s], path[s + 1])
    for i in range(max(lo - 1, 0), min(hi + 1, size)):
        if 0 < i < size - 1:
            _disc_list(lists, 2, sizes, path[i])
    after = size - (hi - lo) + k
    first, last = max(lo - 1, 0), min(lo + k + 1, after)
    for p in range(first, last):
        here = path[p] if p < lo else (fresh[p - lo] if p < lo + k else path[p - k + hi - lo])
        if 0 < p < after - 1:
            _disc_list(lists, 3, sizes, here)
        if p + 1 < last:
            q = p + 1
            then = path[q] if q < lo else (fresh[q - lo] if q < lo + k else path[q - k + hi - lo])
            _segment_list(lists, 1, sizes, here, then)


@uncounted
def _list_reverse(path: Floats, size: int, i: int, j: int, lists: Floats, sizes: Ints) -> None:
    if i > 0:
        _segment_list(lists, 0, sizes, path[i - 1], path[i])
        _segment_list(lists, 1, sizes, path[i - 1], path[j])
    else:
        _disc_list(lists, 3, sizes, path[i])
        _disc_list(lists, 2, sizes, path[j])
    if j < size - 1:
        _segment_list(lists, 0, sizes, path[j], path[j + 1])
        _segment_list(lists, 1, sizes, path[i], path[j + 1])
    else:
        _disc_list(lists, 3, sizes, path[j])
        _disc_list(lists, 2, sizes, path[i])


@uncounted
def _list_carry(
    path: Floats, size: int, i: int, j: int, k: int, turned: bool, lists: Floats, sizes: Ints
) -> None:
    """The stretch i..j goes between k and k + 1, both outside it."""
    if i > 0:
        _segment_list(lists, 0, sizes, path[i - 1], path[i])
    else:
        _disc_list(lists, 3, sizes, path[0])
        if j + 1 < size - 1:
            _disc_list(lists, 2, sizes, path[j + 1])
    if j < size - 1:
        _segment_list(lists, 0, sizes, path[j], path[j + 1])
    else:
        _disc_list(lists, 3, sizes, path[size - 1])
        if i - 1 > 0:
            _disc_list(lists, 2, sizes, path[i - 1])
    _segment_list(lists, 0, sizes, path[k], path[k + 1])
    first, last = (path[j], path[i]) if turned else (path[i], path[j])
    _segment_list(lists, 1, sizes, path[k], first)
    _segment_list(lists, 1, sizes, last, path[k + 1])
    if i > 0 and j < size - 1:
        _segment_list(lists, 1, sizes, path[i - 1], path[j + 1])


@uncounted
def list_move(path: Floats, size: int, move: Ints, fresh: Floats, lists: Floats,
               sizes: Ints) -> None:  # fmt: skip
    sizes[:] = 0
    if move[0] == SPLICE:
        _list_splice(path, size, move[1], move[2], fresh, move[3], lists, sizes)
    elif move[0] == REVERSE:
        _list_reverse(path, size, move[1], move[2], lists, sizes)
    else:
        turned = move[0] == CARRY_TURNED
        _list_carry(path, size, move[1], move[2], move[3], turned, lists, sizes)


@uncounted
def build(path: Floats, size: int, move: Ints, fresh: Floats, out: Floats) -> int:
    """Write the path after a move; return its vertices."""
    kind, i, j, k = move[0], move[1], move[2], move[3]
    if kind == SPLICE:
        for s in range(i):
            out[s, 0], out[s, 1] = path[s, 0], path[s, 1]
        for s in range(k):
            out[i + s, 0], out[i + s, 1] = fresh[s, 0], fresh[s, 1]
        for s in range(j, size):
            out[s - j + i + k, 0], out[s - j + i + k, 1] = path[s, 0], path[s, 1]
        return int(size - (j - i) + k)
    at = 0
    for s in range(size):
        if kind == REVERSE or s < i or s > j:
            t = i + j - s if kind == REVERSE and i <= s <= j else s
            out[at, 0], out[at, 1] = path[t, 0], path[t, 1]
            at += 1
        if kind != REVERSE and s == k:
            for u in range(i, j + 1):
                t = i + j - u if kind == CARRY_TURNED else u
                out[at, 0], out[at, 1] = path[t, 0], path[t, 1]
                at += 1
    return size


@uncounted
def _nearest_vertex(path: Floats, size: int, x: float, y: float) -> int:
    best, at = WIDE, 0
    for i in range(size):
        dx, dy = path[i, 0] - x, path[i, 1] - y
        far = dx * dx + dy * dy
        if far < best:
            best, at = far, i
    return at


@uncounted
def _nearest_segment(path: Floats, size: int, x: float, y: float, foot: Floats) -> int:
    best, at = WIDE, 0
    for i in range(size - 1):
        ax, ay = path[i, 0], path[i, 1]
        dx, dy = path[i + 1, 0] - ax, path[i + 1, 1] - ay
        square = max(dx * dx + dy * dy, 1e-12)
        t = max(0.0, min(1.0, ((x - ax) * dx + (y - ay) * dy) / square))
        fx, fy = ax + t * dx, ay + t * dy
        far = (fx - x) * (fx - x) + (fy - y) * (fy - y)
        if far < best:
            best, at = far, i
            foot[0], foot[1] = fx, fy
    return at


@uncounted
def list_missed(counts: Counts, inside: Marks, rng: Draws, missed: Rows) -> int:
    """Write down cells nobody sees, (row, column), from a random row on; return how many."""
    found, rows = 0, counts.shape[0]
    first = _below(rng, rows)
    for step in range(rows):
        row = (first + step) % rows
        for x in range(counts.shape[1]):
            if counts[row, x] < inside[row, x]:
                missed[found, 0], missed[found, 1] = row, x
                found += 1
                if found == missed.shape[0]:
                    return found
    return found


@uncounted
def _missed_cell(counts: Counts, missed: Rows, listed: int, rng: Draws, at: Floats) -> bool:
    """Draw one of the listed cells that nobody sees even now."""
    for _ in range(_DRAWN if listed > 0 else 0):
        pick = _below(rng, listed)
        if counts[missed[pick, 0], missed[pick, 1]] == 0:
            at[0], at[1] = missed[pick, 1] + 0.5, missed[pick, 0] + 0.5
            return True
    return False


@uncounted
def _to_missed(
    path: Floats, size: int, at: Floats, rng: Draws, move: Ints, fresh: Floats
) -> None:
    """Lead the path towards a missed place: a vertex pulled, or a new one put in."""
    foot = fresh[7]
    if uniform(rng) < 0.5:
        i = _nearest_vertex(path, size, at[0], at[1])
        pull = uniform(rng) ** 2
        fresh[0, 0] = path[i, 0] + pull * (at[0] - path[i, 0])
        fresh[0, 1] = path[i, 1] + pull * (at[1] - path[i, 1])
        move[0], move[1], move[2], move[3] = SPLICE, i, i + 1, 1
        return
    i = _nearest_segment(path, size, at[0], at[1], foot)
    pull = uniform(rng)
    fresh[0, 0] = foot[0] + pull * (at[0] - foot[0])
    fresh[0, 1] = foot[1] + pull * (at[1] - foot[1])
    if uniform(rng) < 0.5:
        move[0], move[1], move[2], move[3] = SPLICE, i + 1, i + 1, 1
        return
    # There and back again, from the foot.
    fresh[1, 0], fresh[1, 1] = fresh[0, 0], fresh[0, 1]
    fresh[0, 0], fresh[0, 1] = foot[0], foot[1]
    fresh[2, 0], fresh[2, 1] = foot[0], foot[1]
    move[0], move[1], move[2], move[3] = SPLICE, i + 1, i + 1, 3


@uncounted
def _shift_segment(path: Floats, size: int, step: float, along: bool, rng: Draws,
                   move: Ints, fresh: Floats) -> bool:  # fmt: skip
    """Move a segment sideways, its ends sliding along the neighbouring segments or with it."""
    if size == 2:
        # A leg stays in the sky because it crosses no border from a vertex that stays: one must.
        return False
    i = _below(rng, size - 1)
    ax, ay, bx, by = path[i, 0], path[i, 1], path[i + 1, 0], path[i + 1, 1]
    dx, dy = bx - ax, by - ay
    length = math.sqrt(dx * dx + dy * dy)
    if length < 1e-9:
        return False
    nx, ny = -dy / length, dx / length
    move[0], move[1], move[2], move[3] = SPLICE, i, i + 2, 2
    for side in range(2):
        end, other = (i, i - 1) if side == 0 else (i + 1, i + 2)
        sx, sy = nx * step, ny * step
        if along and 0 <= other < size:
            ex, ey = path[end, 0] - path[other, 0], path[end, 1] - path[other, 1]
            rise = ex * nx + ey * ny
            if abs(rise) > 0.2 * math.sqrt(ex * ex + ey * ey):
                sx, sy = ex * step / rise, ey * step / rise
        fresh[side, 0], fresh[side, 1] = path[end, 0] + sx, path[end, 1] + sy
    return True


@uncounted
def _slide(path: Floats, size: int, step: float, rng: Draws, move: Ints,
           fresh: Floats) -> bool:  # fmt: skip
    """Move a vertex along one of its segments."""
    i = _below(rng, size)
    other = i + 1 if (uniform(rng) < 0.5 and i + 1 < size) or i == 0 else i - 1
    dx, dy = path[other, 0] - path[i, 0], path[other, 1] - path[i, 1]
    length = math.sqrt(dx * dx + dy * dy)
    if length < 1e-9 or step >= length:
        return False
    fresh[0, 0] = path[i, 0] + dx / length * step
    fresh[0, 1] = path[i, 1] + dy / length * step
    move[0], move[1], move[2], move[3] = SPLICE, i, i + 1, 1
    return True


@uncounted
def _near_pair(path: Floats, size: int, i: int, far: float, rng: Draws) -> int:
    """A random vertex within `far` of vertex i, or -1."""
    for _ in range(12):
        j = _below(rng, size)
        if j != i and abs(path[j, 0] - path[i, 0]) < far and abs(path[j, 1] - path[i, 1]) < far:
            return j
    return -1


@uncounted
def _reorder(path: Floats, size: int, width: float, rng: Draws, move: Ints) -> bool:
    """Reverse a stretch, or carry one elsewhere."""
    i = _below(rng, size)
    far = 2.5 * width
    near = _near_pair(path, size, i, far, rng)
    if near < 0:
        return False
    if uniform(rng) < 0.5:
        # The new leg joins i and near, or the vertices after them.
        lo, hi = min(i, near), max(i, near)
        if uniform(rng) < 0.5:
            lo += 1
        else:
            hi -= 1
        if lo >= hi or (lo == 0 and hi == size - 1):
            return False
        move[0], move[1], move[2], move[3] = REVERSE, lo, hi, 0
        return True
    j = min(i + _below(rng, 6), size - 1)
    k = near if uniform(rng) < 0.5 else near - 1
    if k < 0 or k >= size - 1 or i - 1 <= k <= j or (i == 0 and j == size - 1):
        return False
    move[0] = CARRY if uniform(rng) < 0.5 else CARRY_TURNED
    move[1], move[2], move[3] = i, j, k
    return True


@uncounted
def _propose_shape(
    path: Floats, size: int, widest: float, rng: Draws, move: Ints, fresh: Floats
) -> bool:
    """One of the moves that bend the path without reordering it."""
    kind = uniform(rng)
    if kind < 0.30:
        i = _below(rng, size)
        fresh[0, 0] = path[i, 0] + _spread(rng, widest)
        fresh[0, 1] = path[i, 1] + _spread(rng, widest)
        move[0], move[1], move[2], move[3] = SPLICE, i, i + 1, 1
        return True
    if kind < 0.50:
        return _slide(path, size, _spread(rng, 1.5 * widest), rng, move, fresh)
    if kind < 0.76:
        along = uniform(rng) < 0.7
        return _shift_segment(path, size, _spread(rng, widest), along, rng, move, fresh)
    if kind < 0.86:
        i = _below(rng, size - 1)
        t = 0.05 + 0.9 * uniform(rng)
        fresh[0, 0] = path[i, 0] + t * (path[i + 1, 0] - path[i, 0]) + _spread(rng, widest)
        fresh[0, 1] = path[i, 1] + t * (path[i + 1, 1] - path[i, 1]) + _spread(rng, widest)
        move[0], move[1], move[2], move[3] = SPLICE, i + 1, i + 1, 1
        return size + 1 < PATH_LIMIT
    if size < 4:
        return False
    i = _below(rng, size)
    if kind < 0.94:
        move[0], move[1], move[2], move[3] = SPLICE, i, i + 1, 0
        return True
    if i + 2 > size:
        return False
    t = uniform(rng)
    fresh[0, 0] = path[i, 0] + t * (path[i + 1, 0] - path[i, 0]) + _spread(rng, widest)
    fresh[0, 1] = path[i, 1] + t * (path[i + 1, 1] - path[i, 1]) + _spread(rng, widest)
    move[0], move[1], move[2], move[3] = SPLICE, i, i + 2, 1
    return True


@uncounted
def propose(path: Floats, size: int, widest: float, width: float, counts: Counts, missed: Rows,
            listed: int, rng: Draws, move: Ints, fresh: Floats) -> bool:  # fmt: skip
    """Draw a move; False where this draw gives none."""
    kind = uniform(rng)
    if kind < 0.08:
        if size + 3 >= PATH_LIMIT or not _missed_cell(counts, missed, listed, rng, fresh[6]):
            return False
        _to_missed(path, size, fresh[6], rng, move, fresh)
        return True
    if kind < 0.22:
        return _reorder(path, size, width, rng, move)
    return _propose_shape(path, size, widest, rng, move, fresh)
