"""`gridwing evidence` against a real database: whoever opens an original is written down first."""

import asyncio
from datetime import date
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from domain.evidence import EvidenceUnsealed
from gridwing.cli import main
from gridwing.cluster import DatabaseUrls
from runtime.access.accounts import Account, password_hash, save_accounts
from runtime.access.principal import Role
from runtime.database import open_pool
from runtime.ledger import Entry, PostgresLedger, sequence_step
from runtime.sealing import SealedStore

NAME = "ab" * 32


@pytest.fixture
def typed(database_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    hashed = password_hash("a-long-password")
    with psycopg.connect(database_urls.owner) as connection:
        roles = {"auditor": Role.AUDITOR, "duty": Role.OPERATOR}
        accounts = [Account(name, role, "", None) for name, role in roles.items()]
        save_accounts(connection, [(account, hashed) for account in accounts])
    monkeypatch.setenv("DATABASE_APP_URL", database_urls.app)
    return CliRunner()


def told(urls: DatabaseUrls) -> list[Entry]:
    async def read() -> list[Entry]:
        async with open_pool(urls.service, 1) as pool:
            await sequence_step(pool)
            return list(await PostgresLedger(pool).read(0, 100))

    return asyncio.run(read())


def test_an_original_is_opened_by_who_may_and_the_ledger_says_so(
    typed: CliRunner, database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    key, out = tmp_path / "key", tmp_path / "out.jpg"
    made = typed.invoke(main, ["evidence", "new-key", str(key)])
    assert made.exit_code == 0, made.output
    assert key.stat().st_mode & 0o777 == 0o600
    assert typed.invoke(main, ["evidence", "new-key", str(key)]).exit_code == 1
    store = SealedStore(tmp_path, made.stdout.strip())
    sealed = store.put_now(b"original", NAME, date(2026, 3, 1))

    def unseal(by: str, to: Path = out, purpose: str = "review") -> Result:
        words = [str(sealed), "--key", str(key), "--purpose", purpose, "--by", by]
        return typed.invoke(main, ["evidence", "unseal", *words, "--out", str(to)])

    for by, says in (("nobody", "no such account"), ("duty", "may not open")):
        refused = unseal(by)
        assert (refused.exit_code, says in refused.stderr) == (1, True), refused.stderr
    assert unseal("auditor", purpose="curiosity").exit_code == 2
    assert (out.exists(), told(database_urls)) == (False, [])
    assert unseal("auditor").exit_code == 0
    assert out.read_bytes() == b"original"
    (entry,) = told(database_urls)
    assert (entry.event, entry.actor) == (EvidenceUnsealed(NAME, "review"), "auditor")
    assert "is there already" in unseal("auditor").stderr
    assert len(told(database_urls)) == 1
