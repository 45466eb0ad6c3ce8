"""Who goes with whom: the pairing of least total cost (Hungarian method)."""

import numpy as np
from numpy.typing import NDArray

FORBIDDEN = 1e6


def assigned(cost: NDArray[np.float64], limit: float) -> list[tuple[int, int]]:
    """Return (row, column) pairs of the pairing with the least sum, by row.

    Pairs that cost more than `limit` (below FORBIDDEN) are never made; of those that may be, as
    many as can be. Shortest augmenting paths (Jonker and Volgenant, 1987), exact and repeatable.
    """
    if cost.size == 0:
        return []
    allowed = cost <= limit
    # Rows and columns that may pair with nobody would only lengthen the search.
    rows, columns = np.flatnonzero(allowed.any(axis=1)), np.flatnonzero(allowed.any(axis=0))
    if not len(rows):
        return []
    part = np.where(allowed, cost, FORBIDDEN)[np.ix_(rows, columns)]
    turned = part.shape[0] > part.shape[1]
    owner = _owners(part.T if turned else part)
    pairs = []
    for column, row in enumerate(owner):
        if row >= 0:
            i, j = (column, row) if turned else (row, column)
            pairs.append((int(rows[i]), int(columns[j])))
    return sorted((i, j) for i, j in pairs if allowed[i, j])


def _owners(cost: NDArray[np.float64]) -> list[int]:
    """Return the row of each column, -1 for none, for no more rows than columns."""
    n, m = cost.shape
    row_price, column_price = np.zeros(n), np.zeros(m)
    owner = np.full(m, -1)
    for start in range(n):
        least, before = np.full(m, np.inf), np.full(m, -1)
        done = np.zeros(m, bool)
        row, column = start, -1
        while row >= 0:
            reach = cost[row] - row_price[row] - column_price
            if column >= 0:
                reach = reach + least[column]
            nearer = ~done & (reach < least)
            least[nearer], before[nearer] = reach[nearer], column
            column = int(np.where(done, np.inf, least).argmin())
            done[column] = True
            row = int(owner[column])
        shortest = least[column]
        passed = done & (owner >= 0)
        row_price[owner[passed]] += shortest - least[passed]
        row_price[start] += shortest
        column_price[done] -= shortest - least[done]
        while column >= 0:
            earlier = int(before[column])
            owner[column] = start if earlier < 0 else owner[earlier]
            column = earlier
    return [int(row) for row in owner]
