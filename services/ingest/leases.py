"""Who reads which camera and aircraft, so that several watch processes share them.

A process holds a device while it renews its lease; one that dies loses it LEASE_S later and another
takes it over. Each takes at most its even share of what there is, gives back what is above it when
a process joins, and so no camera is read twice or by nobody for longer than that. Times are the
database's: the processes' own clocks need not agree.
"""

import math
from collections.abc import Collection

from runtime.database import Pool

LEASE_S = 10.0
RENEW_S = 3.0


class FrameLeases:
    """The leases of one process. Raises psycopg errors when the database is away."""

    def __init__(self, pool: Pool, slot: str, devices: Collection[str]) -> None:
        self._pool, self._slot, self._devices = pool, slot, sorted(devices)
        self.held: frozenset[str] = frozenset()

    async def begin(self) -> None:
        """Make the rows there is a lease of, and take up what a process of this slot held."""
        async with self._pool.connection() as connection:
            await connection.execute(
                "INSERT INTO watch_lease (device_sn) SELECT unnest(%s::text[])"
                " ON CONFLICT DO NOTHING",
                [self._devices],
            )
        await self.renew()

    async def renew(self) -> frozenset[str]:
        """Renew, take what is free up to an even share, give back what is above it."""
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO watch_process VALUES (%s, clock_timestamp() + %s * interval '1 s')"
                " ON CONFLICT (slot) DO UPDATE SET until = excluded.until",
                [self._slot, LEASE_S],
            )
            await connection.execute(
                "DELETE FROM watch_process WHERE until < clock_timestamp() - interval '1 h'"
            )
            cursor = await connection.execute(
                "SELECT count(*) FROM watch_process WHERE until > clock_timestamp()"
            )
            row = await cursor.fetchone()
            assert row is not None
            share = math.ceil(len(self._devices) / max(1, row[0]))
            cursor = await connection.execute(
                _TAKE, [self._devices, self._slot, self._slot, share]
            )
            mine = [sn for (sn,) in await cursor.fetchall()]
            await connection.execute(
                "UPDATE watch_lease SET slot = %s, until = clock_timestamp() + %s * interval '1 s'"
                " WHERE device_sn = ANY(%s)",
                [self._slot, LEASE_S, mine],
            )
            await connection.execute(
                "UPDATE watch_lease SET until = '-infinity'"
                " WHERE slot = %s AND device_sn <> ALL(%s) AND until > clock_timestamp()",
                [self._slot, mine],
            )
        self.held = frozenset(mine)
        return self.held

    async def end(self) -> None:
        """Give everything back at once, as an orderly stop does."""
        async with self._pool.connection() as connection:
            await connection.execute(
                "UPDATE watch_lease SET until = '-infinity' WHERE slot = %s", [self._slot]
            )
            await connection.execute("DELETE FROM watch_process WHERE slot = %s", [self._slot])
        self.held = frozenset()


# Own leases first; a row that another process is taking right now is left to it.
_TAKE = """
SELECT device_sn FROM watch_lease
WHERE device_sn = ANY(%s) AND (slot = %s OR until < clock_timestamp())
ORDER BY slot = %s DESC, until, device_sn
LIMIT %s
FOR UPDATE SKIP LOCKED
"""
