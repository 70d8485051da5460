"""An installation of a version before is upgraded with what it holds, once."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, text

from keyturn.orchestrator.rules.authority.binding import Signer, Verifier, new_key
from keyturn.orchestrator.store import migrate, revision
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.row_codes import Voucher
from keyturn.orchestrator.store.errors import NeedsKeys
from keyturn.orchestrator.store.incidents import incidents
from keyturn.orchestrator.store.migrate import Keys
from keyturn.orchestrator.store.people import tokens
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.tables import ApprovalRow, ReleaseRow
from tests.databases import both, patient
from tests.orchestrator.store.desk import unchanged

pytestmark = both
PLAIN = "kt_before"
VOUCHER = Voucher("the web server's key")


@pytest.fixture
async def before(database_url: str) -> str:
    """A database of the version before, with one of each of what now carries codes."""
    store, now = patient(database_url), datetime(2026, 1, 1, tzinfo=UTC)
    async with store.write() as session:
        connection = await session.connection()
        await connection.run_sync(_to_the_first)
        for table, values in _rows(now):
            named = ", ".join(f'"{name}"' for name in values)
            given = ", ".join(f":{name}" for name in values)
            statement = f"INSERT INTO {table} ({named}) VALUES ({given})"  # noqa: S608 ours
            bound = {
                name: value.replace(tzinfo=None)
                if isinstance(value, datetime) and store.is_sqlite
                else value
                for name, value in values.items()
            }
            await session.execute(text(statement), bound)
    await store.close()
    return database_url


async def test_without_keys_nothing_is_changed(before: str) -> None:
    with pytest.raises(NeedsKeys, match="KEYTURN_SECRET_KEY and the private"):
        await migrate.upgrade(before)

    assert "revision 0001" in (await revision.check(before) or "")


async def test_what_was_there_is_vouched_for_and_signed_once(before: str) -> None:
    key = new_key()
    keys = Keys(VOUCHER, Signer(key))

    await migrate.upgrade(before, keys)
    await migrate.upgrade(before, keys)

    store = Store(before, voucher=VOUCHER)
    found = await tokens.find(store, PLAIN)
    async with store.read() as session:
        live = await releases.live_row(session, "desk")
        asked = await session.get(ApprovalRow, "ap-1")
    assert found is not None
    assert found[0].name == "Amy"
    assert live is not None
    said = releases.signed(live)
    assert said is not None
    assert Verifier(key).is_genuine(said, live.signature or "")
    assert asked is not None
    assert asked.assigns
    async with store.read() as session:
        told = await incidents.of_source(session, "vouched for at the upgrade")
    assert told is not None
    assert "1 people, 1 releases, 1 tokens" in str(told.detail["words"])
    await store.close()


async def test_what_is_planted_after_the_upgrade_is_vouched_for_by_none(
    before: str,
) -> None:
    keys = Keys(VOUCHER, Signer(new_key()))
    await migrate.upgrade(before, keys)
    store = Store(before, voucher=VOUCHER)
    async with store.write() as session:
        await session.execute(text("UPDATE tokens SET mac = NULL"))
        await session.execute(text("UPDATE releases SET signature = NULL"))

    await migrate.upgrade(before, keys)

    assert await tokens.find(store, PLAIN) is None
    async with store.read() as session:
        live = await session.get(ReleaseRow, unchanged().hash())
    assert live is not None
    assert live.signature is None
    await store.close()


async def test_the_secret_key_is_changed_by_an_upgrade(before: str) -> None:
    signer = Signer(new_key())
    await migrate.upgrade(before, Keys(VOUCHER, signer))
    after = Voucher("another key", before="the web server's key")

    await migrate.upgrade(before, Keys(after, signer))

    store = Store(before, voucher=Voucher("another key"))
    assert await tokens.find(store, PLAIN) is not None
    await store.close()


def _to_the_first(connection: Connection) -> None:
    settings = migrate.config()
    settings.attributes["connection"] = connection
    command.upgrade(settings, "0001")


def _rows(now: datetime) -> list[tuple[str, dict[str, Any]]]:
    release = unchanged()
    hashed = release.hash()
    return [
        (
            "people",
            {
                "id": "amy",
                "name": "Amy",
                "email": "amy@example.com",
                "kind": "person",
                "role": "agent",
                "teams": "[]",
                "languages": "[]",
                "created_at": now,
            },
        ),
        (
            "tokens",
            {
                "id": "tok-1",
                "person": "amy",
                "name": "mine",
                "hash": hashlib.sha256(PLAIN.encode()).hexdigest(),
                "scopes": '["runs.read"]',
                "tenants": "[]",
                "created_at": now,
            },
        ),
        (
            "releases",
            {
                "hash": hashed,
                "workflow": "desk",
                "content": json.dumps(release.data()),
                "code_version": "0",
                "created_at": now,
                "live_since": now,
            },
        ),
        (
            "runs",
            {
                "id": "run-1",
                "workflow": "desk",
                "tenant": "default",
                "customer": "c1",
                "status": "waiting",
                "release": hashed,
                "code_version": "0",
                "input": "{}",
                "created_at": now,
                "turns": 1,
                "tokens": 0,
                "cost_microusd": 0,
                "use_safer_model": False,
            },
        ),
        (
            "approvals",
            {
                "id": "ap-1",
                "run": "run-1",
                "turn": 1,
                "index": 0,
                "revision": 0,
                "tenant": "default",
                "workflow": "desk",
                "customer": "c1",
                "tool": "refund",
                "status": "pending",
                "arguments": "{}",
                "verdict": '{"kind": "ask", "assign": true}',
                "rule": "r",
                "needed": 1,
                "role": "agent",
                "release": hashed,
                "policy": "p",
                "reason": "",
                "not_by": "[]",
                "round": 0,
                "level": 0,
                "extended": 0,
                "answer_by": now,
                "stamp": 1,
                "created_at": now,
            },
        ),
    ]
