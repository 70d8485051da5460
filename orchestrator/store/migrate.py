"""Upgrades of a database's schema."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlmodel import select

from keyturn.orchestrator.rules.authority.binding import Signer
from keyturn.orchestrator.store import migrations, revision
from keyturn.orchestrator.store.db import roles, row_codes, vouched_rows
from keyturn.orchestrator.store.db.database import Store
from keyturn.orchestrator.store.db.row_codes import Voucher
from keyturn.orchestrator.store.db.transaction import Tx
from keyturn.orchestrator.store.errors import NeedsKeys
from keyturn.orchestrator.store.incidents import incidents
from keyturn.orchestrator.store.incidents.incidents import NewIncident
from keyturn.orchestrator.store.releases import releases
from keyturn.orchestrator.store.revision import REMEDY
from keyturn.orchestrator.store.tables import ReleaseRow

# Held for the length of an upgrade, so that two processes do not both create.
UPGRADE_LOCK = 0x4B455955
# How long a process waits for another one's upgrade of the same file.
UPGRADE_WAIT_S = 120.0


# Rows from before this revision carry neither codes nor signatures.
UNSIGNED = (None, "0001")


@dataclass(frozen=True)
class Keys:
    """The keys with which an upgrade vouches for old rows and signs old releases."""

    voucher: Voucher
    signer: Signer


async def upgrade(url: str, keys: Keys | None = None) -> list[str]:
    """Bring the database to the newest revision, all of it or nothing.

    Rows of earlier versions are vouched for and signed once, with `keys`; raises
    `NeedsKeys` if there are any and no keys are given. Each role that this server knows
    gets its grants; returns these roles. Safe from any number of processes at once: the
    later ones find the work done.
    """
    store = Store(url, voucher=keys.voucher if keys else None)
    try:
        async with store.write(wait_s=UPGRADE_WAIT_S) as session:
            if not store.is_sqlite:
                await _wait_alone(session)
            connection = await session.connection()
            before = await connection.run_sync(revision.of)
            await connection.run_sync(_upgrade)
            if before in UNSIGNED:
                await _vouch_for_all(session, keys)
            elif keys is not None:
                await _vouch_anew(session, keys.voucher)
            return await connection.run_sync(roles.grant)
    finally:
        await store.close()


def config() -> Config:
    """Return Alembic's settings; the revisions are in this package.

    That holds whether the package is installed or not.
    """
    settings = Config()
    settings.set_main_option("path_separator", "newline")
    settings.set_main_option(
        "script_location", str(Path(migrations.__file__).parent).replace("%", "%%")
    )
    return settings


async def _vouch_for_all(session: Tx, keys: Keys | None) -> None:
    """Vouch for rows of an earlier version: from here on, no other rows pass."""
    rows: list[vouched_rows.Row | ReleaseRow] = []
    for table in (*row_codes.COVERED, ReleaseRow):
        rows += (await session.execute(select(table))).scalars()
    if not rows:
        return
    if keys is None:
        raise NeedsKeys(
            "The database holds accounts, sessions, tokens or releases of a version that "
            "did not vouch for them. Set KEYTURN_SECRET_KEY and the private "
            "KEYTURN_DECISION_KEY, as the web server has them, and run `keyturn db "
            "upgrade` again; nothing was changed."
        )
    for row in rows:
        if not isinstance(row, ReleaseRow):
            row.mac = keys.voucher.code(row)
        elif row.live_since is not None:
            row.live_by = row.live_by or "before signatures"
            releases.sign(row, keys.signer)
    with row_codes.for_the_first_time(session):
        await session.flush()
    kinds = Counter(map(vouched_rows.table_of, rows))
    await incidents.add(session, _vouched(kinds), by=incidents.SYSTEM)


def _vouched(kinds: Counter[str]) -> NewIncident:
    """Return the rows for people to review: an intruder may have added some."""
    shown = ", ".join(f"{count} {table}" for table, count in sorted(kinds.items()))
    return NewIncident(
        severity="high",
        title="What an earlier version wrote was vouched for at the upgrade",
        source="vouched for at the upgrade",
        detail={
            "words": f"From here on nobody adds to it past Keyturn: {shown}. Look through "
            "people, their roles and their tokens (`keyturn user list`, `keyturn user "
            "tokens`), and through the releases: what is not yours was put in before."
        },
    )


async def _vouch_anew(session: Tx, voucher: Voucher) -> None:
    """Vouch with the new key for the rows that the previous key vouched for."""
    for table in row_codes.COVERED:
        rows = await session.execute(select(table).with_for_update())
        for row in rows.scalars():
            if voucher.is_genuine(row):
                row.mac = voucher.code(row)
    await session.flush()


async def _wait_alone(session: Tx) -> None:
    # Another process's upgrade may take longer than the transactions of the product.
    await session.execute(text("SELECT set_config('transaction_timeout', '0', true)"))
    await session.execute(
        text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK}
    )


def _upgrade(connection: Connection) -> None:
    settings = config()
    settings.attributes["connection"] = connection
    command.upgrade(settings, "head")


def advice(revision: str | None) -> str | None:
    """Return what to do about a database at this revision, or None if it is current."""
    revisions = ScriptDirectory.from_config(config())
    wanted = revisions.get_current_head()
    if revision == wanted:
        return None
    if revision is None:
        return f"The database has no schema yet: {REMEDY}."
    if revision not in {known.revision for known in revisions.walk_revisions()}:
        return (
            f"The database is at revision {revision}, which this version does not "
            "know: start the version of Keyturn that upgraded it, or a later one."
        )
    return f"The database is at revision {revision}, not {wanted}: {REMEDY}."
