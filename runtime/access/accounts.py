"""Accounts and sessions in PostgreSQL: argon2 passwords, hashed tokens, lockout."""

import asyncio
import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from domain.district import District
from runtime.access.principal import Principal, Role
from runtime.database import Pool

SESSION_S = 12 * 3600.0
FAILURES_LIMIT = 5
LOCK_S = 300.0
HASHING_AT_ONCE = 2
WAITING_LIMIT_LOGINS = 40
PASSWORD_LEAST_CHARACTERS = 8
PASSWORD_MOST_CHARACTERS = 256
HASHER = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
"""OWASP's minimum for argon2id (19 MiB, 2 passes): a login costs tens of milliseconds."""


@dataclass(frozen=True, slots=True)
class Account:
    account: str
    role: Role
    display: str
    responder_id: str | None


@dataclass(frozen=True, slots=True)
class Session:
    token: str
    csrf: str
    account: Account


@dataclass(frozen=True, slots=True)
class Denied:
    """Why nobody was let in: `wrong`, `locked` or `busy`. A disabled account looks like a wrong
    one."""

    reason: str


def password_hash(password: str) -> str:
    """Return the argon2 hash. Raises ValueError for a password too short or too long."""
    if not PASSWORD_LEAST_CHARACTERS <= len(password) <= PASSWORD_MOST_CHARACTERS:
        raise ValueError(f"a password has at least {PASSWORD_LEAST_CHARACTERS} characters")
    return HASHER.hash(password)


def save_accounts(
    connection: psycopg.Connection[Any], accounts: Iterable[tuple[Account, str]]
) -> None:
    """Create or replace accounts with their password hashes, as the database's owner."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO account (account, role, display, responder_id, password_hash)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (account) DO UPDATE SET role ="
            " excluded.role, display = excluded.display, responder_id = excluded.responder_id,"
            " password_hash = excluded.password_hash, disabled = false, failures = 0",
            [(a.account, a.role.value, a.display, a.responder_id, h) for a, h in accounts],
        )


class Accounts:
    """Logging in and out, and who a session token stands for."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._hashing = asyncio.Semaphore(HASHING_AT_ONCE)
        self._waiting = 0
        self._nobody = HASHER.hash(secrets.token_hex(16))

    async def log_in(self, name: str, password: str, at: datetime) -> Session | Denied:
        """Check a password and open a session. Wrong names take as long as wrong passwords."""
        if self._waiting >= WAITING_LIMIT_LOGINS:
            return Denied("busy")
        self._waiting += 1
        try:
            return await self._log_in(name, password, at)
        finally:
            self._waiting -= 1

    async def _log_in(self, name: str, password: str, at: datetime) -> Session | Denied:
        async with self._pool.connection() as connection:
            row = await (
                await connection.execute(
                    "SELECT role, display, responder_id, password_hash, disabled, locked_until"
                    " FROM account WHERE account = %s",
                    [name],
                )
            ).fetchone()
        if row is not None and row[5] is not None and row[5] > at:
            return Denied("locked")
        stored = row[3] if row is not None else self._nobody
        good = await self._matches(stored, password[:PASSWORD_MOST_CHARACTERS])
        if row is None or row[4] or not good:
            await self._failed(name, at)
            return Denied("wrong")
        account = Account(name, Role(row[0]), row[1], row[2])
        session = Session(secrets.token_urlsafe(32), secrets.token_urlsafe(16), account)
        async with self._pool.connection() as connection:
            await connection.execute(
                "UPDATE account SET failures = 0, locked_until = NULL WHERE account = %s", [name]
            )
            await connection.execute("DELETE FROM session WHERE expires_at < %s", [at])
            await connection.execute(
                "INSERT INTO session VALUES (%s, %s, %s, %s)",
                [_digest(session.token), name, session.csrf, at + timedelta(seconds=SESSION_S)],
            )
        return session

    async def _matches(self, stored: str, password: str) -> bool:
        async with self._hashing:
            try:
                return await asyncio.to_thread(HASHER.verify, stored, password)
            except VerificationError:
                return False

    async def _failed(self, name: str, at: datetime) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(
                "UPDATE account SET failures = failures + 1, locked_until ="
                " CASE WHEN failures + 1 >= %s THEN %s::timestamptz ELSE locked_until END"
                " WHERE account = %s",
                [FAILURES_LIMIT, at + timedelta(seconds=LOCK_S), name],
            )

    async def log_out(self, token: str) -> None:
        async with self._pool.connection() as connection:
            await connection.execute("DELETE FROM session WHERE token_hash = %s", [_digest(token)])

    async def session(self, token: str, at: datetime) -> Session | None:
        """Return the open session of a token; None when it ended or the account was disabled."""
        async with self._pool.connection() as connection:
            row = await (
                await connection.execute(
                    "SELECT a.account, a.role, a.display, a.responder_id, s.csrf FROM session s"
                    " JOIN account a USING (account)"
                    " WHERE s.token_hash = %s AND s.expires_at > %s AND NOT a.disabled",
                    [_digest(token), at],
                )
            ).fetchone()
        if row is None:
            return None
        account = Account(row[0], Role(row[1]), row[2], row[3])
        return Session(token, row[4], account)


def principal_of(account: Account, district: District) -> Principal:
    """Return what the account may see in this version of the district."""
    responder = next(
        (r for r in district.responders if r.responder_id == account.responder_id), None
    )
    areas = frozenset(responder.area_codes) if responder else frozenset[str]()
    cells = frozenset(c.code for c in district.cells) & areas
    return Principal(
        account.account, account.role, account.display, account.responder_id, cells, areas - cells
    )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
