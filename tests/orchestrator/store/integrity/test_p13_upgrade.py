"""P13: what is older than the digests is said, and nothing newer passes for it."""

from collections.abc import AsyncIterator

import pytest
from alembic import command
from sqlalchemy import Connection

from keyturn.orchestrator.store import migrate
from keyturn.orchestrator.store.integrity import verification
from keyturn.orchestrator.store.integrity.sealer import Sealer
from keyturn.orchestrator.store.integrity.verification import Finding
from tests.databases import both, patient
from tests.orchestrator.store.desk import Desk, open_desk
from tests.orchestrator.store.integrity.test_p13_tables import attack, lines

pytestmark = both


@pytest.fixture
async def upgraded(database_url: str) -> AsyncIterator[Desk]:
    """The desk of an installation that was upgraded after a refund was done."""
    await _begin(database_url)
    async with open_desk(database_url) as desk:
        desk.is_honest = False
        # No grants on this one.
        desk.accounts = {}
        await desk.do(await desk.approved())
        # As the version before wrote it.
        await attack(desk.store, "UPDATE audit SET payload = '{}'")
        await Sealer(desk.store).seal()
        await migrate.upgrade(database_url)
        # Its clock is the database's, which is behind the desk's.
        await attack(
            desk.store,
            "UPDATE audit SET at = (SELECT MAX(at) FROM audit) "
            "WHERE kind = 'audit.digests_begin'",
        )
        yield desk


async def test_what_is_older_is_counted_and_what_is_newer_compared(
    upgraded: Desk,
) -> None:
    before = await verified(upgraded)
    await upgraded.do(await upgraded.approved(customer="c2"))
    after = await verified(upgraded)

    assert before.is_intact, lines(before)
    assert (before.undigested, before.signatures) == (6, 1)
    assert before.unvouched > 10
    assert after.is_intact, lines(after)
    assert (after.undigested, after.unvouched) == (6, before.unvouched)


async def test_p13_a_row_that_is_dated_before_the_upgrade_is_one_too_many(
    upgraded: Desk,
) -> None:
    await attack(
        upgraded.store,
        "INSERT INTO people (id, name, email, kind, role, teams, languages, created_at) "
        "SELECT 'eve', 'Eve', 'eve@example.com', kind, 'admin', '[]', '[]', created_at "
        "FROM people WHERE id = 'amy'",
    )

    found = await verified(upgraded)

    [one] = found.discrepancies
    assert (one.id, one.log, one.table) == ("people", "4", "has 5")


async def test_p13_an_entry_without_a_digest_after_the_upgrade_is_found(
    upgraded: Desk,
) -> None:
    await upgraded.approved(customer="c2")
    await attack(
        upgraded.store,
        "UPDATE audit SET payload = '{}' WHERE kind = 'turn' AND position IS NULL",
    )

    found = await verified(upgraded)

    assert "an entry of kind 'turn' has no digest of a row" in {
        one.what for one in found.discrepancies
    }


async def test_p13_without_its_mark_nothing_is_older(upgraded: Desk) -> None:
    await attack(upgraded.store, "DELETE FROM audit WHERE kind = 'audit.digests_begin'")

    found = await verified(upgraded)

    assert "entries have no digests of rows" in {
        one.what for one in found.discrepancies
    }


async def test_a_new_installation_has_no_such_mark(database_url: str) -> None:
    await migrate.upgrade(database_url)
    store = patient(database_url)

    found = await verification.verify(store)

    await store.close()
    assert (found.sealed, found.unsealed, found.is_intact) == (0, 0, True)


async def verified(desk: Desk) -> Finding:
    return await verification.verify(desk.store, verifier=desk.trust.verifier)


async def _begin(url: str) -> None:
    """Bring a database to where it was before the digests."""
    store = patient(url)
    async with store.write() as session:
        connection = await session.connection()
        await connection.run_sync(_upgrade_to_the_second)
    await store.close()


def _upgrade_to_the_second(connection: Connection) -> None:
    settings = migrate.config()
    settings.attributes["connection"] = connection
    command.upgrade(settings, "0002")
