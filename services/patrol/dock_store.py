"""What docks were given and have told that no mission is decided by: flight areas, media files."""

from collections.abc import Sequence
from typing import Any, Protocol

from psycopg.types.json import Json

from domain.codec import from_plain, to_plain
from runtime.database import Pool
from services.patrol.flight_areas import AreaFile, AreaSync
from services.patrol.media import MediaFile

MEDIA_LISTED_LIMIT = 500


class DockStore(Protocol):
    """Rows of docks; none of it comes out of the ledger."""

    async def keep_areas(self, file: AreaFile) -> None: ...

    async def areas(self, name: str) -> bytes | None: ...

    async def syncs(self) -> dict[str, AreaSync]: ...

    async def put_sync(self, sync: AreaSync) -> None: ...

    async def keep_media(self, file: MediaFile) -> None: ...

    async def media(self, flight_id: str) -> list[MediaFile]: ...


class PostgresDockStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def _rows(self, query: str, params: Sequence[object] = ()) -> list[Any]:
        async with self._pool.connection() as connection:
            return await (await connection.execute(query.encode(), params)).fetchall()

    async def _do(self, query: str, params: Sequence[object]) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(query.encode(), params)

    async def keep_areas(self, file: AreaFile) -> None:
        await self._do(
            "INSERT INTO patrol_area_file VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [file.name, file.body],
        )

    async def areas(self, name: str) -> bytes | None:
        rows = await self._rows("SELECT body FROM patrol_area_file WHERE name = %s", [name])
        return bytes(rows[0][0]) if rows else None

    async def syncs(self) -> dict[str, AreaSync]:
        rows = await self._rows("SELECT sync FROM patrol_area_sync ORDER BY dock_sn")
        found = [from_plain(AreaSync, row[0]) for row in rows]
        return {sync.dock_sn: sync for sync in found}

    async def put_sync(self, sync: AreaSync) -> None:
        await self._do(
            "INSERT INTO patrol_area_sync VALUES (%s, %s)"
            " ON CONFLICT (dock_sn) DO UPDATE SET sync = excluded.sync",
            [sync.dock_sn, Json(to_plain(sync))],
        )

    async def keep_media(self, file: MediaFile) -> None:
        await self._do(
            "INSERT INTO patrol_media VALUES (%s, %s, %s)"
            " ON CONFLICT (object_key) DO UPDATE SET media = excluded.media",
            [file.object_key, file.flight_id, Json(to_plain(file))],
        )

    async def media(self, flight_id: str) -> list[MediaFile]:
        rows = await self._rows(
            "SELECT media FROM patrol_media WHERE flight_id = %s ORDER BY object_key LIMIT %s",
            [flight_id, MEDIA_LISTED_LIMIT],
        )
        return [from_plain(MediaFile, row[0]) for row in rows]


class MemoryDockStore:
    """The same contract for one process and virtual time."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._syncs: dict[str, AreaSync] = {}
        self._media: dict[str, MediaFile] = {}

    async def keep_areas(self, file: AreaFile) -> None:
        self._files[file.name] = file.body

    async def areas(self, name: str) -> bytes | None:
        return self._files.get(name)

    async def syncs(self) -> dict[str, AreaSync]:
        return dict(self._syncs)

    async def put_sync(self, sync: AreaSync) -> None:
        self._syncs[sync.dock_sn] = sync

    async def keep_media(self, file: MediaFile) -> None:
        self._media[file.object_key] = file

    async def media(self, flight_id: str) -> list[MediaFile]:
        found = [f for f in self._media.values() if f.flight_id == flight_id]
        return sorted(found, key=lambda f: f.object_key)[:MEDIA_LISTED_LIMIT]
