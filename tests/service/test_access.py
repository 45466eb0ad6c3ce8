"""Accounts and sessions on the real database, under the web's own role."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from gridwing.cluster import DatabaseUrls
from runtime.access import Role
from runtime.access.accounts import (
    FAILURES_LIMIT,
    LOCK_S,
    SESSION_S,
    WAITING_LIMIT_LOGINS,
    Account,
    Accounts,
    Denied,
    Session,
    password_hash,
    principal_of,
    save_accounts,
)
from runtime.database import open_pool, refuse_powerful_role
from simulators.district import generate

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
PASSWORD = "correct horse"


@pytest.fixture
async def accounts(database_urls: DatabaseUrls) -> AsyncIterator[Accounts]:
    with psycopg.connect(database_urls.owner) as connection:
        duty = Account("duty", Role.OPERATOR, "值班员", None)
        save_accounts(connection, [(duty, password_hash(PASSWORD))])
    async with open_pool(database_urls.app) as pool:
        yield Accounts(pool)


async def enter(accounts: Accounts) -> Session:
    session = await accounts.log_in("duty", PASSWORD, AT)
    assert isinstance(session, Session)
    return session


async def test_a_session_lasts_until_it_ends(accounts: Accounts) -> None:
    session = await enter(accounts)
    assert await accounts.session(session.token, AT) == session
    late = AT + timedelta(seconds=SESSION_S + 1)
    assert await accounts.session(session.token, late) is None
    await accounts.log_out(session.token)
    assert await accounts.session(session.token, AT) is None


@pytest.mark.parametrize("name", ["duty", "nobody"])
async def test_a_wrong_password_and_a_wrong_name_look_alike(accounts: Accounts, name: str) -> None:
    assert await accounts.log_in(name, "wrong one", AT) == Denied("wrong")


async def test_repeated_failures_lock_the_account_for_a_while(accounts: Accounts) -> None:
    for _ in range(FAILURES_LIMIT):
        assert await accounts.log_in("duty", "wrong one", AT) == Denied("wrong")
    assert await accounts.log_in("duty", PASSWORD, AT) == Denied("locked")
    later = AT + timedelta(seconds=LOCK_S + 1)
    assert isinstance(await accounts.log_in("duty", PASSWORD, later), Session)


async def test_a_disabled_account_loses_its_sessions_at_once(
    accounts: Accounts, database_urls: DatabaseUrls
) -> None:
    session = await enter(accounts)
    with psycopg.connect(database_urls.owner) as connection:
        connection.execute("UPDATE account SET disabled = true")
    assert await accounts.session(session.token, AT) is None
    assert await accounts.log_in("duty", PASSWORD, AT) == Denied("wrong")


async def test_logins_beyond_the_waiting_limit_are_sent_away(accounts: Accounts) -> None:
    accounts._waiting = WAITING_LIMIT_LOGINS
    assert await accounts.log_in("duty", PASSWORD, AT) == Denied("busy")


async def test_neither_tokens_nor_passwords_stand_in_the_database(
    accounts: Accounts, database_urls: DatabaseUrls
) -> None:
    session = await enter(accounts)
    with psycopg.connect(database_urls.owner) as connection:
        rows = connection.execute("SELECT a::text || s::text FROM account a, session s").fetchall()
    assert session.token not in str(rows)
    assert PASSWORD not in str(rows)


async def test_the_web_may_not_raise_anybody(
    accounts: Accounts, database_urls: DatabaseUrls
) -> None:
    with (
        psycopg.connect(database_urls.app) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("UPDATE account SET role = 'administrator'")


@pytest.mark.parametrize("password", ["short", "x" * 257])
def test_passwords_have_bounds(password: str) -> None:
    with pytest.raises(ValueError, match="a password has"):
        password_hash(password)


async def test_the_webs_role_is_not_above_row_security(database_urls: DatabaseUrls) -> None:
    async with open_pool(database_urls.app) as pool:
        await refuse_powerful_role(pool)


def test_a_field_role_gets_its_own_areas() -> None:
    district = generate(7)
    responder = district.responders[0]
    account = Account("r", Role.GRID_WORKER, "r", responder.responder_id)
    principal = principal_of(account, district)
    assert principal.cells | principal.police == set(responder.area_codes)
    assert not principal_of(Account("r", Role.GRID_WORKER, "r", "gone"), district).cells
